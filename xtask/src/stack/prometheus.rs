//! A private Prometheus with the configuration of `ops/prometheus`: the same jobs and rules, other targets.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{
    StackFolder,
    apollo::address,
    packages, ports,
    process::{Process, Program},
};
use crate::workspace;

const START_LIMIT: Duration = Duration::from_secs(60);
/// Often enough that nobody waits for a second look.
const SCRAPE_INTERVAL: &str = "1s";

/// Whom a private Prometheus asks, each as `host:port`.
#[derive(Debug, Clone)]
pub struct Targets {
    /// The admin listeners of the receivers.
    pub receivers: Vec<String>,
    /// Those of the workers.
    pub workers: Vec<String>,
    /// The listener of RabbitMQ's own metrics.
    pub rabbitmq: String,
}

impl Targets {
    /// By the names of the jobs, with the Prometheus that listens on `port`.
    fn of_jobs(&self, port: u16) -> BTreeMap<&'static str, Vec<String>> {
        BTreeMap::from([
            ("receiver", self.receivers.clone()),
            ("worker", self.workers.clone()),
            ("rabbitmq", vec![self.rabbitmq.clone()]),
            ("rabbitmq-queues", vec![self.rabbitmq.clone()]),
            ("prometheus", vec![address(port)]),
        ])
    }
}

/// A running private Prometheus.
pub struct Prometheus {
    url: String,
    _process: Process,
}

impl Prometheus {
    /// Starts it on a free port. It must have been installed: [`super::install_missing`].
    ///
    /// # Errors
    /// `ops/prometheus/prometheus.yml` has a job that has no targets here, or Prometheus does not start; the end of its
    /// log is in the error.
    pub fn start(stack: &StackFolder, targets: &Targets) -> Result<Self> {
        let program = packages::find("prometheus")?;
        let home = stack.subfolder("prometheus")?;
        let rules = home.join("rules");
        symlink(configuration_folder().join("rules"), &rules)
            .with_context(|| format!("cannot make {}", rules.display()))?;
        let (url, process) = ports::retry_with_new_ports(|| launch(stack, &program, &home, targets))?;
        stack.update(|state| {
            state.urls.insert("Prometheus".to_owned(), url.clone());
        })?;
        Ok(Self { url, _process: process })
    }

    /// Where its pages and its API are.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn configuration_folder() -> PathBuf {
    workspace::root().join("ops/prometheus")
}

fn launch(stack: &StackFolder, program: &Path, home: &Path, targets: &Targets) -> Result<(String, Process)> {
    let [port] = ports::free()?;
    let file = configuration_folder().join("prometheus.yml");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let configuration = with_targets(&text, &targets.of_jobs(port))
        .with_context(|| format!("{} is not as expected", file.display()))?;
    fs::write(home.join("prometheus.yml"), configuration)?;
    let program = Program::new("prometheus", program)
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
        .args([format!("--web.listen-address={}", address(port))])
        .folder(home);
    let mut process = Process::start(stack, program)?;
    let url = format!("http://{}", address(port));
    process.wait_http(&format!("{url}/-/ready"), START_LIMIT)?;
    Ok((url, process))
}

/// The configuration with these targets in each job instead of its own, and a shorter interval. Line by line, as it is
/// ours and of one style: a job's way to its targets begins with a key at its own depth, and ends with the next one.
fn with_targets(configuration: &str, targets: &BTreeMap<&str, Vec<String>>) -> Result<String> {
    let mut lines = Vec::new();
    let mut left = targets.clone();
    let mut own = None;
    let mut skipping = false;
    for line in configuration.lines() {
        let depth = line.len() - line.trim_start().len();
        skipping &= depth > 4 || line.is_empty();
        if let Some(job) = line.strip_prefix("  - job_name: ") {
            ensure!(own.is_none(), "the job before {job} has no targets");
            own =
                Some(left.remove(job).with_context(|| format!("nobody knows the targets of the job {job}"))?);
        }
        if line.starts_with("  scrape_interval:") || line.starts_with("  scrape_timeout:") {
            let (key, _) = line.split_once(':').unwrap_or((line, ""));
            lines.push(format!("{key}: {SCRAPE_INTERVAL}"));
        } else if depth == 4 && line.ends_with("_configs:") {
            let own = own.take().with_context(|| format!("no job above {line:?}"))?;
            lines.push(format!("    static_configs: [targets: {own:?}]"));
            skipping = true;
        } else if !skipping {
            lines.push(line.to_owned());
        }
    }
    ensure!(own.is_none() && left.is_empty(), "there are no jobs {:?}", left.keys());
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURATION: &str = "\
global:
  scrape_interval: 15s

scrape_configs:
  # Named.
  - job_name: receiver
    metrics_path: /more
    params:
      family: [one]
    static_configs:
      - targets: [\"receiver-a:8001\"]

  - job_name: worker
    dns_sd_configs:
      - names: [worker]
        port: 8002
";

    fn targets(jobs: &[&'static str]) -> BTreeMap<&'static str, Vec<String>> {
        jobs.iter().map(|job| (*job, vec![format!("{job}:1"), format!("{job}:2")])).collect()
    }

    #[test]
    fn each_job_keeps_all_but_its_targets() {
        let expected = "\
global:
  scrape_interval: 1s

scrape_configs:
  # Named.
  - job_name: receiver
    metrics_path: /more
    params:
      family: [one]
    static_configs: [targets: [\"receiver:1\", \"receiver:2\"]]
  - job_name: worker
    static_configs: [targets: [\"worker:1\", \"worker:2\"]]";
        assert_eq!(with_targets(CONFIGURATION, &targets(&["receiver", "worker"])).unwrap(), expected);
    }

    #[test]
    fn a_job_without_targets_and_targets_without_a_job_are_errors() {
        let error = |jobs| with_targets(CONFIGURATION, &targets(jobs)).unwrap_err().to_string();
        assert!(error(&["receiver"]).contains("job worker"));
        assert!(error(&["receiver", "worker", "other"]).contains("other"));
    }
}
