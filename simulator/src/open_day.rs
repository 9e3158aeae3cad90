//! A day that may still change at Garmin: which of its summaries a synchronisation sends.

use fastrand::Rng;
use serde_json::Value;

use crate::chance::{happens, one_of};
use crate::device::Record;
use crate::outbox::Outbox;
use crate::plan::Plan;
use crate::summaries::sleeps::Verdict;
use crate::summaries::{
    activities, activity_details, activity_files, all_day_respiration, blood_pressures, body_comps, dailies,
    epochs, health_snapshot, hrv, manually_updated_activities, mct, move_iq_activities, pulseox, skin_temp,
    sleeps, stress_details, third_party_dailies, user_metrics,
};
use crate::user::User;

const HOUR: i64 = 3_600;

/// How long after its end a day that was sent whole may still be corrected, in seconds.
const STAYS_OPEN: i64 = 24 * HOUR;

pub(crate) struct OpenDay {
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
    pub(crate) fn new(record: Record, rng: &mut Rng) -> Self {
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

    /// Whether there may be something to send at `moment`, when everything until `synchronised` has been sent.
    pub(crate) fn is_open(&self, synchronised: i64, moment: i64) -> bool {
        self.record.end() > synchronised || self.record.end() + STAYS_OPEN > moment
    }

    /// Puts into the outbox what is complete as soon as it is recorded.
    pub(crate) fn post(&self, plan: &Plan, user: &User, rng: &mut Rng, outbox: &mut Outbox) {
        let record = &self.record;
        body_comps::post(user, record, rng, outbox);
        blood_pressures::post(user, record, rng, outbox);
        health_snapshot::post(plan, user, record, rng, outbox);
        pulseox::post_spot_checks(user, record, rng, outbox);
        move_iq_activities::post(user, record, rng, outbox);
        mct::post(user, record, rng, outbox);
        manually_updated_activities::post_created(user, record, rng, outbox);
        self.post_workouts(plan, user, rng, outbox);
    }

    /// A workout is several notifications, each with its own way to Garmin; so is each leg of it.
    fn post_workouts(&self, plan: &Plan, user: &User, rng: &mut Rng, outbox: &mut Outbox) {
        let record = &self.record;
        let Some(workout) = &record.workout else { return };
        for workout in std::iter::once(workout.clone()).chain(workout.legs(rng)) {
            activities::post(user, record, &workout, rng, outbox);
            activity_details::post(plan, user, record, &workout, rng, outbox);
            activity_files::post(user, record, &workout, rng, outbox);
            manually_updated_activities::post_edits(user, record, &workout, rng, outbox);
        }
    }

    /// Sends what has grown between the last synchronisation and this one.
    pub(crate) fn send(
        &mut self,
        user: &User,
        synchronised: i64,
        moment: i64,
        send: &mut impl FnMut(&'static str, Value),
    ) {
        self.send_movement(user, synchronised, moment, send);
        self.send_night(user, moment, send);
        self.send_metrics(user, moment, send);
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
            send_breath(user, record, sent, covered, send);
            if let Some(source) = user.linked_source {
                send(third_party_dailies::KEY, third_party_dailies::summary(user, record, covered, source));
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
        send(sleeps::KEY, sleeps::summary(user, &self.record, verdict, moment));
        if !self.night_is_final && !off_wrist {
            send_skin(user, &self.record, verdict, moment, send);
        }
        self.night_is_final = verdict == Verdict::Final;
        self.nap_sent = nap_over;
    }

    /// At most one version in a synchronisation.
    fn send_metrics(&mut self, user: &User, moment: i64, send: &mut impl FnMut(&'static str, Value)) {
        if self.metrics_sent < self.metrics_versions && moment > self.record.start {
            send(user_metrics::KEY, user_metrics::summary(user, &self.record, self.metrics_sent));
            self.metrics_sent += 1;
        }
    }
}

/// Oxygen and breath of the day, as far as the device measures them.
fn send_breath(
    user: &User,
    record: &Record,
    sent: u32,
    covered: u32,
    send: &mut impl FnMut(&'static str, Value),
) {
    if user.device.pulse_ox && record.worn {
        send(pulseox::KEY, pulseox::summary(user, record, covered));
    }
    if user.device.respiration {
        for slice in all_day_respiration::summaries(user, record, sent, covered) {
            send(all_day_respiration::KEY, slice);
        }
    }
}

/// What a device measures at the skin of a sleeper, as far as it does.
fn send_skin(
    user: &User,
    record: &Record,
    verdict: Verdict,
    moment: i64,
    send: &mut impl FnMut(&'static str, Value),
) {
    if user.device.hrv {
        send(hrv::KEY, hrv::summary(user, record, moment));
    }
    if user.device.skin_temperature {
        send(skin_temp::KEY, skin_temp::summary(user, record, verdict, moment));
    }
}
