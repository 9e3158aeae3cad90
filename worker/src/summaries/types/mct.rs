//! `mct`: menstrual cycle and pregnancy, as the user keeps track of them. Each summary is of one cycle and
//! comes again as it goes on; the one that was updated last counts.
//! Source: garmin-health-api.md 1.20.

use super::common::SUMMARY_ID;
use crate::summaries::declaration::{SUMMARY_TYPE, SummaryType, required};
use crate::summaries::field::{Field, boolean, date, instant, integer, list, object, text};

pub(super) const MCT: SummaryType = SummaryType {
    key: "mct",
    table: "menstrual_cycle_summary",
    meaning: "One row a user and menstrual cycle or pregnancy, as of its last update",
    identity: &[required("periodStartDate")],
    rank: Some("lastUpdatedTimeInSeconds"),
    fields: &[CYCLE],
    ..SUMMARY_TYPE
};

const CYCLE: &[Field] = &[
    SUMMARY_ID,
    date("periodStartDate").means("", "First day of the cycle"),
    integer("dayInCycle").means("d", "Day of the cycle at the last update"),
    integer("periodLength").means("d", "Length of the period"),
    integer("cycleLength").means("d", "Length of the cycle"),
    integer("predictedCycleLength").means("d", "Length of the cycle that Garmin predicts"),
    boolean("isPredictedCycle").means("", "Whether the cycle is predicted, not reported"),
    integer("currentPhase").means("", "The phase as a number; 1 is MENSTRUAL, 6 SECOND_TRIMESTER"),
    text("currentPhaseType").means("", "The phase, such as MENSTRUAL or SECOND_TRIMESTER"),
    integer("lengthOfCurrentPhase").means("d", "Length of the phase"),
    integer("daysUntilNextPhase").means("d", "How long the phase lasts from the last update on"),
    integer("fertileWindowStart").means("d", "Day of the cycle on which the fertile window begins"),
    integer("lengthOfFertileWindow").means("d", "Length of the fertile window"),
    instant("lastUpdatedTimeInSeconds")
        .means("", "When the summary was last changed; the latest version counts"),
    boolean("hasSpecifiedCycleLength").means("", "Whether the user set the length of the cycle"),
    boolean("hasSpecifiedPeriodLength").means("", "Whether the user set the length of the period"),
    object("pregnancySnapshot", PREGNANCY),
];

const PREGNANCY: &[Field] = &[
    text("title").means("", "The user's name for the pregnancy"),
    date("originalDueDate").means("", "The first expected date of birth"),
    date("dueDate").means("", "The expected date of birth"),
    date("pregnancyCycleStartDate").means("", "First day of the cycle in which the pregnancy began"),
    text("numOfBabies").means("", "SINGLE or more, as a word"),
    object("weightGoalUserInput", WEIGHT_GOAL),
    list("bloodGlucoseList").means(
        "",
        "What the user noted of the blood glucose, each with valueInMilligramsPerDeciliter, logType and \
         reportTimestampInSeconds; blood_glucose has them as rows",
    ),
];

const WEIGHT_GOAL: &[Field] = &[
    integer("heightInCentimeters").means("cm", "Height, typed in for the goal of weight"),
    integer("weightInGrams").means("g", "Weight, typed in for the goal of weight"),
];
