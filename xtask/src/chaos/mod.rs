//! `cargo xtask chaos`: breaks a running Apollo under load, and then proves that nothing was lost.
//!
//! The proof has three parts. The simulator notes each notification in a file as soon as it was answered 200, outside of
//! anything that is broken. When all faults are over, it repeats what is in doubt until that is acknowledged too, so that
//! of every household exactly the first so many notifications have arrived, however often. Then every row is compared
//! with what the simulator works out of those.

mod drain;
mod fault;
mod kind;
mod load;
mod report;
mod schedule;
mod silence;
mod site;
mod storm;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

pub use self::report::Report;
use self::{
    kind::{Action, KINDS, Kind},
    load::{Load, LoadOptions, Sent},
    report::{LongestSilence, by_kind},
    schedule::Schedule,
    silence::Probes,
    site::{RECEIVERS, Site, WORKERS},
    storm::{Storm, unix_milliseconds},
    watch::Watch,
};
use crate::{
    cli::Chaos,
    interrupt::Interrupted,
    simulator::{self, Consented, Verified},
    stack::{self, DATABASE, Purpose, Stack, StackFolder},
    ui, up, workspace,
};

/// Garmin's id of the user whom the simulator's probes are about.
const PROBE_USER: &str = "apollo-probe";
/// How many of the plan's users consent.
const PARTICIPANTS: u32 = 20;
/// How much longer than the storm there is something to send: its last round may end late.
const MARGIN: Duration = Duration::from_secs(300);

/// What to break, and under how much load.
#[derive(Debug, Clone)]
pub struct ChaosOptions {
    /// How long faults are made.
    pub lasts: Duration,
    /// The same seed makes the same schedule of faults and the same notifications.
    pub seed: u64,
    /// Names of kinds of faults; all if there is none.
    pub faults: Vec<String>,
    /// POSTs a second, without the probes.
    pub rate: f64,
    /// At most one sample in so many seconds in every series of a summary, for smaller bodies.
    pub sample_interval: Option<u32>,
    /// The folder with Apollo's programs.
    pub binaries: PathBuf,
}

/// The command: builds, runs, prints.
///
/// # Errors
/// Anything was lost or is wrong, something does not start, or the user has asked to stop before the end.
pub(crate) fn command(options: &Chaos) -> Result<()> {
    if options.list_faults {
        KINDS.iter().for_each(|kind| println!("{:<22} {}", kind.name, kind.about));
        return Ok(());
    }
    // A wrong name is told before anything is built.
    kind::named(&options.faults)?;
    stack::install_missing(Purpose::Stack)?;
    let binaries =
        up::build_either(options.debug, &["apollo-receiver", "apollo-worker", "apollo-simulator"])?;
    let report = run(&ChaosOptions {
        lasts: Duration::try_from_secs_f64(options.minutes * 60.0).context("--minutes")?,
        seed: options.seed.unwrap_or_else(|| u64::from(fastrand::u32(..))),
        faults: options.faults.clone(),
        rate: options.rate,
        sample_interval: None,
        binaries,
    })?;
    print!("\n{report}");
    if let Some(file) = &options.json {
        fs::write(file, serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let verdict = report.verdict();
    if !verdict.is_empty() {
        bail!("{}. Repeat it with --seed {}", verdict.join("; "), report.seed);
    }
    Ok(())
}

/// Starts a stack of its own, breaks it, and says what has become of everything that was acknowledged. If anything was
/// lost or is wrong, all logs are kept.
///
/// # Errors
/// Something does not start, or does not become whole again.
pub fn run(options: &ChaosOptions) -> Result<Report> {
    let kinds = kind::named(&options.faults)?;
    let ChaosOptions { lasts, seed, rate, sample_interval, .. } = *options;
    let load = LoadOptions { lasts: lasts + MARGIN, rate, seed, sample_interval };
    let stack = ui::timed("start PostgreSQL and RabbitMQ", || Stack::start("chaos"))?;
    let folder = stack.folder.clone();
    let what = format!("migrate; start nginx, {RECEIVERS} receivers, {WORKERS} workers");
    let mut site = ui::timed(what, || Site::start(stack, &options.binaries, load.plan()))?;
    let outcome = measure(&mut site, options, &load, kinds);
    ui::timed("stop everything", || {
        drop(site);
        Ok(())
    })?;
    let is_clean = match &outcome {
        Ok(report) => report.verdict().is_empty(),
        Err(error) => error.is::<Interrupted>(),
    };
    if !is_clean {
        let kept = keep_logs(&folder, options.seed)?;
        ui::step(format_args!("the logs are kept in {}; the seed is {}", kept.display(), options.seed));
    }
    outcome
}

fn measure(
    site: &mut Site,
    options: &ChaosOptions,
    load: &LoadOptions,
    kinds: Vec<&'static Kind>,
) -> Result<Report> {
    let (kinds, left_out): (Vec<_>, Vec<_>) =
        kinds.into_iter().partition(|kind| site.disk.is_some() || kind.action != Action::FillDisk);
    if kinds.is_empty() {
        bail!("none of these faults can be made here: there is no small disk");
    }
    let ChaosOptions { lasts, seed, .. } = *options;
    ui::timed(format_args!("{PARTICIPANTS} participants consent"), || consent(site, options, load))?;
    let mut load = Load::start(site, &options.binaries, load)?;
    let watch = Watch::start(site);
    let schedule = Schedule::new(seed, kinds, RECEIVERS, WORKERS);
    ui::step(format_args!("break things for {} s, seed {seed}", lasts.as_secs()));
    let from = unix_milliseconds();
    let Storm { happened, notes } = storm::rage(site, &mut load, schedule, lasts)?;
    let to = unix_milliseconds();
    let Sent { pushed, probes } =
        ui::timed("stop sending; repeat what is in doubt until it is acknowledged", || load.stop())?;
    let drained = ui::timed("wait until spools and queues are empty", || drain::wait(site))?;
    let samples = watch.stop()?;
    let rows = ui::timed("compare every row with the simulator's expectation", || {
        verify(site, &load, &options.binaries)
    })?;
    let record = Probes::read(&load.probed)?;
    Ok(Report {
        seed,
        seconds: (to - from) as f64 / 1000.0,
        faults: by_kind(&record, &happened, from, to),
        left_out: left_out.iter().map(|kind| kind.name).collect(),
        acknowledged: pushed.notifications,
        refused: pushed.refusals,
        summaries: pushed.summaries.values().sum(),
        bytes: pushed.bytes,
        probes,
        probes_lost: lost_probes(site, &record)?,
        longest_silence: LongestSilence::of(&record, &happened, from, to),
        drained_seconds: drained.took.as_secs_f64(),
        left_over: drained.left,
        redelivered: samples.redeliveries,
        dead_letters: drained.dead,
        peak_memory: samples.peak_memory,
        callbacks: callbacks(site)?,
        rows,
        notes,
    })
}

fn verify(site: &Site, load: &Load, binaries: &Path) -> Result<Verified> {
    let options = ["--database-url".to_owned(), site.stack.postgres.url(DATABASE)];
    let leave_out = ["--leave-out".to_owned(), PROBE_USER.to_owned()];
    let record = ["--record".to_owned(), load.acknowledged.display().to_string()];
    let arguments = options.iter().chain(&leave_out).chain(&record).chain(&load.plan);
    simulator::run(binaries, &site.stack.folder, "verify", arguments)
}

/// A few of the plan's users consent while everything is whole, so that there are files to fetch later.
fn consent(site: &Site, options: &ChaosOptions, load: &LoadOptions) -> Result<()> {
    let edge = &site.apollo.nginx.address;
    let edge =
        [format!("--url={}", edge.url()), format!("--ca-file={}", edge.certificate_authority.display())];
    let participants = [format!("--participants={PARTICIPANTS}")];
    let arguments = edge.into_iter().chain(participants).chain(load.plan());
    let consented: Consented = simulator::run(&options.binaries, &site.stack.folder, "consent", arguments)?;
    ensure!(consented.all_linked(), "not every participant's account was linked: {consented}");
    Ok(())
}

/// What became of the activity files that were announced: how many are in which state.
fn callbacks(site: &Site) -> Result<BTreeMap<String, u64>> {
    let query = "SELECT state, count(*) FROM garmin_pull.callback GROUP BY state";
    let rows = site.stack.postgres.address.query(DATABASE, query)?;
    let states = rows.lines().filter_map(|row| row.split_once('|'));
    Ok(states.filter_map(|(state, count)| Some((state.to_owned(), count.parse().ok()?))).collect())
}

/// How many of the probes that were answered 200 have no row. Those that were not may have one.
fn lost_probes(site: &Site, record: &Probes) -> Result<u64> {
    let query = format!("SELECT steps FROM garmin_wellness.daily_summary WHERE user_id = '{PROBE_USER}'");
    let rows = site.stack.postgres.address.query(DATABASE, &query)?;
    let stored: BTreeSet<u64> = rows.lines().filter_map(|line| line.parse().ok()).collect();
    Ok(record.acknowledged.difference(&stored).count() as u64)
}

/// Copies what was logged and recorded to `target/chaos/`, where nothing is cleared away.
fn keep_logs(folder: &StackFolder, seed: u64) -> Result<PathBuf> {
    let name = format!("seed-{seed}-{}", unix_milliseconds() / 1000);
    let kept = workspace::target_directory()?.join("chaos").join(name);
    fs::create_dir_all(&kept).with_context(|| format!("cannot make {}", kept.display()))?;
    for source in [folder.path().to_owned(), folder.path().join("nginx")] {
        for entry in fs::read_dir(&source)? {
            let path = entry?.path();
            let is_log = path.extension().is_some_and(|extension| extension == "log");
            if let (true, Some(name)) = (is_log, path.file_name()) {
                fs::copy(&path, kept.join(name))
                    .with_context(|| format!("cannot copy {}", path.display()))?;
            }
        }
    }
    Ok(kept)
}
