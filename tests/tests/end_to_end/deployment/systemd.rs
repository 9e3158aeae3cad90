//! The units of ops/systemd, as systemd itself judges them; it need not run for that.

use super::manifests::root;
use super::settings::{self, Settings};
use apollo_tests::Result;
use clap::{CommandFactory as _, FromArgMatches as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const RECEIVER: &str = "apollo-receiver@.service";
const WORKER: &str = "apollo-worker@.service";
const MIGRATE: &str = "apollo-migrate.service";
/// What systemd applies to all of them.
const HARDENING: &str = "apollo-.service.d/hardening.conf";
/// Of 100: systemd calls up to 20 OK. What is left is mostly that they use the network.
const EXPOSURE: &str = "--threshold=15";

fn units() -> PathBuf {
    root().join("ops/systemd")
}

fn analyze(folder: &Path, arguments: &[&str]) -> Result<()> {
    let output = Command::new("systemd-analyze").args(arguments).current_dir(folder).output()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    if output.status.success() { Ok(()) } else { Err(format!("{arguments:?}: {text}").into()) }
}

#[test]
fn systemd_takes_the_units_and_finds_them_hardened() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("apollo-.service.d"))?;
    fs::copy(units().join(HARDENING), folder.path().join(HARDENING))?;
    for (unit, instance) in [(RECEIVER, "@a."), (WORKER, "@1."), (MIGRATE, "@.")] {
        // systemd wants the programs to be there, and any program will do.
        let text = fs::read_to_string(units().join(unit))?;
        let text = text.replace("/usr/local/bin/apollo-receiver", "/bin/true");
        let text = text.replace("/usr/local/bin/apollo-worker", "/bin/true");
        let instance = format!("./{}", unit.replace("@.", instance));
        fs::write(folder.path().join(&instance), text)?;
        analyze(folder.path(), &["verify", "--man=no", &instance])?;
        analyze(folder.path(), &["security", "--offline=true", "--no-pager", EXPOSURE, &instance])?;
    }
    Ok(())
}

/// What an instance of a unit tells its program: variables of its own, over which the files that it names prevail, here
/// their examples.
fn told(unit: &str, instance: &str) -> Result<Settings> {
    let text = fs::read_to_string(units().join(HARDENING))? + &fs::read_to_string(units().join(unit))?;
    let text = text.replace("%i", instance);
    let own = text.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('='));
    let mut told: Settings = own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for file in text.lines().filter_map(|line| line.strip_prefix("EnvironmentFile=")) {
        let (optional, file) = file.strip_prefix('-').map_or((false, file), |file| (true, file));
        let name = file.strip_prefix("/etc/apollo/").ok_or("a file of /etc/apollo")?;
        let example = units().join("examples").join(name);
        if example.exists() || !optional {
            told.extend(settings::read(&example)?);
        }
    }
    Ok(told)
}

#[test]
fn the_programs_take_what_the_units_tell_them() -> Result<()> {
    for instance in ["a", "b"] {
        let matches = settings::taken_by(&apollo_receiver::Cli::command(), &[], &told(RECEIVER, instance)?)?;
        let config = apollo_receiver::Cli::from_arg_matches(&matches)?.config;
        config.check()?;
        assert!(config.spool_dir.ends_with(format!("apollo-receiver-{instance}")));
    }
    let worker = apollo_worker::cli::Cli::command();
    for (instance, lanes) in [("1", None), ("account", Some("account,pull"))] {
        let told = told(WORKER, instance)?;
        settings::taken_by(&worker, &["serve"], &told)?;
        assert_eq!(told.get("WORKER__LANES").map(String::as_str), lanes);
    }
    settings::taken_by(&worker, &["migrate"], &told(MIGRATE, "")?)?;
    Ok(())
}
