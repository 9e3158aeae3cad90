//! `skinTemp`: how warm the skin was in the night so far, compared with the wearer's other nights.

use serde_json::{Value, json};

use super::sleeps::Verdict;
use crate::device::Record;
use crate::rounding::rounded;
use crate::user::User;

pub(crate) const KEY: &str = "skinTemp";

/// What is added before the whole night is judged, in degrees Celsius.
const TENTATIVELY: f64 = 0.25;

/// The night as it is known at `moment` (Unix seconds).
pub(crate) fn summary(user: &User, record: &Record, verdict: Verdict, moment: i64) -> Value {
    let night = &record.night;
    let mut summary = json!({
        "userId": user.id,
        "summaryId": format!("{}-{:x}", user.summary_prefix, night.start),
        "calendarDate": record.calendar_date,
        "startTimeInSeconds": night.start,
        "startTimeOffsetInSeconds": record.offset,
        "durationInSeconds": night.seconds_until(moment),
    });
    if let Some(deviation) = night.skin_deviation {
        let deviation = if verdict == Verdict::Final { deviation } else { deviation + TENTATIVELY };
        summary["avgDeviationCelsius"] = json!(rounded(deviation, 3));
    }
    summary
}
