//! A user's device: what it has sent so far, and what it has to send now.

use std::collections::VecDeque;

use fastrand::Rng;
use serde_json::Value;

use crate::chance::{happens, one_of};
use crate::device::Record;
use crate::oddities;
use crate::plan::Plan;
use crate::summaries::sleeps::Verdict;
use crate::summaries::{dailies, epochs, sleeps, stress_details, user_metrics};
use crate::user::User;

const HOUR: i64 = 3_600;

/// How long after its end a day that was sent whole may still be corrected, in seconds.
const DAY_STAYS_OPEN: i64 = 24 * HOUR;

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
}

impl Member {
    pub(crate) fn new(plan: Plan, user: User, seed: u64) -> Self {
        let synchronised = user.start_of(0);
        Self { plan, user, rng: Rng::with_seed(seed), synchronised, next_day: 0, open_days: VecDeque::new() }
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
        for day in &mut self.open_days {
            let mut send = |key, mut summary: Value| {
                oddities::sprinkle(&mut self.rng, &mut summary);
                match upload.iter_mut().find(|(name, _)| *name == key) {
                    Some((_, summaries)) => summaries.push(summary),
                    None => upload.push((key, vec![summary])),
                }
            };
            day.send_movement(&self.user, self.synchronised, moment, &mut send);
            day.send_night(&self.user, moment, &mut send);
            day.send_metrics(&self.user, moment, &mut send);
        }
        self.synchronised = moment;
    }

    fn open_and_close_days(&mut self, moment: i64) {
        let sent_whole = self.synchronised;
        self.open_days
            .retain(|day| day.record.end() > sent_whole || day.record.end() + DAY_STAYS_OPEN > moment);
        while self.next_day < self.plan.days && self.user.start_of(self.next_day) < moment {
            let record = Record::of_day(&self.plan, &self.user, self.next_day);
            self.open_days.push_back(OpenDay::new(record, &mut self.rng));
            self.next_day += 1;
        }
    }
}

/// A day that may still change at Garmin.
struct OpenDay {
    record: Record,
    /// The first version after waking is tentative as well.
    doubts_the_night: bool,
    night_is_final: bool,
    nap_sent: bool,
    late_steps_sent: bool,
    metrics_versions: u8,
    metrics_sent: u8,
}

impl OpenDay {
    fn new(record: Record, rng: &mut Rng) -> Self {
        Self {
            record,
            doubts_the_night: happens(rng, 0.6),
            night_is_final: false,
            nap_sent: false,
            late_steps_sent: false,
            metrics_versions: one_of(rng, &[0, 1, 1, 1, 2]),
            metrics_sent: 0,
        }
    }

    /// The day so far, and the quarters of an hour since the last synchronisation.
    fn send_movement(
        &mut self,
        user: &User,
        synchronised: i64,
        moment: i64,
        send: &mut impl FnMut(&'static str, Value),
    ) {
        let record = &self.record;
        let (sent, covered) = (record.covered_at(synchronised), record.covered_at(moment));
        if covered > sent {
            send(dailies::KEY, dailies::summary(user, record, covered, 0));
            send(stress_details::KEY, stress_details::summary(user, record, covered));
            for epoch in epochs::summaries(user, record, sent, covered) {
                send(epochs::KEY, epoch);
            }
        } else if let Some(late_steps) =
            record.late_steps.filter(|_| covered == record.length && !self.late_steps_sent)
        {
            send(dailies::KEY, dailies::summary(user, record, covered, late_steps));
            self.late_steps_sent = true;
        }
    }

    /// The night: each time while it lasts, perhaps once more with doubts, then finally, and again after a nap.
    fn send_night(&mut self, user: &User, moment: i64, send: &mut impl FnMut(&'static str, Value)) {
        let night = &self.record.night;
        let over = moment >= night.end();
        let off_wrist = night.stages.is_empty();
        let nap_over = night.nap.is_some_and(|nap| nap.end() <= moment);
        let nothing_new = self.night_is_final && (self.nap_sent || !nap_over);
        if nothing_new || moment < night.start + HOUR || (off_wrist && !over) {
            return;
        }
        let doubtful = over && self.doubts_the_night && !off_wrist;
        let verdict = if over && !doubtful { Verdict::Final } else { Verdict::Tentative };
        if over {
            self.doubts_the_night = false;
        }
        self.night_is_final = verdict == Verdict::Final;
        self.nap_sent = nap_over;
        send(sleeps::KEY, sleeps::summary(user, &self.record, verdict, moment));
    }

    /// At most one version in a synchronisation.
    fn send_metrics(&mut self, user: &User, moment: i64, send: &mut impl FnMut(&'static str, Value)) {
        if self.metrics_sent < self.metrics_versions && moment > self.record.start {
            send(user_metrics::KEY, user_metrics::summary(user, &self.record, self.metrics_sent));
            self.metrics_sent += 1;
        }
    }
}
