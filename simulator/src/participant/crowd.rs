//! Many participants, several at a time.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::Instant;

use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{ConsentError, ParticipantOptions, begin};
use crate::latency::{Latencies, LatencySummary};

/// The outcome that everybody should have.
const LINKED: &str = "linked";

/// The name of an outcome that no receiver has told.
const STUCK: &str = "stuck";

/// Who takes part: a subject id of the study, and a Garmin account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// What the study calls them.
    pub subject_id: String,
    /// What Garmin calls them.
    pub user_id: String,
}

/// What became of everybody.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CrowdReport {
    /// How many were to consent.
    pub participants: u64,
    /// How many had which outcome; `stuck` are those who could not go on.
    pub outcomes: BTreeMap<String, u64>,
    /// From the first page to the last outcome.
    pub seconds: f64,
    /// From a participant's first page to the outcome.
    pub latency: LatencySummary,
    /// Why the first one who was stuck could not go on.
    pub first_problem: Option<String>,
}

impl CrowdReport {
    /// Whether everybody's account was linked.
    pub fn all_linked(&self) -> bool {
        self.outcomes.get(LINKED).copied().unwrap_or_default() == self.participants
    }

    /// How many have an outcome.
    pub fn finished(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

/// The study's first participants, `P-0001` and so on, as the owners of these accounts.
pub fn participants(user_ids: impl IntoIterator<Item = String>) -> Vec<Participant> {
    let numbered = user_ids.into_iter().zip(1..);
    numbered.map(|(user_id, number)| Participant { subject_id: format!("P-{number:04}"), user_id }).collect()
}

/// Has all of them agree, at most `concurrency` at a time. After `cancellation` nobody is waited for any more; consents
/// that are under way then are left where they are, as by a closed browser.
pub async fn consent_all(
    options: &ParticipantOptions,
    participants: &[Participant],
    concurrency: usize,
    cancellation: CancellationToken,
    on_progress: impl Fn(&CrowdReport),
) -> CrowdReport {
    let begun = Instant::now();
    let mut latencies = Latencies::default();
    let mut report = CrowdReport { participants: participants.len() as u64, ..CrowdReport::default() };
    let outcomes = stream::iter(participants.iter().zip(0..))
        .map(async |(participant, number)| {
            tokio::time::sleep_until((begun + options.apart * number).into()).await;
            let begun = Instant::now();
            (consent(options, participant).await, begun.elapsed())
        })
        .buffer_unordered(concurrency.max(1))
        .take_until(cancellation.cancelled_owned());
    let mut outcomes = std::pin::pin!(outcomes);
    while let Some((outcome, elapsed)) = outcomes.next().await {
        let name = outcome.unwrap_or_else(|error| {
            report.first_problem.get_or_insert_with(|| whole_story(&error));
            STUCK.to_owned()
        });
        *report.outcomes.entry(name).or_default() += 1;
        latencies.record(elapsed);
        on_progress(&report);
    }
    CrowdReport { seconds: begun.elapsed().as_secs_f64(), latency: latencies.summary(), ..report }
}

async fn consent(options: &ParticipantOptions, participant: &Participant) -> Result<String, ConsentError> {
    begin(options, &participant.subject_id).await?.agree(&participant.user_id).await?.outcome().await
}

fn whole_story(error: &ConsentError) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |story, cause| format!("{story}: {cause}"))
}
