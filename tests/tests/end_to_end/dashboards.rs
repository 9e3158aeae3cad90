//! Grafana's dashboards: each query of each panel finds something while everything that they show happens, in a real
//! Prometheus with the jobs of `ops/prometheus` and in PostgreSQL as Grafana's own role.

use apollo_shared::consent::Status;
use apollo_simulator::garmin::{Mode, OauthVersion};
use apollo_simulator::plan::Plan;
use apollo_simulator::sender::{SendOptions, send};
use apollo_tests::Result;
use apollo_tests::study::{ADA, Study};
use apollo_tests::wait::eventually;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;
use xtask::stack::{Prometheus, StackFolder, Targets, of_tests, postgres};

const PUSH: &str = "/api_client/garmin";

/// The times that a person has chosen, in the place of Grafana's.
const TIMES: [(&str, &str); 5] = [
    ("$__rate_interval", "1m"),
    ("$__interval", "1m"),
    ("$__range", "5m"),
    ("$__timeFrom()", "'2000-01-01T00:00:00Z'"),
    ("$__timeTo()", "'2100-01-01T00:00:00Z'"),
];

fn ops(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops").join(path)
}

fn dashboards() -> Result<Vec<(String, Value)>> {
    let files = fs::read_dir(ops("grafana/dashboards"))?;
    let read = files.map(|file| {
        let path = file?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, serde_json::from_slice(&fs::read(&path)?)?))
    });
    read.collect()
}

fn list<'a>(value: &'a Value, member: &str) -> impl Iterator<Item = &'a Value> {
    value[member].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// Those that show something.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(dashboard, "panels").filter(|panel| panel["type"] != "row")
}

/// A query of a panel, as Grafana would send it.
struct Query<'a> {
    dashboard: &'a str,
    panel: &'a str,
    source: &'a str,
    words: String,
}

impl<'a> Query<'a> {
    /// Those of a dashboard.
    fn all((name, dashboard): &'a (String, Value)) -> impl Iterator<Item = Self> {
        panels(dashboard).flat_map(move |panel| {
            list(panel, "targets").map(move |target| Self {
                dashboard: name,
                panel: text(panel, "title"),
                source: text(&panel["datasource"], "uid"),
                words: filled_in(&(text(target, "expr").to_owned() + text(target, "rawSql")), dashboard),
            })
        })
    }

    /// Waits until it finds something.
    async fn is_answered(&self, prometheus: &Url, reader: &PgPool) -> Result<()> {
        let Self { dashboard, panel, source, words } = self;
        let client = Client::new();
        let answered = async || match *source {
            "prometheus" => finds_a_number(&client, prometheus, words).await,
            _ => Ok(!sqlx::raw_sql(AssertSqlSafe(words.as_str())).fetch_all(reader).await?.is_empty()),
        };
        let what = format!("{dashboard}, {panel:?} shows something: {words}");
        match eventually(&what, async || answered().await.ok().filter(|found| *found)).await {
            Err(error) => Err(format!("{error}; the last answer was {:?}", answered().await).into()),
            Ok(_) => Ok(()),
        }
    }
}

/// With a person's choices in the places of variables.
fn filled_in(words: &str, dashboard: &Value) -> String {
    let mut filled = words.to_owned();
    while let Some((before, (column, after))) =
        filled.split_once("$__timeFilter(").and_then(|(before, rest)| Some((before, rest.split_once(')')?)))
    {
        filled = format!("{before}{column} BETWEEN $__timeFrom() AND $__timeTo(){after}");
    }
    let chosen = list(&dashboard["templating"], "list")
        .map(|variable| (format!("${}", text(variable, "name")), text(&variable["current"], "value")));
    let times = TIMES.map(|(name, value)| (name.to_owned(), value));
    times.into_iter().chain(chosen).fold(filled, |filled, (name, value)| filled.replace(&name, value))
}

/// Whether an expression has a series now whose value is a number.
async fn finds_a_number(client: &Client, prometheus: &Url, expression: &str) -> Result<bool> {
    let mut url = prometheus.join("api/v1/query")?;
    url.query_pairs_mut().append_pair("query", expression);
    let answer: Value = client.get(url).send().await?.json().await?;
    if answer["status"] != "success" {
        return Err(answer.to_string().into());
    }
    let number = |series: &Value| series["value"][1].as_str()?.parse::<f64>().ok();
    Ok(list(&answer["data"], "result").filter_map(number).any(f64::is_finite))
}

/// Whatever panels show happens, once: a day with a field that nobody knows and an entry without a time, a ping whose
/// token has expired, an activity file, a deregistration, a consent.
async fn everything_happens(study: &Study, round: u32) -> Result<()> {
    let Study { site, garmin, receiver, .. } = study;
    let start = 1_700_000_000 + 86_400 * round;
    let daily = json!({"userId": ADA, "startTimeInSeconds": start, "durationInSeconds": 60, "fieldOfTomorrow": 1,
                       "calendarDate": "2023-11-14", "maxHeartRateInBeatsPerMinute": 150});
    receiver.accept(PUSH, json!({"dailies": [daily, {"userId": ADA}]}).to_string()).await?;
    let expired = "UPDATE garmin_oauth.access_token SET expires_at = now(), refresh_after = now() WHERE oauth_version = 2";
    sqlx::query(expired).execute(&site.pool).await?;
    let ping = garmin.upload(json!({"sleeps": [daily]}).to_string().as_bytes(), Mode::Ping)?;
    receiver.accept(PUSH, ping).await?;
    let url = "https://apis.garmin.com/wellness-api/rest/activityFile?id=20411873355&token=t";
    let file =
        json!({"userId": ADA, "summaryId": format!("{round}-file"), "fileType": "FIT", "callbackURL": url});
    let ping = garmin.upload(json!({"activityFiles": [file]}).to_string().as_bytes(), Mode::Push)?;
    receiver.accept(PUSH, ping).await?;

    let leaving = format!("leaving {round}");
    study.link_by_oauth1(&leaving).await?;
    garmin.disconnect(&leaving);
    let deregistration = json!({"deregistrations": [{"userId": leaving}]}).to_string();
    receiver.accept("/oauth/garmin/deregistration", deregistration).await?;
    let participant = study.participant();
    let declined = participant.begin(&format!("P-{round}")).await?.decline().await?.outcome().await?;
    assert_eq!(declined, Status::Declined);
    Ok(())
}

async fn goes_on(study: &Study) -> Result<()> {
    for round in 0.. {
        everything_happens(study, round).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_every_panel_finds_something() -> Result<()> {
    let study = Study::new(OauthVersion::Two, &[]).await?;
    let worker = study.following_worker(&[]).await?;
    let folder = StackFolder::create("dashboards")?;
    let stack = of_tests()?;
    let targets = Targets {
        receivers: vec![study.receiver.admin_address().to_string()],
        workers: vec![worker.admin_address().to_string()],
        rabbitmq: format!("127.0.0.1:{}", stack.rabbitmq.prometheus_port),
    };
    let prometheus = tokio::task::block_in_place(|| Prometheus::start(&folder, &targets))?;
    let owner = PgPool::connect(&study.site.addresses.owner_database).await?;
    sqlx::raw_sql(AssertSqlSafe(fs::read_to_string(ops("postgres/reader.sql"))?)).execute(&owner).await?;
    let reader = PgPool::connect(&stack.postgres.url_of(postgres::READER, study.site.name())).await?;
    study.link_by_oauth2(ADA).await?;
    let plan = Plan { users: 5, days: 1, seed: 8, sample_interval_seconds: Some(3600) };
    send(&plan, &SendOptions::new(study.receiver.url().parse()?), CancellationToken::new(), |_| {}).await?;

    let (dashboards, prometheus_url) = (dashboards()?, Url::parse(prometheus.url())?);
    let queries: Vec<Query> = dashboards.iter().flat_map(Query::all).collect();
    assert!(queries.len() > 50, "only {} queries were found", queries.len());
    let all_are_answered = async {
        for query in &queries {
            query.is_answered(&prometheus_url, &reader).await?;
        }
        Ok::<_, apollo_tests::Error>(())
    };
    tokio::select! {
        stopped = goes_on(&study) => stopped?,
        answered = all_are_answered => answered?,
    }
    the_view_shows_who_takes_part_and_no_secrets(&reader).await
}

async fn the_view_shows_who_takes_part_and_no_secrets(reader: &PgPool) -> Result<()> {
    let sql =
        "SELECT subject_id, active, withdrawn_at IS NOT NULL, last_received_at > now() - interval '1 hour',
                      days_with_data > 0 AND first_day <= last_day
               FROM garmin_wellness.participant WHERE user_id = $1";
    type Row = (Option<String>, bool, bool, Option<bool>, Option<bool>);
    let row = async |user_id: &'static str| sqlx::query_as(sql).bind(user_id).fetch_one(reader).await;
    let ada: Row = row(ADA).await?;
    assert_eq!(ada, (Some(format!("subject of {ADA}")), true, false, Some(true), Some(true)));
    let gone: Row = row("leaving 0").await?;
    assert_eq!(gone, (Some("subject of leaving 0".to_owned()), false, true, None, Some(false)));
    for table in ["garmin_oauth.subject", "garmin_oauth.access_token", "garmin_raw.notification"] {
        let refused = sqlx::query(AssertSqlSafe(format!("SELECT FROM {table}"))).execute(reader).await;
        let error = refused.err().ok_or_else(|| format!("Grafana may read {table}"))?;
        let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
        assert_eq!(code, "42501", "{table}: {error}");
    }
    Ok(())
}

#[test]
fn every_panel_says_what_to_see_and_names_sections_that_the_runbook_has() -> Result<()> {
    let runbook = fs::read_to_string(ops("../docs/runbook.md"))?;
    let sections: BTreeSet<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let sources = fs::read_to_string(ops("grafana/provisioning/datasources/apollo.yaml"))?;
    for (name, dashboard) in dashboards()? {
        assert_eq!(text(&dashboard, "uid"), format!("apollo-{name}"));
        assert_eq!(dashboard["editable"], json!(false), "{name}");
        let ids: BTreeSet<u64> =
            list(&dashboard, "panels").filter_map(|panel| panel["id"].as_u64()).collect();
        assert_eq!(ids.len(), list(&dashboard, "panels").count(), "{name}: panels share an id");
        for panel in panels(&dashboard) {
            let (title, description) = (text(panel, "title"), text(panel, "description"));
            assert!(description.ends_with('.'), "{name}, {title:?} is not described");
            let source = format!("uid: {}\n", text(&panel["datasource"], "uid"));
            assert!(sources.contains(&source), "{name}, {title:?} asks a source that is not provisioned");
            for named in description.split("docs/runbook.md, *").skip(1) {
                let section = named.split('*').next().unwrap_or_default();
                assert!(
                    sections.contains(section),
                    "{name}, {title:?}: the runbook has no section {section:?}"
                );
            }
        }
    }
    Ok(())
}
