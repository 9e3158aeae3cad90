//! Hostile input, through nginx and straight at the receiver: what it gets, and that honest notifications do not
//! notice. docs/hostile-input.md has the table of it.

mod attack;
mod bodies;
mod crowds;
mod heads;
mod paths;
mod report;
mod slow;
mod smuggling;
mod strangers;

use apollo_tests::Result;
use apollo_tests::launch::Launch;
use apollo_tests::site::Site;
use apollo_tests::wire::{Pace, Place, statuses};
use attack::{Attack, NOT_TRIED, SECRET, Section, honest};
use bodies::MAX_BODY_BYTES;
use report::Outcome;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use xtask::stack::process::Process;
use xtask::stack::{Nginx, NginxOptions, StackFolder};

/// Between two honest notifications.
const PAUSE: Duration = Duration::from_millis(50);

/// A receiver and nginx before it, both processes of their own.
struct Edge {
    site: Site,
    receiver: Process,
    nginx: Nginx,
    receiver_address: String,
    through_nginx: Place,
    straight: Place,
    _folder: StackFolder,
}

impl Edge {
    /// With a receiver that takes little, and is as talkative as `log` says.
    async fn new(log: &str) -> Result<Self> {
        let site = Site::new().await?;
        let folder = StackFolder::create("hostile")?;
        let launch = Launch::receiver(&site)?
            .env("RECEIVER__PUSH_TOKEN", SECRET)
            .env("RECEIVER__MAX_BODY_BYTES", MAX_BODY_BYTES.to_string())
            .env("RECEIVER__MAX_IN_FLIGHT_BYTES", (8 * MAX_BODY_BYTES).to_string())
            .env("RUST_LOG", log);
        let nginx = Nginx::start(&folder, &NginxOptions::for_receiver(launch.address()))?;
        let receiver = launch.start(&folder)?;
        let (receiver_address, through_nginx) = (launch.address(), Place::nginx(&nginx.address)?);
        let straight = Place::plain(receiver_address.clone());
        Ok(Self { site, receiver, nginx, receiver_address, through_nginx, straight, _folder: folder })
    }

    /// Posts honest notifications at both places, which must be taken.
    async fn honest(&self) -> Result<usize> {
        for place in [&self.through_nginx, &self.straight] {
            post_honestly(place).await?;
        }
        Ok(2)
    }

    /// All bodies that have been published, by the ids of their messages: on a busy machine one may be published twice.
    async fn published(&self) -> Result<BTreeMap<Uuid, String>> {
        let messages = self.site.broker().await?.take_all("apollo.summaries").await?;
        let body = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
        Ok(messages.iter().map(|message| (message.envelope.message_id, body(&message.body))).collect())
    }
}

/// Posts an honest notification, which must be taken.
async fn post_honestly(place: &Place) -> Result<()> {
    let answer = place.exchange(&honest(&[]), Pace::AtOnce).await?;
    match statuses(&answer).as_str() {
        "200" => Ok(()),
        _ => Err(format!("an honest notification got {}", String::from_utf8_lossy(&answer)).into()),
    }
}

/// Posts an honest notification now and then until it is told to stop; returns how many were taken.
fn keep_posting(place: Place, stop: CancellationToken) -> JoinHandle<Result<usize>> {
    tokio::spawn(async move {
        let mut posted = 0;
        let mut pace = tokio::time::interval(PAUSE);
        while stop.run_until_cancelled(pace.tick()).await.is_some() {
            post_honestly(&place).await?;
            posted += 1;
        }
        Ok(posted)
    })
}

fn sections() -> Result<Vec<Section>> {
    let mut sections = heads::sections();
    sections.extend(paths::sections());
    sections.extend(bodies::sections()?);
    sections.extend(smuggling::sections());
    sections.extend(slow::sections());
    Ok(sections)
}

/// Sends an attack, if it is to be tried here at all.
fn send(place: &Place, attack: &Attack, expected: &str) -> JoinHandle<Result<String>> {
    let (place, bytes, pace) = (place.clone(), attack.bytes.clone(), attack.pace);
    let tried = expected != NOT_TRIED;
    tokio::spawn(async move {
        if !tried {
            return Ok(NOT_TRIED.to_owned());
        }
        Ok(statuses(&place.exchange(&bytes, pace).await?))
    })
}

/// What each attack gets, all of them at the same time.
async fn outcomes(edge: &Edge, sections: &[Section]) -> Result<Vec<Vec<Outcome>>> {
    let both = |attack: &Attack| {
        let nginx = send(&edge.through_nginx, attack, attack.nginx);
        (nginx, send(&edge.straight, attack, attack.receiver))
    };
    let sent: Vec<Vec<_>> =
        sections.iter().map(|section| section.attacks.iter().map(both).collect()).collect();
    let mut outcomes = Vec::new();
    for of_section in sent {
        let mut answered = Vec::new();
        for (nginx, receiver) in of_section {
            answered.push(Outcome { nginx: nginx.await??, receiver: receiver.await?? });
        }
        outcomes.push(answered);
    }
    Ok(outcomes)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hostile_input_gets_what_the_table_says_and_honest_ones_do_not_notice() -> Result<()> {
    let mut edge = Edge::new("trace").await?;
    let sections = sections()?;
    let stop = CancellationToken::new();
    let honest = keep_posting(edge.through_nginx.clone(), stop.clone());

    let outcomes = outcomes(&edge, &sections).await?;
    stop.cancel();
    let mut stored = honest.await?? + edge.honest().await?;

    let mut surprises = Vec::new();
    for (attack, outcome) in sections.iter().flat_map(|it| &it.attacks).zip(outcomes.iter().flatten()) {
        surprises.extend(outcome.surprise(attack));
        stored += outcome.stored(attack);
    }
    assert!(surprises.is_empty(), "\n{}", surprises.join("\n"));
    let published = edge.published().await?;
    let dishonest: Vec<&String> = published.values().filter(|body| !body.contains("honest")).collect();
    assert!(dishonest.is_empty(), "{dishonest:?}");
    assert_eq!(published.len(), stored, "something else was stored than what was answered 200");

    tokio::task::block_in_place(|| edge.nginx.stop())?;
    let logs = [
        std::fs::read_to_string(edge.nginx.access_log())?,
        std::fs::read_to_string(edge.receiver.log())?,
        edge.nginx.log_tail(),
    ];
    for log in logs {
        let told = log.lines().find(|line| line.contains(SECRET));
        assert!(told.is_none(), "a log holds the secret path: {told:?}");
    }
    report::check(sections.iter().zip(outcomes.iter().map(Vec::as_slice)))
}
