//! A killed owner: what it left is ended and removed by the next run, and nothing else is.

use std::{
    env,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use xtask::stack::{
    PostgreSql, ProcessIdentity, ProcessRecord, STACK_FILE, StackFolder, StackState, StopSignal, sweep,
};

/// Set for the process that owns a stack until it is killed: the same test, run once more.
const VARIABLE: &str = "APOLLO_OWNER_TO_KILL";
const MARK: &str = "stack folder: ";

fn own_a_stack_until_killed() -> Result<()> {
    let folder = StackFolder::create("owner")?;
    let _postgres = PostgreSql::start(&folder)?;
    println!("{MARK}{}", folder.path().display());
    loop {
        std::thread::park();
    }
}

fn start_owner() -> Result<(Child, PathBuf)> {
    let mut child = Command::new(env::current_exe()?)
        .args([
            "sweeping::a_killed_owner_s_stack_is_swept_and_a_living_one_s_is_not",
            "--exact",
            "--nocapture",
        ])
        .env(VARIABLE, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().context("piped")?;
    for line in BufReader::new(output).lines() {
        // The test runner writes the test's name in front of what the test prints.
        if let Some((_, path)) = line?.split_once(MARK) {
            return Ok((child, PathBuf::from(path)));
        }
    }
    anyhow::bail!("the owner ended early: {}", child.wait()?)
}

#[test]
fn a_killed_owner_s_stack_is_swept_and_a_living_one_s_is_not() -> Result<()> {
    if env::var_os(VARIABLE).is_some() {
        return own_a_stack_until_killed();
    }
    let living = StackFolder::create("living")?;
    let (mut child, path) = start_owner()?;
    let state = StackState::read(&path.join(STACK_FILE))?;

    sweep()?;
    assert!(path.exists() && state.processes[0].identity.is_alive(), "its owner still lives");

    child.kill()?;
    child.wait()?;
    assert!(state.processes[0].identity.is_alive(), "a kill of the owner does not reach PostgreSQL");
    sweep()?;
    assert!(!state.processes[0].identity.is_alive(), "PostgreSQL still runs");
    assert!(!path.exists());
    assert!(living.path().exists());
    Ok(())
}

#[test]
fn a_process_that_only_has_the_pid_is_not_ended() -> Result<()> {
    let mut stranger = Command::new("sleep").arg("60").spawn()?;
    let folder = StackFolder::create("stranger")?;
    let file = folder.path().join(STACK_FILE);
    let mut state = folder.state();
    state.owner.start_time += 1;
    let mut identity = ProcessIdentity::of(stranger.id())?;
    identity.start_time += 1;
    state.processes.push(ProcessRecord {
        name: "stranger".to_owned(),
        identity,
        stop_signal: StopSignal::Terminate,
    });
    std::fs::write(&file, serde_json::to_vec(&state)?)?;

    sweep()?;
    assert!(!folder.path().exists(), "its owner is no longer the same process");
    assert!(stranger.try_wait()?.is_none(), "it was ended though it started at another time");
    stranger.kill()?;
    stranger.wait()?;
    Ok(())
}

#[test]
fn a_program_that_would_leave_its_children_behind_goes_with_them() -> Result<()> {
    let folder = StackFolder::create("family")?;
    let mut parent = Command::new("sh")
        .args(["-c", "sleep 60 & echo $!; wait"])
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let mut line = String::new();
    BufReader::new(parent.stdout.take().context("piped")?).read_line(&mut line)?;
    let child = ProcessIdentity::of(line.trim().parse()?)?;
    let mut state = folder.state();
    state.owner.start_time += 1;
    state.processes.push(ProcessRecord {
        name: "family".to_owned(),
        identity: ProcessIdentity::of(parent.id())?,
        stop_signal: StopSignal::Kill,
    });
    std::fs::write(folder.path().join(STACK_FILE), serde_json::to_vec(&state)?)?;

    sweep()?;
    parent.wait()?;
    assert!(!child.is_alive(), "its child still runs");
    Ok(())
}

#[test]
fn a_stack_of_another_container_is_left_alone() -> Result<()> {
    let folder = StackFolder::create("container")?;
    let mut state = folder.state();
    state.owner.start_time += 1;
    state.pid_namespace = "pid:[1]".into();
    std::fs::write(folder.path().join(STACK_FILE), serde_json::to_vec(&state)?)?;

    sweep()?;
    assert!(folder.path().exists(), "whether its owner lives cannot be seen from here");
    Ok(())
}

#[test]
fn a_name_is_given_once() -> Result<()> {
    let name = format!("once-{}", std::process::id());
    let folder = StackFolder::create_named(&name)?;
    let error = StackFolder::create_named(&name).err().context("it was given twice")?.to_string();
    assert!(error.contains("exists already"), "{error}");
    drop(folder);
    StackFolder::create_named(&name)?;
    Ok(())
}
