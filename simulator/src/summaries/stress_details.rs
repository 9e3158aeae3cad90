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
        add_events(&mut summary, user, record, covered);
    }
    summary
}

fn add_events(summary: &mut Value, user: &User, record: &Record, covered: u32) {
    if let Some((level, second)) = record.feedback.filter(|(_, second)| *second < covered) {
        summary["bodyBatteryDynamicFeedbackEvent"] =
            json!({"eventStartTimeInSeconds": record.moment(second), "bodyBatteryLevel": level});
    }
    let events = events(user, record, record.moment(covered));
    let name = match user.device.other_spellings {
        true => "bodyBatteryActivityEventList",
        false => "bodyBatteryActivityEvents",
    };
    if !events.is_empty() {
        summary[name] = json!(events);
    }
}

/// What was over at `moment` (Unix seconds), and what a workout that was over has set off.
fn events(user: &User, record: &Record, moment: i64) -> Vec<Value> {
    // Newer devices spell it otherwise.
    let duration = if user.device.stress_averages { "durationInSeconds" } else { "duration" };
    let mut events = Vec::new();
    let night = &record.night;
    if !night.stages.is_empty() && night.end() <= moment {
        let mut sleep = event(record, "SLEEP", night.start, i64::from(night.score / 2));
        sleep[duration] = json!(night.end() - night.start);
        events.push(sleep);
    }
    if let Some(nap) = night.nap.filter(|nap| nap.end() <= moment) {
        let mut event = event(record, "NAP", nap.start, 4);
        event[duration] = json!(nap.seconds);
        events.push(event);
    }
    let Some(workout) = &record.workout else { return events };
    let over = record.moment(workout.begins + workout.seconds);
    if over <= moment {
        let impact = -i64::from(workout.seconds / 240);
        let mut activity = event(record, "ACTIVITY", record.moment(workout.begins), impact);
        activity[duration] = json!(workout.seconds);
        activity["activityName"] = json!(workout.name);
        activity["activityType"] = json!(workout.sport.activity_type.to_lowercase());
        activity["activityId"] = json!(workout.activity_id);
        let mut recovery = event(record, "RECOVERY", over, 1);
        recovery[duration] = Value::Null;
        events.extend([activity, recovery, event(record, "STRESS", over, -1)]);
    }
    events
}

/// `start`: Unix seconds. How long it lasted may be unknown.
fn event(record: &Record, event_type: &str, start: i64, impact: i64) -> Value {
    json!({
        "eventType": event_type,
        "eventStartTimeInSeconds": start,
        "eventStartTimeOffsetInSeconds": record.offset,
        "bodyBatteryImpact": impact,
    })
}
