//! What operators do about dead letters, with the program itself.

use apollo_shared::broker::{Broker as BrokerAddress, BrokerConfig};
use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_tests::Result;
use apollo_tests::broker::Broker;
use apollo_tests::site::Site;
use apollo_tests::wait::eventually;
use apollo_worker::dead_letters::DeadLetters;
use lapin::options::{BasicGetOptions, BasicNackOptions};
use lapin::{Connection, ConnectionProperties};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;

/// 2026-11-10 00:00 UTC.
const MIDNIGHT: i64 = 1_794_268_800_000_000;

const DAY: i64 = 86_400_000_000;

/// Publishes a notification that came `after` microseconds after midnight.
async fn publish(broker: &Broker, endpoint: &str, after: i64, body: &Value) -> Result<Envelope> {
    let envelope = Envelope::of_arrival(endpoint, Microseconds(MIDNIGHT + after), None);
    broker.publish(&envelope, body.to_string().as_bytes()).await?;
    Ok(envelope)
}

/// Four dead letters, in this order: a daily of the 10th, a key that holds no list of the 11th, two entries of sleeps
/// of the 12th.
async fn four_letters(site: &Site) -> Result<[Envelope; 3]> {
    let (broker, worker) = (site.broker().await?, site.worker(&["--concurrency", "1"]).await?);
    let daily = json!({"dailies": [{"startTimeInSeconds": 1, "userAccessToken": "hidden"}]});
    let sleeps = json!({"sleeps": [{"userId": 7}, {"userId": "u"}]});
    let first = publish(&broker, "dailies", 0, &daily).await?;
    worker.has_stored(1).await?;
    let second = publish(&broker, "epochs", DAY, &json!({"epochs": {"userId": "u"}})).await?;
    worker.has_stored(2).await?;
    let third = publish(&broker, "sleeps", 2 * DAY, &sleeps).await?;
    worker.has_stored(3).await?;
    worker.stop().await?;
    Ok([first, second, third])
}

/// A letter's id, and its entry's place.
type Place = (String, i64);

/// The letters that `list` prints, oldest first.
fn listed(site: &Site, filter: &[&str]) -> Result<Vec<Place>> {
    let arguments = [&["dead-letters", "list", "--json", "--oldest-first"], filter].concat();
    let told: Value = serde_json::from_str(&site.printed(&arguments, 0)?)?;
    let letters = told["letters"].as_array().ok_or("letters")?;
    assert_eq!(told["matching"], letters.len());
    let place = |letter: &Value| Some((letter["id"].as_str()?.to_owned(), letter["entry_index"].as_i64()?));
    letters.iter().map(|letter| place(letter).ok_or_else(|| "a letter".into())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_listed_by_every_filter_and_stay_where_they_are() -> Result<()> {
    let site = Site::new().await?;
    let [first, second, third] = four_letters(&site).await?.map(|envelope| envelope.message_id.to_string());
    let all = [(first.clone(), 0), (second.clone(), 0), (third.clone(), 0), (third.clone(), 1)];
    let expected: [(&[&str], &[Place]); 10] = [
        (&[], &all),
        (&["--type", "dailies"], &all[..1]),
        (&["--type", "EPOCHS"], &all[1..2]),
        (&["--reason", "not_a_list"], &all[1..2]),
        (&["--reason", "malformed_entry", "--reason", "not_a_list"], &all),
        (&["--lane", "summaries"], &all),
        (&["--lane", "account"], &[]),
        (&["--since", "2026-11-11", "--until", "2026-11-12"], &all[1..2]),
        (&["--since", "2026-11-11T12:00:00Z", "--reason", "malformed_entry"], &all[2..]),
        (&["--id", &third], &all[2..]),
    ];
    for (filter, letters) in expected {
        assert_eq!(listed(&site, filter)?, letters, "{filter:?}");
    }

    let text = site.printed(&["dead-letters", "list", "--limit", "1"], 0)?;
    assert!(text.contains(&third) && !text.contains(&first), "the newest: {text}");
    assert!(text.contains("4 dead letters are listed") || text.contains("1 of 4 dead letters"), "{text}");
    let csv = site.printed(&["dead-letters", "list", "--csv"], 0)?;
    assert_eq!(csv.lines().count(), 5, "{csv}");
    let none = site.printed(&["dead-letters", "list", "--reason", "panic"], 0)?;
    assert_eq!(none, "no dead letter matches, of 4\n");

    let shown = site.printed(&["dead-letters", "show", &first], 0)?;
    assert!(shown.contains("malformed_entry") && shown.contains("push.dailies"), "{shown}");
    assert!(shown.contains("startTimeInSeconds") && !shown.contains("hidden"), "{shown}");
    let raw = site.printed(&["dead-letters", "show", &first, "--raw"], 0)?;
    assert_eq!(raw, r#"{"dailies": [{"startTimeInSeconds":1,"userAccessToken":"hidden"}]}"#);
    let unknown = site.printed(&["dead-letters", "show", &uuid::Uuid::now_v7().to_string()], 1)?;
    assert!(unknown.contains("no dead letter has the id"), "{unknown}");

    for refused in [&["dead-letters", "drop", "--yes"], &["dead-letters", "replay", "--yes"]] {
        assert!(site.printed(refused, 1)?.contains("say which letters"));
    }
    let unasked = site.printed(&["dead-letters", "drop", "--all"], 1)?;
    assert!(unasked.contains("--yes"), "there is nobody to ask: {unasked}");
    // Fourteen looks later.
    let order: Vec<Place> = site
        .broker()
        .await?
        .take_all("apollo.dead")
        .await?
        .iter()
        .map(|letter| (letter.envelope.message_id.to_string(), letter.envelope.first_entry_index.into()))
        .collect();
    assert_eq!(order, all);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_letter_is_stored_in_its_old_version() -> Result<()> {
    let site = Site::new().await?;
    let (broker, worker) = (site.broker().await?, site.worker(&[]).await?);
    let refuse = "ALTER TABLE garmin_wellness.daily_summary ADD CONSTRAINT refuse CHECK (steps <> 13)";
    sqlx::raw_sql(refuse).execute(&site.pool).await?;
    let daily = |user: &str, steps: u32| json!({"dailies": [{"userId": user, "startTimeInSeconds": 1_794_265_200, "steps": steps}]});
    let old = publish(&broker, "dailies", 0, &daily("late", 13)).await?;
    publish(&broker, "dailies", 0, &daily("overtaken", 13)).await?;
    worker.has_stored(2).await?;
    publish(&broker, "dailies", DAY, &daily("overtaken", 14)).await?;
    worker.has_stored(3).await?;

    let replay = ["dead-letters", "replay", "--reason", "refused_by_database", "--yes"];
    site.printed(&replay, 0)?;
    worker.has_stored(5).await?;
    let again = async || (broker.waiting("apollo.dead").await.ok()? == 1).then_some(());
    eventually("what fails again is a dead letter again", again).await?;
    sqlx::raw_sql("ALTER TABLE garmin_wellness.daily_summary DROP CONSTRAINT refuse")
        .execute(&site.pool)
        .await?;
    assert_eq!(site.printed(&replay, 0)?, "1 dead letter replayed\n");
    worker.has_stored(6).await?;

    let rows = site.rows_of("daily_summary").await?;
    let row = |user: &str| rows.iter().find(|row| row["user_id"] == user).ok_or("a row");
    assert_eq!(row("late")?["steps"], 13);
    assert_eq!(row("late")?["message_id"], old.message_id.to_string());
    assert_eq!(row("late")?["received_at"], "2026-11-10T00:00:00+00:00");
    assert_eq!(row("overtaken")?["steps"], 14, "a letter never overwrites what is newer");
    assert_eq!(broker.waiting("apollo.dead").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_dropped_into_a_file_mended_and_replayed() -> Result<()> {
    let site = Site::new().await?;
    let [first, second, _] = four_letters(&site).await?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("letters.jsonl");
    let path_text = path.to_string_lossy().into_owned();
    let drop = ["dead-letters", "drop", "--type", "dailies", "--yes", "--save", &path_text];
    assert_eq!(site.printed(&drop, 0)?, "1 dead letter dropped\n");
    assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
    assert_eq!(listed(&site, &[])?.len(), 3);
    assert_eq!(listed(&site, &[])?[0].0, second.message_id.to_string(), "the others stay in order");
    assert!(site.printed(&drop, 1)?.contains("nothing was dropped"), "a file is not overwritten");

    let saved = std::fs::read_to_string(&path)?;
    let mut letter: Value = serde_json::from_str(saved.trim())?;
    assert_eq!(letter["reason"], "malformed_entry");
    letter["body"] =
        json!({"dailies": [{"userId": "u", "startTimeInSeconds": 1_794_265_200}]}).to_string().into();
    std::fs::write(&path, format!("{letter}\n"))?;
    assert_eq!(
        site.printed(&["dead-letters", "replay", "--from", &path_text, "--yes"], 0)?,
        "1 dead letter replayed\n"
    );
    let worker = site.worker(&[]).await?;
    worker.has_stored(1).await?;
    let rows = site.rows_of("daily_summary").await?;
    assert_eq!((rows.len(), &rows[0]["user_id"]), (1, &json!("u")));
    assert_eq!(rows[0]["message_id"], first.message_id.to_string());

    std::fs::write(&path, format!("{letter}\nnot a letter\n"))?;
    let refused = site.printed(&["dead-letters", "replay", "--from", &path_text, "--yes"], 1)?;
    assert!(refused.contains("line 2"), "{refused}");
    assert_eq!(site.printed(&["dead-letters", "drop", "--all", "--yes"], 0)?, "3 dead letters dropped\n");
    assert_eq!(site.printed(&["dead-letters", "list"], 0)?, "there are no dead letters\n");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_gives_up_on_is_whole_and_can_be_replayed() -> Result<()> {
    let site = Site::new().await?;
    let broker = site.broker().await?;
    let body = json!({"dailies": [{"userId": "u", "startTimeInSeconds": 1_794_265_200}]});
    let envelope = publish(&broker, "dailies", 0, &body).await?;
    let connection = Connection::connect(&site.rabbitmq_url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let mut deliveries = 0;
    while broker.waiting("apollo.dead").await? == 0 {
        if let Some(message) =
            channel.basic_get("apollo.summaries".into(), BasicGetOptions::default()).await?
        {
            deliveries += 1;
            message.delivery.nack(BasicNackOptions { requeue: true, ..Default::default() }).await?;
        }
    }
    assert_eq!(deliveries, 21);

    let told: Value = serde_json::from_str(&site.printed(&["dead-letters", "list", "--json"], 0)?)?;
    let letter = &told["letters"][0];
    assert_eq!((&letter["reason"], &letter["lane"]), (&json!("delivery_limit"), &json!("summaries")));
    assert_eq!(letter["id"], envelope.message_id.to_string());
    assert_eq!(letter["received_at"], "2026-11-10T00:00:00Z");
    assert_eq!(
        site.printed(&["dead-letters", "show", &envelope.message_id.to_string(), "--raw"], 0)?,
        body.to_string()
    );

    site.printed(&["dead-letters", "replay", "--reason", "delivery_limit", "--yes"], 0)?;
    let taken = broker.take("apollo.summaries").await?.ok_or("the message")?;
    assert_eq!((taken.envelope, taken.routing_key.as_str()), (envelope, "push.dailies"));
    assert_eq!(taken.headers.inner().keys().filter(|name| name.as_str().contains("death")).count(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_does_not_use_letters_up_and_two_operators_do_not_meet() -> Result<()> {
    let site = Site::new().await?;
    let [first, ..] = four_letters(&site).await?;
    let config = BrokerConfig { url: site.rabbitmq_url().into(), ca_file: None };
    let letters = DeadLetters::open(&BrokerAddress::new(&config, "test")?).await?;
    let refused = site.printed(&["dead-letters", "list"], 1)?;
    assert!(refused.contains("another `apollo-worker dead-letters` is at work"), "{refused}");
    // More looks than RabbitMQ allows deliveries where no limit is declared.
    let stop = tokio_util::sync::CancellationToken::new();
    for _ in 0..30 {
        let mut ids = Vec::new();
        letters
            .visit(&stop, async |letter| {
                ids.push(letter.id());
                Ok::<_, apollo_worker::dead_letters::DeadLettersError>(
                    apollo_worker::dead_letters::Verdict::Keep,
                )
            })
            .await?;
        assert_eq!((ids.len(), &ids[0]), (4, &first.message_id.to_string()));
    }
    letters.close().await;
    assert_eq!(listed(&site, &[])?.len(), 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_queue_keeps_its_order_when_it_is_looked_at() -> Result<()> {
    const LETTERS: usize = 1000;
    let site = Site::new().await?;
    let (broker, worker) = (site.broker().await?, site.worker(&[]).await?);
    publish(&broker, "dailies", 0, &json!({"dailies": vec![json!({"userId": 7}); LETTERS]})).await?;
    worker.has_stored(1).await?;
    let before = listed(&site, &["--limit", "0"])?;
    assert_eq!(before.len(), LETTERS);
    assert_eq!(listed(&site, &["--limit", "0"])?, before);
    Ok(())
}
