//! The types of data that Garmin offers: under which key each is sent, where it is fetched, where its history is asked
//! for, and what a user must have allowed (garmin-health-api.md 1.1).

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DataType {
    /// The top-level key of its notifications.
    pub(super) key: &'static str,
    /// Its path below the API.
    pub(super) pull_path: &'static str,
    /// Its name below `backfill/`, if its history can be asked for.
    pub(super) backfill_path: Option<&'static str>,
    pub(super) family: Family,
}

/// Types that are allowed, and limited, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Health,
    Activity,
    WomensHealth,
}

impl Family {
    /// What a user must have allowed.
    pub(super) fn permission(self) -> &'static str {
        match self {
            Self::Health => "HEALTH_EXPORT",
            Self::Activity => "ACTIVITY_EXPORT",
            Self::WomensHealth => "MCT_EXPORT",
        }
    }

    /// How many days of history one request may ask for (garmin-health-api.md 7).
    pub(super) fn longest_backfill_days(self) -> i64 {
        match self {
            Self::Health | Self::WomensHealth => 90,
            Self::Activity => 30,
        }
    }
}

/// The files of activities, of which Garmin never sends more than where each can be fetched.
pub(super) const ACTIVITY_FILES: &str = "activityFiles";

/// The two keys of Women's Health have one path.
static DATA_TYPES: [DataType; 20] = {
    use Family::{Activity, Health, WomensHealth};
    [
        everywhere("dailies", Health),
        everywhere("epochs", Health),
        everywhere("sleeps", Health),
        everywhere("bodyComps", Health),
        everywhere("stressDetails", Health),
        everywhere("userMetrics", Health),
        with_path("pulseox", "pulseOx", Health),
        with_path("allDayRespiration", "respiration", Health),
        everywhere("healthSnapshot", Health),
        everywhere("hrv", Health),
        everywhere("bloodPressures", Health),
        everywhere("skinTemp", Health),
        without_history("thirdPartyDailies", "thirdPartyDailies", Health),
        everywhere("activities", Activity),
        everywhere("activityDetails", Activity),
        without_history("manuallyUpdatedActivities", "manuallyUpdatedActivities", Activity),
        without_history(ACTIVITY_FILES, "activityFile", Activity),
        with_path("moveIQActivities", "moveiq", Activity),
        everywhere("mct", WomensHealth),
        with_path("menstrualCycleTracking", "mct", WomensHealth),
    ]
};

const fn everywhere(name: &'static str, family: Family) -> DataType {
    with_path(name, name, family)
}

const fn with_path(key: &'static str, path: &'static str, family: Family) -> DataType {
    DataType { key, pull_path: path, backfill_path: Some(path), family }
}

const fn without_history(key: &'static str, pull_path: &'static str, family: Family) -> DataType {
    DataType { key, pull_path, backfill_path: None, family }
}

impl DataType {
    pub(super) fn of_key(key: &str) -> Option<&'static Self> {
        DATA_TYPES.iter().find(|data_type| data_type.key == key)
    }

    pub(super) fn of_pull_path(path: &str) -> Option<&'static Self> {
        DATA_TYPES.iter().find(|data_type| data_type.pull_path == path)
    }

    pub(super) fn of_backfill_path(path: &str) -> Option<&'static Self> {
        DATA_TYPES.iter().find(|data_type| data_type.backfill_path == Some(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary_type::SUMMARY_TYPES;

    #[test]
    fn every_key_that_is_sent_can_be_fetched() {
        for key in SUMMARY_TYPES.iter().flat_map(|summary_type| summary_type.keys) {
            assert!(DataType::of_key(key).is_some(), "{key}");
        }
    }

    #[test]
    fn paths_are_garmins_own() {
        let paths =
            |key| DataType::of_key(key).map(|data_type| (data_type.pull_path, data_type.backfill_path));
        assert_eq!(paths("pulseox"), Some(("pulseOx", Some("pulseOx"))));
        assert_eq!(paths("allDayRespiration"), Some(("respiration", Some("respiration"))));
        assert_eq!(paths("moveIQActivities"), Some(("moveiq", Some("moveiq"))));
        assert_eq!(paths("menstrualCycleTracking"), Some(("mct", Some("mct"))));
        assert_eq!(DataType::of_backfill_path("mct").unwrap().key, "mct");
        for name in ["activityFiles", "activityFile", "thirdPartyDailies", "manuallyUpdatedActivities"] {
            assert_eq!(DataType::of_backfill_path(name), None, "{name}");
        }
    }
}
