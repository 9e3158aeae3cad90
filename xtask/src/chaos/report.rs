//! What a run of chaos has found.

use std::{collections::BTreeMap, fmt};

use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use super::{silence::Probes, storm::Happened};
use crate::simulator::Verified;

/// Everything that a run has found. The counts that must be 0 are those of [`Report::verdict`].
#[derive(Debug, Serialize)]
pub struct Report {
    /// The same seed makes the same schedule of faults and the same notifications.
    pub seed: u64,
    /// How long faults were made.
    pub seconds: f64,
    pub(super) faults: BTreeMap<&'static str, FaultCount>,
    /// Kinds that could not be made here.
    pub(super) left_out: Vec<&'static str>,
    /// Notifications that were answered 200, without the probes.
    pub acknowledged: u64,
    /// POSTs that were answered otherwise, and sent again.
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) summaries: u64,
    pub(super) bytes: u64,
    /// Probes by their answer.
    pub(super) probes: BTreeMap<String, u64>,
    /// Acknowledged probes whose row is not there.
    pub(super) probes_lost: u64,
    pub(super) longest_silence: LongestSilence,
    pub(super) drained_seconds: f64,
    /// Messages that stayed in a spool or a queue.
    pub(super) left_over: u64,
    pub(super) redelivered: u64,
    pub(super) dead_letters: u64,
    /// In bytes, by program.
    pub(super) peak_memory: BTreeMap<String, u64>,
    /// Activity files by the state of their URLs. A file can be had once: one whose worker was killed while it fetched
    /// is gone, which is nobody's fault.
    pub(super) callbacks: BTreeMap<String, u64>,
    pub(super) rows: Verified,
    /// What programs did that they must not do whatever happens.
    pub(super) notes: Vec<String>,
}

/// The faults of one kind.
#[derive(Debug, Default, Serialize)]
pub(super) struct FaultCount {
    pub(super) times: u64,
    pub(super) seconds: f64,
    /// The longest time without a 200 that any of them was on in.
    pub(super) longest_silence_seconds: f64,
}

/// The longest time without a 200, as the probes saw it.
#[derive(Debug, Default, Serialize)]
pub(super) struct LongestSilence {
    pub(super) seconds: f64,
    /// The faults that were on.
    pub(super) faults: Vec<String>,
}

impl LongestSilence {
    /// Of all between two moments, in milliseconds since 1970.
    pub(super) fn of(probes: &Probes, happened: &[Happened], from: u64, to: u64) -> Self {
        let longest = probes.silences(from, to).max_by_key(|silence| silence.to - silence.from);
        longest.map_or_else(Self::default, |longest| {
            let during = happened.iter().filter(|fault| longest.meets(fault.began, fault.ended));
            Self { seconds: longest.seconds(), faults: during.map(|fault| fault.line.clone()).collect() }
        })
    }
}

/// Faults by their kind.
pub(super) fn by_kind(
    probes: &Probes,
    happened: &[Happened],
    from: u64,
    to: u64,
) -> BTreeMap<&'static str, FaultCount> {
    let mut kinds: BTreeMap<&'static str, FaultCount> = BTreeMap::new();
    for fault in happened {
        let met = probes.silences(from, to).filter(|silence| silence.meets(fault.began, fault.ended));
        let longest = met.map(|silence| silence.seconds()).fold(0.0, f64::max);
        let kind = kinds.entry(fault.kind).or_default();
        kind.times += 1;
        kind.seconds += (fault.ended - fault.began) as f64 / 1000.0;
        kind.longest_silence_seconds = kind.longest_silence_seconds.max(longest);
    }
    kinds
}

impl Report {
    /// What must not be, a sentence each; none if Apollo has kept its promises.
    #[must_use]
    pub fn verdict(&self) -> Vec<String> {
        let rows = &self.rows;
        let findings = [
            (rows.missing, "rows are missing"),
            (rows.different, "rows are different"),
            (rows.unexpected + rows.of_others, "rows are there that must not be"),
            (self.probes_lost, "acknowledged probes are lost"),
            (self.left_over, "messages did not leave their spool or queue"),
            (self.dead_letters, "messages are in apollo.dead, though none was sent that should be"),
        ];
        let findings = findings.into_iter().filter(|(count, _)| *count > 0);
        let findings = findings.map(|(count, what)| format!("{} {what}", HumanCount(count)));
        findings.chain(self.notes.iter().cloned()).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{:<24}{:>8}{:>12}{:>24}", "fault", "times", "seconds", "longest without a 200")?;
        for (kind, FaultCount { times, seconds, longest_silence_seconds }) in &self.faults {
            writeln!(formatter, "{kind:<24}{times:>8}{seconds:>12.1}{longest_silence_seconds:>22.1} s")?;
        }
        for kind in &self.left_out {
            writeln!(formatter, "{kind:<24}left out: it cannot be made here")?;
        }
        writeln!(formatter)?;
        let mut row = |name: &str, value: String| writeln!(formatter, "{name:<44}{value:>24}");
        row("seed", self.seed.to_string())?;
        row("faults", count(self.faults.values().map(|kind| kind.times).sum()))?;
        row("seconds of chaos", format!("{:.0}", self.seconds))?;
        row("notifications acknowledged", count(self.acknowledged))?;
        row("summaries in them", count(self.summaries))?;
        row("bytes", HumanBytes(self.bytes).to_string())?;
        for (status, times) in &self.refused {
            row(&format!("refused and sent again: {status}"), count(*times))?;
        }
        for (answer, times) in &self.probes {
            row(&format!("probes answered {answer}"), count(*times))?;
        }
        row("longest time without a 200", format!("{:.1} s", self.longest_silence.seconds))?;
        for (program, bytes) in &self.peak_memory {
            row(&format!("peak memory of {program}"), HumanBytes(*bytes).to_string())?;
        }
        row("messages redelivered", count(self.redelivered))?;
        row("until spools and queues were empty", format!("{:.1} s", self.drained_seconds))?;
        row("messages left in them", count(self.left_over))?;
        row("dead letters", count(self.dead_letters))?;
        for (state, files) in &self.callbacks {
            row(&format!("activity files {state}"), count(*files))?;
        }
        row("probes lost", count(self.probes_lost))?;
        let rows = &self.rows;
        row("rows compared", count(rows.compared))?;
        let too_many = rows.unexpected + rows.of_others;
        let wrong = [rows.missing, rows.different, too_many].map(count);
        row("rows missing / different / too many", wrong.join(" / "))?;
        if !self.longest_silence.faults.is_empty() {
            writeln!(formatter, "\nThe longest time without a 200 was during:")?;
            self.longest_silence.faults.iter().try_for_each(|fault| writeln!(formatter, "  {fault}"))?;
        }
        rows.differences.iter().try_for_each(|difference| writeln!(formatter, "{difference}"))
    }
}

fn count(number: u64) -> String {
    HumanCount(number).to_string()
}
