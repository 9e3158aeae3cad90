//! Receivers and workers in the test's own process, on free ports.

use crate::Result;
use crate::wait::eventually;
use apollo_receiver::Receiver;
use apollo_worker::app::Worker;
use apollo_worker::config::WorkerConfig;
use clap::Parser;
use reqwest::{Client, Response, StatusCode};
use std::net::SocketAddr;
use std::ops::Deref;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A key to seal raw notifications, secrets and cookies with, for tests only.
pub const SECRETS_KEYS: &str = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// For a receiver that is to be ready only while it publishes to the broker, and to say why it does not.
pub const WITHOUT_SPOOL: [&str; 2] = ["--receiver-spool-max-bytes", "0"];

/// A receiver that serves until it is dropped or stopped.
pub struct RunningReceiver {
    program: Program,
    url: String,
    // Removed with it.
    _spool: TempDir,
}

impl RunningReceiver {
    pub(crate) async fn start(rabbitmq_url: &str, listen: &str, arguments: &[&str]) -> Result<Self> {
        let spool = TempDir::new()?;
        let spool_folder = spool.path().display().to_string();
        let own = [
            "apollo-receiver",
            "--rabbitmq-url",
            rabbitmq_url,
            "--receiver-listen",
            listen,
            "--receiver-admin-listen",
            "127.0.0.1:0",
            "--receiver-spool-dir",
            &spool_folder,
            "--secrets-keys",
            SECRETS_KEYS,
        ];
        let cli = apollo_receiver::Cli::try_parse_from(own.iter().chain(arguments))?;
        let receiver = Receiver::build(cli.config).await?;
        let url = format!("http://{}", receiver.address());
        let admin = receiver.admin_address();
        let program = Program::spawn(admin, |stop| async move {
            receiver.run(stop).await.map_err(|error| error.to_string())
        });
        Ok(Self { program, url, _spool: spool })
    }

    /// Where it listens for Garmin.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until it publishes to the broker; it is ready before that, as it has a spool.
    ///
    /// # Errors
    /// It does not.
    pub async fn connected(&self) -> Result<()> {
        self.shows("apollo_receiver_broker_connected", 1.0).await
    }

    /// POSTs a body, as Garmin does.
    ///
    /// # Errors
    /// No answer came.
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Result<Response> {
        let request = self.program.client.post(format!("{}{path}", self.url)).body(body);
        Ok(request.header("content-type", "application/json;charset=UTF-8").send().await?)
    }

    /// POSTs a body that must be acknowledged.
    ///
    /// # Errors
    /// The answer is not a 200.
    pub async fn accept(&self, path: &str, body: impl Into<reqwest::Body>) -> Result<()> {
        let response = self.post(path, body).await?;
        match response.status() {
            StatusCode::OK => Ok(()),
            status => Err(format!("{path} answered {status}: {}", response.text().await?).into()),
        }
    }

    /// Stops it, and waits until it has stopped.
    ///
    /// # Errors
    /// It failed.
    pub async fn stop(self) -> Result<()> {
        self.program.stop().await
    }
}

/// A worker that works until it is dropped or stopped.
pub struct RunningWorker {
    program: Program,
}

#[derive(Parser)]
struct WorkerArguments {
    #[command(flatten)]
    config: WorkerConfig,
}

impl RunningWorker {
    pub(crate) async fn start(database_url: &str, rabbitmq_url: &str, arguments: &[&str]) -> Result<Self> {
        let own = [
            "apollo-worker",
            "--database-url",
            database_url,
            "--rabbitmq-url",
            rabbitmq_url,
            "--secrets-keys",
            SECRETS_KEYS,
            "--admin-listen",
            "127.0.0.1:0",
        ];
        // Only what a test is about works; what else it sends stays in its queue to be looked at.
        let lanes: &[&str] = if arguments.contains(&"--lanes") { &[] } else { &["--lanes", "summaries"] };
        let arguments = WorkerArguments::try_parse_from(own.iter().chain(lanes).chain(arguments))?;
        let worker = Worker::build(arguments.config).await?;
        let admin = worker.admin_address();
        let program =
            Program::spawn(
                admin,
                |stop| async move { worker.run(stop).await.map_err(|error| error.to_string()) },
            );
        Ok(Self { program })
    }

    /// How many messages it has acknowledged.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn stored(&self) -> Result<f64> {
        self.metric("apollo_worker_messages_total", &["outcome=\"stored\""]).await
    }

    /// Waits until it has acknowledged so many messages of one lane.
    ///
    /// # Errors
    /// It does not.
    pub async fn has_stored_of(&self, lane: &str, messages: usize) -> Result<()> {
        let labels = [format!("lane=\"{lane}\""), "outcome=\"stored\"".to_owned()];
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let stored = async || self.metric("apollo_worker_messages_total", &labels).await.ok();
        let enough = async || (stored().await? >= messages as f64).then_some(());
        eventually(&format!("the worker has stored {messages} messages of the lane {lane}"), enough).await
    }

    /// Waits until it has acknowledged so many messages.
    ///
    /// # Errors
    /// It does not.
    pub async fn has_stored(&self, messages: usize) -> Result<()> {
        let what = format!("the worker has stored {messages} messages");
        eventually(&what, async || (self.stored().await.ok()? >= messages as f64).then_some(())).await
    }

    /// Stops it, and waits until it has stopped.
    ///
    /// # Errors
    /// It failed.
    pub async fn stop(self) -> Result<()> {
        self.program.stop().await
    }
}

impl Deref for RunningReceiver {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}

impl Deref for RunningWorker {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}

/// What receivers and workers have in common: an admin listener, and an end.
pub struct Program {
    admin: SocketAddr,
    // One for all requests, as making one reads the machine's certificates.
    client: Client,
    stop: CancellationToken,
    task: JoinHandle<Result<(), String>>,
}

impl Program {
    fn spawn<F>(admin: SocketAddr, run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        Self { admin, client: Client::new(), task: tokio::spawn(run(stop.clone())), stop }
    }

    /// Where its admin listener is.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The address of a path of its admin listener.
    #[must_use]
    pub fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    async fn get(&self, path: &str) -> Result<Response> {
        Ok(self.client.get(self.admin_url(path)).send().await?)
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// It does not become so.
    pub async fn ready(&self) -> Result<()> {
        let is_ready =
            async || self.get("/health/ready").await.ok().filter(|it| it.status() == StatusCode::OK);
        eventually("the program is ready", is_ready).await.map(drop)
    }

    /// The reasons that it gives for not being ready.
    ///
    /// # Errors
    /// It becomes ready instead.
    pub async fn not_ready(&self) -> Result<String> {
        let reasons = async || {
            let answer = self.get("/health/ready").await.ok()?;
            (answer.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(answer)?.text().await.ok()
        };
        eventually("the program is not ready", reasons).await
    }

    /// Waits until it gives a reason for not being ready that has these words in it.
    ///
    /// # Errors
    /// It gives none.
    pub async fn gives_reason(&self, words: &str) -> Result<()> {
        let given = async || self.not_ready().await.ok()?.contains(words).then_some(());
        match eventually(&format!("the program is not ready because {words:?}"), given).await {
            Err(error) => Err(format!("{error}; it says {:?}", self.not_ready().await).into()),
            Ok(()) => Ok(()),
        }
    }

    /// All of its metrics, as Prometheus gets them.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn scrape(&self) -> Result<String> {
        Ok(self.get("/metrics").await?.text().await?)
    }

    /// A metric: the sum over all series of this name whose labels hold all of `labels`.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let text = self.scrape().await?;
        let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (of, with) = series.split_once('{').unwrap_or((series, ""));
            let wanted = of == name && labels.iter().all(|label| with.contains(label));
            wanted.then(|| value.parse::<f64>().ok()).flatten()
        });
        Ok(series.sum())
    }

    /// Waits until a metric that has no labels has this value.
    ///
    /// # Errors
    /// It has another.
    pub async fn shows(&self, name: &str, value: f64) -> Result<()> {
        let shown = async || (self.metric(name, &[]).await.ok()? == value).then_some(());
        eventually(&format!("{name} is {value}"), shown).await
    }

    async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        Ok((&mut self.task).await??)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
