//! `healthSnapshot`: two minutes of sitting still, measured in every way that the device can.

use fastrand::Rng;
use serde_json::{Value, json};

use super::series;
use crate::chance::happens;
use crate::device::Record;
use crate::outbox::Outbox;
use crate::plan::Plan;
use crate::user::User;

pub(crate) const KEY: &str = "healthSnapshot";

/// Seconds.
const WHOLE: u32 = 120;

/// Native distance of the samples, in seconds.
const INTERVAL: u32 = 5;

/// Now and then one, of which an unfinished version may come first.
pub(crate) fn post(plan: &Plan, user: &User, record: &Record, rng: &mut Rng, outbox: &mut Outbox) {
    if !user.device.health_snapshots || !record.worn || !happens(rng, 0.4) {
        return;
    }
    let begins = rng.u32(25_000..80_000);
    let due = record.moment(begins + WHOLE);
    if happens(rng, 0.15) {
        outbox.post(due, KEY, summary(plan, user, record, begins, WHOLE / 2, rng));
    }
    outbox.post(due + rng.i64(0..20_000), KEY, summary(plan, user, record, begins, WHOLE, rng));
}

fn summary(plan: &Plan, user: &User, record: &Record, begins: u32, duration: u32, rng: &mut Rng) -> Value {
    let start = record.moment(begins);
    let (offset, oxygen) = match user.device.other_spellings {
        true => ("offsetStartTimeInSeconds", "pulse_ox"),
        false => ("startTimeOffsetInSeconds", "spo2"),
    };
    let interval = plan.sample_interval(INTERVAL);
    let mut summaries = vec![
        measured("heart_rate", duration, interval, || f64::from(rng.u8(48..96))),
        measured("respiration", duration, interval, || f64::from(rng.u16(1_100..1_800)) / 100.0),
        measured("stress", duration, interval, || f64::from(rng.u8(0..70))),
    ];
    if user.device.pulse_ox {
        summaries.push(measured(oxygen, duration, interval, || f64::from(rng.u8(92..=99))));
    }
    for variability in ["rmssd_hrv", "sdrr_hrv"] {
        summaries.push(json!({"summaryType": variability, "avgValue": f64::from(rng.u8(18..90))}));
    }
    json!({
        "userId": user.id,
        "summaryId": format!("{}-{start:x}-{:032x}", user.summary_prefix, rng.u128(..)),
        "calendarDate": record.calendar_date,
        "startTimeInSeconds": start,
        "durationInSeconds": duration,
        offset: record.offset,
        "summaries": summaries,
    })
}

fn measured(name: &str, duration: u32, interval: u32, measure: impl FnMut() -> f64) -> Value {
    let seconds = (0..duration).step_by(interval as usize);
    let points: Vec<_> = seconds.zip(std::iter::repeat_with(measure)).collect();
    let values = || points.iter().map(|(_, value)| *value);
    json!({
        "summaryType": name,
        "minValue": values().fold(f64::INFINITY, f64::min),
        "maxValue": values().fold(0.0, f64::max),
        "avgValue": (values().sum::<f64>() / points.len() as f64).round(),
        "epochSummaries": series(points.iter().copied()),
    })
}
