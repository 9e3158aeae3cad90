//! `mct`: the day's place in a menstrual cycle or a pregnancy, under either of the two keys that documents give.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::chance::{between, happens, one_of};
use crate::cycle::{Cycle, Pregnancy};
use crate::device::Record;
use crate::outbox::Outbox;
use crate::rounding::rounded;
use crate::user::{User, calendar_date};

pub(crate) const KEY: &str = "mct";
pub(crate) const OTHER_KEY: &str = "menstrualCycleTracking";

/// One to three versions a day. Each takes its own time to Garmin, so an older one may arrive after a newer one.
pub(crate) fn post(user: &User, record: &Record, rng: &mut Rng, outbox: &mut Outbox) {
    let Some(cycle) = &user.cycle else { return };
    for _ in 0..rng.u8(1..=3) {
        let updated = record.moment(rng.u32(..record.length));
        let key = one_of(rng, &[KEY, KEY, OTHER_KEY]);
        outbox.post(updated + rng.i64(0..50_000), key, summary(user, cycle, record, updated, rng));
    }
}

fn summary(user: &User, cycle: &Cycle, record: &Record, updated: i64, rng: &mut Rng) -> Value {
    let day_in_cycle = cycle.day_in_cycle(record.day);
    let phase = cycle.phase(record.day);
    let mut summary = json!({
        "userId": user.id,
        "summaryId": format!("{}-{:x}", user.summary_prefix, updated * 1_000 + rng.i64(..1_000)),
        "periodStartDate": calendar_date(cycle.start(record.day)),
        "dayInCycle": day_in_cycle,
        "cycleLength": cycle.length,
        "predictedCycleLength": cycle.length + rng.i64(-1..=1),
        "isPredictedCycle": happens(rng, 0.2),
        "currentPhase": phase.number,
        "currentPhaseType": phase.name,
        "lengthOfCurrentPhase": phase.length(),
        "daysUntilNextPhase": phase.days_left(day_in_cycle),
        "hasSpecifiedCycleLength": cycle.has_specified_length,
        "hasSpecifiedPeriodLength": cycle.has_specified_period_length,
        "pregnancySnapshot": {},
    });
    if !happens(rng, 0.04) {
        summary["lastUpdatedTimeInSeconds"] = json!(updated);
    }
    if let Some((begins, length)) = cycle.fertile_window() {
        summary["periodLength"] = json!(cycle.period_length);
        summary["fertileWindowStart"] = json!(begins);
        summary["lengthOfFertileWindow"] = json!(length);
    }
    if let Some(pregnancy) = &cycle.pregnancy {
        summary["pregnancySnapshot"] =
            snapshot(pregnancy, cycle.start(record.day), cycle.length, updated, rng);
    }
    summary
}

/// `begins` and `length`: the pregnancy's first day and its length in days.
fn snapshot(pregnancy: &Pregnancy, begins: i64, length: i64, updated: i64, rng: &mut Rng) -> Value {
    let mut snapshot = json!({
        "title": pregnancy.title,
        "originalDueDate": calendar_date(begins + length),
        "dueDate": calendar_date(begins + length + pregnancy.days_late),
        "pregnancyCycleStartDate": calendar_date(begins),
        "numOfBabies": pregnancy.babies,
        "weightGoalUserInput": {
            "heightInCentimeters": pregnancy.height_in_centimeters,
            "weightInGrams": pregnancy.weight_in_grams,
        },
    });
    if happens(rng, 0.7) {
        snapshot["bloodGlucoseList"] =
            (0..rng.i64(0..4)).map(|number| glucose(updated - number * 7_200, rng)).collect();
    }
    snapshot
}

fn glucose(reported: i64, rng: &mut Rng) -> Value {
    json!({
        "valueInMilligramsPerDeciliter": rounded(between(rng, 70.0, 160.0), 1),
        "logType": one_of(rng, &["BEFOREMEAL", "AFTERMEAL", "BEFOREBED", "OTHER"]),
        "reportTimestampInSeconds": reported,
    })
}
