//! The fuzz targets, what each begins with, and the words that Garmin uses.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::program;
use crate::workspace;

/// JSON that parsers and PostgreSQL stumble over, beside Garmin's own words.
const ODD: [&str; 12] = [
    "null",
    "1e400",
    "1e-400",
    "-0.0",
    "1e99999999999",
    "99999999999999999999",
    "\\u0000",
    "\\ud800",
    "{}",
    "[]",
    "\"0\":",
    "\"-5\":",
];

/// One program with what it is to fuzz.
pub(super) struct Target {
    /// `notification`, `split`, or the top-level key of the type whose entries are fuzzed.
    pub(super) name: String,
    /// What the program reads first.
    seeds: Vec<Vec<u8>>,
}

impl Target {
    /// All of them, from the sample bodies of the tests.
    pub(super) fn all() -> Result<Vec<Self>> {
        let bodies = samples()?;
        let mut entries: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for (key, list) in bodies.iter().filter_map(Value::as_object).flatten() {
            let of_key = entries.entry(key.clone()).or_default();
            of_key.extend(list.as_array().into_iter().flatten().map(|entry| entry.to_string().into_bytes()));
        }
        let bodies: Vec<Vec<u8>> = bodies.iter().map(|body| body.to_string().into_bytes()).collect();
        let parts_of = |body: &Vec<u8>| [&[64, 0], body.as_slice()].concat();
        let split = bodies.iter().map(parts_of).collect();
        let whole = [
            Self { name: "notification".to_owned(), seeds: bodies },
            Self { name: "split".to_owned(), seeds: split },
        ];
        let of_types = entries.into_iter().map(|(name, seeds)| Self { name, seeds });
        Ok(whole.into_iter().chain(of_types).collect())
    }

    /// Those asked for; all if none is.
    pub(super) fn named(names: &[String]) -> Result<Vec<Self>> {
        let mut targets = Self::all()?;
        let known: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
        if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
            bail!("there is no target {unknown}; there are {}", known.join(", "));
        }
        targets.retain(|target| names.is_empty() || names.contains(&target.name));
        Ok(targets)
    }

    #[cfg(test)]
    pub(super) fn notification() -> Self {
        Self { name: "notification".to_owned(), seeds: Vec::new() }
    }

    /// Its program, which finds the key of its entries in a variable.
    pub(super) fn command(&self) -> Result<Command> {
        Ok(match self.name.as_str() {
            "notification" => Command::new(program("fuzz-notification")?),
            "split" => Command::new(program("fuzz-split")?),
            key => {
                let mut command = Command::new(program("fuzz-entry")?);
                command.env("APOLLO_FUZZ_KEY", key);
                command
            }
        })
    }

    /// Writes what it begins with, a file each.
    pub(super) fn write_seeds(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        for (number, seed) in self.seeds.iter().enumerate() {
            fs::write(folder.join(number.to_string()), seed)?;
        }
        Ok(())
    }

    /// The folder of inputs that were found to fail once, if there are any.
    pub(super) fn regressions(&self) -> Option<PathBuf> {
        Some(workspace::root().join("fuzz/regressions").join(&self.name)).filter(|folder| folder.exists())
    }
}

/// Writes Garmin's names, and what is odd, in libFuzzer's form of a dictionary.
pub(super) fn write_dictionary(file: &Path) -> Result<()> {
    let mut words: BTreeSet<String> = ODD.map(str::to_owned).into();
    samples()?.iter().for_each(|body| names(body, &mut words));
    let line = |word: &String| format!("\"{}\"\n", word.replace('\\', "\\\\").replace('"', "\\\""));
    fs::create_dir_all(file.parent().context("the dictionary has no folder")?)?;
    Ok(fs::write(file, words.iter().map(line).collect::<String>())?)
}

/// The names of all members in `value`, each with its quotes.
fn names(value: &Value, words: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            words.extend(members.keys().map(|name| format!("\"{name}\"")));
            members.values().for_each(|value| names(value, words));
        }
        Value::Array(values) => values.iter().for_each(|value| names(value, words)),
        _ => {}
    }
}

fn samples() -> Result<Vec<Value>> {
    let folder = workspace::root().join("tests/samples");
    let files = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<PathBuf> = files.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    let json = files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json"));
    json.map(|file| {
        serde_json::from_slice(&fs::read(file)?).with_context(|| format!("{} is not JSON", file.display()))
    })
    .collect()
}
