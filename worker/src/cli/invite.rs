//! `apollo-worker invite`.

use super::output;
use anyhow::{Context as _, ensure};
use apollo_shared::consent::{Invitation, SubjectId};
use apollo_shared::secrets::{Keyring, SecretsConfig};
use clap::Args;
use reqwest::Url;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};

/// Whom to invite.
#[derive(Debug, Args)]
pub(super) struct InviteOptions {
    /// The study's names for the participants, one link for each
    #[arg(value_name = "SUBJECT", value_parser = SubjectId::parse, required_unless_present = "from")]
    subjects: Vec<SubjectId>,
    /// A file with more of them, one a line; - for standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Days until the links expire
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// CSV with the columns subject_id, link and expires_at, for a single subject too
    #[arg(long)]
    csv: bool,
    /// The address by which participants reach the receiver, as it is set there
    #[arg(
        long = "receiver-public-url",
        env = "RECEIVER__PUBLIC_URL",
        value_name = "RECEIVER__PUBLIC_URL",
        help_heading = "Receiver"
    )]
    public_url: Url,
    #[command(flatten)]
    secrets: SecretsConfig,
}

/// Prints a link for each, in the order given; who is named twice is invited once.
pub(super) fn run(options: InviteOptions) -> anyhow::Result<()> {
    let keyring = Keyring::new(&options.secrets)?;
    let mut subjects = options.subjects;
    if let Some(path) = &options.from {
        subjects.extend(listed(path)?);
    }
    let mut named = BTreeSet::new();
    subjects.retain(|subject_id| named.insert(subject_id.clone()));
    ensure!(!subjects.is_empty(), "nobody is named: give subject ids, or --from a file with one a line");

    let expires_at = OffsetDateTime::now_utc() + Duration::days(options.days.into());
    let link = |subject_id: SubjectId| {
        let invitation = Invitation { subject_id, expires_at: expires_at.unix_timestamp() };
        consent_link(&options.public_url, &invitation.to_link_text(&keyring))
    };
    let rows: Vec<Vec<String>> = subjects
        .into_iter()
        .map(|subject_id| {
            vec![subject_id.to_string(), link(subject_id).to_string(), output::moment(Some(expires_at))]
        })
        .collect();
    match rows.as_slice() {
        [only] if !options.csv => println!("{}", only[1]),
        many => output::print(&output::csv(&["subject_id", "link", "expires_at"], many)?)?,
    }
    Ok(())
}

fn consent_link(public_url: &Url, invitation: &str) -> Url {
    let mut link = public_url.clone();
    link.set_path(&format!("{}/oauth/garmin/consent", public_url.path().trim_end_matches('/')));
    link.query_pairs_mut().clear().append_pair("invitation", invitation);
    link
}

fn listed(path: &Path) -> anyhow::Result<Vec<SubjectId>> {
    let shown = path.display();
    let text = match path.to_str() {
        Some("-") => std::io::read_to_string(std::io::stdin()),
        _ => std::fs::read_to_string(path),
    };
    let text = text.with_context(|| format!("{shown} cannot be read"))?;
    let lines = (1..).zip(text.trim_start_matches('\u{feff}').lines());
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| SubjectId::parse(line).with_context(|| format!("{shown}, line {number}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_consent_page_of_the_study() {
        for public_url in ["https://study.example.org", "https://study.example.org/"] {
            let link = consent_link(&public_url.parse().unwrap(), "A-b_1");
            assert_eq!(link.as_str(), "https://study.example.org/oauth/garmin/consent?invitation=A-b_1");
        }
        let link = consent_link(&"https://example.org/apollo/?x=1".parse().unwrap(), "A");
        assert_eq!(link.as_str(), "https://example.org/apollo/oauth/garmin/consent?invitation=A");
    }
}
