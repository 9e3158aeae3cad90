//! What Garmin does now and then, and a receiver must survive: whole numbers written with a fraction and the reverse,
//! nulls, empty objects, and fields that no document mentions, at every depth.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::chance::happens;
use crate::columns::{NOVELTY, is_moment, is_series};

/// Measurements that are null now and then. Nothing is identified or ordered by them.
const NULLED: [&str; 10] = [
    "activityDescription",
    "avgDeviationCelsius",
    "consumedCalories",
    "dayInCycle",
    "floorsClimbed",
    "lastNightAvg",
    "maxHeartRateInBeatsPerMinute",
    "met",
    "pulse",
    "vo2Max",
];

/// Objects, whose fields become columns too.
const OBJECTS: [&str; 3] = ["bodyBatteryDynamicFeedbackEvent", "pregnancySnapshot", "summary"];

/// Makes the summary odd, rarely.
pub(crate) fn sprinkle(rng: &mut Rng, summary: &mut Value) {
    if happens(rng, 0.01) {
        rewrite_a_number(rng, summary);
    }
    if happens(rng, 0.01) {
        rewrite_a_sample(rng, summary);
    }
    if happens(rng, 0.004) {
        summary[NOVELTY] = json!({"firmware": "21.07", "readings": [rng.u8(..), rng.u8(..)]});
    }
    for object in OBJECTS {
        if summary.get(object).is_some() && happens(rng, 0.03) {
            summary[object][NOVELTY] = json!({"nested": [null, {"deeper": "ä"}]});
        }
    }
    for measurement in NULLED {
        if summary.get(measurement).is_some() && happens(rng, 0.003) {
            summary[measurement] = Value::Null;
        }
    }
    if summary.get("overallSleepScore").is_some() && happens(rng, 0.05) {
        summary["overallSleepScore"][NOVELTY] = json!({"confidence": 0.5});
        summary["sleepScores"]["totalDuration"][NOVELTY] = json!({"optimalStart": 7.5});
    }
    if summary.get("sleepScores").is_some() && happens(rng, 0.05) {
        summary["sleepScores"]["awakeCount"] = json!({});
    }
}

/// Writes one of the summary's numbers differently. Spared is what identifies a summary or orders its versions: moments
/// and ids.
fn rewrite_a_number(rng: &mut Rng, summary: &mut Value) {
    let Value::Object(fields) = summary else { return };
    let numbers = fields
        .iter_mut()
        .filter(|(name, value)| value.is_number() && !is_moment(name) && *name != "activityId")
        .map(|(_, value)| value);
    if let Some(number) = rng.choice(numbers.collect::<Vec<_>>()) {
        *number = written_differently(number);
    }
}

/// Writes one value of one series differently.
fn rewrite_a_sample(rng: &mut Rng, summary: &mut Value) {
    let Value::Object(fields) = summary else { return };
    let series = fields.iter_mut().filter(|(name, _)| is_series(name)).map(|(_, value)| value);
    let Some(Value::Object(samples)) = rng.choice(series.collect::<Vec<_>>()) else { return };
    if let Some(sample) = rng.choice(samples.values_mut().collect::<Vec<_>>()) {
        *sample = written_differently(sample);
    }
}

/// 144 as 144.0, and 144.0 as 144; other numbers as they are.
fn written_differently(number: &Value) -> Value {
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => json!(whole as f64),
        (None, Some(float)) if float.fract() == 0.0 => json!(float as i64),
        _ => number.clone(),
    }
}
