//! A user's device: what it has sent so far, and what it has to send now.

use std::collections::VecDeque;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::chance::happens;
use crate::device::Record;
use crate::oddities;
use crate::open_day::OpenDay;
use crate::outbox::Outbox;
use crate::plan::Plan;
use crate::user::User;

/// What one or several devices send at once: summaries by Garmin's key, in the order of that key's list.
pub(crate) type Upload = Vec<(&'static str, Vec<Value>)>;

/// A user and what the user's device has sent so far.
pub(crate) struct Member {
    plan: Plan,
    user: User,
    rng: Rng,
    /// Everything recorded until this moment (Unix seconds) has been sent.
    synchronised: i64,
    next_day: u32,
    open_days: VecDeque<OpenDay>,
    outbox: Outbox,
}

impl Member {
    pub(crate) fn new(plan: Plan, user: User, seed: u64) -> Self {
        Self {
            plan,
            synchronised: user.start_of(0),
            user,
            rng: Rng::with_seed(seed),
            next_day: 0,
            open_days: VecDeque::new(),
            outbox: Outbox::default(),
        }
    }

    /// Adds everything that has changed since the last synchronisation. Sometimes the device is synchronised twice within
    /// minutes, so that two versions of a summary are in one body.
    pub(crate) fn synchronise(&mut self, moment: i64, upload: &mut Upload) {
        self.synchronise_once(moment, upload);
        if happens(&mut self.rng, 0.02) {
            let again = moment + self.rng.i64(120..1_500);
            self.synchronise_once(again, upload);
        }
    }

    fn synchronise_once(&mut self, moment: i64, upload: &mut Upload) {
        if moment <= self.synchronised {
            return;
        }
        self.open_and_close_days(moment);
        let mut send = |key, mut summary: Value| {
            if let Some(token) = &self.user.access_token {
                summary["userAccessToken"] = json!(token);
            }
            oddities::sprinkle(&mut self.rng, &mut summary);
            match upload.iter_mut().find(|(name, _)| *name == key) {
                Some((_, summaries)) => summaries.push(summary),
                None => upload.push((key, vec![summary])),
            }
        };
        for day in &mut self.open_days {
            day.send(&self.user, self.synchronised, moment, &mut send);
        }
        for (key, summary) in self.outbox.take_due(moment) {
            send(key, summary);
        }
        self.synchronised = moment;
    }

    fn open_and_close_days(&mut self, moment: i64) {
        self.open_days.retain(|day| day.is_open(self.synchronised, moment));
        while self.next_day < self.plan.days && self.user.start_of(self.next_day) < moment {
            let record = Record::of_day(&self.plan, &self.user, self.next_day);
            let day = OpenDay::new(record, &mut self.rng);
            day.post(&self.plan, &self.user, &mut self.rng, &mut self.outbox);
            self.open_days.push_back(day);
            self.next_day += 1;
        }
    }
}
