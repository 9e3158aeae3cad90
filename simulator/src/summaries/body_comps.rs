//! `bodyComps`: what a scale measures, or a weight typed in by hand.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::chance::{between, happens};
use crate::device::Record;
use crate::outbox::Outbox;
use crate::rounding::rounded;
use crate::user::User;

pub(crate) const KEY: &str = "bodyComps";

/// At most one weighing a day; some are corrected later.
pub(crate) fn post(user: &User, record: &Record, rng: &mut Rng, outbox: &mut Outbox) {
    let weighed = if user.scale { happens(rng, 0.7) } else { happens(rng, 0.04) };
    if !weighed {
        return;
    }
    let measured = record.moment(rng.u32(18_000..79_200));
    let mut summary = json!({
        "userId": user.id,
        "summaryId": format!("{}-{measured:x}", user.summary_prefix),
        "measurementTimeInSeconds": measured,
        "weightInGrams": weight(rng),
    });
    if happens(rng, 0.95) {
        summary["measurementTimeOffsetInSeconds"] = json!(record.offset);
    }
    if user.scale {
        add_composition(&mut summary, rng);
    }
    outbox.post(measured, KEY, summary.clone());
    if happens(rng, 0.15) {
        summary["weightInGrams"] = json!(weight(rng));
        outbox.post(measured + rng.i64(60..20_000), KEY, summary);
    }
}

fn weight(rng: &mut Rng) -> u32 {
    rng.u32(1_000..2_400) * 50
}

fn add_composition(summary: &mut Value, rng: &mut Rng) {
    summary["muscleMassInGrams"] = json!(rng.u32(22_000..41_000));
    summary["boneMassInGrams"] = json!(rng.u32(2_400..4_300));
    summary["bodyWaterInPercent"] = json!(rounded(between(rng, 44.0, 66.0), 1));
    summary["bodyFatInPercent"] = json!(rounded(between(rng, 9.0, 38.0), 1));
    summary["bodyMassIndex"] = json!(rounded(between(rng, 18.0, 36.0), 12));
}
