//! The account that PostgreSQL runs under: it refuses to be root.

use std::{
    fs,
    os::unix::{self, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

/// Accounts that are there on Debian, in the order in which they are tried.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// A user and a group without privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    user: u32,
    group: u32,
}

impl Account {
    /// The account for what root must not run; `None` when we are not root.
    pub(crate) fn instead_of_root() -> Result<Option<Self>> {
        if !is_root() {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd")?;
        let account = CANDIDATES.iter().find_map(|name| parse(&accounts, name));
        Ok(Some(account.with_context(|| format!("none of these users exists: {CANDIDATES:?}"))?))
    }

    /// Has the command run under this account. The standard library drops root's further groups with it.
    pub(crate) fn apply(self, command: &mut Command) {
        command.uid(self.user).gid(self.group);
    }

    /// Gives the folder to this account, and says whether the account can reach it: a checkout in root's home is out of
    /// anybody else's reach.
    pub(crate) fn take_over(self, folder: &Path) -> Result<bool> {
        unix::fs::chown(folder, Some(self.user), Some(self.group))
            .with_context(|| format!("cannot give {} to user {}", folder.display(), self.user))?;
        let mut look = Command::new("test");
        look.arg("-w").arg(folder).current_dir("/").stdin(Stdio::null());
        self.apply(&mut look);
        Ok(look.status().context("cannot run test")?.success())
    }
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Finds an account in the text of `/etc/passwd`.
fn parse(accounts: &str, name: &str) -> Option<Account> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        Some(Account { user: fields.nth(1)?.parse().ok()?, group: fields.next()?.parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts =
            "post:x:1:2::/:/bin/sh\npostgres:x:105:110:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(parse(accounts, "postgres"), Some(Account { user: 105, group: 110 }));
        assert_eq!(parse(accounts, "nobody"), None);
    }
}
