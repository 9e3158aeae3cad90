//! `apollo-simulator garmin`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use apollo_simulator::garmin::{Garmin, GarminOptions, OauthVersion};
use clap::{Args, ValueEnum};
use tempfile::NamedTempFile;

use super::{asked_to_stop, user_ids};
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
        }
    }
}

pub(crate) async fn garmin(arguments: GarminArguments) -> Result<ExitCode> {
    let garmin = Garmin::start(arguments.options()).await.with_context(|| {
        format!("--listen {} or --tls-listen {} cannot be used", arguments.listen, arguments.tls_listen())
    })?;
    let ca_file = write_certificate_authority(&garmin, arguments.ca_out)?;
    let mut settings = garmin.settings(arguments.oauth_version.into());
    settings.push(("GARMIN__CA_FILE", ca_file.display().to_string()));
    print(&garmin, &settings, arguments.json);
    asked_to_stop().await?;
    garmin.stop().await;
    fs::remove_file(&ca_file).with_context(|| format!("{} cannot be removed", ca_file.display()))?;
    Ok(ExitCode::SUCCESS)
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
