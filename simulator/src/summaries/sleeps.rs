//! `sleeps`: a night, tentatively and then finally.

use serde_json::{Map, Value, json};

use super::{series, summary_id};
use crate::device::{Nap, Record, Stage};
use crate::user::User;

pub(crate) const KEY: &str = "sleeps";

/// How sure the device is of the night.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Tentative,
    Final,
}

/// The night as it is known at `moment` (Unix seconds), with the nap if it is over by then.
pub(crate) fn summary(user: &User, record: &Record, verdict: Verdict, moment: i64) -> Value {
    let night = &record.night;
    let stages: Vec<_> = night.stages_until(moment).collect();
    let seconds_of = |name: &str| {
        stages.iter().filter(|stage| stage.name == name).map(|stage| stage.end - stage.start).sum::<i64>()
            as u32
    };
    let off_wrist = stages.is_empty();
    let asleep = seconds_of("deep") + seconds_of("light") + seconds_of("rem");
    let duration = if off_wrist { (night.end() - night.start) as u32 } else { asleep };
    let mut summary = json!({
        "userId": user.id,
        "summaryId": summary_id(&user.summary_prefix, night.start, duration, ""),
        "calendarDate": record.calendar_date,
        "durationInSeconds": duration,
        "startTimeInSeconds": night.start,
        "startTimeOffsetInSeconds": record.offset,
        "unmeasurableSleepInSeconds": seconds_of("unmeasurable"),
        "deepSleepDurationInSeconds": seconds_of("deep"),
        "lightSleepDurationInSeconds": seconds_of("light"),
        "remSleepInSeconds": seconds_of("rem"),
        "awakeDurationInSeconds": seconds_of("awake"),
        "validation": validation(user, verdict, off_wrist),
        "timeOffsetSleepRespiration": series(night.respiration(moment)),
    });
    if user.device.pulse_ox {
        summary["timeOffsetSleepSpo2"] = series(night.spo2(moment));
    }
    if !off_wrist {
        summary["sleepLevelsMap"] = levels(&stages);
    }
    if let Some(nap) = night.nap.filter(|nap| nap.end() <= moment) {
        add_nap(&mut summary, record, nap);
    }
    if user.device.enhanced_sleep && verdict == Verdict::Final && !off_wrist {
        add_scores(&mut summary, night.score);
    }
    summary
}

fn validation(user: &User, verdict: Verdict, off_wrist: bool) -> &'static str {
    match (off_wrist, user.device.enhanced_sleep, verdict) {
        (true, ..) => "OFF_WRIST",
        (_, true, Verdict::Tentative) => "ENHANCED_TENTATIVE",
        (_, true, Verdict::Final) => "ENHANCED_FINAL",
        (_, false, Verdict::Tentative) => "AUTO_TENTATIVE",
        (_, false, Verdict::Final) => "AUTO_FINAL",
    }
}

/// A stage that did not occur has no key.
fn levels(stages: &[Stage]) -> Value {
    let mut levels = Map::new();
    for stage in stages {
        let stretches = levels.entry(stage.name).or_insert_with(|| json!([]));
        if let Value::Array(stretches) = stretches {
            stretches.push(json!({"startTimeInSeconds": stage.start, "endTimeInSeconds": stage.end}));
        }
    }
    Value::Object(levels)
}

fn add_nap(summary: &mut Value, record: &Record, nap: Nap) {
    summary["totalNapDurationInSeconds"] = json!(nap.seconds);
    summary["naps"] = json!([{
        "napDurationInSeconds": nap.seconds,
        "napStartTimeInSeconds": nap.start,
        "napValidation": "DEVICE",
        "napOffsetInSeconds": record.offset,
    }]);
}

fn add_scores(summary: &mut Value, score: u8) {
    let word = |score: u8| match score {
        90.. => "EXCELLENT",
        80.. => "GOOD",
        60.. => "FAIR",
        _ => "POOR",
    };
    summary["overallSleepScore"] = json!({"value": score, "qualifierKey": word(score)});
    summary["sleepScores"] = json!({
        "totalDuration": {"qualifierKey": word(score)},
        "stress": {"qualifierKey": word(score.saturating_sub(7))},
        "awakeCount": {"qualifierKey": word(score.saturating_add(9))},
        "remPercentage": {"qualifierKey": word(score.saturating_sub(12)), "value": score / 4},
        "restlessness": {"qualifierKey": word(score.saturating_add(4))},
        "lightPercentage": {"qualifierKey": word(score)},
        "deepPercentage": {"qualifierKey": word(score.saturating_sub(20))},
    });
}
