//! Plays participants' browsers: through the consent form, to the simulated Garmin's page, and back, until the
//! outcome is known.
//!
//! The steps are types, so that a test can leave the way anywhere, or take one step twice:
//! [`begin`] → [`AtGarmin::agree`] or [`AtGarmin::cancel`] → [`Returned::outcome`].

pub mod crowd;
mod html;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::{Duration, Instant};

use html::Form;
use reqwest::{Certificate, Client, Response, StatusCode, Url, redirect};
use serde::Deserialize;

/// No step takes longer; a browser's user would have gone.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// Redirects in a row that are followed.
const MAX_REDIRECTS: usize = 10;

/// Where and how participants consent.
#[derive(Debug, Clone)]
pub struct ParticipantOptions {
    /// The consent page, or an invitation to it.
    pub consent_page: Url,
    /// Certificate authorities to trust besides the system's, in PEM.
    pub ca_certificates: Option<Vec<u8>>,
    /// The pause between two questions for the outcome.
    pub poll_interval: Duration,
    /// How long the outcome is waited for.
    pub patience: Duration,
    /// Of several, how long after the one before each begins at the earliest: an edge may limit how many pages one address
    /// is given.
    pub apart: Duration,
}

impl ParticipantOptions {
    /// At the receiver that is called `public_url` from outside; asks four times a second, for a minute.
    ///
    /// # Errors
    /// The URL is not one of a website.
    pub fn new(public_url: &Url) -> Result<Self, ConsentError> {
        let mut consent_page = public_url.clone();
        let segments = consent_page.path_segments_mut();
        segments.map_err(|()| ConsentError::PublicUrl)?.pop_if_empty().extend(["oauth", "garmin", "consent"]);
        Ok(Self {
            consent_page,
            ca_certificates: None,
            poll_interval: Duration::from_millis(250),
            patience: Duration::from_secs(60),
            apart: Duration::ZERO,
        })
    }

    /// A browser of its own for each participant: cookies are not shared. What the environment says of proxies does
    /// not count.
    fn browser(&self) -> Result<Client, ConsentError> {
        let mut client = Client::builder()
            .cookie_store(true)
            .timeout(ANSWER_TIME)
            .no_proxy()
            .redirect(redirect::Policy::custom(follow));
        if let Some(pem) = &self.ca_certificates {
            let certificates = Certificate::from_pem_bundle(pem).map_err(ConsentError::CaCertificates)?;
            client = client.tls_certs_merge(certificates);
        }
        client.build().map_err(ConsentError::Client)
    }
}

/// Participants who do not exist have no business at the real Garmin.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let host = attempt.url().host_str().unwrap_or_default();
    if host == "garmin.com" || host.ends_with(".garmin.com") {
        attempt.error(RealGarmin)
    } else if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error(TooManyRedirects)
    } else {
        attempt.follow()
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the receiver sends participants to the real Garmin: give it the GARMIN__ variables that `apollo-simulator \
     garmin` prints"
)]
struct RealGarmin;

#[derive(Debug, thiserror::Error)]
#[error("there were more than {MAX_REDIRECTS} redirects in a row")]
struct TooManyRedirects;

/// A step on a participant's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Opening the consent page.
    Open,
    /// Sending the consent form, which leads to Garmin.
    Begin,
    /// Choosing on Garmin's page, which leads back.
    Decide,
    /// Asking for the outcome.
    Outcome,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "opening the consent page",
            Self::Begin => "sending the consent form",
            Self::Decide => "choosing on Garmin's page",
            Self::Outcome => "asking for the outcome",
        })
    }
}

/// Why a participant could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    /// The receiver's URL.
    #[error("the receiver's URL must begin with http:// or https://")]
    PublicUrl,
    /// The certificate authorities.
    #[error("the file of certificate authorities cannot be read as PEM")]
    CaCertificates(#[source] reqwest::Error),
    /// The HTTP client.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
    /// No answer came, or an address on the way must not be followed.
    #[error("{step} failed")]
    Request {
        /// Which step.
        step: Step,
        /// Why.
        source: reqwest::Error,
    },
    /// The answer was an error.
    #[error("{step} was answered {status}")]
    Refused {
        /// Which step.
        step: Step,
        /// The answer's status.
        status: StatusCode,
    },
    /// The answer was a page, but not the one that comes next.
    #[error("{step} led to a page without {missing}")]
    WrongPage {
        /// Which step.
        step: Step,
        /// By what the right page would have been known.
        missing: &'static str,
    },
    /// The outcome is still not known.
    #[error("the outcome was still pending after {} s", .0.as_secs())]
    StillPending(Duration),
}

/// A participant who looks at Garmin's page.
#[derive(Debug, Clone)]
pub struct AtGarmin {
    options: ParticipantOptions,
    browser: Client,
    page: Url,
    form: Form,
}

/// A participant who is back from Garmin.
#[derive(Debug, Clone)]
pub struct Returned {
    options: ParticipantOptions,
    browser: Client,
    callback: Url,
    consent_id: String,
}

/// Opens the consent page as a new participant, and sends the form.
///
/// # Errors
/// See [`ConsentError`].
pub async fn begin(options: &ParticipantOptions, subject_id: &str) -> Result<AtGarmin, ConsentError> {
    let browser = options.browser()?;
    let consent = Page::open(&browser, options.consent_page.clone(), Step::Open).await?;
    let mut form = consent.form("sid", "a form with the field sid")?;
    form.set("sid", subject_id);
    let garmin = submit(&browser, &consent.url, &form, Step::Begin).await?;
    let form = garmin.form("user", "the simulated Garmin's form")?;
    Ok(AtGarmin { options: options.clone(), browser, page: garmin.url, form })
}

impl AtGarmin {
    /// Agrees, as the owner of that account, to what is ticked.
    ///
    /// # Errors
    /// See [`ConsentError`].
    pub async fn agree(mut self, user_id: &str) -> Result<Returned, ConsentError> {
        self.form.set("user", user_id);
        self.decide("agree").await
    }

    /// Does not agree.
    ///
    /// # Errors
    /// See [`ConsentError`].
    pub async fn cancel(self) -> Result<Returned, ConsentError> {
        self.decide("cancel").await
    }

    async fn decide(mut self, decision: &str) -> Result<Returned, ConsentError> {
        self.form.set("decision", decision);
        let page = submit(&self.browser, &self.page, &self.form, Step::Decide).await?;
        let missing = "the attribute data-consent-id";
        let consent_id = html::attribute(&page.html, "data-consent-id")
            .ok_or(ConsentError::WrongPage { step: Step::Decide, missing })?;
        Ok(Returned { options: self.options, browser: self.browser, callback: page.url, consent_id })
    }
}

/// The status path's answer.
#[derive(Deserialize)]
struct StatusAnswer {
    status: String,
}

impl Returned {
    /// Which consent it is.
    pub fn consent_id(&self) -> &str {
        &self.consent_id
    }

    /// The address that Garmin sent the browser to. It holds a code or a verifier.
    pub fn callback(&self) -> &Url {
        &self.callback
    }

    /// Reloads the page, as an impatient participant does.
    ///
    /// # Errors
    /// See [`ConsentError`].
    pub async fn reload(&self) -> Result<(), ConsentError> {
        Page::open(&self.browser, self.callback.clone(), Step::Outcome).await.map(drop)
    }

    /// What the status path says now: a word such as `pending` or `linked`.
    ///
    /// # Errors
    /// See [`ConsentError`].
    pub async fn status(&self) -> Result<String, ConsentError> {
        let step = Step::Outcome;
        let url = self.callback.join(&format!("status/{}", self.consent_id));
        let url = url.map_err(|_| ConsentError::WrongPage { step, missing: "a usable consent id" })?;
        let answer = accept(self.browser.get(url).send().await, step)?;
        let answer: StatusAnswer = answer.json().await.map_err(|error| failed(step, error))?;
        Ok(answer.status)
    }

    /// Waits until the outcome is known, and says its name.
    ///
    /// # Errors
    /// See [`ConsentError`].
    pub async fn outcome(&self) -> Result<String, ConsentError> {
        let begun = Instant::now();
        loop {
            let status = self.status().await?;
            if status != "pending" {
                return Ok(status);
            }
            if begun.elapsed() > self.options.patience {
                return Err(ConsentError::StillPending(self.options.patience));
            }
            tokio::time::sleep(self.options.poll_interval).await;
        }
    }
}

/// What the browser shows.
struct Page {
    step: Step,
    url: Url,
    html: String,
}

impl Page {
    async fn open(browser: &Client, url: Url, step: Step) -> Result<Self, ConsentError> {
        Self::read(browser.get(url).send().await, step).await
    }

    async fn read(answer: reqwest::Result<Response>, step: Step) -> Result<Self, ConsentError> {
        let answer = accept(answer, step)?;
        let url = answer.url().clone();
        let html = answer.text().await.map_err(|error| failed(step, error))?;
        Ok(Self { step, url, html })
    }

    fn form(&self, field: &str, missing: &'static str) -> Result<Form, ConsentError> {
        Form::with_field(&self.html, field).ok_or(ConsentError::WrongPage { step: self.step, missing })
    }
}

async fn submit(browser: &Client, page: &Url, form: &Form, step: Step) -> Result<Page, ConsentError> {
    let action = form.action(page);
    let action = action.map_err(|_| ConsentError::WrongPage { step, missing: "a usable form" })?;
    Page::read(browser.post(action).form(&form.fields).send().await, step).await
}

fn accept(answer: reqwest::Result<Response>, step: Step) -> Result<Response, ConsentError> {
    let answer = answer.map_err(|error| failed(step, error))?;
    let status = answer.status();
    if status.is_success() { Ok(answer) } else { Err(ConsentError::Refused { step, status }) }
}

/// Addresses on the way hold codes and verifiers, which are nobody's business.
fn failed(step: Step, error: reqwest::Error) -> ConsentError {
    ConsentError::Request { step, source: error.without_url() }
}
