//! Where the checkout and cargo's output are.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context, Result, ensure};

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// The program `cargo`, the same that runs this one.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Cargo's target directory, asked of cargo because configuration and environment can move it.
pub(crate) fn target_directory() -> Result<PathBuf> {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    if let Some(known) = TARGET.get() {
        return Ok(known.clone());
    }
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cannot run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target_directory")?;
    Ok(TARGET.get_or_init(|| PathBuf::from(target)).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cargo wants every member's manifest, and no image is built where this is tested.
    #[test]
    fn the_dockerfile_copies_every_member() {
        let read = |name: &str| std::fs::read_to_string(root().join(name)).unwrap();
        let (dockerfile, dockerignore) = (read("Dockerfile"), read(".dockerignore"));
        let output = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output().unwrap();
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        for package in metadata["packages"].as_array().unwrap() {
            let folder = Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap();
            let name = folder.file_name().unwrap().to_str().unwrap();
            assert!(dockerfile.contains(&format!("COPY {name} {name}\n")), "Dockerfile does not copy {name}");
            assert!(dockerignore.contains(&format!("!{name}\n")), ".dockerignore holds {name} back");
        }
    }
}
