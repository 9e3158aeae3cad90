//! The settings that a deployment gives to a program, held against what the program says of itself.

use apollo_tests::Result;
use clap::{ArgMatches, Command};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Environment variables and their values.
pub(super) type Settings = BTreeMap<String, String>;

/// Reads a file of lines NAME=VALUE.
pub(super) fn read(file: &Path) -> Result<Settings> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let settings = lines.map(|line| {
        let (name, value) = line.split_once('=').ok_or_else(|| format!("{}: {line}", file.display()))?;
        Ok((name.to_owned(), value.to_owned()))
    });
    settings.collect()
}

/// What the program makes of them: every one has to be known to one of its commands, and the command that is run has to
/// take their values, with nothing missing.
pub(super) fn taken_by(program: &Command, run: &[&str], settings: &Settings) -> Result<ArgMatches> {
    let known = variables(program);
    let unknown: Vec<_> = settings.keys().filter(|name| !known.contains(*name)).collect();
    if !unknown.is_empty() {
        return Err(format!("{} knows no {unknown:?}", program.get_name()).into());
    }
    let mut words = vec![program.get_name().to_owned()];
    words.extend(options(program, settings));
    let mut command = program;
    for name in run {
        command = command.find_subcommand(name).ok_or_else(|| format!("no command {name}"))?;
        words.push((*name).to_owned());
        words.extend(options(command, settings));
    }
    Ok(program.clone().try_get_matches_from(words)?)
}

/// The variables of a program and of all of its commands.
fn variables(program: &Command) -> BTreeSet<String> {
    let own = program.get_arguments().filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned));
    own.chain(program.get_subcommands().flat_map(variables)).collect()
}

/// The options that say what variables say.
fn options(command: &Command, settings: &Settings) -> Vec<String> {
    let option = |argument: &clap::Arg| {
        let value = settings.get(argument.get_env()?.to_str()?)?;
        Some(format!("--{}={value}", argument.get_long()?))
    };
    command.get_arguments().filter_map(option).collect()
}
