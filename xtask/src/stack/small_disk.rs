//! A small disk that can be filled up: a tmpfs in a mount namespace of its own, so that no mount is made that others see
//! or that a killed run leaves behind.
//!
//! A process that sleeps holds the namespace, so that what a program on the disk has written outlives the program. No
//! privileges are needed where user namespaces are allowed, and none of them where we are root.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{
    StackFolder,
    account::is_root,
    packages,
    process::{Process, Program},
};

const START_LIMIT: Duration = Duration::from_secs(10);
const MOUNT: &str = "mount -t tmpfs -o \"size=$1\" tmpfs \"$2\" && exec sleep infinity";
/// With a user namespace around it, in which we are root.
const IN_USER_NAMESPACE: [&str; 2] = ["--user", "--map-root-user"];

/// A mounted disk. It goes with its last clone.
#[derive(Clone)]
pub struct SmallDisk(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    in_user_namespace: bool,
    holder: Process,
}

impl SmallDisk {
    /// Makes one of so many bytes.
    ///
    /// # Errors
    /// We are not root, and the system does not let others make user namespaces.
    pub fn start(stack: &StackFolder, bytes: u64) -> Result<Self> {
        let folder = stack.subfolder("small-disk")?;
        let hold = |in_user_namespace: bool| {
            let holder = hold(stack, &folder, bytes, in_user_namespace)?;
            Ok(Self(Arc::new(Inner { folder: folder.clone(), in_user_namespace, holder })))
        };
        if is_root() {
            let disk: Result<Self> = hold(false);
            if disk.is_ok() {
                return disk;
            }
        }
        hold(true)
    }

    /// The path of its root, for those on it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// The same program, on this disk.
    pub(crate) fn seen_by(&self, program: Program) -> Result<Program> {
        let target = self.0.holder.pid().to_string();
        let mut arguments = vec!["--target", &target, "--mount", "--wd"];
        if self.0.in_user_namespace {
            arguments.extend(["--user", "--preserve-credentials"]);
        }
        Ok(program.through(packages::find("nsenter")?, &arguments))
    }

    /// Writes until nothing more fits.
    ///
    /// # Errors
    /// It cannot be written for another reason.
    pub(crate) fn fill(&self) -> Result<()> {
        let path = self.ballast();
        let mut ballast = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        // Ever smaller pieces, so that not a page is left.
        for piece in [1 << 20, 1 << 12] {
            let zeros = vec![0; piece];
            loop {
                match ballast.write(&zeros) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => {
                        return Err(error).with_context(|| format!("cannot fill {}", path.display()));
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes away again what [`SmallDisk::fill`] has written.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(crate) fn relieve(&self) -> Result<()> {
        let path = self.ballast();
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
    }

    /// As it is seen from outside.
    fn ballast(&self) -> PathBuf {
        outside(self.0.holder.pid(), &self.0.folder).join("ballast")
    }
}

fn hold(stack: &StackFolder, folder: &Path, bytes: u64, in_user_namespace: bool) -> Result<Process> {
    let user: &[&str] = if in_user_namespace { &IN_USER_NAMESPACE } else { &[] };
    let program = Program::new("small-disk", packages::find("unshare")?)
        .args(user)
        .args(["--mount", "sh", "-c", MOUNT, "sh"])
        .args([bytes.to_string()])
        .args([folder]);
    let mut holder = Process::start(stack, program)?;
    let device = fs::metadata(folder)?;
    holder.wait_ready(START_LIMIT, |holder| match fs::metadata(outside(holder.pid(), folder)) {
        Ok(inside) => {
            Ok(std::os::unix::fs::MetadataExt::dev(&inside) != std::os::unix::fs::MetadataExt::dev(&device))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => bail!("the disk cannot be reached: {error}"),
    })?;
    Ok(holder)
}

/// A path of the holder's namespace, as others can open it.
fn outside(holder: u32, path: &Path) -> PathBuf {
    let root = PathBuf::from(format!("/proc/{holder}/root"));
    path.strip_prefix("/").map_or_else(|_| root.clone(), |path| root.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_a_full_disk_stays_and_nothing_more_fits_until_it_is_relieved() -> Result<()> {
        let stack = StackFolder::create("small-disk")?;
        let disk = match SmallDisk::start(&stack, 1 << 20) {
            Ok(disk) => disk,
            Err(error) => {
                eprintln!("not tested, as no small disk can be made here: {error:#}");
                return Ok(());
            }
        };
        let shell = |command: &str| {
            let program = Program::new("shell", packages::find("sh")?).args(["-c", command, "sh"]);
            disk.seen_by(program.args([disk.folder()]))?.run(&stack, START_LIMIT)
        };
        shell("echo kept > $1/file")?;
        disk.fill()?;
        assert!(shell("echo more > $1/more").is_err(), "something still fitted");
        shell("test $(cat $1/file) = kept")?;
        disk.relieve()?;
        shell("echo more > $1/more")?;
        assert!(!disk.folder().join("file").exists(), "the disk is the machine's own");
        Ok(())
    }
}
