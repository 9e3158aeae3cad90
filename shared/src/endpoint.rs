//! The names of Garmin's notification types: keys of a body, paths of an endpoint, and the queue each goes to.
//!
//! Source: garmin-health-api.md 1.1. The key in a body decides what an entry is; the path only says where it
//! was sent. Garmin's path names differ from its body keys (`respiration` carries `allDayRespiration`), so
//! both are accepted in a path, whatever their case.

use crate::topology::Lane;

/// One notification type of Garmin's.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The top-level key of a notification's body, and the name used for it everywhere else.
    pub key: &'static str,
    /// Another key under which the same entries come.
    pub other_key: Option<&'static str>,
    /// Garmin's path name where it differs from the key by more than case.
    pub path: Option<&'static str>,
    /// The lane that handles it.
    pub lane: Lane,
}

/// Every type known, in the order of design.md section 5.
pub const ENDPOINTS: &[Endpoint] = &[
    summary("dailies"),
    summary("thirdPartyDailies"),
    summary("epochs"),
    summary("sleeps"),
    summary("bodyComps"),
    summary("stressDetails"),
    summary("userMetrics"),
    summary("pulseox"),
    Endpoint { path: Some("respiration"), ..summary("allDayRespiration") },
    summary("healthSnapshot"),
    summary("hrv"),
    summary("bloodPressures"),
    summary("skinTemp"),
    summary("activities"),
    summary("manuallyUpdatedActivities"),
    summary("activityDetails"),
    Endpoint { path: Some("activityFile"), ..summary("activityFiles") },
    Endpoint { path: Some("moveiq"), ..summary("moveIQActivities") },
    Endpoint { other_key: Some("menstrualCycleTracking"), ..summary("mct") },
    // Garmin has a pull path of this name and offers no push; should one come, it is kept raw.
    summary("solarIntensity"),
    Endpoint { lane: Lane::Account, ..summary("deregistrations") },
    Endpoint { lane: Lane::Account, ..summary("userPermissionsChange") },
];

const fn summary(key: &'static str) -> Endpoint {
    Endpoint { key, other_key: None, path: None, lane: Lane::Summaries }
}

impl Endpoint {
    /// The type that a top-level key of a body stands for.
    #[must_use]
    pub fn of_key(key: &str) -> Option<&'static Self> {
        ENDPOINTS.iter().find(|endpoint| endpoint.key == key || endpoint.other_key == Some(key))
    }

    /// The type that `{endpoint}` in a path names: a key, or Garmin's path name, whatever the case.
    #[must_use]
    pub fn of_path(name: &str) -> Option<&'static Self> {
        ENDPOINTS.iter().find(|endpoint| {
            [Some(endpoint.key), endpoint.other_key, endpoint.path]
                .into_iter()
                .flatten()
                .any(|known| known.eq_ignore_ascii_case(name))
        })
    }

    /// The name in the paths of Garmin's API from which its summaries are pulled, and under which their past is asked for.
    #[must_use]
    pub fn api_path(&self) -> &'static str {
        match self.key {
            "pulseox" => "pulseOx",
            key => self.path.unwrap_or(key),
        }
    }

    /// The routing key under which the receiver publishes it, such as `push.dailies`.
    #[must_use]
    pub fn routing_key(&self) -> String {
        match self.lane {
            Lane::Account => format!("account.{}", self.key),
            Lane::Summaries | Lane::Pull => format!("push.{}", self.key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_use_garmins_path_names_in_any_case() {
        for (path, key) in [
            ("dailies", "dailies"),
            ("respiration", "allDayRespiration"),
            ("allDayRespiration", "allDayRespiration"),
            ("pulseOx", "pulseox"),
            ("moveiq", "moveIQActivities"),
            ("menstrualCycleTracking", "mct"),
            ("STRESSDETAILS", "stressDetails"),
        ] {
            assert_eq!(Endpoint::of_path(path).map(|endpoint| endpoint.key), Some(key), "{path}");
        }
        assert_eq!(Endpoint::of_path("heartrates"), None);
    }

    #[test]
    fn a_key_is_matched_exactly() {
        assert_eq!(Endpoint::of_key("menstrualCycleTracking").map(|endpoint| endpoint.key), Some("mct"));
        assert_eq!(Endpoint::of_key("respiration"), None);
        assert_eq!(Endpoint::of_key("Dailies"), None);
    }

    #[test]
    fn names_are_unambiguous() {
        let mut names: Vec<String> = ENDPOINTS
            .iter()
            .flat_map(|endpoint| [Some(endpoint.key), endpoint.other_key, endpoint.path])
            .flatten()
            .map(str::to_ascii_lowercase)
            .collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
