//! The views, over the rows of hostile entries: lists hold whatever Garmin sent, and no view may fail on it.

use apollo_simulator::fit;
use apollo_tests::Result;
use apollo_tests::site::Site;
use apollo_tests::wait::eventually;
use apollo_worker::summaries::Registry;
use apollo_worker::summaries::field::{Field, Kind};
use sqlx::AssertSqlSafe;

/// Values of every kind, and numbers that fit nowhere.
const VALUES: [&str; 16] = [
    "null",
    "true",
    "\"\"",
    "\"17\"",
    "\"2026-11-10\"",
    "-1",
    "0",
    "1.5",
    "1794265200",
    "99999999999",
    "1e30",
    "-1e400",
    "1e-400",
    "[]",
    "{}",
    "{\"0\": 1e400, \"15\": null, \"99999999999\": 1, \"x\": 2, \"-5\": 3}",
];

/// Every name that a view looks for in a record.
const MEMBERS: [&str; 37] = [
    "startTimeInSeconds",
    "endTimeInSeconds",
    "napDurationInSeconds",
    "napStartTimeInSeconds",
    "napValidation",
    "napOffsetInSeconds",
    "eventType",
    "eventStartTimeInSeconds",
    "eventStartTimeOffsetInSeconds",
    "eventStartTimeOffsetINSeconds",
    "duration",
    "durationInSeconds",
    "bodyBatteryImpact",
    "activityName",
    "activityType",
    "activityId",
    "summaryType",
    "minValue",
    "maxValue",
    "avgValue",
    "epochSummaries",
    "latitudeInDegree",
    "longitudeInDegree",
    "elevationInMeters",
    "airTemperatureCelcius",
    "heartRate",
    "speedMetersPerSecond",
    "stepsPerMinute",
    "totalDistanceInMeters",
    "timerDurationInSeconds",
    "powerInWatts",
    "bikeCadenceInRPM",
    "directWheelchairCadence",
    "wheelChairCadenceInPushesPerMinute",
    "valueInMilligramsPerDeciliter",
    "logType",
    "reportTimestampInSeconds",
];

fn object(members: impl Iterator<Item = String>) -> String {
    format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
}

/// The values themselves, records that have them under every name, and records with one name each and a proper
/// moment.
fn records() -> String {
    let whole = VALUES.map(|value| object(MEMBERS.iter().map(|name| format!("\"{name}\": {value}"))));
    let single = MEMBERS.iter().flat_map(|name| {
        VALUES.map(|value| {
            format!(
                "{{\"startTimeInSeconds\": 1794265200, \"napStartTimeInSeconds\": 1794265200, \
                  \"eventStartTimeInSeconds\": 1794265200, \"reportTimestampInSeconds\": 1794265200, \
                  \"{name}\": {value}}}"
            )
        })
    });
    let all: Vec<String> = VALUES.map(str::to_owned).into_iter().chain(whole).chain(single).collect();
    format!("[{}]", all.join(", "))
}

/// A field of an entry whose lists are hostile. Its moments and series have the limits that still fit.
fn member(field: &Field, variant: usize) -> String {
    let extremes = ["-62135596800", "253402300799", "1794265200"];
    let value = match field.kind {
        Kind::List => records(),
        Kind::OpenObject => format!(r#"{{"deep": {}, "light": 5, "": []}}"#, records()),
        Kind::Object(fields) => object(fields.iter().map(|field| member(field, variant))),
        Kind::Series(_) => r#"{"-2147483648": -2147483648, "0": 50, "2147483647": 2147483647}"#.to_owned(),
        Kind::Instant => extremes[variant % 3].to_owned(),
        Kind::Integer => ["-2147483648", "2147483647", "3600"][variant % 3].to_owned(),
        Kind::Date => "\"2026-11-10\"".to_owned(),
        Kind::Text => format!("\"{variant}\""),
        Kind::BigInteger => variant.to_string(),
        Kind::Float => "1e308".to_owned(),
        Kind::Boolean => "true".to_owned(),
    };
    format!("\"{}\": {value}", field.name)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_view_fails_on_what_an_entry_may_hold() -> Result<()> {
    let site = Site::new().await?;
    let (receiver, _worker) = (site.receiver(&[]).await?, site.worker(&[]).await?);
    let registry = Registry::new();
    for table in registry.tables() {
        let entries = (0..3).map(|variant| {
            let fields = table.summary_type.all_fields().map(|field| member(field, variant));
            object(std::iter::once(format!("\"userId\": \"u{variant}\"")).chain(fields))
        });
        let body =
            format!("{{\"{}\": [{}]}}", table.summary_type.key, entries.collect::<Vec<_>>().join(", "));
        receiver.accept("/api_client/garmin", body).await?;
    }
    for table in registry.tables() {
        let sql = format!("SELECT count(*) FROM garmin_wellness.{}", table.summary_type.table);
        let rows =
            async || sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql.clone())).fetch_one(&site.pool).await;
        // The worker's count of messages would not do: a large one is split, and counts as several.
        let stored = async || (rows().await.ok()? == 3).then_some(());
        eventually(&format!("three {}", table.summary_type.key), stored).await?;
    }

    let activity = fit::activity(1, 1_794_265_200, 20);
    super::files::keep(&site, &super::files::file_id("u0", 1, "FIT"), 1, &activity).await?;

    let views: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = 'garmin_wellness'::regnamespace AND relkind = 'v'",
    )
    .fetch_all(&site.pool)
    .await?;
    assert!(views.len() >= 16, "{views:?}");
    for view in views {
        // As text, so that every column of every row is worked out.
        let sql = format!("SELECT count(row::text) FROM garmin_wellness.{view} AS row");
        let rows = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).fetch_one(&site.pool).await;
        let rows = rows.map_err(|error| format!("{view}: {error}"))?;
        assert!(rows > 0, "{view} shows nothing");
    }
    Ok(())
}
