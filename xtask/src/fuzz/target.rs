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
    /// `notification`, `split`, `fit`, or the top-level key of the type whose entries are fuzzed.
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
            Self { name: "fit".to_owned(), seeds: vec![fit_file()] },
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
            "fit" => Command::new(program("fuzz-fit")?),
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

/// A FIT file with a message of each kind that is looked into; the target sees to length and checksum.
fn fit_file() -> Vec<u8> {
    const HEADER: [u8; 14] = *b"\x0e\x20\0\0\0\0\0\0.FIT\0\0";
    const CHECKSUM: [u8; 2] = [0; 2];
    let messages: [&[u8]; 4] = [
        // A developer's field: index, number, type (one byte), name.
        b"\x40\0\0\xce\0\x04\0\x01\x02\x01\x01\x02\x02\x01\x02\x03\x04\x07\0\0\x09\x02abc\0",
        // A record: time, latitude, heart rate, power, temperature, and the developer's field.
        b"\x61\0\0\x14\0\x05\xfd\x04\x86\0\x04\x85\x03\x01\x02\x07\x02\x84\x0d\x01\x01\x01\x09\x01\0\
          \x01\0\0\0\x40\0\0\0\x20\x8d\xfa\0\x15\x4d",
        // A lap: time, beginning, what ended it.
        b"\x42\0\0\x13\0\x03\xfd\x04\x86\x02\x04\x86\x18\x01\0\x02\x09\0\0\x40\0\0\0\x40\x07",
        // A session, big-endian: sport, and a list of numbers that the profile does not know.
        b"\x43\0\x01\0\x12\x02\x05\x01\0\xc8\x04\x84\x03\x02\0\x01\0\x02",
    ];
    [&HEADER, messages.concat().as_slice(), &CHECKSUM].concat()
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
