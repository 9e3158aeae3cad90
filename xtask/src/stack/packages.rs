//! The programs that the stack and its tests need, and the Debian packages that bring them.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use super::account::is_root;
use crate::{interrupt, ui};

/// Debian's own start script; the one in `/usr/sbin` insists on being root or user rabbitmq.
pub(crate) const RABBITMQ_SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// Beside it.
pub(crate) const RABBITMQ_CONTROL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";
const POSTGRES_VERSIONS: &str = "/usr/lib/postgresql";
/// What Debian asks before it starts a service during installation; 101 means that it must not.
const POLICY: &str = "/usr/sbin/policy-rc.d";
const INSTALL: &str = "`cargo xtask test` installs what is missing";

/// What programs are needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To run Apollo.
    Stack,
    /// To test it too: in a browser, watched by Prometheus, counting instructions, and what operators deploy.
    Tests,
}

/// The folder of the newest PostgreSQL's programs.
///
/// # Errors
/// PostgreSQL is not installed.
pub(crate) fn postgres_folder() -> Result<PathBuf> {
    newest_postgres(Path::new(POSTGRES_VERSIONS))
        .with_context(|| format!("there is no PostgreSQL server below {POSTGRES_VERSIONS}: {INSTALL}"))
}

/// Where a program is that needs no version; `/usr/sbin` is not on everybody's `PATH`.
pub(crate) fn find(program: &str) -> Result<PathBuf> {
    on_path(program).with_context(|| format!("there is no program {program}: {INSTALL}"))
}

/// Installs what is missing from Debian's packages, after having said so.
///
/// # Errors
/// It cannot: the command to run is in the error.
pub fn install_missing(purpose: Purpose) -> Result<()> {
    let missing = missing(purpose);
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    let by_hand = format!("apt-get update && apt-get install --yes --no-install-recommends {packages}");
    if on_path("apt-get").is_none() {
        bail!(
            "Apollo's private stack needs the programs of these Debian packages: {packages}. This is not Debian, so they \
             cannot be installed from here; install them, or use a Debian container. There: {by_hand}"
        );
    }
    ui::step(format_args!("install Debian packages: {packages} (their services are not started)"));
    let Some(root) = Root::find() else {
        bail!("that needs root, and `sudo -n` does not give it without a password. Run as root: {by_hand}");
    };
    let policy = ServicesStayOff::begin(&root)?;
    let installed = install(&root, &missing);
    policy.end(&root)?;
    interrupt::check()?;
    installed.with_context(|| format!("the packages could not be installed. Run as root: {by_hand}"))?;
    let still = self::missing(purpose);
    ensure!(still.is_empty(), "these packages were installed but their programs are not there: {still:?}");
    Ok(())
}

fn install(root: &Root, packages: &[&str]) -> Result<()> {
    root.run(&["apt-get", "update", "--quiet"])?;
    interrupt::check()?;
    let install = ["apt-get", "install", "--quiet", "--yes", "--no-install-recommends"];
    root.run(&[&install[..], packages].concat())
}

/// The packages whose programs are not there.
fn missing(purpose: Purpose) -> Vec<&'static str> {
    let mut present = vec![
        ("postgresql", newest_postgres(Path::new(POSTGRES_VERSIONS)).is_some()),
        ("rabbitmq-server", Path::new(RABBITMQ_SERVER).exists() && on_path("epmd").is_some()),
        ("nginx", on_path("nginx").is_some()),
        ("openssl", on_path("openssl").is_some()),
        // libFuzzer, which is part of the workspace's build, is C++.
        ("g++", on_path("c++").is_some()),
    ];
    if purpose == Purpose::Tests {
        present.push(("chromium", on_path("chromium").is_some()));
        present.push(("chromium-driver", on_path("chromedriver").is_some()));
        present.push(("prometheus", on_path("prometheus").is_some()));
        present.push(("valgrind", on_path("valgrind").is_some()));
        // Its `systemd-analyze` judges units without a systemd that runs.
        present.push(("systemd", on_path("systemd-analyze").is_some()));
    }
    present.into_iter().filter(|(_, is_there)| !is_there).map(|(package, _)| package).collect()
}

fn newest_postgres(versions: &Path) -> Option<PathBuf> {
    fs::read_dir(versions)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .map(|version| (version, versions.join(version.to_string()).join("bin")))
        .filter(|(_, folder)| folder.join("postgres").exists() && folder.join("psql").exists())
        .max()
        .map(|(_, folder)| folder)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// A way to run a command as root.
struct Root {
    prefix: &'static [&'static str],
}

impl Root {
    fn find() -> Option<Self> {
        if is_root() {
            return Some(Self { prefix: &[] });
        }
        let sudo = Self { prefix: &["sudo", "-n"] };
        let works =
            sudo.command(&["true"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        works.then_some(sudo)
    }

    fn command(&self, words: &[&str]) -> Command {
        let words: Vec<&str> = self
            .prefix
            .iter()
            .chain(&["env", "DEBIAN_FRONTEND=noninteractive"])
            .chain(words)
            .copied()
            .collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let status = self.command(words).status().with_context(|| format!("cannot run {}", words[0]))?;
        ensure!(status.success(), "{} failed: {status}", words.join(" "));
        Ok(())
    }
}

/// Keeps Debian from starting the services that it installs, for a while.
struct ServicesStayOff {
    is_ours: bool,
}

impl ServicesStayOff {
    fn begin(root: &Root) -> Result<Self> {
        if Path::new(POLICY).exists() {
            // Somebody's own policy, as in most containers: it stays as it is.
            return Ok(Self { is_ours: false });
        }
        let mut script = tempfile::NamedTempFile::new()?;
        writeln!(script, "#!/bin/sh\nexit 101")?;
        make_executable(script.as_file())?;
        root.run(&["install", "-m", "755", &script.path().to_string_lossy(), POLICY])?;
        Ok(Self { is_ours: true })
    }

    fn end(self, root: &Root) -> Result<()> {
        if self.is_ours { root.run(&["rm", "-f", POLICY]) } else { Ok(()) }
    }
}

fn make_executable(file: &File) -> Result<()> {
    Ok(file.set_permissions(fs::Permissions::from_mode(0o755))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_complete_postgres_is_taken() {
        let versions = tempfile::tempdir().unwrap();
        for (version, programs) in
            [("9", &["postgres", "psql"][..]), ("15", &["postgres", "psql"]), ("16", &["psql"])]
        {
            let folder = versions.path().join(version).join("bin");
            fs::create_dir_all(&folder).unwrap();
            for program in programs {
                fs::write(folder.join(program), "").unwrap();
            }
        }
        assert_eq!(newest_postgres(versions.path()), Some(versions.path().join("15/bin")));
        assert_eq!(newest_postgres(&versions.path().join("none")), None);
    }
}
