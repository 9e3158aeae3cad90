//! `epochs`: slices of 15 minutes, one entry for each activity type within a slice.
//! Source: garmin-health-api.md 1.4.

use super::field::{float, instant, integer, text};
use super::{Rank, SummaryType};

pub(super) const EPOCHS: SummaryType = SummaryType {
    key: "epochs",
    table: "epoch_summary",
    identity: &["startTimeInSeconds", "activityType"],
    rank: Rank::Duration,
    fields: &[
        text("summaryId"),
        instant("startTimeInSeconds"),
        integer("startTimeOffsetInSeconds"),
        integer("durationInSeconds"),
        text("activityType"),
        integer("activeTimeInSeconds"),
        integer("steps"),
        integer("pushes"),
        float("distanceInMeters"),
        float("pushDistanceInMeters"),
        integer("activeKilocalories"),
        float("met"),
        text("intensity"),
        float("meanMotionIntensity"),
        float("maxMotionIntensity"),
    ],
};
