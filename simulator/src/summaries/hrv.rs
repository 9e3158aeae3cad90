//! `hrv`: heart-rate variability of the night so far.

use serde_json::{Value, json};

use super::series;
use crate::device::Record;
use crate::user::User;

pub(crate) const KEY: &str = "hrv";

/// The night as it is known at `moment` (Unix seconds).
pub(crate) fn summary(user: &User, record: &Record, moment: i64) -> Value {
    let night = &record.night;
    let values: Vec<_> = night.hrv(moment).map(|(_, value)| u32::from(value)).collect();
    let mut summary = json!({
        "userId": user.id,
        "summaryId": format!("{}-{:x}", user.summary_prefix, night.start),
        "calendarDate": record.calendar_date,
        "startTimeInSeconds": night.start,
        "startTimeOffsetInSeconds": record.offset,
        "durationInSeconds": night.seconds_until(moment),
        "hrvValues": series(night.hrv(moment)),
    });
    if let Some(highest) = values.iter().max() {
        summary["lastNightAvg"] = json!(values.iter().sum::<u32>() / values.len() as u32);
        summary["lastNight5MinHigh"] = json!(highest);
    }
    summary
}
