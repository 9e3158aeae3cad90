//! The bodies in `tests/samples`, composed after what is known of Garmin's: each is stored completely, in
//! columns that were made for it.

use apollo_shared::endpoint::Endpoint;
use apollo_shared::topology::Lane;
use apollo_tests::Result;
use apollo_tests::broker::Broker;
use apollo_tests::garmin::SummaryType;
use apollo_tests::json::Json;
use apollo_tests::rebuild::{as_kept, entry_of};
use apollo_tests::site::{Site, tables};
use sqlx::AssertSqlSafe;
use std::fs;
use std::path::Path;

/// The entry of one file whose `extra` is not empty, because an object without members has no columns.
const ODD: (&str, &str) = ("mct.json", r#"{"pregnancySnapshot": {}}"#);

/// A file, read.
struct Sample {
    name: String,
    body: String,
    entries: Vec<(String, Json)>,
}

fn samples() -> Result<Vec<Sample>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut samples = Vec::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") {
            let body = fs::read_to_string(file.path())?;
            let entries = entries(&Json::parse(&body)?);
            samples.push(Sample { name, body, entries });
        }
    }
    samples.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(samples)
}

fn entries(body: &Json) -> Vec<(String, Json)> {
    let Json::Object(members) = body else { return vec![] };
    let mut entries = Vec::new();
    for (key, list) in members {
        let Json::List(list) = list else { continue };
        entries.extend(list.iter().map(|entry| (key.clone(), entry.clone())));
    }
    entries
}

impl Sample {
    fn is_for_account(&self) -> bool {
        let lane = |key: &str| Endpoint::of_key(key).map(|endpoint| endpoint.lane);
        self.entries.iter().all(|(key, _)| lane(key) == Some(Lane::Account))
    }

    /// Its pings, each with its key.
    fn pings(&self) -> Vec<(String, Json)> {
        self.entries.iter().filter(|(_, entry)| entry.get("callbackURL").is_some()).cloned().collect()
    }

    /// Its summaries as they are kept, each with its key. The ping of a file is one.
    fn summaries(&self) -> Result<Vec<(&'static SummaryType, Json)>> {
        let mut summaries = Vec::new();
        for (key, entry) in &self.entries {
            let summary_type = SummaryType::of_key(key).ok_or_else(|| format!("{key} is no type"))?;
            if entry.get("callbackURL").is_none() || key == "activityFiles" {
                summaries.push((summary_type, as_kept(summary_type, entry)));
            }
        }
        Ok(summaries)
    }
}

/// Sees that the database holds the sample's summaries and nothing else, all of them in columns.
async fn is_stored(sample: &Sample, site: &Site) -> Result<()> {
    let mut expected = sample.summaries()?;
    let mut odd = usize::from(sample.name == ODD.0);
    for table in tables() {
        for row in site.exact_rows_of(table).await? {
            let of_row = |(summary_type, summary): &(&SummaryType, Json)| {
                summary_type.table == table
                    && entry_of(summary_type, &row)
                        .is_ok_and(|entry| as_kept(summary_type, &entry) == *summary)
            };
            let place = expected.iter().position(of_row);
            expected.swap_remove(place.ok_or_else(|| format!("{}: sent by nobody: {row:?}", sample.name))?);
            match row.get("extra") {
                Some(Json::Null) => {}
                Some(extra) if odd > 0 && *extra == Json::parse(ODD.1)? => odd -= 1,
                extra => return Err(format!("{}: without a column: {extra:?}", sample.name).into()),
            }
        }
    }
    assert_eq!(odd, 0, "{}: no longer odd", sample.name);
    assert!(expected.is_empty(), "{}: not stored: {expected:?}", sample.name);
    Ok(())
}

/// Sees that the sample's pings, and nothing else, wait to be fetched.
async fn is_announced(sample: &Sample, broker: &Broker) -> Result<()> {
    let mut pulls = Vec::new();
    for pull in broker.take_all("apollo.pull").await? {
        pulls.extend(entries(&Json::parse(&String::from_utf8(pull.body)?)?));
    }
    assert_eq!(pulls, sample.pings(), "{}", sample.name);
    Ok(())
}

/// The samples share users and days, so each is looked at alone.
async fn clear(site: &Site) -> Result<()> {
    let deletes = tables().map(|table| format!("DELETE FROM garmin_wellness.{table};"));
    sqlx::raw_sql(AssertSqlSafe(deletes.collect::<String>())).execute(&site.pool).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sample_is_stored_in_columns_made_for_it() -> Result<()> {
    let site = Site::new().await?;
    let (receiver, worker, broker) =
        (site.receiver(&[]).await?, site.worker(&[]).await?, site.broker().await?);
    let (account, data): (Vec<Sample>, Vec<Sample>) =
        samples()?.into_iter().partition(Sample::is_for_account);
    assert!(account.len() >= 4 && data.len() >= 40, "{} and {} samples", account.len(), data.len());
    for (index, sample) in data.iter().enumerate() {
        receiver.accept("/api_client/garmin", sample.body.clone()).await?;
        worker.has_stored(index + 1).await?;
        is_stored(sample, &site).await?;
        is_announced(sample, &broker).await?;
        clear(&site).await?;
    }
    for sample in &account {
        receiver.accept("/api_client/garmin", sample.body.clone()).await?;
        let message = broker.take("apollo.account").await?.ok_or("no message")?;
        assert_eq!(String::from_utf8(message.body)?, sample.body, "{}", sample.name);
    }
    assert_eq!(broker.waiting("apollo.dead").await?, 0);
    assert_eq!(worker.metric("apollo_worker_fields_unknown_total", &[]).await?, 0.0);
    Ok(())
}
