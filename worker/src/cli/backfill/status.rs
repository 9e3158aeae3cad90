//! `apollo-worker backfill status`.

use super::{find, user_ids};
use crate::backfill::State;
use crate::cli::output;
use crate::pace::Limits;
use crate::store::backfill::overview::{self, RangeCount, Reason};
use apollo_shared::consent::SubjectId;
use clap::Args;
use indicatif::{HumanCount, HumanDuration};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::time::Duration;
use time::OffsetDateTime;

/// Of whom, and how.
#[derive(Debug, Args)]
pub(super) struct StatusOptions {
    /// Only of this participant; may be given several times
    #[arg(long = "subject", value_name = "SUBJECT", value_parser = SubjectId::parse)]
    subjects: Vec<SubjectId>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// How far everything is.
struct Status {
    counts: Vec<RangeCount>,
    reasons: Vec<Reason>,
    /// Until when no worker asks.
    pause: Option<OffsetDateTime>,
    /// How long everything that waits, of whomever, takes at the limits.
    left: Duration,
}

/// Prints it.
pub(super) async fn run(
    options: StatusOptions,
    limits: Limits,
    connection: &mut PgConnection,
) -> anyhow::Result<()> {
    let named = user_ids(find(connection, &options.subjects).await?);
    let status = look(connection, Some(named.as_slice()).filter(|named| !named.is_empty()), limits).await?;
    let text = if options.json { format!("{:#}\n", status.to_json()) } else { status.to_text() };
    Ok(output::print(text.as_bytes())?)
}

/// Prints how far the history of these users is.
pub(super) async fn print(
    connection: &mut PgConnection,
    user_ids: Option<&[String]>,
    limits: Limits,
) -> anyhow::Result<()> {
    let status = look(connection, user_ids, limits).await?;
    Ok(output::print(status.to_text().as_bytes())?)
}

async fn look(
    connection: &mut PgConnection,
    user_ids: Option<&[String]>,
    limits: Limits,
) -> anyhow::Result<Status> {
    Ok(Status {
        counts: overview::counts(connection, user_ids).await?,
        reasons: overview::reasons(connection, user_ids).await?,
        pause: overview::pause(connection).await?,
        left: left(&overview::lengths(connection).await?, limits),
    })
}

/// How long ranges take, told as pairs of days and ranges: as many a minute as fit into it.
fn left(lengths: &[(i64, i64)], limits: Limits) -> Duration {
    let a_minute = |days: i64| {
        let of_days = i64::from(limits.backfill_days_per_minute.get()) / days.max(1);
        of_days.clamp(1, limits.requests_per_minute.get().into())
    };
    let minutes: f64 = lengths.iter().map(|(days, ranges)| *ranges as f64 / a_minute(*days) as f64).sum();
    Duration::from_secs_f64(minutes * 60.0)
}

/// The numbers of ranges and days in each state.
type ByState = BTreeMap<&'static str, (i64, i64)>;

impl Status {
    fn by_state<'a>(counts: impl Iterator<Item = &'a RangeCount>) -> ByState {
        let mut by_state = ByState::new();
        for count in counts {
            let name = State::ALL.iter().map(|state| state.name()).find(|name| *name == count.state);
            let sum = by_state.entry(name.unwrap_or("unknown")).or_default();
            *sum = (sum.0 + count.ranges, sum.1 + count.days);
        }
        by_state
    }

    fn grouped(&self, by: impl Fn(&RangeCount) -> &str) -> BTreeMap<&str, ByState> {
        let mut groups: BTreeMap<&str, Vec<&RangeCount>> = BTreeMap::new();
        for count in &self.counts {
            groups.entry(by(count)).or_default().push(count);
        }
        groups.into_iter().map(|(name, counts)| (name, Self::by_state(counts.into_iter()))).collect()
    }

    fn to_json(&self) -> Value {
        let numbers = |by_state: &ByState| {
            let numbers = by_state.iter();
            let numbers = numbers.map(|(state, (ranges, days))| {
                ((*state).to_owned(), json!({"ranges": ranges, "days": days}))
            });
            Value::Object(numbers.collect())
        };
        let groups = |groups: BTreeMap<&str, ByState>| {
            let groups = groups.iter().map(|(name, by_state)| ((*name).to_owned(), numbers(by_state)));
            Value::Object(groups.collect())
        };
        let moment = |moment| Some(output::moment(moment)).filter(|text| !text.is_empty());
        let reasons = self.reasons.iter().map(|reason| {
            json!({
                "state": reason.state,
                "reason": reason.error,
                "ranges": reason.ranges,
                "due_at": moment(reason.due_at),
            })
        });
        json!({
            "states": numbers(&Self::by_state(self.counts.iter())),
            "types": groups(self.grouped(|count| &count.summary_type)),
            "subjects": groups(self.grouped(|count| &count.subject)),
            "reasons": reasons.collect::<Vec<_>>(),
            "paused_until": moment(self.pause),
            "seconds_left": self.left.as_secs(),
        })
    }

    fn to_text(&self) -> String {
        if self.counts.is_empty() {
            return "no history has been asked for\n".to_owned();
        }
        let mut text = self.states();
        for (title, groups) in [
            ("TYPE", self.grouped(|count| &count.summary_type)),
            ("SUBJECT", self.grouped(|count| &count.subject)),
        ] {
            text.push('\n');
            text.push_str(&crosstab(title, &groups));
        }
        if !self.reasons.is_empty() {
            text.push('\n');
            text.push_str(&self.reasons());
        }
        if let Some(until) = self.pause {
            let until = output::moment(Some(until));
            text.push_str(&format!(
                "\nno worker asks Garmin before {until}: it wants a pause, or is in trouble\n"
            ));
        }
        if !self.left.is_zero() {
            text.push_str(&format!("\nabout {} left for all that waits\n", HumanDuration(self.left)));
        }
        text
    }

    fn states(&self) -> String {
        let by_state = Self::by_state(self.counts.iter());
        let rows: Vec<Vec<String>> = State::ALL
            .iter()
            .filter_map(|state| Some((state, by_state.get(state.name())?)))
            .map(|(state, (ranges, days))| {
                let [ranges, days] =
                    [*ranges, *days].map(|number| HumanCount(number.unsigned_abs()).to_string());
                vec![state.name().to_owned(), ranges, days, state.advice().to_owned()]
            })
            .collect();
        output::table(&["STATE", "RANGES", "DAYS", ""], &rows)
    }

    fn reasons(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .reasons
            .iter()
            .map(|reason| {
                let ranges = HumanCount(reason.ranges.unsigned_abs()).to_string();
                vec![reason.state.clone(), ranges, output::moment(reason.due_at), reason.error.clone()]
            })
            .collect();
        output::table(&["STATE", "RANGES", "AGAIN AT", "BECAUSE"], &rows)
    }
}

/// Ranges of each group below the states that occur.
fn crosstab(title: &str, groups: &BTreeMap<&str, ByState>) -> String {
    let occurs = |state: &&State| groups.values().any(|by_state| by_state.contains_key(state.name()));
    let states: Vec<&str> = State::ALL.iter().filter(occurs).map(|state| state.name()).collect();
    let titles: Vec<String> = states.iter().map(|state| state.to_uppercase()).collect();
    let names: Vec<&str> = std::iter::once(title).chain(titles.iter().map(String::as_str)).collect();
    let rows: Vec<Vec<String>> = groups
        .iter()
        .map(|(name, by_state)| {
            let ranges = |state: &&str| by_state.get(*state).map_or(0, |(ranges, _)| ranges.unsigned_abs());
            let cells = states.iter().map(|state| HumanCount(ranges(state)).to_string());
            std::iter::once((*name).to_owned()).chain(cells).collect()
        })
        .collect();
    output::table(&names, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    #[test]
    fn the_time_left_is_what_the_limits_leave_room_for() {
        let some = |number| NonZeroU32::new(number).unwrap();
        let limits = Limits { requests_per_minute: some(6), backfill_days_per_minute: some(100) };
        let minutes = |lengths: &[(i64, i64)]| left(lengths, limits).as_secs_f64() / 60.0;
        assert_eq!(minutes(&[]), 0.0);
        assert_eq!(minutes(&[(90, 5)]), 5.0, "two of 90 days do not fit into a minute of 100");
        assert_eq!(minutes(&[(30, 6), (400, 1)]), 3.0, "what is longer than the limit goes alone");
        assert_eq!(minutes(&[(1, 12)]), 2.0, "nor more than 6 requests");
    }
}
