//! A private ChromeDriver, which starts Chromium and drives it (W3C WebDriver), for tests in a browser.
//!
//! Chromium gets a home of its own in the folder for temporary files: it makes sockets there, whose paths may have 108
//! bytes at most, which a checkout's own path may exceed.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    StackFolder, packages, ports,
    process::{Process, Program},
    state::StopSignal,
};

const START_LIMIT: Duration = Duration::from_secs(60);

/// A running ChromeDriver. With it end the browsers that it has started.
pub struct ChromeDriver {
    url: String,
    home: PathBuf,
    _process: Process,
}

impl ChromeDriver {
    /// Starts it on a free port. It must have been installed: [`super::install_missing`].
    ///
    /// # Errors
    /// It does not start; the end of its log is in the error.
    pub fn start(stack: &StackFolder) -> Result<Self> {
        // Looked for here, so that the error says what to do.
        packages::find("chromium")?;
        let program = packages::find("chromedriver")?;
        let home = tempfile::Builder::new()
            .prefix("apollo-browser-")
            .tempdir()
            .context("cannot make a folder for temporary files")?
            .keep();
        stack.update(|state| state.outside_folders.push(home.clone()))?;
        let (url, process) = ports::retry_with_new_ports(|| launch(stack, &program, &home))?;
        Ok(Self { url, home, _process: process })
    }

    /// Where it takes WebDriver commands.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A folder for whatever its browsers keep, removed at the end.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }
}

fn launch(stack: &StackFolder, program: &Path, home: &Path) -> Result<(String, Process)> {
    let [port] = ports::free()?;
    let program = Program::new("chromedriver", program)
        .args([format!("--port={port}")])
        .env("HOME", home)
        .env("TMPDIR", home)
        // Chromium, asked in order, would still write into its home while that is being removed.
        .stop_signal(StopSignal::Kill);
    let mut process = Process::start(stack, program)?;
    let url = format!("http://127.0.0.1:{port}");
    process.wait_http(&format!("{url}/status"), START_LIMIT)?;
    Ok((url, process))
}
