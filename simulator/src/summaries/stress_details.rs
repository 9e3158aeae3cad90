//! `stressDetails`: stress and body battery of the day so far.

use serde_json::{Value, json};

use super::{series, summary_id};
use crate::device::Record;
use crate::user::User;

pub(crate) const KEY: &str = "stressDetails";

/// The first `covered` seconds of the day.
pub(crate) fn summary(user: &User, record: &Record, covered: u32) -> Value {
    let mut summary = json!({
        "userId": user.id,
        "summaryId": summary_id(&user.summary_prefix, record.start, covered, ""),
        "startTimeInSeconds": record.start,
        "startTimeOffsetInSeconds": record.offset,
        "durationInSeconds": covered,
        "calendarDate": record.calendar_date,
        "timeOffsetStressLevelValues": series(record.stress(covered).map(|(second, sample)| (second, sample.level))),
    });
    let measured: Vec<_> = record
        .stress(covered)
        .map(|(_, sample)| i32::from(sample.level))
        .filter(|level| *level > 0)
        .collect();
    if let Some(highest) = measured.iter().max().filter(|_| user.device.stress_averages) {
        summary["averageStressLevel"] = json!(measured.iter().sum::<i32>() / measured.len() as i32);
        summary["maxStressLevel"] = json!(highest);
    }
    if user.device.body_battery {
        let levels =
            record.stress(covered).filter_map(|(second, sample)| Some((second, sample.body_battery?)));
        summary["timeOffsetBodyBatteryValues"] = series(levels);
        add_events(&mut summary, record, covered);
    }
    summary
}

fn add_events(summary: &mut Value, record: &Record, covered: u32) {
    if let Some((level, second)) = record.feedback.filter(|(_, second)| *second < covered) {
        summary["bodyBatteryDynamicFeedbackEvent"] =
            json!({"eventStartTimeInSeconds": record.start + i64::from(second), "bodyBatteryLevel": level});
    }
    let mut events = Vec::new();
    if !record.night.stages.is_empty() && record.covered_at(record.night.end()) <= covered {
        events.push(json!({
            "eventType": "SLEEP",
            "eventStartTimeInSeconds": record.night.start,
            "eventStartTimeOffsetInSeconds": record.offset,
            "duration": record.night.end() - record.night.start,
            "bodyBatteryImpact": record.night.score / 2,
        }));
    }
    if let Some(workout) =
        record.workout.as_ref().filter(|workout| workout.begins + workout.seconds <= covered)
    {
        events.push(json!({
            "eventType": "ACTIVITY",
            "eventStartTimeInSeconds": record.start + i64::from(workout.begins),
            "eventStartTimeOffsetInSeconds": record.offset,
            "duration": workout.seconds,
            "bodyBatteryImpact": -i64::from(workout.seconds / 240),
            "activityName": workout.name,
            "activityType": "running",
            "activityId": workout.activity_id,
        }));
    }
    if !events.is_empty() {
        summary["bodyBatteryActivityEvents"] = json!(events);
    }
}
