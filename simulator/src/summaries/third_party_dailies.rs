//! `thirdPartyDailies`: the day so far, by an older device of another maker.

use serde_json::{Value, json};

use super::dailies;
use crate::device::Record;
use crate::user::User;

pub(crate) const KEY: &str = "thirdPartyDailies";

/// The first `covered` seconds of the day.
pub(crate) fn summary(user: &User, record: &Record, covered: u32, source: &str) -> Value {
    let mut summary = dailies::movement(user, record, covered, 0);
    summary["activityType"] = json!("WALKING");
    summary["source"] = json!(source);
    summary
}
