//! What history can be asked for, and how much of it at once (garmin-health-api.md 1.1 and 7).

use apollo_shared::endpoint::Endpoint;
use time::Duration;

/// A type of summaries whose history Garmin sends on request.
#[derive(Debug, PartialEq, Eq)]
pub struct BackfillKind {
    /// The key under which it comes in notifications, and its name everywhere else.
    pub key: &'static str,
    family: Family,
}

/// What Garmin treats alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Health,
    Activity,
    WomensHealth,
}

/// All of them, in the order of design.md section 5.
pub const KINDS: &[BackfillKind] = &[
    health("dailies"),
    health("epochs"),
    health("sleeps"),
    health("bodyComps"),
    health("stressDetails"),
    health("userMetrics"),
    health("pulseox"),
    health("allDayRespiration"),
    health("healthSnapshot"),
    health("hrv"),
    health("bloodPressures"),
    health("skinTemp"),
    activity("activities"),
    activity("activityDetails"),
    activity("moveIQActivities"),
    BackfillKind { key: "mct", family: Family::WomensHealth },
];

const fn health(key: &'static str) -> BackfillKind {
    BackfillKind { key, family: Family::Health }
}

const fn activity(key: &'static str) -> BackfillKind {
    BackfillKind { key, family: Family::Activity }
}

impl BackfillKind {
    /// By its key.
    #[must_use]
    pub fn of_key(key: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.key == key)
    }

    /// By what an operator calls it: a key, or Garmin's path name, whatever the case.
    ///
    /// # Errors
    /// Garmin sends no history of it; a sentence that says so.
    pub fn parse(name: &str) -> Result<&'static Self, String> {
        let endpoint = Endpoint::of_path(name);
        if let Some(kind) = endpoint.and_then(|endpoint| Self::of_key(endpoint.key)) {
            return Ok(kind);
        }
        Err(match endpoint.map(|endpoint| endpoint.key) {
            Some("activityFiles") => "the files of activities come with them: ask for activities".to_owned(),
            Some("manuallyUpdatedActivities") => {
                "activities that were entered or changed by hand come with the others: ask for activities"
                    .to_owned()
            }
            Some(key) => format!("Garmin sends no history of {key}"),
            None => {
                let keys: Vec<&str> = KINDS.iter().map(|kind| kind.key).collect();
                format!("no type of that name; Garmin sends the history of {}", keys.join(", "))
            }
        })
    }

    /// Garmin's name of it in the path of the request.
    #[must_use]
    pub fn api_path(&self) -> &'static str {
        Endpoint::of_key(self.key).map_or(self.key, Endpoint::api_path)
    }

    /// The longest range that one request may ask for.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        match self.family {
            Family::Health | Family::WomensHealth => Duration::days(90),
            Family::Activity => Duration::days(30),
        }
    }

    /// What the user has to permit, in Garmin's name, beside history itself.
    #[must_use]
    pub const fn permission(&self) -> &'static str {
        match self.family {
            Family::Health => "HEALTH_EXPORT",
            Family::Activity => "ACTIVITY_EXPORT",
            Family::WomensHealth => "MCT_EXPORT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_garmins_name_in_its_path() {
        for kind in KINDS {
            assert!(Endpoint::of_key(kind.key).is_some(), "{}", kind.key);
        }
        let path = |name| BackfillKind::parse(name).unwrap().api_path();
        assert_eq!(path("pulseox"), "pulseOx");
        assert_eq!(path("allDayRespiration"), "respiration");
        assert_eq!(path("moveIQActivities"), "moveiq");
        assert_eq!(path("menstrualCycleTracking"), "mct");
        assert_eq!(path("DAILIES"), "dailies");
    }

    #[test]
    fn what_has_no_history_is_refused_with_a_sentence() {
        let refused = |name| BackfillKind::parse(name).unwrap_err();
        assert!(refused("activityFiles").contains("ask for activities"));
        assert!(refused("thirdPartyDailies").contains("no history of thirdPartyDailies"));
        assert!(refused("deregistrations").contains("no history"));
        assert!(refused("steps").contains("no type of that name"));
    }
}
