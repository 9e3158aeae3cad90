//! The figures as tables, in the words in which the page and the terminal both tell them.

use super::figures::{LaneState, OfWorker, Part, Queue, Status};
use super::words::{age, count, duration, growth, moment, rate};
use crate::backfill::State;
use crate::message::Reason;
use crate::store::status::{Notifications, Users};
use apollo_shared::endpoint::{ENDPOINTS, Endpoint};
use apollo_shared::topology::{DEAD, Lane};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// A table under a heading, or why there is none.
pub(crate) struct Table {
    /// What it is called in addresses.
    pub(crate) id: &'static str,
    /// The heading.
    pub(crate) title: &'static str,
    /// The names of its columns, and whether they hold numbers.
    pub(crate) columns: Vec<(&'static str, Kind)>,
    /// Its rows; the first cell of each names it.
    pub(crate) rows: Vec<Vec<Cell>>,
    /// What is to be known about it.
    pub(crate) notes: Vec<String>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Words.
    Words,
    /// Numbers, which stand below each other.
    Numbers,
}

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// What stands there.
    pub(crate) text: String,
    /// How it looks.
    pub(crate) tone: Tone,
}

/// How a cell looks; its words say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As all others.
    Plain,
    /// As it should be.
    Good,
    /// As it should not be.
    Bad,
    /// Of little interest now.
    Faint,
}

impl Tone {
    /// Faint for nothing.
    const fn of_number(number: u64) -> Self {
        if number == 0 { Self::Faint } else { Self::Plain }
    }
}

fn cell(text: impl Into<String>, tone: Tone) -> Cell {
    Cell { text: text.into(), tone }
}

fn plain(text: impl Into<String>) -> Cell {
    cell(text, Tone::Plain)
}

fn number(number: u64) -> Cell {
    cell(count(number), Tone::of_number(number))
}

/// The tables of what flows, and of what it flows through.
pub(crate) fn of_the_flow(status: &Status) -> Vec<Table> {
    vec![queues(&status.queues), lanes(status), lag(&status.worker), dead_letters(status), versions(status)]
}

/// The tables of what has come, and of what has been asked for.
pub(crate) fn of_the_study(status: &Status) -> Vec<Table> {
    vec![users(&status.users), notifications(status), history(status)]
}

impl Table {
    fn new(id: &'static str, title: &'static str, columns: Vec<(&'static str, Kind)>) -> Self {
        Self { id, title, columns, rows: Vec::new(), notes: Vec::new() }
    }

    fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Without rows, if what they are made of is not known.
    fn filled<T>(mut self, part: &Part<T>, fill: impl FnOnce(&mut Self, &T)) -> Self {
        match part {
            Part::Known(value) => fill(&mut self, value),
            Part::Unknown { unknown } => self.notes.push(format!("Not known: {unknown}.")),
        }
        self
    }
}

fn queues(queues: &Part<Vec<Queue>>) -> Table {
    use Kind::{Numbers, Words};
    let columns = vec![("Queue", Words), ("Waiting", Numbers), ("Change", Numbers), ("Consumers", Numbers)];
    Table::new("queues", "Queues", columns).filled(queues, |table, queues| {
        let is_retry = |queue: &&Queue| queue.name.starts_with("apollo.retry.");
        let (retries, others): (Vec<&Queue>, Vec<&Queue>) = queues.iter().partition(is_retry);
        table.rows.extend(others.into_iter().map(queue_row));
        let busy: Vec<&Queue> = retries.into_iter().filter(|queue| queue.waiting != Some(0)).collect();
        if busy.is_empty() {
            let faint = |text| cell(text, Tone::Faint);
            table.rows.push(vec![plain("apollo.retry.…"), faint("0"), faint(""), faint("")]);
        }
        table.rows.extend(busy.into_iter().map(queue_row));
        table.notes.push("Waiting: not handed out to a worker yet. What is in apollo.retry.60 comes back to its lane after 60 s.".to_owned());
    })
}

fn queue_row(queue: &Queue) -> Vec<Cell> {
    let waiting = match queue.waiting {
        None => cell("not there", Tone::Bad),
        Some(waiting) if queue.name == DEAD && waiting > 0 => cell(count(waiting.into()), Tone::Bad),
        Some(waiting) => number(waiting.into()),
    };
    let change = queue.growth_per_second.map(|change| match queue.waiting {
        Some(waiting) if change < -0.05 && waiting > 0 => {
            let left = duration((f64::from(waiting) / -change).max(1.0));
            plain(format!("{}, empty in {left}", growth(change)))
        }
        _ => cell(growth(change), if change.abs() < 0.05 { Tone::Faint } else { Tone::Plain }),
    });
    let is_of_lane = Lane::ALL.iter().any(|lane| lane.queue() == queue.name);
    let consumers = if is_of_lane { number(queue.consumers.into()) } else { plain("") };
    vec![plain(&queue.name), waiting, change.unwrap_or_else(|| plain("")), consumers]
}

fn lanes(status: &Status) -> Table {
    use Kind::{Numbers, Words};
    let columns = vec![("Lane", Words), ("State", Words), ("In hand", Numbers), ("Messages/s", Numbers)];
    Table::new("lanes", "This worker", columns).filled(&status.worker, |table, worker| {
        for lane in &worker.lanes {
            let (state, tone) = match lane.state {
                LaneState::Ready => ("ready", Tone::Good),
                LaneState::NotReady => ("not ready", Tone::Bad),
                LaneState::NotServed => ("left to others", Tone::Faint),
                LaneState::WithoutGarmin => ("waits for GARMIN__CONSUMER_KEY", Tone::Faint),
            };
            let in_hand = match (lane.batches_in_hand, lane.messages_in_hand) {
                (0, _) => number(0),
                (1, messages) => plain(format!("{} in 1 batch", count(messages as u64))),
                (batches, messages) => plain(format!("{} in {batches} batches", count(messages as u64))),
            };
            let per_second = rate(lane.messages_per_second);
            let tone_of_rate = if per_second == "0" { Tone::Faint } else { Tone::Plain };
            table.rows.push(vec![
                plain(&lane.lane),
                cell(state, tone),
                in_hand,
                cell(per_second, tone_of_rate),
            ]);
        }
        let reasons =
            worker.not_ready.iter().map(|(component, reason)| format!("Not ready, {component}: {reason}."));
        table.notes.extend(reasons);
        table.notes.push(
            "In hand: messages that are being stored now. Rates are those of the last minute.".to_owned(),
        );
    })
}

fn lag(worker: &Part<OfWorker>) -> Table {
    let window = worker.known().map_or(300.0, |worker| worker.lag.window_seconds);
    let columns = vec![("Notifications", Kind::Words), ("Stored within", Kind::Numbers)];
    Table::new("lag", "Lag", columns).filled(worker, |table, worker| {
        let within = |seconds: Option<f64>| match seconds {
            Some(seconds) => plain(duration(seconds)),
            None => cell("–", Tone::Faint),
        };
        table.rows = vec![
            vec![plain("Half of them"), within(worker.lag.p50_seconds)],
            vec![plain("99 in 100"), within(worker.lag.p99_seconds)],
        ];
        let (stored, last) = (count(worker.lag.notifications), duration(window));
        table
            .notes
            .push(format!("Of {stored} that this worker has stored in the last {last}, from their arrival."));
    })
}

fn dead_letters(status: &Status) -> Table {
    let columns = vec![("Reason", Kind::Words), ("Letters", Kind::Numbers), ("What to do", Kind::Words)];
    let table = Table::new("dead-letters", "Dead letters", columns);
    let waiting =
        status.queues.known().and_then(|queues| queues.iter().find(|queue| queue.name == DEAD)?.waiting);
    let table = match waiting {
        Some(0) => table.note("None waits in apollo.dead."),
        Some(waiting) => table.note(format!(
            "{} in apollo.dead, of all workers and days: apollo-worker dead-letters list tells their reasons.",
            count(waiting.into())
        )),
        None => table,
    };
    table.filled(&status.worker, |table, worker| {
        let reason = |name: &String| Reason::ALL.into_iter().find(|reason| reason.name() == name);
        let rows = worker.dead_letters.iter().map(|(name, letters)| {
            let remedy = reason(name).map_or("", Reason::remedy);
            vec![plain(name), number(*letters), plain(remedy)]
        });
        table.rows = rows.collect();
        table.notes.push(match table.rows.is_empty() {
            true => "This worker has made none since its start.".to_owned(),
            false => "By reason: what this worker has made since its start, dealt with or not.".to_owned(),
        });
    })
}

fn users(users: &Part<Users>) -> Table {
    let columns = vec![("Participants", Kind::Words), ("Number", Kind::Numbers)];
    Table::new("participants", "Participants", columns).filled(users, |table, users| {
        let rows = [
            ("Active", users.active),
            ("Linked with a subject", users.linked),
            ("Silent for more than 1 day", users.silent_1_day),
            ("Silent for more than 3 days", users.silent_3_days),
            ("Silent for more than 7 days", users.silent_7_days),
            ("Without any data yet", users.without_data),
            ("Withdrawn", users.withdrawn),
        ];
        table.rows = rows.map(|(name, users)| vec![plain(name), number(users.max(0).unsigned_abs())]).into();
        table.notes.push("All but the withdrawn are among the active. Silent: since their newest summary came, or their consent.".to_owned());
    })
}

fn notifications(status: &Status) -> Table {
    let columns = vec![("Type", Kind::Words), ("Newest (UTC)", Kind::Numbers), ("Age", Kind::Numbers)];
    let newest = newest(&status.notifications, &status.worker);
    let mut table = Table::new("notifications", "Notifications", columns);
    for (name, at) in &newest {
        table.rows.push(vec![plain(*name), plain(moment(status.at, *at)), plain(age(status.at, *at))]);
    }
    if let Part::Unknown { unknown } = &status.notifications {
        table = table.note(format!(
            "Only what this worker has stored since its start; the rest is not known: {unknown}."
        ));
    }
    let missing: Vec<&str> =
        ENDPOINTS.iter().map(|endpoint| endpoint.key).filter(|key| !newest.contains_key(key)).collect();
    if newest.is_empty() {
        return table.note("None within a day.");
    }
    table.note(format!("None within a day: {}.", missing.join(", ")))
}

/// The newest notification of each type: of those that are kept as received, and of those that the worker has stored.
fn newest(kept: &Part<Notifications>, worker: &Part<OfWorker>) -> BTreeMap<&'static str, OffsetDateTime> {
    let kept = kept.known().into_iter().flat_map(|kept| &kept.within_a_day);
    let kept = kept.map(|newest| (newest.endpoint.as_str(), newest.received_at));
    let stored = worker.known().into_iter().flat_map(|worker| &worker.newest).filter_map(|(key, seconds)| {
        let at = OffsetDateTime::from_unix_timestamp_nanos((seconds * 1e9) as i128).ok()?;
        Some((key.as_str(), at))
    });
    let mut newest = BTreeMap::new();
    for (name, at) in kept.chain(stored) {
        let known = Endpoint::of_key(name).map_or("others", |endpoint| endpoint.key);
        let latest = newest.entry(known).or_insert(at);
        *latest = at.max(*latest);
    }
    newest
}

fn history(status: &Status) -> Table {
    let columns = vec![("Ranges", Kind::Words), ("Number", Kind::Numbers), ("What comes next", Kind::Words)];
    Table::new("history", "History", columns).filled(&status.history, |table, history| {
        for state in State::ALL {
            if let Some(ranges) = history.ranges.get(state.name()) {
                let name = state.name().replace('_', " ");
                table.rows.push(vec![plain(name), number(ranges.unsigned_abs()), plain(state.advice())]);
            }
        }
        table.notes.push(match table.rows.is_empty() {
            true => "None has been asked for.".to_owned(),
            false => "apollo-worker backfill status tells more.".to_owned(),
        });
        if let Some(until) = history.paused_until {
            let until = moment(status.at, until);
            table
                .notes
                .push(format!("Garmin wants fewer requests: no worker asks for anything until {until} UTC."));
        }
    })
}

fn versions(status: &Status) -> Table {
    let columns = vec![("What", Kind::Words), ("Version", Kind::Words)];
    let mut table = Table::new("versions", "Versions", columns);
    let known = status.program.schema;
    table.rows.push(match &status.schema {
        Part::Known(found) if *found < known => {
            vec![
                plain("Schema of the database"),
                cell(format!("{found}, needs apollo-worker migrate"), Tone::Bad),
            ]
        }
        Part::Known(found) => vec![plain("Schema of the database"), plain(found.to_string())],
        Part::Unknown { .. } => vec![plain("Schema of the database"), cell("not known", Tone::Bad)],
    });
    table.rows.push(vec![plain("Schema of this program"), plain(known.to_string())]);
    match &status.worker {
        Part::Known(worker) => {
            let up = (status.at - worker.started_at).as_seconds_f64().max(0.0);
            table.rows.push(vec![plain("Worker"), plain(&worker.version)]);
            table.rows.push(vec![plain("Up for"), plain(duration(up.floor().max(10.0)))]);
        }
        Part::Unknown { .. } => table.rows.push(vec![plain("This program"), plain(status.program.version)]),
    }
    table
}
