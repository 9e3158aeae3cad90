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
    let unmeasurable = match user.device.other_spellings {
        true => "unmeasurableSleepDurationInSeconds",
        false => "unmeasurableSleepInSeconds",
    };
    let mut summary = json!({
        "userId": user.id,
        "summaryId": summary_id(&user.summary_prefix, night.start, duration, ""),
        "calendarDate": record.calendar_date,
        "durationInSeconds": duration,
        "startTimeInSeconds": night.start,
        "startTimeOffsetInSeconds": record.offset,
        unmeasurable: seconds_of("unmeasurable"),
        "deepSleepDurationInSeconds": seconds_of("deep"),
        "lightSleepDurationInSeconds": seconds_of("light"),
        "remSleepInSeconds": seconds_of("rem"),
        "awakeDurationInSeconds": seconds_of("awake"),
        "validation": validation(user, record, verdict),
        "timeOffsetSleepRespiration": series(night.respiration(moment)),
    });
    if user.device.pulse_ox {
        summary["timeOffsetSleepSpo2"] = series(night.spo2(moment));
    }
    if !off_wrist {
        summary["sleepLevelsMap"] = levels(&stages);
    }
    if let Some(nap) = night.nap.filter(|nap| nap.end() <= moment) {
        add_nap(&mut summary, user, record, nap);
    }
    if user.device.enhanced_sleep && verdict == Verdict::Final && !off_wrist {
        add_scores(&mut summary, user, night.score);
    }
    summary
}

fn validation(user: &User, record: &Record, verdict: Verdict) -> &'static str {
    if record.night.stages.is_empty() {
        return "OFF_WRIST";
    }
    match (verdict, record.night.by_hand, user.device.enhanced_sleep) {
        (Verdict::Tentative, _, true) => "ENHANCED_TENTATIVE",
        (Verdict::Tentative, _, false) => "AUTO_TENTATIVE",
        (Verdict::Final, Some(by_hand), _) => by_hand,
        (Verdict::Final, None, true) => "ENHANCED_FINAL",
        (Verdict::Final, None, false) => "AUTO_FINAL",
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

fn add_nap(summary: &mut Value, user: &User, record: &Record, nap: Nap) {
    summary["totalNapDurationInSeconds"] = json!(nap.seconds);
    summary["naps"] = json!([{
        "napDurationInSeconds": nap.seconds,
        "napStartTimeInSeconds": nap.start,
        "napValidation": if user.device.enhanced_sleep { "DEVICE" } else { "MANUAL" },
        "napOffsetInSeconds": record.offset,
    }]);
}

/// The parts' values stand beside their words in one document only.
fn add_scores(summary: &mut Value, user: &User, score: u8) {
    let qualified = |score: u8| {
        let word = match score {
            90.. => "EXCELLENT",
            80.. => "GOOD",
            60.. => "FAIR",
            _ => "POOR",
        };
        match user.device.other_spellings {
            true => json!({"qualifierKey": word, "value": score}),
            false => json!({"qualifierKey": word}),
        }
    };
    summary["overallSleepScore"] = qualified(score);
    summary["overallSleepScore"]["value"] = json!(score);
    summary["sleepScores"] = json!({
        "totalDuration": qualified(score),
        "stress": qualified(score.saturating_sub(7)),
        "awakeCount": qualified(score.saturating_add(2)),
        "remPercentage": qualified(score.saturating_sub(12)),
        "restlessness": qualified(score.saturating_sub(4)),
        "lightPercentage": qualified(score),
        "deepPercentage": qualified(score.saturating_sub(20)),
    });
}
