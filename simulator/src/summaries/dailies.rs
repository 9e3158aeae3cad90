//! `dailies`: the day so far.

use serde_json::{Value, json};

use super::{series, summary_id};
use crate::device::Record;
use crate::rounding::rounded;
use crate::user::User;

pub(crate) const KEY: &str = "dailies";

/// The first `covered` seconds of the day, with `late_steps` that another device has added since.
pub(crate) fn summary(user: &User, record: &Record, covered: u32, late_steps: u32) -> Value {
    let mut summary = movement(user, record, covered, late_steps);
    summary["timeOffsetHeartRateSamples"] = series(record.heart_rates(covered));
    add_heart_rates(&mut summary, user, record, covered);
    add_stress(&mut summary, record, covered);
    add_body_battery(&mut summary, user, record, covered);
    if user.wheelchair {
        summary["source"] = json!("garmin");
    }
    summary
}

/// The day without what is measured at the skin.
pub(super) fn movement(user: &User, record: &Record, covered: u32, late_steps: u32) -> Value {
    let shares: Vec<_> = record.shares(covered).collect();
    let total = |of: fn(&crate::device::Share) -> u32| shares.iter().map(of).sum::<u32>();
    let meters: f64 = shares.iter().filter(|share| share.pushes == 0).map(|share| share.meters).sum();
    let mut summary = json!({
        "userId": user.id,
        "summaryId": summary_id(&user.summary_prefix, record.start, covered, "-6"),
        "calendarDate": record.calendar_date,
        "activityType": "GENERIC",
        "activeKilocalories": total(|share| share.kilocalories),
        "bmrKilocalories": covered * 1_640 / 86_400,
        "steps": total(|share| share.steps) + late_steps,
        "distanceInMeters": meters.round(),
        "durationInSeconds": covered,
        "activeTimeInSeconds": total(|share| if share.is_active() { share.seconds } else { 0 }),
        "startTimeInSeconds": record.start,
        "startTimeOffsetInSeconds": record.offset,
        "moderateIntensityDurationInSeconds": total(|share| if share.is_active() && !share.is_vigorous() { share.seconds } else { 0 }) / 60 * 60,
        "vigorousIntensityDurationInSeconds": total(|share| if share.is_vigorous() { share.seconds } else { 0 }),
        "floorsClimbed": total(|share| share.steps) / 900,
        "stepsGoal": 8_000,
        "intensityDurationGoalInSeconds": 9_000,
        "floorsClimbedGoal": 10,
    });
    if user.food_app {
        summary["consumedCalories"] = json!(covered * 2_100 / 86_400);
        summary["netKilocaloriesGoal"] = json!(1_900);
    }
    if user.wheelchair {
        let pushed: f64 = shares.iter().filter(|share| share.pushes > 0).map(|share| share.meters).sum();
        summary["pushes"] = json!(total(|share| share.pushes));
        summary["pushDistanceInMeters"] = json!(rounded(pushed, 2));
        summary["pushesGoal"] = json!(2_400);
    }
    summary
}

/// All four heart-rate fields are missing together on a day without wear.
fn add_heart_rates(summary: &mut Value, user: &User, record: &Record, covered: u32) {
    let rates = || record.heart_rates(covered).map(|(_, rate)| rate);
    let (Some(lowest), Some(highest)) = (rates().min(), rates().max()) else {
        return;
    };
    summary["minHeartRateInBeatsPerMinute"] = json!(lowest);
    summary["maxHeartRateInBeatsPerMinute"] = json!(highest);
    summary["averageHeartRateInBeatsPerMinute"] = json!(user.resting_heart_rate + 11);
    summary["restingHeartRateInBeatsPerMinute"] = json!(user.resting_heart_rate);
}

fn add_stress(summary: &mut Value, record: &Record, covered: u32) {
    let levels: Vec<_> = record.stress(covered).map(|(_, sample)| sample.level).collect();
    let seconds_within = |lowest: i8, highest: i8| {
        let samples = levels.iter().filter(|level| (lowest..=highest).contains(level)).count() as u32;
        (samples * record.stress_interval).min(covered)
    };
    let measured: Vec<_> = levels.iter().filter(|level| **level > 0).map(|level| i32::from(*level)).collect();
    let average = measured.iter().sum::<i32>().checked_div(measured.len() as i32).unwrap_or(-1);
    summary["averageStressLevel"] = json!(average);
    summary["maxStressLevel"] = json!(measured.iter().max().unwrap_or(&0));
    summary["stressDurationInSeconds"] = json!(seconds_within(26, 100));
    summary["restStressDurationInSeconds"] = json!(seconds_within(1, 25));
    summary["activityStressDurationInSeconds"] = json!(seconds_within(-4, -2));
    summary["lowStressDurationInSeconds"] = json!(seconds_within(26, 50));
    summary["mediumStressDurationInSeconds"] = json!(seconds_within(51, 75));
    summary["highStressDurationInSeconds"] = json!(seconds_within(76, 100));
    summary["stressQualifier"] = json!(match average {
        ..0 => "unknown",
        0..25 => "calm",
        25..35 => "balanced_awake",
        35..50 => "stressful",
        _ => "very_stressful",
    });
}

fn add_body_battery(summary: &mut Value, user: &User, record: &Record, covered: u32) {
    let levels: Vec<_> = record.stress(covered).filter_map(|(_, sample)| sample.body_battery).collect();
    if !user.device.body_battery || levels.is_empty() {
        return;
    }
    let steps =
        || levels.iter().zip(&levels[1..]).map(|(before, after)| i32::from(*after) - i32::from(*before));
    summary["bodyBatteryChargedValue"] = json!(steps().filter(|step| *step > 0).sum::<i32>());
    summary["bodyBatteryDrainedValue"] = json!(-steps().filter(|step| *step < 0).sum::<i32>());
}
