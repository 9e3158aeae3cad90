//! The declarations: one file a summary type.

mod activities;
mod activity_details;
mod activity_files;
mod all_day_respiration;
mod blood_pressures;
mod body_comps;
mod common;
mod dailies;
mod epochs;
mod health_snapshot;
mod hrv;
mod mct;
mod move_iq_activities;
mod pulseox;
mod skin_temp;
mod sleeps;
mod stress_details;
mod third_party_dailies;
mod user_metrics;

use super::SummaryType;

/// Every type that has a table, in the order in which every worker writes, so that two of them never wait for
/// each other in a circle.
pub(super) const SUMMARY_TYPES: &[SummaryType] = &[
    dailies::DAILIES,
    third_party_dailies::THIRD_PARTY_DAILIES,
    epochs::EPOCHS,
    sleeps::SLEEPS,
    body_comps::BODY_COMPS,
    stress_details::STRESS_DETAILS,
    user_metrics::USER_METRICS,
    pulseox::PULSEOX,
    all_day_respiration::ALL_DAY_RESPIRATION,
    health_snapshot::HEALTH_SNAPSHOT,
    hrv::HRV,
    blood_pressures::BLOOD_PRESSURES,
    skin_temp::SKIN_TEMP,
    activities::ACTIVITIES,
    activity_details::ACTIVITY_DETAILS,
    activity_files::ACTIVITY_FILES,
    move_iq_activities::MOVE_IQ_ACTIVITIES,
    mct::MCT,
];
