//! `apollo-simulator garmin`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use apollo_simulator::garmin::{
    BackfillOptions, Deliverer, Garmin, GarminOptions, Limits, Mode, OauthVersion,
};
use apollo_simulator::sender::SendOptions;
use clap::{Args, ValueEnum};
use reqwest::Url;
use tempfile::NamedTempFile;
use time::OffsetDateTime;

use super::{asked_to_stop, read_ca_file, user_ids};
use crate::{PlanArguments, output};

#[derive(Debug, Args)]
pub(crate) struct GarminArguments {
    /// Where to listen for plain HTTP; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8400")]
    listen: SocketAddr,
    /// Where to listen for HTTP with TLS, to which callback URLs lead [default: the port after --listen's, or any free one].
    #[arg(long, value_name = "ADDRESS")]
    tls_listen: Option<SocketAddr>,
    /// Where to write the certificate of the authority to trust for it, in PEM [default: a file named after its port, in
    /// the folder of temporary files]. Removed at the end, as the authority ends too.
    #[arg(long, value_name = "FILE")]
    ca_out: Option<PathBuf>,
    /// The key of the only app that this Garmin knows; its client id under OAuth 2.0.
    #[arg(long, value_name = "KEY", default_value = "simulated-consumer-key")]
    consumer_key: String,
    /// The app's secret.
    #[arg(long, value_name = "SECRET", default_value = "simulated-consumer-secret")]
    consumer_secret: String,
    /// How participants are to consent; both are served, this is what the variables say.
    #[arg(long, value_name = "VERSION", default_value = "2")]
    oauth_version: Version,
    #[command(flatten)]
    plan: PlanArguments,
    /// The most calls for data in any 60 seconds: pulls, activity files, backfill requests [default: no limit].
    #[arg(long, value_name = "REQUESTS")]
    requests_per_minute: Option<u32>,
    /// The most days of history asked for in any 60 seconds [default: no limit; Garmin's for an evaluation key is 100, for
    /// a production key 10,000].
    #[arg(long, value_name = "DAYS")]
    backfill_days_per_minute: Option<u32>,
    /// How many days before today history begins [default: no limit].
    #[arg(long, value_name = "DAYS")]
    history_days: Option<u32>,
    /// Tell of history by pings, so that it is fetched here, and not by pushes.
    #[arg(long)]
    ping: bool,
    /// POST account notifications, and the history that is asked for, to this receiver as Garmin would call it, with the
    /// secret part of its path if it has one: https://host/SECRET
    #[arg(long, value_name = "URL")]
    deliver_to: Option<Url>,
    /// How often to look for something to deliver; what was not answered 200 is then sent again.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, requires = "deliver_to", value_parser = clap::value_parser!(u64).range(1..))]
    deliver_every: u64,
    /// One more certificate authority to trust for the receiver, or several, in a PEM file.
    #[arg(long, value_name = "FILE", requires = "deliver_to")]
    ca_file: Option<PathBuf>,
    /// Print one JSON object {"url", "env", "pull_token"} instead, when ready.
    #[arg(long)]
    json: bool,
}

/// A version of OAuth.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Version {
    /// OAuth 1.0a
    #[value(name = "1")]
    One,
    /// OAuth 2.0 with PKCE
    #[value(name = "2")]
    Two,
}

impl From<Version> for OauthVersion {
    fn from(version: Version) -> Self {
        match version {
            Version::One => Self::One,
            Version::Two => Self::Two,
        }
    }
}

impl GarminArguments {
    fn tls_listen(&self) -> SocketAddr {
        let next = match self.listen.port() {
            0 => 0,
            port => port.wrapping_add(1),
        };
        self.tls_listen.unwrap_or(SocketAddr::new(self.listen.ip(), next))
    }

    fn options(&self) -> GarminOptions {
        GarminOptions {
            listen: self.listen,
            tls_listen: self.tls_listen(),
            consumer_key: self.consumer_key.clone(),
            consumer_secret: self.consumer_secret.clone(),
            user_ids: user_ids(&self.plan.plan()).collect(),
            // A database may outlive this Garmin: no token may be given out a second time.
            seed: fastrand::u64(..),
            limits: Some(Limits {
                requests_per_minute: self.requests_per_minute.unwrap_or(u32::MAX),
                backfill_days_per_minute: self.backfill_days_per_minute.unwrap_or(u32::MAX),
            }),
            backfill: BackfillOptions {
                minimum_start: self.history_days.map_or(0, days_ago),
                delivered_as: if self.ping { Mode::Ping } else { Mode::Push },
                ..BackfillOptions::default()
            },
        }
    }

    fn deliverer(&self) -> Result<Option<Deliverer>> {
        let Some(url) = &self.deliver_to else { return Ok(None) };
        let ca_certificates = read_ca_file(self.ca_file.as_deref())?;
        let options = SendOptions { ca_certificates, ..SendOptions::new(url.clone()) };
        Ok(Some(Deliverer::new(&options).context("--deliver-to cannot be used")?))
    }
}

/// The beginning of a day, in Unix seconds.
fn days_ago(days: u32) -> i64 {
    let today = OffsetDateTime::now_utc().date().midnight().assume_utc();
    today.unix_timestamp() - i64::from(days) * 86_400
}

pub(crate) async fn garmin(arguments: GarminArguments) -> Result<ExitCode> {
    let deliverer = arguments.deliverer()?;
    let garmin = Garmin::start(arguments.options()).await.with_context(|| {
        format!("--listen {} or --tls-listen {} cannot be used", arguments.listen, arguments.tls_listen())
    })?;
    let ca_file = write_certificate_authority(&garmin, arguments.ca_out)?;
    let mut settings = garmin.settings(arguments.oauth_version.into());
    settings.push(("GARMIN__CA_FILE", ca_file.display().to_string()));
    print(&garmin, &settings, arguments.json);
    tokio::select! {
        stopped = asked_to_stop() => stopped?,
        failed = deliver(&garmin, deliverer, Duration::from_secs(arguments.deliver_every)) => failed?,
    }
    garmin.stop().await;
    // Whoever has removed it before has done no harm.
    let _ = fs::remove_file(&ca_file);
    Ok(ExitCode::SUCCESS)
}

/// Without end; there may be nobody to deliver to.
async fn deliver(garmin: &Garmin, deliverer: Option<Deliverer>, every: Duration) -> Result<()> {
    let Some(mut deliverer) = deliverer else { return std::future::pending().await };
    loop {
        tokio::time::sleep(every).await;
        let round = deliverer.round(garmin).await?;
        if round.delivered > 0 {
            eprintln!("delivered {} notifications", round.delivered);
        }
        if let Some(refusal) = round.refusal {
            eprintln!("{} notifications wait to be sent again: {refusal}", round.waiting);
        }
    }
}

fn print(garmin: &Garmin, settings: &[(&'static str, String)], json: bool) {
    let (url, pull_token) = (garmin.url(), garmin.pull_token());
    if json {
        let env: BTreeMap<_, _> = settings.iter().cloned().collect();
        println!("{}", serde_json::json!({ "url": url, "env": env, "pull_token": pull_token }));
        return;
    }
    output::print_settings(settings);
    eprintln!("serving {url} until Ctrl-C; put the above into the .env file of the receiver and the worker");
    eprintln!("the developer portal's pull token: {pull_token}");
}

/// Writes the file under another name first: whoever reads it finds all of it, and no link that lies there is followed.
fn write_certificate_authority(garmin: &Garmin, ca_out: Option<PathBuf>) -> Result<PathBuf> {
    let path = ca_out.unwrap_or_else(|| {
        let host = garmin.tls_url();
        let port = host.rsplit(':').next().unwrap_or_default();
        std::env::temp_dir().join(format!("apollo-simulated-garmin-{port}.pem"))
    });
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = NamedTempFile::new_in(folder).and_then(|mut file| {
        file.write_all(garmin.certificate_authority().as_bytes())?;
        file.persist(&path)?;
        Ok(())
    });
    written.with_context(|| format!("--ca-out {} cannot be written", path.display()))?;
    path.canonicalize().with_context(|| format!("--ca-out {} cannot be found", path.display()))
}
