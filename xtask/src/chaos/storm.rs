//! Carries a schedule out.

use std::{
    fmt::Display,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use indicatif::{HumanCount, ProgressBar};

use super::{
    fault::{self, Undo},
    load::Load,
    schedule::{Fault, Round, Schedule},
    site::Site,
};
use crate::{interrupt, ui};

const PAUSE: Duration = Duration::from_millis(50);

/// A fault that has happened, with the times in milliseconds since 1970.
#[derive(Debug, Clone)]
pub(super) struct Happened {
    pub(super) kind: &'static str,
    pub(super) line: String,
    pub(super) began: u64,
    pub(super) ended: u64,
}

/// What there is to tell of a storm.
#[derive(Debug, Default)]
pub(super) struct Storm {
    /// In the order of their ends.
    pub(super) happened: Vec<Happened>,
    /// What must not have happened, whatever the fault was.
    pub(super) notes: Vec<String>,
}

/// Breaks things for that long. Afterwards everything is whole again, even after an error.
pub(super) fn rage(site: &mut Site, load: &mut Load, schedule: Schedule, lasts: Duration) -> Result<Storm> {
    let bar = ui::countdown(lasts.as_secs());
    let mut weather = Weather {
        site,
        load,
        storm: Storm::default(),
        active: Vec::new(),
        began: Instant::now(),
        lasts,
        bar,
    };
    let raged = weather.rage(schedule);
    let calmed = weather.calm();
    weather.bar.finish_and_clear();
    raged.and(calmed).map(|()| weather.storm)
}

/// A storm under way.
struct Weather<'a> {
    site: &'a mut Site,
    load: &'a mut Load,
    storm: Storm,
    active: Vec<(Happened, Undo)>,
    began: Instant,
    lasts: Duration,
    bar: ProgressBar,
}

/// What is due in a round.
enum Step<'a> {
    Begin(&'a Fault),
    End(&'a Fault),
}

impl Weather<'_> {
    fn rage(&mut self, schedule: Schedule) -> Result<()> {
        for round in schedule {
            self.wait_until(Instant::now() + round.pause)?;
            if self.is_over() {
                return Ok(());
            }
            self.round(&round)?;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.began.elapsed() >= self.lasts
    }

    fn round(&mut self, round: &Round) -> Result<()> {
        let mut steps: Vec<(Duration, Step<'_>)> = Vec::new();
        for fault in &round.faults {
            steps.push((fault.begins, Step::Begin(fault)));
            steps.push((fault.begins + fault.lasts, Step::End(fault)));
        }
        steps.sort_by_key(|(due, _)| *due);
        let began = Instant::now();
        for (due, step) in steps {
            self.wait_until(began + due)?;
            match step {
                Step::Begin(fault) => self.begin(fault)?,
                Step::End(fault) => self.end(|happened| happened.line == fault.to_string())?,
            }
        }
        Ok(())
    }

    fn begin(&mut self, fault: &Fault) -> Result<()> {
        let line = fault.to_string();
        self.say(format_args!("{line}"));
        let began = unix_milliseconds();
        let undo = fault::begin(fault, self.site, &mut self.storm.notes)?;
        self.active.push((Happened { kind: fault.kind.name, line, began, ended: began }, undo));
        Ok(())
    }

    /// Ends the active fault that is meant.
    fn end(&mut self, is_meant: impl Fn(&Happened) -> bool) -> Result<()> {
        let Some(index) = self.active.iter().position(|(happened, _)| is_meant(happened)) else {
            return Ok(());
        };
        let (happened, undo) = self.active.remove(index);
        fault::end(undo, self.site)?;
        let happened = Happened { ended: unix_milliseconds(), ..happened };
        self.say(format_args!(
            "    over after {:.1} s: {}",
            (happened.ended - happened.began) as f64 / 1000.0,
            happened.kind
        ));
        self.storm.happened.push(happened);
        Ok(())
    }

    /// Ends what is active, whatever fails; the first failure is returned.
    fn calm(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        while !self.active.is_empty() {
            outcome = outcome.and(self.end(|_| true));
        }
        outcome
    }

    /// Waits, and looks after everything meanwhile.
    fn wait_until(&mut self, due: Instant) -> Result<()> {
        loop {
            interrupt::check()?;
            self.load.check()?;
            self.tend()?;
            self.show();
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(PAUSE));
        }
    }

    /// Starts again, as a supervisor would, what has ended without being asked. It must not have.
    fn tend(&mut self) -> Result<()> {
        for service in self.site.services() {
            if let Some(status) = service.ended_by_itself()? {
                self.storm.notes.push(format!("{} ended by itself: {status}", service.name()));
                service.start_again()?;
            }
        }
        Ok(())
    }

    fn show(&mut self) {
        let faults: Vec<&str> = self.active.iter().map(|(happened, _)| happened.line.as_str()).collect();
        let acknowledged = self.load.acknowledged();
        let rate = acknowledged as f64 / self.began.elapsed().as_secs_f64().max(1.0);
        self.bar.set_position(self.began.elapsed().as_secs());
        self.bar.set_message(format!(
            "{} acknowledged ({rate:.0}/s)  {}",
            HumanCount(acknowledged),
            faults.join(" + ")
        ));
    }

    fn say(&self, what: impl Display) {
        let at = self.began.elapsed().as_secs_f64();
        self.bar.suspend(|| ui::detail(format_args!("{at:7.1} s  {what}")));
    }
}

/// Now, in milliseconds since 1970.
pub(super) fn unix_milliseconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
