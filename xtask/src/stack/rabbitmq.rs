//! A private RabbitMQ, from Debian's package but without its service.
//!
//! The script below `/usr/lib/rabbitmq` is run directly, as the current user, with every name, port and folder given,
//! and with an `epmd` (Erlang's name server) of its own. Nothing of `/etc/rabbitmq` is read.

mod users;

use std::{
    fmt::Write as _,
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

pub use users::{RECEIVER, WORKER};

use super::{
    StackFolder,
    certificate::Certificate,
    packages, ports,
    process::{Process, Program, peak_memory},
    proxy::Proxy,
};
use crate::http;

const START_LIMIT: Duration = Duration::from_secs(120);
const CONTROL_LIMIT: Duration = Duration::from_secs(60);

/// Where a private RabbitMQ listens (all on 127.0.0.1). Its administrator is `guest`; [`RECEIVER`] and [`WORKER`] have the
/// rights of Apollo's programs. Each user's password is its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RabbitMqAddress {
    /// The Erlang node's name.
    pub node: String,
    /// AMQP 0-9-1.
    pub amqp_port: u16,
    /// AMQP 0-9-1 over TLS, if it was started with a certificate.
    pub amqps_port: Option<u16>,
    /// The management API and pages.
    pub management_port: u16,
    /// RabbitMQ's own metrics for Prometheus.
    pub prometheus_port: u16,
    distribution_port: u16,
    epmd_port: u16,
}

impl RabbitMqAddress {
    /// The URL of a virtual host for the administrator; `/` is the default one.
    #[must_use]
    pub fn url(&self, vhost: &str) -> String {
        self.url_of("guest", vhost)
    }

    /// The same, but for AMQP by way of a proxy.
    #[must_use]
    pub fn behind(&self, proxy: &Proxy) -> Self {
        Self { amqp_port: proxy.port(), ..self.clone() }
    }

    /// Makes a virtual host, in which Apollo's programs have their rights.
    ///
    /// # Errors
    /// RabbitMQ cannot be reached or refuses.
    pub fn create_vhost(&self, name: &str) -> Result<()> {
        let url = self.management_url(&format!("api/vhosts/{}", encoded(name)));
        let response = http::agent().put(&url).header("authorization", http::GUEST).send_empty();
        let response = response.with_context(|| format!("PUT {url}"))?;
        expect_success("PUT", &url, response.status().as_u16())?;
        self.permit(name)
    }

    /// Removes a virtual host with all that is in it.
    ///
    /// # Errors
    /// RabbitMQ cannot be reached, or there is no such virtual host.
    pub fn delete_vhost(&self, name: &str) -> Result<()> {
        self.delete(&format!("api/vhosts/{}", encoded(name)))
    }

    /// Removes what is ready in a queue.
    ///
    /// # Errors
    /// RabbitMQ cannot be reached, or there is no such queue.
    pub(crate) fn purge(&self, vhost: &str, queue: &str) -> Result<()> {
        let path = format!("api/queues/{}/{}/contents", encoded(vhost), encoded(queue));
        self.delete(&path)
    }

    /// How many messages are in a queue: those ready and those delivered but not acknowledged. RabbitMQ counts once a
    /// second, so the number may be that old. `None` while there is no such queue or its first count.
    ///
    /// # Errors
    /// RabbitMQ cannot be reached.
    pub fn queue_depth(&self, vhost: &str, queue: &str) -> Result<Option<u64>> {
        let answer = self.get(&format!("api/queues/{}/{}", encoded(vhost), encoded(queue)))?;
        Ok(answer.and_then(|queue| queue["messages"].as_u64()))
    }

    /// The node that leads a queue.
    ///
    /// # Errors
    /// RabbitMQ cannot be reached.
    pub fn leader(&self, vhost: &str, queue: &str) -> Result<Option<String>> {
        let answer = self.get(&format!("api/queues/{}/{}", encoded(vhost), encoded(queue)))?;
        Ok(answer.and_then(|queue| queue["leader"].as_str().map(str::to_owned)))
    }

    /// What is in the queues of a virtual host, and what became of it, as of a second ago.
    ///
    /// # Errors
    /// RabbitMQ cannot be reached.
    pub(crate) fn queues(&self, vhost: &str) -> Result<Vec<QueueCounts>> {
        let answer = self.get(&format!("api/queues/{}", encoded(vhost)))?;
        let queues = answer.as_ref().and_then(|answer| answer.as_array()).map(Vec::as_slice);
        Ok(queues.unwrap_or_default().iter().map(QueueCounts::of).collect())
    }

    /// The URL of a page of the management plugin.
    #[must_use]
    pub fn management_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.management_port)
    }

    /// Asks the management API; `None` for what does not exist.
    pub(crate) fn get(&self, path: &str) -> Result<Option<serde_json::Value>> {
        let url = self.management_url(path);
        let response = http::agent().get(&url).header("authorization", http::GUEST).call();
        let mut response = response.with_context(|| format!("GET {url}"))?;
        if response.status().as_u16() == 404 {
            return Ok(None);
        }
        expect_success("GET", &url, response.status().as_u16())?;
        Ok(Some(response.body_mut().read_json()?))
    }

    fn delete(&self, path: &str) -> Result<()> {
        let url = self.management_url(path);
        let response = http::agent().delete(&url).header("authorization", http::GUEST).call();
        let response = response.with_context(|| format!("DELETE {url}"))?;
        expect_success("DELETE", &url, response.status().as_u16())
    }

    /// Whether the node that answers is ours and takes clients. A bare connection would not tell it from another run's on
    /// the same port.
    fn is_ready(&self) -> bool {
        self.get("api/overview").ok().flatten().is_some_and(|overview| {
            let listeners = overview["listeners"].as_array().map(Vec::as_slice).unwrap_or_default();
            overview["node"] == self.node.as_str()
                && listeners.iter().any(|listener| listener["port"] == self.amqp_port)
        })
    }
}

/// What RabbitMQ counts of a queue.
#[derive(Debug)]
pub(crate) struct QueueCounts {
    pub(crate) name: String,
    /// Ready, and delivered but not acknowledged.
    pub(crate) messages: u64,
    /// Deliveries of what had been delivered before, since the broker's start.
    pub(crate) redeliveries: u64,
}

impl QueueCounts {
    fn of(queue: &serde_json::Value) -> Self {
        Self {
            name: queue["name"].as_str().unwrap_or_default().to_owned(),
            messages: queue["messages"].as_u64().unwrap_or_default(),
            redeliveries: queue["message_stats"]["redeliver"].as_u64().unwrap_or_default(),
        }
    }
}

/// A running private RabbitMQ with the management and prometheus plugins.
pub struct RabbitMq {
    /// Where it listens; the same after a restart.
    pub address: RabbitMqAddress,
    stack: StackFolder,
    home: PathBuf,
    // Dropped, and so stopped, before its name server.
    broker: Process,
    /// None if it uses that of the node whose cluster it has joined.
    epmd: Option<Process>,
}

/// How a node differs from a plain one.
#[derive(Clone, Copy, Default)]
struct Setup<'a> {
    certificate: Option<&'a Certificate>,
    joins: Option<&'a RabbitMq>,
}

impl RabbitMq {
    /// Starts a new broker on free ports.
    ///
    /// # Errors
    /// It does not start; the end of its log is in the error.
    pub fn start(stack: &StackFolder) -> Result<Self> {
        Self::start_with(stack, Setup::default())
    }

    /// Starts a new broker that also speaks TLS, with this certificate.
    ///
    /// # Errors
    /// As [`RabbitMq::start`].
    pub fn start_with_tls(stack: &StackFolder, certificate: &Certificate) -> Result<Self> {
        Self::start_with(stack, Setup { certificate: Some(certificate), ..Setup::default() })
    }

    /// Starts so many nodes that are one cluster, as long as the first of them is not dropped.
    ///
    /// # Errors
    /// As [`RabbitMq::start`].
    pub fn start_cluster(stack: &StackFolder, nodes: usize) -> Result<Vec<Self>> {
        let mut cluster = vec![Self::start(stack)?];
        for _ in 1..nodes {
            let joined = Self::start_with(stack, Setup { joins: Some(&cluster[0]), ..Setup::default() })?;
            cluster.push(joined);
        }
        Ok(cluster)
    }

    fn start_with(stack: &StackFolder, setup: Setup<'_>) -> Result<Self> {
        let (address, home, epmd, broker) = ports::retry_with_new_ports(|| {
            let address = new_address(setup)?;
            let home = stack.subfolder(&match setup.joins {
                None => "rabbitmq".to_owned(),
                Some(_) => format!("rabbitmq-{}", address.amqp_port),
            })?;
            configure(&home, &address, setup)?;
            let epmd = setup.joins.is_none().then(|| launch_epmd(stack, &address)).transpose()?;
            let broker = launch(stack, &home, &address)?;
            Ok((address, home, epmd, broker))
        })?;
        if setup.joins.is_none() {
            address.create_users()?;
            address.permit("/")?;
            stack.update(|state| {
                state.urls.insert("RabbitMQ".to_owned(), address.url("/"));
                state.urls.insert("RabbitMQ management".to_owned(), address.management_url(""));
                state.rabbitmq = Some(address.clone());
            })?;
        }
        Ok(Self { address, stack: stack.clone(), home, broker, epmd })
    }

    /// The URL of a virtual host; `/` is the default one.
    #[must_use]
    pub fn url(&self, vhost: &str) -> String {
        self.address.url(vhost)
    }

    /// Makes a virtual host.
    ///
    /// # Errors
    /// As [`RabbitMqAddress::create_vhost`].
    pub fn create_vhost(&self, name: &str) -> Result<()> {
        self.address.create_vhost(name)
    }

    /// The number of messages in a queue.
    ///
    /// # Errors
    /// As [`RabbitMqAddress::queue_depth`].
    pub fn queue_depth(&self, vhost: &str, queue: &str) -> Result<Option<u64>> {
        self.address.queue_depth(vhost, queue)
    }

    /// Stops the broker in order.
    ///
    /// # Errors
    /// The system cannot say how it ended.
    pub fn stop(&mut self) -> Result<()> {
        self.broker.stop().map(drop)
    }

    /// Kills the broker (SIGKILL).
    ///
    /// # Errors
    /// The system cannot say how it ended.
    pub fn kill(&mut self) -> Result<()> {
        self.broker.kill().map(drop)
    }

    /// Starts it again, on the same ports and with the same data; stops it first if it is running.
    ///
    /// # Errors
    /// As [`RabbitMq::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        if self.epmd.as_ref().is_some_and(|epmd| !epmd.is_alive()) {
            self.epmd = Some(launch_epmd(&self.stack, &self.address)?);
        }
        self.broker = launch(&self.stack, &self.home, &self.address)?;
        Ok(())
    }

    /// Presents another certificate from the next start on.
    ///
    /// # Errors
    /// Its files cannot be written.
    pub fn use_certificate(&self, certificate: &Certificate) -> Result<()> {
        certificate.install(&self.home)
    }

    /// The process id of the Erlang machine. The process that we started is the script around it.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        fs::read_to_string(self.home.join("pid")).ok()?.trim().parse().ok()
    }

    /// Runs rabbitmqctl, which takes a few seconds.
    ///
    /// # Errors
    /// It fails; the end of its log is in the error.
    pub(crate) fn control(&self, arguments: &[&str]) -> Result<()> {
        Program::new("rabbitmqctl", packages::RABBITMQ_CONTROL)
            .args(["--node", &self.address.node])
            .args(arguments)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.address.epmd_port.to_string())
            .env("HOME", &self.home)
            .env("RABBITMQ_CONF_ENV_FILE", self.home.join("rabbitmq-env.conf"))
            .run(&self.stack, CONTROL_LIMIT)
    }

    /// The most memory the Erlang machine has had resident so far, in bytes.
    #[must_use]
    pub fn peak_memory(&self) -> Option<u64> {
        peak_memory(self.pid()?)
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.broker.log_tail()
    }
}

fn new_address(setup: Setup<'_>) -> Result<RabbitMqAddress> {
    let [amqp_port, management_port, prometheus_port, distribution_port, epmd_port, tls] = ports::free()?;
    Ok(RabbitMqAddress {
        node: format!("apollo-{:08x}@localhost", fastrand::u32(..)),
        amqp_port,
        amqps_port: setup.certificate.map(|_| tls),
        management_port,
        prometheus_port,
        distribution_port,
        epmd_port: setup.joins.map_or(epmd_port, |first| first.address.epmd_port),
    })
}

fn configure(home: &Path, address: &RabbitMqAddress, setup: Setup<'_>) -> Result<()> {
    let RabbitMqAddress { amqp_port, management_port, prometheus_port, .. } = address;
    // The sizes are those of production (design.md section 4). Statistics come once a second instead of every five, so
    // that a queue's depth is of use to a progress bar; quorum queues have a clock of their own for that.
    let mut configuration = format!(
        "listeners.tcp.1 = 127.0.0.1:{amqp_port}\n\
         management.tcp.ip = 127.0.0.1\n\
         management.tcp.port = {management_port}\n\
         prometheus.tcp.ip = 127.0.0.1\n\
         prometheus.tcp.port = {prometheus_port}\n\
         max_message_size = 134217728\n\
         consumer_timeout = 604800000\n\
         disk_free_limit.absolute = 50MB\n\
         collect_statistics_interval = 1000\n"
    );
    if let (Some(amqps_port), Some(files)) = (address.amqps_port, setup.certificate) {
        files.install(home)?;
        let [authority, certificate, key] = Certificate::files_in(home);
        write!(
            configuration,
            "listeners.ssl.1 = 127.0.0.1:{amqps_port}\n\
             ssl_options.cacertfile = {}\n\
             ssl_options.certfile = {}\n\
             ssl_options.keyfile = {}\n",
            authority.display(),
            certificate.display(),
            key.display()
        )?;
    }
    if let Some(first) = setup.joins {
        write!(
            configuration,
            "cluster_formation.peer_discovery_backend = classic_config\n\
             cluster_formation.classic_config.nodes.1 = {}\n\
             cluster_formation.classic_config.nodes.2 = {}\n",
            first.address.node, address.node
        )?;
        // What nodes know each other by.
        fs::copy(first.home.join(".erlang.cookie"), home.join(".erlang.cookie"))?;
    }
    fs::write(home.join("rabbitmq.conf"), configuration)?;
    fs::write(home.join("advanced.config"), "[{rabbit, [{quorum_tick_interval, 1000}]}].\n")?;
    fs::write(home.join("enabled_plugins"), "[rabbitmq_management,rabbitmq_prometheus].\n")?;
    Ok(())
}

fn launch_epmd(stack: &StackFolder, address: &RabbitMqAddress) -> Result<Process> {
    let program = Program::new("epmd", "epmd")
        .args(["-address", "127.0.0.1", "-port"])
        .args([address.epmd_port.to_string()]);
    let mut process = Process::start(stack, program)?;
    process.wait_ready(START_LIMIT, |_| Ok(TcpStream::connect(("127.0.0.1", address.epmd_port)).is_ok()))?;
    Ok(process)
}

fn launch(stack: &StackFolder, home: &Path, address: &RabbitMqAddress) -> Result<Process> {
    let name = home.file_name().unwrap_or_default().to_string_lossy();
    let mut program = Program::new(name, packages::RABBITMQ_SERVER)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", address.epmd_port.to_string())
        .env("HOME", home)
        .env("RABBITMQ_NODENAME", &address.node)
        .env("RABBITMQ_DIST_PORT", address.distribution_port.to_string())
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}")
        .env("RABBITMQ_LOGS", "-");
    // Every file and folder that has a default elsewhere on the machine. Not all of them need to exist.
    for (variable, file) in [
        ("RABBITMQ_CONF_ENV_FILE", "rabbitmq-env.conf"),
        ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
        ("RABBITMQ_CONFIG_FILES", "conf.d"),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", "advanced.config"),
        ("RABBITMQ_GENERATED_CONFIG_DIR", "generated"),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", "enabled_plugins"),
        ("RABBITMQ_MNESIA_BASE", "mnesia"),
        ("RABBITMQ_LOG_BASE", "log"),
        ("RABBITMQ_PID_FILE", "pid"),
    ] {
        program = program.env(variable, home.join(file));
    }
    let mut process = Process::start(stack, program)?;
    process.wait_ready(START_LIMIT, |_| Ok(address.is_ready()))?;
    Ok(process)
}

fn expect_success(method: &str, url: &str, status: u16) -> Result<()> {
    if !(200..300).contains(&status) {
        bail!("{method} {url}: RabbitMQ answered {status}");
    }
    Ok(())
}

/// A name as one segment of a URL's path.
fn encoded(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02x}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vhost_is_one_segment_of_the_url() {
        let address = RabbitMqAddress {
            node: "n@localhost".into(),
            amqp_port: 1,
            amqps_port: None,
            management_port: 2,
            prometheus_port: 3,
            distribution_port: 4,
            epmd_port: 5,
        };
        assert_eq!(address.url("/"), "amqp://guest:guest@127.0.0.1:1/%2f");
        assert_eq!(address.url("a_b-1"), "amqp://guest:guest@127.0.0.1:1/a_b-1");
        assert_eq!(address.url_of("u", "a/b c"), "amqp://u:u@127.0.0.1:1/a%2fb%20c");
    }
}
