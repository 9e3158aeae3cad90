//! `pulseox`: oxygen saturation of the day so far, and readings that the user asked for.

use fastrand::Rng;
use serde_json::{Value, json};

use super::{fractional_moment, series};
use crate::device::Record;
use crate::outbox::Outbox;
use crate::user::User;

pub(crate) const KEY: &str = "pulseox";

/// The first `covered` seconds of the day. Some devices do not say that nobody asked for these.
pub(crate) fn summary(user: &User, record: &Record, covered: u32) -> Value {
    let mut summary = json!({
        "userId": user.id,
        "summaryId": format!("{}-{:x}", user.summary_prefix, record.start),
        "calendarDate": record.calendar_date,
        "startTimeInSeconds": fractional_moment(user, record.start),
        "startTimeOffsetInSeconds": record.offset,
        "durationInSeconds": covered,
        "timeOffsetSpo2Values": series(record.oxygen(covered)),
    });
    if user.device.enhanced_sleep || !user.device.other_spellings {
        summary["onDemand"] = json!(false);
    }
    summary
}

/// Up to two spot checks a day. Some devices date each of them at its own time. Others keep all of a day in one summary
/// that begins at midnight, as the day's own does, and that has no duration either.
pub(crate) fn post_spot_checks(user: &User, record: &Record, rng: &mut Rng, outbox: &mut Outbox) {
    if !user.device.pulse_ox || !record.worn {
        return;
    }
    let mut checks: Vec<_> =
        (0..rng.u8(0..=2)).map(|_| (rng.u32(25_000..80_000), rng.u8(90..=100))).collect();
    checks.sort_unstable();
    for (number, (second, value)) in checks.iter().enumerate() {
        let check = match user.device.other_spellings {
            true => spot_check(user, record, 0, series(checks[..=number].iter().copied())),
            false => spot_check(user, record, *second, json!({"0": value})),
        };
        outbox.post(record.moment(*second), KEY, check);
    }
}

fn spot_check(user: &User, record: &Record, begins: u32, values: Value) -> Value {
    let start = record.moment(begins);
    json!({
        "userId": user.id,
        "summaryId": format!("{}-{start:x}-spo2OnDemand", user.summary_prefix),
        "calendarDate": record.calendar_date,
        "startTimeInSeconds": fractional_moment(user, start),
        "startTimeOffsetInSeconds": record.offset,
        "durationInSeconds": 0,
        "timeOffsetSpo2Values": values,
        "onDemand": true,
    })
}
