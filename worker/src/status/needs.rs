//! What needs a person: states that do not get well by themselves, or not without somebody knowing.
//!
//! They are judged from what is to be seen at one moment. Alerts (ops/prometheus) see how it was before, and wake people;
//! this is for whoever has come to look.

use super::figures::{Need, Part, Queue, Status};
use super::words::{age, count, duration};
use apollo_shared::topology::{DEAD, Lane};
use std::collections::BTreeSet;
use std::time::Duration;
use time::OffsetDateTime;

/// Half of all notifications are stored later than this: Apollo does not keep up.
const LATE: Duration = Duration::from_secs(300);

/// Without any notification for so long, Garmin has probably stopped to deliver.
const SILENCE: time::Duration = time::Duration::DAY;

/// What needs a person, the most pressing first.
pub(super) fn needs(status: &Status) -> Vec<Need> {
    let mut needs = Vec::new();
    unreachable(status, &mut needs);
    not_ready(status, &mut needs);
    schema(status, &mut needs);
    if let Some(queues) = status.queues.known() {
        queues.iter().for_each(|queue| of_queue(queue, &mut needs));
    }
    lag(status, &mut needs);
    silence(status, &mut needs);
    needs
}

fn need(needs: &mut Vec<Need>, what: impl Into<String>, remedy: impl Into<String>) {
    needs.push(Need { what: what.into(), remedy: remedy.into() });
}

fn unreachable(status: &Status, needs: &mut Vec<Need>) {
    if let Part::Unknown { unknown } = &status.queues {
        need(
            needs,
            format!("RabbitMQ does not answer: {unknown}"),
            "see that it runs and can be reached; receivers spool meanwhile, and nothing is lost",
        );
    }
    let parts = [
        ("the schema", unknown(&status.schema)),
        ("users", unknown(&status.users)),
        ("notifications", unknown(&status.notifications)),
        ("history", unknown(&status.history)),
    ];
    let reasons: BTreeSet<&str> = parts.iter().filter_map(|(_, reason)| *reason).collect();
    match (reasons.first(), parts.iter().all(|(_, reason)| reason.is_some())) {
        (Some(reason), true) => need(
            needs,
            format!("PostgreSQL does not answer: {reason}"),
            "see that it runs and can be reached; messages wait in their queues, and nothing is lost",
        ),
        _ => {
            for (name, reason) in parts.iter().filter_map(|(name, reason)| Some((name, (*reason)?))) {
                need(
                    needs,
                    format!("PostgreSQL does not tell about {name}: {reason}"),
                    "see what it is busy with",
                );
            }
        }
    }
}

fn unknown<T>(part: &Part<T>) -> Option<&str> {
    match part {
        Part::Known(_) => None,
        Part::Unknown { unknown } => Some(unknown),
    }
}

/// What has been said of the database or the broker is not said again.
fn not_ready(status: &Status, needs: &mut Vec<Need>) {
    let Some(worker) = status.worker.known() else { return };
    if !needs.is_empty() {
        return;
    }
    for (component, reason) in &worker.not_ready {
        need(
            needs,
            format!("this worker is not ready, {component}: {reason}"),
            "it tries again by itself; if it stays so, read its log",
        );
    }
}

fn schema(status: &Status, needs: &mut Vec<Need>) {
    let known = status.program.schema;
    if let Some(found) = status.schema.known().filter(|found| **found < known) {
        need(
            needs,
            format!("the database's schema is at version {found}, this program needs {known}"),
            "run apollo-worker migrate",
        );
    }
}

fn of_queue(queue: &Queue, needs: &mut Vec<Need>) {
    let name = &queue.name;
    let Some(waiting) = queue.waiting else {
        return need(needs, format!("there is no queue {name}"), "start a worker, which declares it");
    };
    if name == DEAD && waiting > 0 {
        let (letters, are) = if waiting == 1 { ("letter", "waits") } else { ("letters", "wait") };
        return need(
            needs,
            format!("{} dead {letters} {are} in {DEAD}", count(waiting.into())),
            "see why with apollo-worker dead-letters list",
        );
    }
    let Some(lane) = Lane::ALL.into_iter().find(|lane| lane.queue() == name) else { return };
    if queue.consumers == 0 && (waiting > 0 || lane == Lane::Summaries) {
        let waits = match waiting {
            0 => String::new(),
            1 => ", and 1 message waits".to_owned(),
            _ => format!(", and {} messages wait", count(waiting.into())),
        };
        let remedy = match lane {
            Lane::Pull => "start a worker with pull among WORKER__LANES, and GARMIN__CONSUMER_KEY",
            Lane::Summaries | Lane::Account => "start a worker",
        };
        need(needs, format!("no worker takes from {name}{waits}"), remedy);
    }
}

fn lag(status: &Status, needs: &mut Vec<Need>) {
    let p50 = status.worker.known().and_then(|worker| worker.lag.p50_seconds);
    if let Some(p50) = p50.filter(|p50| *p50 > LATE.as_secs_f64()) {
        need(
            needs,
            format!("half of the notifications are stored later than {} after their arrival", duration(p50)),
            "start more workers; is the database slow?",
        );
    }
}

fn silence(status: &Status, needs: &mut Vec<Need>) {
    let stored = status.notifications.known().and_then(|notifications| notifications.newest);
    let own = status.worker.known().and_then(|worker| worker.newest.values().copied().reduce(f64::max));
    let own = own.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds as i64).ok());
    let has_active = status.users.known().is_some_and(|users| users.active > 0);
    if let Some(newest) = stored.max(own).filter(|newest| has_active && status.at - *newest > SILENCE) {
        need(
            needs,
            format!("nothing has come from Garmin for {}", age(status.at, newest)),
            "see docs/runbook.md: nginx's log, the host's name and certificate, Garmin's portal",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::figures::{History, Lag, OfWorker, Program};
    use crate::store::status::{Notifications, Users};
    use std::collections::BTreeMap;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-10 12:00 UTC);

    fn queue(name: &str, waiting: Option<u32>, consumers: u32) -> Queue {
        Queue { name: name.to_owned(), waiting, consumers, growth_per_second: None }
    }

    fn well() -> Status {
        let lag =
            Lag { window_seconds: 300.0, notifications: 9, p50_seconds: Some(0.1), p99_seconds: Some(2.0) };
        Status {
            at: NOW,
            needs: Vec::new(),
            program: Program { version: "1.2.3", schema: 30 },
            queues: Part::Known(vec![
                queue("apollo.summaries", Some(40_000), 4),
                queue("apollo.account", Some(0), 0),
                queue("apollo.pull", Some(0), 0),
                queue(DEAD, Some(0), 0),
                queue("apollo.retry.1", Some(7), 0),
            ]),
            worker: Part::Known(OfWorker {
                version: "1.2.3".to_owned(),
                started_at: NOW,
                not_ready: BTreeMap::new(),
                lanes: Vec::new(),
                lag,
                dead_letters: BTreeMap::from([("panic".to_owned(), 3)]),
                newest: BTreeMap::new(),
            }),
            schema: Part::Known(31),
            users: Part::Known(Users {
                active: 9,
                linked: 9,
                silent_1_day: 3,
                silent_3_days: 2,
                silent_7_days: 1,
                without_data: 0,
                withdrawn: 1,
            }),
            notifications: Part::Known(Notifications { newest: Some(NOW), within_a_day: Vec::new() }),
            history: Part::Known(History { ranges: BTreeMap::new(), paused_until: None }),
        }
    }

    fn told(change: impl FnOnce(&mut Status)) -> Vec<String> {
        let mut status = well();
        change(&mut status);
        needs(&status).into_iter().map(|need| need.what).collect()
    }

    #[test]
    fn a_backlog_that_is_worked_off_and_a_newer_schema_need_nobody() {
        assert_eq!(needs(&well()), []);
    }

    #[test]
    fn what_does_not_get_well_by_itself_is_told_once() {
        let away = || "connection refused".to_owned();
        assert_eq!(
            told(|status| {
                status.schema = Part::Unknown { unknown: away() };
                status.users = Part::Unknown { unknown: away() };
                status.notifications = Part::Unknown { unknown: away() };
                status.history = Part::Unknown { unknown: away() };
                if let Part::Known(worker) = &mut status.worker {
                    worker.not_ready.insert("database".to_owned(), away());
                }
            }),
            ["PostgreSQL does not answer: connection refused"]
        );
        assert_eq!(
            told(|status| status.users = Part::Unknown { unknown: "statement timeout".to_owned() }),
            ["PostgreSQL does not tell about users: statement timeout"]
        );
        assert_eq!(
            told(|status| status.queues = Part::Unknown { unknown: away() }),
            ["RabbitMQ does not answer: connection refused"]
        );
        assert_eq!(
            told(|status| status.schema = Part::Known(29)),
            ["the database's schema is at version 29, this program needs 30"]
        );
    }

    #[test]
    fn queues_need_somebody_who_takes_from_them() {
        let of = |queue| told(|status| status.queues = Part::Known(vec![queue]));
        assert_eq!(of(queue(DEAD, Some(1), 0)), ["1 dead letter waits in apollo.dead"]);
        assert_eq!(of(queue("apollo.summaries", Some(0), 0)), ["no worker takes from apollo.summaries"]);
        assert_eq!(
            of(queue("apollo.pull", Some(1200), 0)),
            ["no worker takes from apollo.pull, and 1,200 messages wait"]
        );
        assert_eq!(of(queue("apollo.account", None, 0)), ["there is no queue apollo.account"]);
    }

    #[test]
    fn a_silent_garmin_and_a_worker_that_does_not_keep_up_are_told() {
        let two_days_ago = NOW - time::Duration::days(2);
        let silent = Notifications { newest: Some(two_days_ago), within_a_day: Vec::new() };
        assert_eq!(
            told(|status| status.notifications = Part::Known(silent.clone())),
            ["nothing has come from Garmin for 2 days"]
        );
        let heard = told(|status| {
            status.notifications = Part::Known(silent.clone());
            if let Part::Known(worker) = &mut status.worker {
                worker.newest.insert("dailies".to_owned(), NOW.unix_timestamp() as f64);
            }
        });
        assert!(heard.is_empty(), "{heard:?}");
        let late = told(|status| {
            if let Part::Known(worker) = &mut status.worker {
                worker.lag.p50_seconds = Some(1800.0);
            }
        });
        assert_eq!(late, ["half of the notifications are stored later than 30 min after their arrival"]);
    }
}
