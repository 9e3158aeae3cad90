//! A participant's way through a consent over HTTP, step by step, for tests that are not about the pages.

use crate::Result;
use crate::wait::eventually;
use apollo_shared::consent::Status;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::Value;
use std::time::Duration;

/// How long a participant waits before asking again.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(100);

/// A participant before the form.
pub struct Participant {
    client: Client,
    public_url: String,
}

/// A participant at Garmin.
pub struct AtGarmin<'a> {
    participant: &'a Participant,
    /// Garmin's page.
    pub page: Url,
    /// The cookie that the browser was told to keep.
    pub cookie: String,
}

/// A participant who comes back.
pub struct Returning<'a> {
    participant: &'a Participant,
    /// The page that Garmin leads to.
    pub callback: Url,
    /// The cookie that the browser brings along.
    pub cookie: String,
}

impl Participant {
    /// At the receiver with this public address; `client` must not follow redirects.
    #[must_use]
    pub fn new(client: Client, public_url: String) -> Self {
        Self { client, public_url }
    }

    /// Where the study is for this participant.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// Sends the form.
    ///
    /// # Errors
    /// No answer came.
    pub async fn send_form(&self, fields: &[(&str, &str)]) -> Result<Response> {
        let url = format!("{}/oauth/garmin/consent", self.public_url);
        Ok(self.client.post(url).header("origin", &self.public_url).form(fields).send().await?)
    }

    /// Sends the form, and is led to Garmin.
    ///
    /// # Errors
    /// Another page came.
    pub async fn begin(&self, subject_id: &str) -> Result<AtGarmin<'_>> {
        let answer = self.send_form(&[("sid", subject_id)]).await?;
        if answer.status() != StatusCode::SEE_OTHER {
            return Err(format!("the form was answered {}: {}", answer.status(), answer.text().await?).into());
        }
        let cookie = answer.headers()[SET_COOKIE].to_str()?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(AtGarmin { participant: self, page: answer.headers()[LOCATION].to_str()?.parse()?, cookie })
    }

    /// Consents from the first page to the last.
    ///
    /// # Errors
    /// A step fails, or the outcome stays away.
    pub async fn consent(&self, subject_id: &str, user_id: &str) -> Result<Status> {
        self.begin(subject_id).await?.agree(user_id).await?.outcome().await
    }

    /// The outcome of a consent, as a page's script asks for it.
    ///
    /// # Errors
    /// No answer came, or another.
    pub async fn status(&self, consent_id: &str) -> Result<Status> {
        let url = format!("{}/oauth/garmin/status/{consent_id}", self.public_url);
        let document: Value = self.client.get(url).send().await?.json().await?;
        Ok(serde_json::from_value(document["status"].clone())?)
    }

    /// Waits for the outcome of a consent.
    ///
    /// # Errors
    /// It stays away.
    pub async fn outcome(&self, consent_id: &str) -> Result<Status> {
        let known = async || {
            // As a page does, if sooner: nginx lets nobody ask without end.
            tokio::time::sleep(BETWEEN_QUESTIONS).await;
            self.status(consent_id).await.ok().filter(|status| *status != Status::Pending)
        };
        eventually("the outcome of a consent", known).await
    }
}

impl<'a> AtGarmin<'a> {
    /// Agrees, as this user.
    ///
    /// # Errors
    /// Garmin does not lead back.
    pub async fn agree(self, user_id: &str) -> Result<Returning<'a>> {
        self.agree_to(user_id, &["HEALTH_EXPORT"]).await
    }

    /// Agrees to exactly this, as this user.
    ///
    /// # Errors
    /// Garmin does not lead back.
    pub async fn agree_to(self, user_id: &str, permissions: &[&str]) -> Result<Returning<'a>> {
        let permissions = permissions.iter().map(|name| ("permission", *name));
        let fields: Vec<_> = permissions.chain([("user", user_id), ("decision", "agree")]).collect();
        self.decide(&fields).await
    }

    /// Cancels.
    ///
    /// # Errors
    /// Garmin does not lead back.
    pub async fn decline(self) -> Result<Returning<'a>> {
        self.decide(&[("decision", "cancel")]).await
    }

    async fn decide(self, fields: &[(&str, &str)]) -> Result<Returning<'a>> {
        let answer = self.participant.client.post(self.page).form(fields).send().await?;
        let Some(callback) = answer.headers().get(LOCATION) else {
            return Err(format!("Garmin answered {}: {}", answer.status(), answer.text().await?).into());
        };
        let callback = callback.to_str()?.parse()?;
        Ok(Returning { participant: self.participant, callback, cookie: self.cookie })
    }
}

impl Returning<'_> {
    /// Loads the page that Garmin leads to.
    ///
    /// # Errors
    /// No answer came.
    pub async fn come_back(&self) -> Result<Response> {
        self.come_back_to(&self.participant.public_url).await
    }

    /// The same at another receiver than the public address leads to.
    ///
    /// # Errors
    /// No answer came.
    pub async fn come_back_to(&self, receiver: &str) -> Result<Response> {
        let query = self.callback.query().unwrap_or_default();
        let url = format!("{receiver}/oauth/garmin/callback?{query}");
        Ok(self.participant.client.get(url).header(COOKIE, &self.cookie).send().await?)
    }

    /// Comes back, and returns the consent's id, which stands in the page that is shown then.
    ///
    /// # Errors
    /// Another page came.
    pub async fn arrive(&self) -> Result<String> {
        let answer = self.come_back().await?;
        let status = answer.status();
        let page = answer.text().await?;
        let id = page.split_once("data-consent-id=\"").and_then(|(_, rest)| rest.split('"').next());
        id.map(str::to_owned).ok_or_else(|| format!("the callback was answered {status}: {page}").into())
    }

    /// Comes back, and waits for the outcome.
    ///
    /// # Errors
    /// It stays away.
    pub async fn outcome(&self) -> Result<Status> {
        let consent_id = self.arrive().await?;
        self.participant.outcome(&consent_id).await
    }
}
