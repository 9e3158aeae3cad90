//! A household's notifications: when its devices are synchronised, what they send then, and how Garmin bundles it.
//!
//! Made round by round, so that memory does not grow with the plan. Only what a later round can still change is kept:
//! the latest days of each user, and a few sent notifications that may be sent again.

use std::collections::VecDeque;

use fastrand::Rng;
use serde_json::{Map, Value};

use crate::chance::{derived_seed, happens};
use crate::member::{Member, Upload};
use crate::plan::{Notification, Plan};
use crate::user::{User, midnight_utc};

const HOUR: i64 = 3_600;

/// How many sent notifications are kept to be sent again later.
const REMEMBERED: usize = 8;

/// The iterator behind [`crate::plan::Group::notifications`].
pub(crate) struct Notifications {
    rng: Rng,
    members: Vec<Member>,
    rounds: VecDeque<Round>,
    ready: VecDeque<Notification>,
    sent: VecDeque<Notification>,
}

/// A time at which the household's devices are synchronised.
struct Round {
    /// Unix seconds.
    moment: i64,
    days_over: u32,
    /// The last one, at which everything not sent yet is sent.
    closing: bool,
}

impl Notifications {
    pub(crate) fn of_household(plan: Plan, seed: u64, users: Vec<User>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rounds = rounds(&mut rng, plan.days, &users);
        let members = users
            .into_iter()
            .zip(0..)
            .map(|(user, number)| Member::new(plan, user, derived_seed(seed, number)))
            .collect();
        Self { rng, members, rounds, ready: VecDeque::new(), sent: VecDeque::new() }
    }

    /// Synchronises the devices and bundles what they send, for one to three users at a time.
    fn hold(&mut self, round: &Round) {
        let rng = &mut self.rng;
        rng.shuffle(&mut self.members);
        let mut members = &mut self.members[..];
        while !members.is_empty() {
            let (together, others) = members.split_at_mut(rng.usize(1..=3).min(members.len()));
            members = others;
            let mut upload = Upload::new();
            for member in together {
                if round.closing || happens(rng, 0.85) {
                    member.synchronise(round.moment + rng.i64(0..1_200), &mut upload);
                }
            }
            rng.shuffle(&mut upload);
            for notification in bundle(rng, upload, round.days_over) {
                self.ready.push_back(notification);
            }
        }
    }

    /// Schedules the repeats of a notification that is being sent, and of older ones, as Garmin does when an answer got
    /// lost or an earlier attempt was refused.
    fn repeat(&mut self, notification: &Notification) {
        if happens(&mut self.rng, 0.03) {
            self.ready.push_front(notification.clone());
        }
        if happens(&mut self.rng, 0.03)
            && let Some(old) = self.rng.choice(&self.sent)
        {
            self.ready.push_front(old.clone());
        }
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(notification.clone());
    }
}

impl Iterator for Notifications {
    type Item = Notification;

    fn next(&mut self) -> Option<Notification> {
        while self.ready.is_empty() {
            let round = self.rounds.pop_front()?;
            self.hold(&round);
        }
        let notification = self.ready.pop_front()?;
        self.repeat(&notification);
        Some(notification)
    }
}

/// Two to four rounds a day by the clock of the household's first user, and one when every user's last day is over.
fn rounds(rng: &mut Rng, days: u32, users: &[User]) -> VecDeque<Round> {
    let Some(first) = users.first() else { return VecDeque::new() };
    let mut rounds = VecDeque::new();
    for day in 0..days {
        let midnight = midnight_utc(day) - i64::from(first.offset_on(day));
        let mut at = |probability: f64, hours: std::ops::Range<i64>| {
            let seconds = rng.i64(hours.start * HOUR..hours.end * HOUR);
            if happens(rng, probability) {
                rounds.push_back(Round { moment: midnight + seconds, days_over: day, closing: false });
            }
        };
        at(0.3, 2..4);
        at(1.0, 6..9);
        at(0.4, 11..14);
        at(1.0, 17..22);
    }
    let all_over = users.iter().map(|user| user.start_of(days)).max().unwrap_or_default();
    rounds.push_back(Round { moment: all_over + rng.i64(HOUR..4 * HOUR), days_over: days, closing: true });
    rounds
}

/// Mostly one key a body; now and then all of them in one, as nothing promises there is only one.
fn bundle(rng: &mut Rng, upload: Upload, days_over: u32) -> Vec<Notification> {
    if upload.len() > 1 && happens(rng, 0.08) {
        return vec![notification(None, upload, days_over)];
    }
    let alone = |(key, summaries)| {
        let endpoint = (!happens(rng, 0.04)).then_some(key);
        notification(endpoint, vec![(key, summaries)], days_over)
    };
    upload.into_iter().map(alone).collect()
}

fn notification(endpoint: Option<&'static str>, upload: Upload, days_over: u32) -> Notification {
    let summaries = upload.iter().map(|(key, summaries)| (*key, summaries.len() as u64)).collect();
    let body: Map<String, Value> =
        upload.into_iter().map(|(key, summaries)| (key.to_owned(), Value::Array(summaries))).collect();
    Notification { endpoint, body: Value::Object(body).to_string().into_bytes(), summaries, days_over }
}
