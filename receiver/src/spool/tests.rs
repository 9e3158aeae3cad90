//! The spool on a real disk: through restarts, torn writes, damage and want of room.

use super::*;
use crate::budget::Budget;
use apollo_shared::admin::Readiness;
use apollo_shared::envelope::{Envelope, Microseconds};
use apollo_shared::metrics::Families;
use apollo_shared::secrets::SecretsConfig;
use futures_util::future::join_all;
use proptest::prelude::*;
use std::fs;
use tempfile::TempDir;
use uuid::Uuid;

const MUCH: u64 = 64 << 20;

fn keyring(keys: &str) -> Arc<Keyring> {
    Arc::new(Keyring::new(&SecretsConfig { keys: keys.into() }).unwrap())
}

fn open_with(folder: &Path, max_bytes: u64, keys: &str) -> Result<Spool, SpoolOpenError> {
    let metrics = Metrics::register(&mut Families::new("0", &Readiness::default()).unwrap()).unwrap();
    Spool::open(folder, max_bytes, keyring(keys), &metrics)
}

fn open(folder: &Path) -> Spool {
    open_with(folder, MUCH, crate::config::TEST_KEYS).unwrap()
}

fn message(number: i64, body: &str) -> Arc<Message> {
    Arc::new(Message {
        envelope: Envelope::of_arrival("dailies", Microseconds(number), None),
        routing_key: "push.dailies".into(),
        body: body.into(),
        _room: None,
    })
}

async fn room() -> Arc<Reservation> {
    let gauge = prometheus::IntGauge::new("in_flight", "bytes").unwrap();
    Arc::new(Budget::new(1 << 20, gauge).reserve(0).await.unwrap())
}

/// Takes out what is to be taken out next, without removing it.
async fn next(spool: &Spool) -> Vec<(Place, Message)> {
    let places = spool.next().await.unwrap();
    spool.read(places, room().await).await.unwrap()
}

/// Takes everything out, for good.
async fn take_all(spool: &Spool) -> Vec<Message> {
    let mut taken = Vec::new();
    loop {
        let (places, messages): (Vec<_>, Vec<_>) = next(spool).await.into_iter().unzip();
        if places.is_empty() {
            return taken;
        }
        spool.remove(places).await.unwrap();
        taken.extend(messages);
    }
}

fn arrivals(messages: &[Message]) -> Vec<i64> {
    messages.iter().map(|message| message.envelope.received_at.0).collect()
}

#[tokio::test]
async fn a_message_is_the_same_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let stored = message(7, r#"{"dailies":[{"userId":"ü"}]}"#);
    let spool = open(folder.path());
    spool.store(&stored).await.unwrap();
    spool.close().await;

    let spool = open(folder.path());
    assert_eq!(*spool.contents().borrow(), Contents { messages: 1, bytes: stored.body.len(), damaged: 0 });
    let taken = take_all(&spool).await;
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].envelope, stored.envelope);
    assert_eq!((&taken[0].routing_key, &taken[0].body), (&stored.routing_key, &stored.body));
    assert_eq!(*spool.contents().borrow(), Contents::default());
    spool.close().await;
    assert!(take_all(&open(folder.path())).await.is_empty());
}

#[tokio::test]
async fn requests_that_wait_together_are_all_stored() {
    let folder = TempDir::new().unwrap();
    let spool = open(folder.path());
    let messages: Vec<_> = (0..500).map(|number| message(number, "{\"dailies\":[]}")).collect();
    for stored in join_all(messages.iter().map(|message| spool.store(message))).await {
        stored.unwrap();
    }
    let mut taken = arrivals(&take_all(&spool).await);
    taken.sort_unstable();
    assert_eq!(taken, (0..500).collect::<Vec<_>>());
}

#[tokio::test]
async fn nothing_lies_on_the_disk_in_the_clear() {
    let folder = TempDir::new().unwrap();
    let spool = open(folder.path());
    spool.store(&message(1, r#"{"dailies":[{"userAccessToken":"hush-hush"}]}"#)).await.unwrap();
    for file in fs::read_dir(folder.path()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(9).any(|window| window == b"hush-hush"));
    }
}

#[tokio::test]
async fn a_full_spool_refuses_keeps_what_it_has_and_takes_again_when_there_is_room() {
    let folder = TempDir::new().unwrap();
    let limit = 128 << 10;
    let spool = open_with(folder.path(), limit, crate::config::TEST_KEYS).unwrap();
    // Random, so that it cannot be compressed.
    let large: String = (0..4096).map(|_| Uuid::new_v4().simple().to_string()).collect();
    let mut stored = 0;
    let refusal = loop {
        match spool.store(&message(stored, &large[..20_000])).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refusal, SpoolError::Full { max_bytes } if max_bytes == limit), "{refusal}");
    assert!(stored > 2, "{stored}");

    // Of those that wait together, the small ones do not suffer for the large one.
    let (first, _) = next(&spool).await.swap_remove(0);
    spool.remove(vec![first]).await.unwrap();
    let (large, small) = (message(1000, &large), message(1001, "{\"dailies\":[]}"));
    let together = tokio::join!(spool.store(&large), spool.store(&small));
    assert!(together.0.is_err() && together.1.is_ok(), "{together:?}");

    let mut expected: Vec<i64> = (1..stored).collect();
    expected.push(1001);
    assert_eq!(arrivals(&take_all(&spool).await), expected);
    spool.store(&message(2000, &large.body[..20_000])).await.unwrap();
    let size: u64 =
        fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(size < limit, "an empty spool gives its room back: {size}");
}

#[tokio::test]
async fn a_folder_belongs_to_one_receiver() {
    let folder = TempDir::new().unwrap();
    let first = open(folder.path());
    let error = open_with(folder.path(), MUCH, crate::config::TEST_KEYS).err().unwrap();
    assert!(matches!(error, SpoolOpenError::InUse { .. }), "{error}");
    first.store(&message(1, "{}")).await.unwrap();
}

#[tokio::test]
async fn a_key_that_is_needed_is_named() {
    let folder = TempDir::new().unwrap();
    let spool = open(folder.path());
    spool.store(&message(1, "{}")).await.unwrap();
    spool.close().await;
    let other = Keyring::generate("other");
    let error = open_with(folder.path(), MUCH, &other).err().unwrap();
    assert!(error.to_string().contains("lacks the key \"test\""), "{error}");
    let both = format!("{other},{}", crate::config::TEST_KEYS);
    assert_eq!(take_all(&open_with(folder.path(), MUCH, &both).unwrap()).await.len(), 1);
}

#[tokio::test]
async fn what_is_no_database_any_more_is_put_aside() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("spool.sqlite"), vec![7; 20_000]).unwrap();
    let spool = open(folder.path());
    spool.store(&message(1, "{}")).await.unwrap();
    assert_eq!(take_all(&spool).await.len(), 1);
    let names = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name());
    let aside: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with("damaged-")).collect();
    assert_eq!(aside.len(), 1);
    assert_eq!(fs::read(folder.path().join(&aside[0])).unwrap(), vec![7; 20_000]);
}

#[tokio::test]
async fn a_damaged_message_is_kept_and_keeps_no_other() {
    let folder = TempDir::new().unwrap();
    let spool = open(folder.path());
    for number in 0..3 {
        spool.store(&message(number, "{\"dailies\":[]}")).await.unwrap();
    }
    spool.close().await;
    let file = rusqlite::Connection::open(folder.path().join("spool.sqlite")).unwrap();
    let select = "SELECT body FROM message WHERE received_at = 1";
    let mut body: Vec<u8> = file.query_row(select, [], |row| row.get(0)).unwrap();
    *body.last_mut().unwrap() ^= 1;
    file.execute("UPDATE message SET body = ?1 WHERE received_at = 1", [body]).unwrap();
    drop(file);

    let spool = open(folder.path());
    assert_eq!(arrivals(&take_all(&spool).await), [0, 2]);
    let contents = *spool.contents().borrow();
    assert_eq!((contents.messages, contents.damaged), (1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// A crash may cut the log anywhere behind the last commit that returned, or leave rubbish there. Here it is cut before
    /// that too, as a disk that lies would do: what is left is a beginning of what was stored, each message whole.
    #[test]
    fn a_torn_log_leaves_a_beginning_of_what_was_stored(cut in prop_oneof![Just(1.0), 0.0..1.0_f64], rubbish in prop::collection::vec(any::<u8>(), 0..5000)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = TempDir::new().unwrap();
            let spool = open(folder.path());
            for number in 0..20 {
                spool.store(&message(number, &Uuid::new_v4().to_string().repeat(100))).await.unwrap();
            }
            // As a crash leaves them: the log has not been worked into the file.
            let torn = TempDir::new().unwrap();
            for name in ["spool.sqlite", "spool.sqlite-wal"] {
                fs::copy(folder.path().join(name), torn.path().join(name)).unwrap();
            }
            let log = torn.path().join("spool.sqlite-wal");
            let mut bytes = fs::read(&log).unwrap();
            bytes.truncate((bytes.len() as f64 * cut) as usize);
            bytes.extend(rubbish);
            fs::write(&log, bytes).unwrap();

            let left = take_all(&open(torn.path())).await;
            assert_eq!(arrivals(&left), (0..left.len() as i64).collect::<Vec<_>>());
            assert!(left.iter().all(|message| message.body.len() == 3600));
            if cut == 1.0 {
                assert_eq!(left.len(), 20, "rubbish behind the log harms nothing");
            }
        });
    }
}
