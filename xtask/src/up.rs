//! `cargo xtask up` and `down`.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};

use crate::{
    cargo,
    stack::{self, Apollo, DATABASE, GARMIN, Layout, Purpose, STACK_FILE, Stack, StackFolder, StackState},
    ui, workspace,
};

/// The name of the folder of the one stack that stays up.
const NAME: &str = "up";
const WORKERS: usize = 2;
/// Who can consent, for people to choose from.
const ACCOUNTS: u32 = 20;
/// A notification for people to post by hand.
const SAMPLE: &str = r#"{"dailies":[{"userId":"someone","startTimeInSeconds":1767225600,"durationInSeconds":86400,"steps":4711}]}"#;

/// Starts everything and leaves it running.
pub(crate) fn up() -> Result<()> {
    let folder = stack::all_stacks()?.join(NAME);
    if folder.join(STACK_FILE).exists() {
        let state = StackState::read(&folder.join(STACK_FILE))?;
        ensure!(state.persistent, "another `cargo xtask up` (process {}) is just starting", state.owner.pid);
        if is_up(&state)? {
            ui::step("it is up already; `cargo xtask down` stops it");
            how_to_use(&state);
            return Ok(());
        }
        ui::step("all that was up before has ended, as after a restart of the machine: clear it away");
        stack::end(&folder, &state)?;
    }
    stack::install_missing(Purpose::Stack)?;
    build(&["apollo-receiver", "apollo-worker", "apollo-simulator"])?;
    let stack =
        ui::timed("start PostgreSQL and RabbitMQ", || Stack::start_in(StackFolder::create_named(NAME)?))?;
    let apollo = ui::timed("migrate; start a simulated Garmin, nginx, receiver and workers", || {
        let accounts = vec!["--users".to_owned(), ACCOUNTS.to_string()];
        Apollo::start(&stack, &release_folder()?, Layout::plain(&stack, WORKERS, accounts)?)
    })?;
    stack.folder.persist()?;
    let state = stack.folder.state();
    how_to_use(&state);
    ui::step("it stays up until `cargo xtask down`");
    drop((apollo, stack));
    Ok(())
}

/// Whether all of it runs. A part that runs is somebody's, with data in it, and only `down` may end it.
fn is_up(state: &StackState) -> Result<bool> {
    let (running, ended): (Vec<_>, Vec<_>) =
        state.processes.iter().partition(|process| process.identity.is_alive());
    let ended: Vec<&str> = ended.into_iter().map(|process| process.name.as_str()).collect();
    ensure!(
        running.is_empty() || ended.is_empty(),
        "it is up in part: {} ended (see the logs in target/stack/{NAME}). `cargo xtask down` stops the rest and removes its \
         data",
        ended.join(", ")
    );
    Ok(ended.is_empty())
}

/// Stops everything.
pub(crate) fn down() -> Result<()> {
    let folder = stack::all_stacks()?.join(NAME);
    let file = folder.join(STACK_FILE);
    if !file.exists() {
        ui::step("nothing is up");
        return Ok(());
    }
    let state = StackState::read(&file)?;
    if !state.persistent {
        bail!("`cargo xtask up` (process {}) is just starting: stop that with Ctrl-C", state.owner.pid);
    }
    ui::timed("stop everything and remove its data", || stack::end(&folder, &state))
}

/// Builds programs, for debugging or for release, and says where they are.
pub(crate) fn build_either(debug: bool, programs: &[&str]) -> Result<PathBuf> {
    if debug {
        build_debug(programs)?;
        debug_folder()
    } else {
        build(programs)?;
        release_folder()
    }
}

/// Builds programs for release.
pub(crate) fn build(programs: &[&str]) -> Result<()> {
    ui::timed("build for release", || build_with(&["build", "--release"], programs))
}

/// Builds programs for debugging.
fn build_debug(programs: &[&str]) -> Result<()> {
    ui::timed("build for debugging", || build_with(&["build"], programs))
}

fn build_with(arguments: &[&str], programs: &[&str]) -> Result<()> {
    let packages = programs.iter().flat_map(|program| ["-p", program]);
    let arguments: Vec<&str> = arguments.iter().copied().chain(packages).collect();
    cargo::run(&arguments)
}

/// Where cargo puts what [`build`] has built.
pub(crate) fn release_folder() -> Result<PathBuf> {
    Ok(workspace::target_directory()?.join("release"))
}

/// Where cargo puts what [`build_debug`] has built.
pub(crate) fn debug_folder() -> Result<PathBuf> {
    Ok(workspace::target_directory()?.join("debug"))
}

/// Prints the addresses, and commands to look around with.
pub(crate) fn how_to_use(state: &StackState) {
    println!();
    for (what, url) in &state.urls {
        println!("{what:<22} {url}");
    }
    if let (Some(postgres), Some(nginx)) = (&state.postgres, &state.nginx) {
        println!("\nLook around:");
        println!("  psql {}", postgres.url(DATABASE));
        println!("  curl {}", state.urls.get("receiver metrics").map_or("", String::as_str));
        println!("  (RabbitMQ's pages: user guest, password guest)");
        println!(
            "  (the consent page: the browser does not know its certificate; at the simulated Garmin, choose any account)"
        );
        let (authority, edge) = (nginx.certificate_authority.display(), nginx.url());
        println!("\nPost a daily summary, as Garmin does:");
        println!("  curl --cacert {authority} --data '{SAMPLE}' {edge}/api_client/garmin/dailies");
        if let Some(garmin) = state.urls.get(GARMIN) {
            println!(
                "\nLet participants consent, and send pings of their data, which the workers then fetch:"
            );
            let simulator = |command, options: &str| {
                println!(
                    "  target/release/apollo-simulator {command} --url {edge} --ca-file {authority} --users {ACCOUNTS} {options}"
                );
            };
            simulator("consent", &format!("--participants {ACCOUNTS}"));
            simulator("push", &format!("--garmin {garmin} --ping"));
        }
        println!();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{ProcessIdentity, ProcessRecord, StopSignal};

    fn state(alive: &[bool]) -> StackState {
        let mut state = StackState::of_this_process().unwrap();
        let this = ProcessIdentity::of(std::process::id()).unwrap();
        state.processes = alive
            .iter()
            .map(|alive| ProcessRecord {
                name: "worker-1".to_owned(),
                identity: ProcessIdentity { start_time: this.start_time + u64::from(!alive), ..this },
                stop_signal: StopSignal::Terminate,
            })
            .collect();
        state
    }

    #[test]
    fn what_runs_in_part_is_left_to_its_user() {
        assert!(is_up(&state(&[true, true])).unwrap());
        assert!(!is_up(&state(&[false, false])).unwrap());
        let error = is_up(&state(&[true, false])).unwrap_err().to_string();
        assert!(error.contains("worker-1 ended"), "{error}");
    }
}
