//! `epochs`: quarters of an hour, one summary for each activity type within them.

use serde_json::{Value, json};

use crate::device::{Record, SLICE_SECONDS};
use crate::user::User;

pub(crate) const KEY: &str = "epochs";

/// The slices of the day that the device has not sent whole, when it last sent the first `sent` seconds of the day and
/// now has `covered`. A slice that was cut by the last synchronisation is sent again.
pub(crate) fn summaries(user: &User, record: &Record, sent: u32, covered: u32) -> Vec<Value> {
    (sent / SLICE_SECONDS..covered.div_ceil(SLICE_SECONDS))
        .flat_map(|number| slice(user, record, number, covered))
        .collect()
}

fn slice(user: &User, record: &Record, number: u32, covered: u32) -> Vec<Value> {
    let start = record.start + i64::from(number * SLICE_SECONDS);
    let (duration, shares) = record.slice(number, covered);
    let summary = |share: crate::device::Share| {
        let mut summary = json!({
            "userId": user.id,
            "summaryId": format!("{}-{start:x}-{}", user.summary_prefix, share.code),
            "activityType": share.activity,
            "activeKilocalories": share.kilocalories,
            "steps": share.steps,
            "distanceInMeters": if share.pushes > 0 { 0.0 } else { share.meters },
            "durationInSeconds": duration,
            "activeTimeInSeconds": share.seconds,
            "startTimeInSeconds": start,
            "startTimeOffsetInSeconds": record.offset,
            "met": share.met,
            "intensity": share.intensity,
            "meanMotionIntensity": share.mean_motion,
            "maxMotionIntensity": share.max_motion,
        });
        if share.pushes > 0 {
            summary["pushes"] = json!(share.pushes);
            summary["pushDistanceInMeters"] = json!(share.meters);
        }
        summary
    };
    shares.into_iter().map(summary).collect()
}
