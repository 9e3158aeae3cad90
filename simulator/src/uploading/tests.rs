//! A plan on its way through a simulated Garmin to a small HTTP server on loopback.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::expectation::{Expectation, SUMMARY_TYPES};
use crate::garmin::{Garmin, GarminOptions};
use crate::plan::{Group, Plan};
use crate::record::Record;
use crate::sender::tests::{Server, options};
use crate::sender::{SendError, SendOptions, SendReport, send};

/// One household, for long enough to have pings that are repeated, and activity files.
const PLAN: Plan = Plan { users: 5, days: 3, seed: 5, sample_interval_seconds: Some(7_200) };

fn group() -> Group {
    PLAN.groups().next().unwrap()
}

/// Sends the plan; the bodies that arrived.
async fn sent(mode: Mode, record: Option<&Path>) -> (SendReport, Vec<Vec<u8>>) {
    let garmin = Garmin::start(GarminOptions::default()).await.unwrap();
    let server = Server::start(|_| "200 OK");
    let uploading = Some(Uploading { garmin: garmin.url().parse().unwrap(), mode });
    let options = SendOptions { uploading, record: record.map(Path::to_owned), ..options(&server) };
    let report = send(&PLAN, &options, CancellationToken::new(), |_| ()).await.unwrap();
    assert!(report.complete);
    garmin.stop().await;
    (report, server.received().into_iter().map(|received| received.body).collect())
}

fn lists(body: &[u8]) -> BTreeMap<String, Vec<Value>> {
    serde_json::from_slice(body).unwrap()
}

fn callback_urls(body: &[u8]) -> Vec<String> {
    let entries = lists(body).into_values().flatten();
    entries.filter_map(|entry| Some(entry["callbackURL"].as_str()?.to_owned())).collect()
}

#[tokio::test]
async fn every_notification_becomes_a_ping_and_a_few_are_repeated_after_a_newer_one() {
    let (report, bodies) = sent(Mode::Ping, None).await;
    let mut first_times: Vec<&[u8]> = Vec::new();
    for (place, body) in bodies.iter().enumerate() {
        match first_times.iter().position(|earlier| earlier == body) {
            None => first_times.push(body),
            Some(_) => assert_ne!(bodies[place - 1], *body, "there is no newer one in between"),
        }
    }
    let planned: Vec<_> = group().notifications().collect();
    assert_eq!(first_times.len(), planned.len());
    assert_eq!(bodies.len() as u64, report.progress.posts);
    assert_eq!(report.progress.repeated, report.progress.posts - report.progress.notifications);
    assert!(report.progress.repeated > 0, "none was repeated");
    for (body, planned) in first_times.iter().zip(&planned) {
        assert!(lists(body).keys().eq(planned.summaries.keys()));
        assert!(lists(body).values().flatten().all(|entry| entry["callbackURL"].is_string()));
    }
    let urls: Vec<_> = first_times.iter().flat_map(|body| callback_urls(body)).collect();
    assert_eq!(urls.len() as u64, report.progress.pings);
    assert_eq!(
        urls.iter().collect::<BTreeSet<_>>().len(),
        urls.len(),
        "each upload has an address of its own"
    );
}

#[tokio::test]
async fn in_push_mode_only_the_addresses_of_files_change() {
    let (report, bodies) = sent(Mode::Push, None).await;
    let mut files = 0;
    for (body, planned) in bodies.iter().zip(group().notifications()) {
        if !planned.summaries.contains_key(activity_files::KEY) {
            assert_eq!(*body, planned.body);
            continue;
        }
        let (mut lists, mut planned) = (lists(body), lists(&planned.body));
        let of_both = [&mut lists, &mut planned].map(|lists| lists.get_mut(activity_files::KEY).unwrap());
        for entry in of_both.into_iter().flatten() {
            let url = entry.as_object_mut().unwrap().remove("callbackURL").unwrap();
            files += u64::from(url.as_str().unwrap().starts_with("https://127.0.0.1:"));
        }
        assert_eq!(lists, planned);
    }
    assert!(files > 0, "the plan has no activity files");
    assert_eq!(report.progress.pings, files);
    assert_eq!(report.progress.repeated, 0);
}

#[tokio::test]
async fn the_record_is_of_the_plans_own_notifications() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acknowledged.log");
    sent(Mode::Ping, Some(&file)).await;
    let acknowledged = Record::read(&file).unwrap().expectation(&group()).unwrap();
    let all = Expectation::of_group(&group()).unwrap();
    for summary_type in &SUMMARY_TYPES {
        assert!(acknowledged.rows(summary_type.table).eq(all.rows(summary_type.table)));
    }
}

#[tokio::test]
async fn nothing_is_sent_that_the_simulated_garmin_does_not_take() {
    let server = Server::start(|_| "200 OK");
    let outcome = async |garmin: &str| {
        let uploading = Some(Uploading { garmin: garmin.parse().unwrap(), mode: Mode::Ping });
        let options = SendOptions { uploading, ..options(&server) };
        send(&PLAN, &options, CancellationToken::new(), |_| ()).await.unwrap_err()
    };
    let refusing = Server::start(|_| "404 Not Found");
    assert!(matches!(
        outcome(refusing.url.as_str()).await,
        SendError::Uploading(UploadingError::Refused { status: StatusCode::NOT_FOUND, .. })
    ));
    let silent = Server::start(|_| "200 OK");
    assert!(matches!(
        outcome(silent.url.as_str()).await,
        SendError::Uploading(UploadingError::NotANotification(_))
    ));
    assert!(matches!(outcome("https://127.0.0.1:9").await, SendError::Uploading(UploadingError::Url)));
    assert_eq!(server.received().len(), 0);
}
