//! Activity files: what the simulator's devices have noted is what the views show, to the last digit; what cannot be read
//! is kept; and the files come out of the database as they went in.

use apollo_shared::envelope::Microseconds;
use apollo_simulator::fit;
use apollo_simulator::fit::course::{Course, Lap, Sample};
use apollo_tests::Result;
use apollo_tests::site::Site;
use apollo_worker::files::{self, FileId, FileVersion, Kept, Media, Outcome};
use apollo_worker::metrics::Metrics;
use serde_json::{Value, json};
use sqlx::{FromRow, PgPool};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;
use xtask::stack::of_tests;

const BEGINS: i64 = 1_793_000_000;

pub(crate) fn file_id(user_id: &str, activity_id: u64, file_type: &str) -> FileId {
    let summary_id = format!("{activity_id}-file");
    FileId { user_id: user_id.to_owned(), summary_id, file_type: file_type.to_owned() }
}

/// Stores a file that was announced at `received_at` (microseconds), over the worker's own rights.
pub(crate) async fn keep(site: &Site, id: &FileId, received_at: i64, content: &[u8]) -> Result<Kept> {
    let pool = PgPool::connect(&site.database_url()).await?;
    let version =
        FileVersion { received_at: Microseconds(received_at), message_id: Uuid::nil(), entry_index: 0 };
    let kept = files::keep(&pool, &Metrics::new()?, id, version, &Arc::new(content.to_vec())).await?;
    pool.close().await;
    Ok(kept)
}

fn kept(media: Media, outcome: Outcome) -> Kept {
    Kept { media, outcome }
}

/// A row of `activity_file_record`.
#[derive(Debug, PartialEq, FromRow)]
struct Record {
    time: OffsetDateTime,
    local_hours: f64,
    latitude: Option<f64>,
    longitude: Option<f64>,
    altitude: f64,
    heart_rate: Option<i32>,
    cadence: Option<i32>,
    power: Option<i32>,
    speed: f64,
    distance: f64,
    temperature: i32,
    extra: Option<Value>,
}

impl Record {
    fn of(sample: &Sample, course: &Course) -> Result<Self> {
        let degrees = |semicircles: i32| f64::from(semicircles) * 180.0 / 2_147_483_648.0;
        Ok(Self {
            time: OffsetDateTime::from_unix_timestamp(sample.time)?,
            local_hours: f64::from(course.offset) / 3600.0,
            latitude: sample.position.map(|(latitude, _)| degrees(latitude)),
            longitude: sample.position.map(|(_, longitude)| degrees(longitude)),
            altitude: (f64::from(sample.altitude) - 2500.0) / 5.0,
            heart_rate: sample.heart_rate.map(i32::from),
            cadence: sample.cadence.map(i32::from),
            power: sample.power.map(i32::from),
            speed: f64::from(sample.speed) / 1000.0,
            distance: f64::from(sample.distance) / 100.0,
            temperature: sample.temperature.into(),
            extra: None,
        })
    }
}

async fn records(site: &Site, activity_id: u64) -> Result<Vec<Record>> {
    let sql =
        "SELECT *, (extract(epoch FROM time_local - time AT TIME ZONE 'UTC') / 3600)::float8 AS local_hours
               FROM garmin_wellness.activity_file_record WHERE activity_id = $1 ORDER BY record_number";
    Ok(sqlx::query_as(sql).bind(activity_id as i64).fetch_all(&site.pool).await?)
}

/// A row of `activity_file_lap` or `activity_file_session`.
#[derive(Debug, PartialEq, FromRow)]
struct Part {
    time: OffsetDateTime,
    total_elapsed_time: f64,
    total_timer_time: f64,
    total_distance: f64,
    avg_heart_rate: Option<i32>,
    max_heart_rate: Option<i32>,
}

impl Part {
    fn of(lap: &Lap) -> Result<Self> {
        Ok(Self {
            time: OffsetDateTime::from_unix_timestamp(lap.begins)?,
            total_elapsed_time: (lap.ends - lap.begins) as f64,
            total_timer_time: lap.timer_seconds.into(),
            total_distance: f64::from(lap.distance) / 100.0,
            avg_heart_rate: lap.average_heart_rate.map(i32::from),
            max_heart_rate: lap.max_heart_rate.map(i32::from),
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_views_show_what_the_device_noted() -> Result<()> {
    let site = Site::new().await?;
    sqlx::raw_sql(
        "INSERT INTO garmin_oauth.user_id (user_id) VALUES ('u');
         INSERT INTO garmin_oauth.subject (subject_id, user_id) VALUES ('P-1', 'u')",
    )
    .execute(&site.pool)
    .await?;
    // Between them: both sports, power and none, two bytes and four; and files whose label is wrong.
    let courses: Vec<Course> =
        (20_000_000_000..20_000_000_008).map(|id| Course::new(id, BEGINS, 700)).collect();
    for course in &courses {
        let id = file_id("u", course.activity_id, if course.enhanced { "FIT" } else { "GPX" });
        let stored = keep(&site, &id, 1, &fit::encode(course)).await?;
        assert_eq!(stored, kept(Media::Fit, Outcome::Parsed));
    }
    for course in &courses {
        let found = records(&site, course.activity_id).await?;
        let noted: Vec<Record> =
            course.samples.iter().map(|sample| Record::of(sample, course)).collect::<Result<_>>()?;
        assert!(found == noted, "{found:?} instead of {noted:?}");

        let sql =
            "SELECT * FROM garmin_wellness.activity_file_lap WHERE activity_id = $1 ORDER BY lap_number";
        let laps: Vec<Part> =
            sqlx::query_as(sql).bind(course.activity_id as i64).fetch_all(&site.pool).await?;
        assert_eq!(laps, course.laps.iter().map(Part::of).collect::<Result<Vec<_>>>()?);
        let sql = "SELECT * FROM garmin_wellness.activity_file_session WHERE activity_id = $1";
        let sessions: Vec<Part> =
            sqlx::query_as(sql).bind(course.activity_id as i64).fetch_all(&site.pool).await?;
        assert_eq!(sessions, [Part::of(&course.whole)?]);
    }
    let sports = "SELECT count(DISTINCT sport) FROM garmin_wellness.activity_file_session
                  WHERE subject_id = 'P-1' AND sport IN ('running', 'cycling')";
    assert_eq!(site.count(sports).await?, 2);
    let laps = "SELECT count(*) FROM garmin_wellness.activity_file_lap
                WHERE fields ->> 'lap_trigger' = 'manual' AND lap_trigger = 'manual' AND end_time > time";
    assert_eq!(site.count(laps).await?, 3 * courses.len() as i64);
    let unread = "SELECT count(*) FROM garmin_wellness.activity_file_content WHERE unread IS NOT NULL";
    assert_eq!(site.count(unread).await?, 0);
    Ok(())
}

/// The program, in `folder`.
fn run(site: &Site, folder: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(of_tests()?.binary("apollo-worker"));
    command.arg("files").args(arguments).env("DATABASE__URL", site.database_url()).current_dir(folder);
    Ok(command.output()?)
}

fn printed(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_comes_is_kept_and_taken_out_as_it_was() -> Result<()> {
    const GPX: &[u8] = b"<?xml version=\"1.0\"?><gpx></gpx>";
    let site = Site::new().await?;
    let good = fit::activity(1, BEGINS, 60);
    let mut damaged = fit::activity(2, BEGINS, 60);
    damaged[300] ^= 1;
    let cut_short = &good[..500];
    let parsed = kept(Media::Fit, Outcome::Parsed);
    assert_eq!(keep(&site, &file_id("u", 1, "FIT"), 1, &good).await?, parsed);
    let unreadable = kept(Media::Fit, Outcome::Unreadable);
    assert_eq!(keep(&site, &file_id("u", 2, "FIT"), 1, &damaged).await?, unreadable);
    let no_fit = kept(Media::Gpx, Outcome::Kept);
    assert_eq!(keep(&site, &file_id("v", 3, "GPX"), 1, GPX).await?, no_fit);
    assert_eq!(keep(&site, &file_id("../v", 4, ""), 1, b"").await?, kept(Media::Unknown, Outcome::Kept));
    sqlx::raw_sql(
        "INSERT INTO garmin_oauth.subject (subject_id, user_id) VALUES ('P 1', 'u');
         INSERT INTO garmin_wellness.activity_file
             (user_id, summary_id, file_type, activity_id, start_time, received_at, message_id, entry_index, content_digest)
         VALUES ('v', '3-file', 'GPX', 3, '2026-11-10', now(), gen_random_uuid(), 0, ''),
                ('v', '9-file', 'TCX', 9, '2026-11-10', now(), gen_random_uuid(), 0, '')",
    )
    .execute(&site.pool)
    .await?;

    // Of several versions the one of the latest ping counts, whichever comes first.
    assert_eq!(keep(&site, &file_id("u", 1, "FIT"), 1, cut_short).await?.outcome, Outcome::Stale);
    assert_eq!(keep(&site, &file_id("u", 1, "FIT"), 2, cut_short).await?, unreadable);
    assert_eq!(site.count("SELECT count(*) FROM garmin_wellness.activity_file_record").await?, 0);
    assert_eq!(keep(&site, &file_id("u", 1, "FIT"), 3, &good).await?, parsed);
    assert_eq!(site.count("SELECT count(*) FROM garmin_wellness.activity_file_record").await?, 55);

    let folder = tempfile::tempdir()?;
    let listed = printed(&run(&site, folder.path(), &["list"])?);
    for words in ["FIT       fit      parsed", "a checksum is wrong", "TCX       -        not fetched  1"] {
        assert!(listed.contains(words), "{words}: {listed}");
    }

    let all = ["export", "--to", "out"];
    let told = printed(&run(&site, folder.path(), &all)?);
    assert!(told.starts_with("4 files written to out"), "{told}");
    let out = folder.path().join("out");
    let files = [
        ("P%201/1-file+FIT.fit", good.as_slice()),
        ("P%201/2-file+FIT.fit", &damaged),
        ("v/3-file+GPX.gpx", GPX),
        ("%2E.%2Fv/4-file.bin", b""),
    ];
    for (path, content) in files {
        assert!(fs::read(out.join(path))? == content, "{path}");
    }
    let manifest = fs::read_to_string(out.join("manifest.csv"))?;
    let digest = files::digest(GPX).map(|byte| format!("{byte:02x}")).concat();
    let line = format!("v/3-file+GPX.gpx,,v,3,GPX,gpx,2026-11-10T00:00:00Z,{},{digest}", GPX.len());
    assert!(manifest.lines().any(|found| found == line), "{line}: {manifest}");
    assert_eq!(manifest.lines().count(), 1 + files.len());

    fs::remove_file(out.join("v/3-file+GPX.gpx"))?;
    fs::write(out.join("P%201/1-file+FIT.fit"), "altered")?;
    let told = printed(&run(&site, folder.path(), &all)?);
    assert!(told.contains("1 files written to out, 1 replaced by newer versions, 2 there already"), "{told}");
    let some = ["export", "--to", "some", "--subject", "P 1", "--type", "fit", "--from", "2026-10-26"];
    assert!(printed(&run(&site, folder.path(), &some)?).starts_with("1 files written"));
    let unknown = run(&site, folder.path(), &["export", "--to", "x", "--subject", "P-9"])?;
    assert!(!unknown.status.success() && !folder.path().join("x").exists());

    // As an older version of Apollo would have left them.
    sqlx::raw_sql(
        "UPDATE garmin_wellness.activity_file_content
         SET parser_version = 0, state = 'unreadable', error = 'old', record_times = NULL
         WHERE summary_id = '1-file'",
    )
    .execute(&site.pool)
    .await?;
    let told = printed(&run(&site, folder.path(), &["parse"])?);
    assert!(told.contains("2 files read again: 1 parsed, 1 unreadable"), "{told}");
    assert_eq!(site.count("SELECT count(*) FROM garmin_wellness.activity_file_record").await?, 55);

    sqlx::raw_sql(
        "UPDATE garmin_wellness.activity_file_content SET content = 'x' WHERE summary_id = '3-file'",
    )
    .execute(&site.pool)
    .await?;
    let refused = run(&site, folder.path(), &["export", "--to", "again"])?;
    assert!(!refused.status.success(), "a file that is not what came is no success");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("3-file of user v"));
    assert!(!folder.path().join("again/v").exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_with_their_users_consent() -> Result<()> {
    let site = Site::new().await?;
    let (end, hour) = (Microseconds::now().0 - 7_200_000_000, 3_600_000_000);
    let content = fit::activity(1, BEGINS, 20);
    for (activity_id, received_at) in [(1, end - hour), (2, end + hour)] {
        keep(&site, &file_id("u", activity_id, "FIT"), received_at, &content).await?;
        keep(&site, &file_id("v", activity_id, "FIT"), received_at, &content).await?;
    }
    let files = "SELECT jsonb_agg(user_id || ' ' || summary_id ORDER BY user_id, summary_id)
                 FROM garmin_wellness.activity_file_content";
    let stored = async || sqlx::query_scalar::<_, Value>(files).fetch_one(&site.pool).await;
    assert_eq!(stored().await?, json!(["u 1-file", "u 2-file", "v 1-file", "v 2-file"]));

    super::withdrawal::withdraw(&site, "u", end).await?;
    let late = keep(&site, &file_id("u", 3, "FIT"), end + hour, &content).await?;
    assert_eq!(late, kept(Media::Fit, Outcome::Withdrawn));
    super::withdrawal::purge(&site, "u").await?;
    assert_eq!(stored().await?, json!(["u 1-file", "v 1-file", "v 2-file"]), "what came in time is kept");

    sqlx::raw_sql("INSERT INTO garmin_oauth.subject (subject_id, user_id) VALUES ('P-1', 'u')")
        .execute(&site.pool)
        .await?;
    let told = super::withdrawal::erase(&site, "P-1").await?;
    assert!(told.rows.contains_key("garmin_wellness.activity_file_content"), "{told:?}");
    assert_eq!(stored().await?, json!(["v 1-file", "v 2-file"]));
    let again = keep(&site, &file_id("u", 1, "FIT"), end - hour, &content).await?;
    assert_eq!(again.outcome, Outcome::Withdrawn, "nothing comes back");
    Ok(())
}
