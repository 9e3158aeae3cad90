//! `bloodPressures`: readings of a monitor, or typed in.

use fastrand::Rng;
use serde_json::json;

use crate::chance::{happens, one_of};
use crate::device::Record;
use crate::outbox::Outbox;
use crate::user::User;

pub(crate) const KEY: &str = "bloodPressures";

/// Up to two readings a day; some are corrected later.
pub(crate) fn post(user: &User, record: &Record, rng: &mut Rng, outbox: &mut Outbox) {
    if !user.blood_pressure_monitor {
        return;
    }
    for _ in 0..rng.u8(0..=2) {
        let measured = record.moment(rng.u32(21_600..79_200));
        let mut summary = json!({
            "userId": user.id,
            "summaryId": format!("{}-{measured:x}", user.summary_prefix),
            "measurementTimeInSeconds": measured,
            "measurementTimeOffsetInSeconds": record.offset,
            "systolic": rng.u8(98..165),
            "diastolic": rng.u8(55..98),
        });
        if happens(rng, 0.8) {
            summary["pulse"] = json!(user.resting_heart_rate + rng.u8(0..20));
        }
        if happens(rng, 0.95) {
            summary["sourceType"] = json!(one_of(rng, &["DEVICE", "DEVICE", "MANUAL"]));
        }
        outbox.post(measured, KEY, summary.clone());
        if happens(rng, 0.15) {
            summary["systolic"] = json!(rng.u8(98..165));
            outbox.post(measured + rng.i64(60..20_000), KEY, summary);
        }
    }
}
