//! Which letters a command is about.

use crate::cli::input::moment;
use crate::dead_letters::Letter;
use crate::message::Reason;
use anyhow::ensure;
use apollo_shared::endpoint::Endpoint;
use apollo_shared::topology::Lane;
use clap::Args;
use clap::builder::PossibleValuesParser;
use time::OffsetDateTime;
use uuid::Uuid;

/// A letter must meet all that is given; what may be given several times is met by any of its values.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which letters (all that is given must be met)")]
pub(super) struct Filter {
    /// From this lane
    #[arg(long, value_name = "LANE", value_parser = PossibleValuesParser::new(Lane::ALL.map(Lane::name)))]
    lane: Vec<String>,
    /// For this reason; may be given several times. `apollo-worker dead-letters --help` explains them
    #[arg(
        long,
        value_name = "REASON",
        hide_possible_values = true,
        value_parser = PossibleValuesParser::new(Reason::ALL.map(Reason::name))
    )]
    reason: Vec<String>,
    /// Of this type, such as dailies; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Received since this day (2026-11-10, from midnight UTC) or moment (2026-11-10T18:30:00Z)
    #[arg(long, value_parser = moment)]
    since: Option<OffsetDateTime>,
    /// Received before this day or moment
    #[arg(long, value_parser = moment)]
    until: Option<OffsetDateTime>,
    /// With this id, which all letters out of one message have; may be given several times
    #[arg(long)]
    id: Vec<Uuid>,
}

impl Filter {
    /// Whether a letter is meant.
    pub(super) fn matches(&self, letter: &Letter) -> bool {
        let received_at = letter.received_at();
        let id = letter.envelope.as_ref().map(|envelope| envelope.message_id).ok();
        any(&self.lane, |lane| *lane == letter.lane)
            && any(&self.reason, |reason| *reason == letter.reason)
            && any(&self.types, |name| is_type(name, letter.endpoint()))
            && any(&self.id, |wanted| Some(*wanted) == id)
            && self.since.is_none_or(|since| received_at.is_some_and(|moment| moment >= since))
            && self.until.is_none_or(|until| received_at.is_some_and(|moment| moment < until))
    }

    /// Before letters are changed: they must be named, if only by `all`.
    pub(super) fn require(&self, all: bool) -> anyhow::Result<()> {
        let names_some = !self.lane.is_empty()
            || !self.reason.is_empty()
            || !self.types.is_empty()
            || !self.id.is_empty()
            || self.since.is_some()
            || self.until.is_some();
        ensure!(
            all || names_some,
            "say which letters: by --reason, --type, --lane, --since, --until or --id, or --all"
        );
        ensure!(!(all && names_some), "--all means all of them: leave it out to choose");
        Ok(())
    }
}

fn any<T>(wanted: &[T], is: impl Fn(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(is)
}

/// Types may be named as in Garmin's paths too.
fn is_type(name: &str, endpoint: &str) -> bool {
    name == endpoint || Endpoint::of_path(name).is_some_and(|known| known.key == endpoint)
}
