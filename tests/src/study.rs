//! A study that participants can join: a Garmin, nginx with TLS, a receiver behind it, and workers.

use crate::Result;
use crate::participant::Participant;
use crate::programs::{RunningReceiver, RunningWorker, SECRETS_KEYS};
use crate::site::Site;
use crate::wait::eventually;
use apollo_shared::consent::{Invitation, SubjectId};
use apollo_shared::secrets::{Keyring, SecretsConfig};
use apollo_simulator::garmin::{Garmin, GarminOptions, OauthVersion};
use reqwest::{Certificate, Client};
use serde_json::Value;
use std::process::{Command, Output};
use time::{Duration, OffsetDateTime};
use xtask::stack::{Nginx, NginxOptions, StackFolder, free_ports, of_tests};

/// What the study is called in its pages.
pub const STUDY_NAME: &str = "the Example Sleep Study";

/// Whom its participants may ask.
pub const STUDY_CONTACT: &str = "sleep-study@university.example";

/// The file in a study's folder with the authority of its Garmin.
const GARMIN_CA: &str = "garmin-ca.pem";

/// Accounts that exist at Garmin, in both shapes that ids have.
pub const ADA: &str = "8f3d1c6a4be24f0c9a7d52e1b0c4f7a9";
/// See [`ADA`].
pub const BEN: &str = "c0a41e52-7a34-4d56-8e90-1b2a3c4d5e6f";

/// A running study, in a database and a virtual host of its own.
pub struct Study {
    /// Where it stores.
    pub site: Site,
    /// The Garmin that it belongs to.
    pub garmin: Garmin,
    /// Its edge.
    pub nginx: Nginx,
    /// Behind the edge.
    pub receiver: RunningReceiver,
    /// A client that trusts the edge's certificate and follows no redirect.
    pub client: Client,
    version: OauthVersion,
    receiver_address: String,
    folder: StackFolder,
}

impl Study {
    /// A study whose participants consent in this way; `arguments` are further options of `apollo-receiver`.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn new(version: OauthVersion, arguments: &[&str]) -> Result<Self> {
        let site = Site::new().await?;
        let accounts = GarminOptions { user_ids: vec![ADA.into(), BEN.into()], ..GarminOptions::default() };
        let garmin = Garmin::start(accounts).await?;
        let folder = StackFolder::create("study")?;
        let [port] = free_ports()?;
        let receiver_address = format!("127.0.0.1:{port}");
        let nginx = Nginx::start(&folder, &NginxOptions::for_receiver(&receiver_address))?;
        let certificate = Certificate::from_pem(&std::fs::read(&nginx.address.certificate_authority)?)?;
        let client = Client::builder()
            .tls_certs_merge([certificate])
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let settings = receiver_settings(&nginx, &garmin, version, arguments);
        let receiver = site.receiver_at(&receiver_address, &as_strs(&settings)).await?;
        std::fs::write(folder.path().join(GARMIN_CA), garmin.certificate_authority())?;
        Ok(Self { site, garmin, nginx, receiver, client, version, receiver_address, folder })
    }

    /// The address of a page, as browsers call it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.nginx.address.url())
    }

    /// One more receiver, at an address of its own, for the same public address.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn another_receiver(&self) -> Result<RunningReceiver> {
        let settings = receiver_settings(&self.nginx, &self.garmin, self.version, &[]);
        self.site.receiver(&as_strs(&settings)).await
    }

    /// Ends the receiver and starts another in its place.
    ///
    /// # Errors
    /// It does not end, or does not become ready.
    pub async fn restart_receiver(self) -> Result<Self> {
        self.without_receiver(async || Ok(())).await
    }

    /// Ends the receiver, and starts another in its place after something else has happened.
    ///
    /// # Errors
    /// It does not end, or does not become ready, or what happens is an error.
    pub async fn without_receiver(self, happens: impl AsyncFnOnce() -> Result<()>) -> Result<Self> {
        let settings = receiver_settings(&self.nginx, &self.garmin, self.version, &[]);
        self.receiver.stop().await?;
        happens().await?;
        let receiver = self.site.receiver_at(&self.receiver_address, &as_strs(&settings)).await?;
        Ok(Self { receiver, ..self })
    }

    /// Where its Garmin is, as options of both programs.
    #[must_use]
    pub fn garmin_options(&self) -> Vec<String> {
        options(garmin_of_both(&self.garmin, self.version))
    }

    /// A worker for summaries and accounts.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn worker(&self) -> Result<RunningWorker> {
        self.worker_of(&["--lanes", "summaries,account"]).await
    }

    /// A worker that has pings followed too, as often as Garmin can be asked; `arguments` are further options.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn following_worker(&self, arguments: &[&str]) -> Result<RunningWorker> {
        let own = ["--lanes", "summaries,account,pull", "--garmin-requests-per-minute", "1000000"];
        self.worker_of(&[&own, arguments].concat()).await
    }

    async fn worker_of(&self, arguments: &[&str]) -> Result<RunningWorker> {
        let ca_file = self.folder.path().join(GARMIN_CA).display().to_string();
        let mut settings = self.garmin.settings(self.version);
        settings.push(("GARMIN__CA_FILE", ca_file));
        let settings = options(settings);
        self.site.worker(&[&as_strs(&settings), arguments].concat()).await
    }

    /// A participant with a browser of their own, played over HTTP.
    #[must_use]
    pub fn participant(&self) -> Participant {
        Participant::new(self.client.clone(), self.nginx.address.url())
    }

    /// Runs `apollo-worker`, the program itself, to its end.
    ///
    /// # Errors
    /// It does not start.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(of_tests()?.binary("apollo-worker"));
        command
            .args(arguments)
            .env("DATABASE__URL", self.site.database_url())
            .env("RABBITMQ__URL", self.site.rabbitmq_url())
            .env("SECRETS__KEYS", SECRETS_KEYS)
            .env("RECEIVER__PUBLIC_URL", self.nginx.address.url())
            .envs(self.garmin.settings(self.version))
            .env("GARMIN__CA_FILE", GARMIN_CA)
            .current_dir(self.folder.path());
        Ok(tokio::task::block_in_place(|| command.output())?)
    }

    /// The text of an invitation that expires so many seconds from now.
    ///
    /// # Errors
    /// It is no subject id.
    pub fn invitation(&self, subject_id: &str, seconds: i64) -> Result<String> {
        let expires_at = (OffsetDateTime::now_utc() + Duration::seconds(seconds)).unix_timestamp();
        let invitation = Invitation { subject_id: SubjectId::parse(subject_id)?, expires_at };
        Ok(invitation.to_link_text(&keyring()?))
    }

    /// The account that a subject is linked with.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn account_of(&self, subject_id: &str) -> Result<Option<String>> {
        let sql = "SELECT user_id FROM garmin_oauth.subject WHERE subject_id = $1";
        Ok(sqlx::query_scalar(sql).bind(subject_id).fetch_optional(&self.site.pool).await?)
    }

    /// All rows about users, subjects and their tokens.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn everything_about_accounts(&self) -> Result<Vec<Value>> {
        let rows = "SELECT to_jsonb(t) FROM garmin_oauth.user_id AS t
                    UNION ALL SELECT to_jsonb(t) FROM garmin_oauth.subject AS t
                    UNION ALL SELECT to_jsonb(t) FROM garmin_oauth.access_token AS t";
        Ok(sqlx::query_scalar(rows).fetch_all(&self.site.pool).await?)
    }

    /// Whether a user's data may be stored; nothing if nothing is known of the user.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn is_active(&self, user_id: &str) -> Result<Option<bool>> {
        let sql = "SELECT active FROM garmin_oauth.user_id WHERE user_id = $1";
        Ok(sqlx::query_scalar(sql).bind(user_id).fetch_optional(&self.site.pool).await?)
    }

    /// Waits until a user's data may be stored, or not.
    ///
    /// # Errors
    /// It does not become so.
    pub async fn becomes_active(&self, user_id: &str, active: bool) -> Result<()> {
        let is_so = async || (self.is_active(user_id).await.ok()? == Some(active)).then_some(());
        eventually(&format!("{user_id} is active: {active}"), is_so).await
    }
}

/// The keys of the tests.
///
/// # Errors
/// They are malformed.
pub fn keyring() -> Result<Keyring> {
    Ok(Keyring::new(&SecretsConfig { keys: SECRETS_KEYS.into() })?)
}

fn receiver_settings(nginx: &Nginx, garmin: &Garmin, version: OauthVersion, further: &[&str]) -> Vec<String> {
    let url = nginx.address.url();
    let own = [
        ["--receiver-public-url", &url],
        ["--receiver-study-name", STUDY_NAME],
        ["--receiver-study-contact", STUDY_CONTACT],
    ];
    let own = own.into_iter().flatten().chain(further.iter().copied()).map(str::to_owned);
    own.chain(options(garmin_of_both(garmin, version))).collect()
}

/// Where a Garmin is, for both programs: a receiver fetches nothing.
fn garmin_of_both(garmin: &Garmin, version: OauthVersion) -> impl Iterator<Item = (&'static str, String)> {
    garmin.settings(version).into_iter().filter(|(name, _)| *name != "GARMIN__CALLBACK_HOSTS")
}

/// Environment variables as options: `GARMIN__API_URL` is `--garmin-api-url`.
#[must_use]
pub fn options(settings: impl IntoIterator<Item = (&'static str, String)>) -> Vec<String> {
    let option = |name: &str| format!("--{}", name.to_lowercase().replace("__", "-").replace('_', "-"));
    settings.into_iter().flat_map(|(name, value)| [option(name), value]).collect()
}

fn as_strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}
