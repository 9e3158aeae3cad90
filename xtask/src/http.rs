//! Plain HTTP to services on loopback.

use std::time::Duration;

use anyhow::{Context, Result};

/// RabbitMQ's management API asks for a name and a password; this is `guest:guest` in base64.
pub(crate) const GUEST: &str = "Basic Z3Vlc3Q6Z3Vlc3Q=";

/// A client that keeps off proxies named in the environment and returns every status as an answer.
pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .build()
        .new_agent()
}

/// The status and the body of a GET.
pub(crate) fn get(url: &str) -> Result<(u16, String)> {
    let mut response = agent().get(url).call().with_context(|| format!("GET {url}"))?;
    let body = response.body_mut().read_to_string().with_context(|| format!("GET {url}"))?;
    Ok((response.status().as_u16(), body))
}
