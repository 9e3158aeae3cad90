//! `userMetrics`: fitness, once or twice for a date.

use serde_json::{Value, json};

use crate::device::Record;
use crate::user::User;

pub(crate) const KEY: &str = "userMetrics";

/// The date's metrics; `revision` counts how often they were sent before.
pub(crate) fn summary(user: &User, record: &Record, revision: u8) -> Value {
    let mut summary = json!({
        "userId": user.id,
        "summaryId": format!("{}-{:x}", user.summary_prefix, record.start + i64::from(revision)),
        "calendarDate": record.calendar_date,
        "enhanced": user.device.enhanced_sleep,
        "fitnessAge": user.fitness_age - revision,
    });
    if let Some(vo2_max) = user.vo2_max {
        summary["vo2Max"] = json!(vo2_max + f64::from(revision));
        if user.device.enhanced_sleep {
            summary["vo2MaxCycling"] = json!(vo2_max + 3.0);
        }
    }
    summary
}
