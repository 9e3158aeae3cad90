//! Traces: from a POST through the broker to the commit, sent to a collector if there is one, and in nobody's way.

use apollo_simulator::garmin::{Mode, OauthVersion};
use apollo_tests::Result;
use apollo_tests::collector::{Collector, Recorded};
use apollo_tests::programs::RunningReceiver;
use apollo_tests::site::Site;
use apollo_tests::study::Study;
use apollo_tests::wait::eventually;
use reqwest::{Client, StatusCode};
use serde_json::json;
use std::collections::BTreeSet;
use std::net::TcpListener;

/// Whose data nobody may find in a trace.
const USER: &str = "a-user-that-no-trace-may-name";

/// The secret in front of Garmin's paths.
const TOKEN: &str = "a-path-that-no-trace-may-name-0123456789";

/// The caller's span.
const CALLER: &str = "00f067aa0ba902b7";

const PUSHED: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PINGED: &str = "5bf92f3577b34da6a3ce929d0e0e4736";
const REFUSED: &str = "6bf92f3577b34da6a3ce929d0e0e4736";
const UNRECORDED: &str = "7bf92f3577b34da6a3ce929d0e0e4736";

/// POSTs a notification as part of a trace, which is recorded or not.
async fn post(url: &str, trace_id: &str, flags: &str, body: String) -> Result<StatusCode> {
    let request = Client::new().post(url).header("traceparent", format!("00-{trace_id}-{CALLER}-{flags}"));
    Ok(request.body(body).send().await?.status())
}

/// A summary of a day of its own: what a ping announces has an older version than what was pushed just before.
fn daily(steps: i32) -> String {
    let start = 1_794_265_200 + 86_400 * steps;
    let daily = json!({"userId": USER, "startTimeInSeconds": start, "durationInSeconds": 60, "steps": steps});
    json!({"dailies": [daily]}).to_string()
}

async fn has_steps(site: &Site, steps: i32) -> Result<()> {
    let sql = "SELECT 1 FROM garmin_wellness.daily_summary WHERE steps = $1";
    let stored =
        async || sqlx::query_scalar::<_, i32>(sql).bind(steps).fetch_optional(&site.pool).await.ok()?;
    eventually(&format!("{steps} steps are stored"), stored).await.map(drop)
}

/// What was sent, to be looked at.
struct Spans(Vec<Recorded>);

impl Spans {
    /// The only span of this name in a trace.
    fn one(&self, trace_id: &str, name: &str) -> &Recorded {
        let mut found = self.0.iter().filter(|span| span.trace_id == trace_id && span.name == name);
        let first = found.next().unwrap_or_else(|| panic!("no {name} in {:#?}", self.of(trace_id)));
        assert!(found.next().is_none(), "more than one {name} in {:#?}", self.of(trace_id));
        first
    }

    fn of(&self, trace_id: &str) -> Vec<&Recorded> {
        self.0.iter().filter(|span| span.trace_id == trace_id).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_leads_from_the_post_to_the_commit_and_names_nobody() -> Result<()> {
    let collector = Collector::start().await?;
    let traced = ["--otel-exporter-otlp-endpoint", collector.url()];
    let study =
        Study::new(OauthVersion::Two, &[&traced[..], &["--receiver-push-token", TOKEN]].concat()).await?;
    let worker = study.following_worker(&traced).await?;
    study.link_by_oauth2(USER).await?;
    let url = format!("{}/{TOKEN}/api_client/garmin/dailies", study.receiver.url());
    assert_eq!(post(&url, REFUSED, "01", "{\"dailies\":".to_owned()).await?, StatusCode::BAD_REQUEST);
    assert_eq!(post(&url, UNRECORDED, "00", daily(1)).await?, StatusCode::OK);
    has_steps(&study.site, 1).await?;
    assert_eq!(post(&url, PUSHED, "01", daily(2)).await?, StatusCode::OK);
    has_steps(&study.site, 2).await?;
    let ping = study.garmin.upload(daily(3).as_bytes(), Mode::Ping)?;
    assert_eq!(post(&url, PINGED, "01", String::from_utf8(ping)?).await?, StatusCode::OK);
    has_steps(&study.site, 3).await?;
    // What is queued is sent at the end.
    worker.stop().await?;
    let Study { receiver, site: _site, .. } = study;
    receiver.stop().await?;

    let spans = Spans(collector.spans());
    let request = spans.one(PUSHED, "POST /api_client/garmin/{endpoint}");
    assert_eq!((request.parent_id.as_str(), request.service.as_str()), (CALLER, "apollo-receiver"));
    assert_eq!(request.attributes["http.response.status_code"], "200");
    let publish = spans.one(PUSHED, "publish apollo");
    assert_eq!(publish.parent_id, request.span_id);
    assert_eq!(publish.attributes["apollo.keeper"], "broker");
    let store = spans.one(PUSHED, "store");
    assert_eq!((&store.parent_id, store.service.as_str()), (&publish.span_id, "apollo-worker"));
    assert_eq!(store.attributes["messaging.message.id"], publish.attributes["messaging.message.id"]);

    let [batch_trace] = &store.links[..] else { panic!("{store:#?}") };
    let batch = spans.one(batch_trace, "process apollo.summaries");
    assert_eq!((batch.parent_id.as_str(), &batch.links[..]), ("", &[PUSHED.to_owned()][..]));
    assert_eq!(batch.attributes["messaging.batch.message_count"], "1");
    let [read, write, acknowledge] =
        ["read", "write", "acknowledge"].map(|step| spans.one(batch_trace, step));
    for step in [read, write, acknowledge] {
        assert_eq!(step.parent_id, batch.span_id, "{step:#?}");
    }
    let ends = [read.time.1, write.time.1, store.time.1, acknowledge.time.1, batch.time.1];
    assert!(
        ends.is_sorted(),
        "a message's span ends with the commit, before the message is acknowledged: {ends:?}"
    );

    let follow = spans.one(PINGED, "follow");
    let asked = spans.one(PINGED, "ask Garmin");
    assert_eq!(
        (&asked.parent_id, asked.attributes["apollo.garmin.call"].as_str()),
        (&follow.span_id, "pull")
    );
    assert_eq!(asked.attributes["http.response.status_code"], "200");
    assert!(spans.of(PINGED).iter().any(|span| span.name == "store" && span.time.0 > follow.time.1));

    let refused = spans.one(REFUSED, "POST /api_client/garmin/{endpoint}");
    assert_eq!(refused.attributes["error.type"], "cut-short");
    assert_eq!(spans.of(REFUSED).len(), 1);
    assert_eq!(spans.of(UNRECORDED).len(), 0, "the caller has decided");

    let told = format!("{:?}", spans.0);
    for secret in [USER, TOKEN, "steps", "callback", "token="] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
    let services: BTreeSet<&str> = spans.0.iter().map(|span| span.service.as_str()).collect();
    assert_eq!(services, BTreeSet::from(["apollo-receiver", "apollo-worker"]));
    Ok(())
}

/// The context with which a receiver publishes a notification that came with [`PUSHED`].
async fn published(site: &Site, receiver: &RunningReceiver) -> Result<String> {
    let url = format!("{}/api_client/garmin/dailies", receiver.url());
    assert_eq!(post(&url, PUSHED, "01", daily(1)).await?, StatusCode::OK);
    let message = site.broker().await?.take("apollo.summaries").await?.ok_or("no message")?;
    Ok(message.envelope.traceparent)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_a_trace_is_passed_on_and_one_that_is_away_is_in_nobodys_way() -> Result<()> {
    let site = Site::new().await?;
    let receiver = site.receiver(&[]).await?;
    let given = format!("00-{PUSHED}-{CALLER}-01");
    assert_eq!(published(&site, &receiver).await?, given);
    receiver.stop().await?;

    // A collector that takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("http://{}", silent.local_addr()?);
    let receiver = site.receiver(&["--otel-exporter-otlp-endpoint", &endpoint]).await?;
    let continued = published(&site, &receiver).await?;
    assert!(continued.starts_with(&format!("00-{PUSHED}-")) && continued.ends_with("-01"), "{continued}");
    assert_ne!(continued, given, "the publishing has a span of its own");
    receiver.stop().await
}
