//! `cargo xtask sbom`: the software bills of materials of the two programs, in CycloneDX's JSON (ECMA-424).
//!
//! For the platform that this runs on. The tool writes one beside every manifest of the workspace; only those of the programs that
//! ship are kept.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{cargo, ui, workspace};

/// The version of cargo-cyclonedx that is installed where none is.
const TOOL_VERSION: &str = "0.5.9";

/// The members whose programs ship.
const SHIPPED: [&str; 2] = ["receiver", "worker"];

/// Writes target/sbom/apollo-receiver.cdx.json and apollo-worker.cdx.json.
pub(crate) fn run() -> Result<()> {
    let tool = tool()?;
    ui::timed("collect what the programs are made of", || {
        let mut command = Command::new(&tool);
        command.current_dir(workspace::root()).args(["cyclonedx", "--quiet", "--format", "json"]);
        command.args(["--describe", "binaries"]);
        let status = cargo::run_to_end(&mut command)?;
        ensure!(status.success(), "cargo cyclonedx failed");
        Ok(())
    })?;
    let folder = workspace::target_directory()?.join("sbom");
    fs::create_dir_all(&folder)?;
    for member in SHIPPED {
        let name = format!("apollo-{member}");
        let file = folder.join(format!("{name}.cdx.json"));
        let written = workspace::root().join(member).join(format!("{name}_bin.cdx.json"));
        fs::rename(&written, &file).with_context(|| written.display().to_string())?;
        println!("{}: {} components", file.display(), components(&file)?);
    }
    remove_others()
}

/// Where cargo-cyclonedx is: below the target folder, after it was installed there.
fn tool() -> Result<PathBuf> {
    let root = workspace::target_directory()?.join("tools").join(format!("cargo-cyclonedx-{TOOL_VERSION}"));
    let program = root.join("bin/cargo-cyclonedx");
    if !program.exists() {
        ui::timed(format_args!("install cargo-cyclonedx {TOOL_VERSION} below target/tools"), || {
            let root = root.to_str().context("the target folder's name is no text")?;
            cargo::run(&["install", "cargo-cyclonedx", "--locked", "--version", TOOL_VERSION, "--root", root])
        })?;
    }
    Ok(program)
}

fn components(file: &Path) -> Result<usize> {
    let bill: serde_json::Value = serde_json::from_slice(&fs::read(file)?)?;
    Ok(bill["components"].as_array().context("it lists no components")?.len())
}

/// Those of what is only for development.
fn remove_others() -> Result<()> {
    for member in fs::read_dir(workspace::root())? {
        let member = member?.path();
        if !member.join("Cargo.toml").is_file() {
            continue;
        }
        for file in fs::read_dir(&member)? {
            let file = file?.path();
            if file.to_string_lossy().ends_with(".cdx.json") {
                fs::remove_file(file)?;
            }
        }
    }
    Ok(())
}
