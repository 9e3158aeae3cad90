//! Workouts, which Garmin tells in several notifications.

use super::*;
use crate::expectation::SummaryType;

fn plan() -> Plan {
    Plan { users: 120, ..super::plan() }
}

/// The rows that a plan leaves in a table.
fn rows(plan: Plan, table: &'static str) -> Vec<Entry> {
    let mut expectation = Expectation::default();
    for notification in plan.groups().flat_map(|group| group.notifications()) {
        let is_of_table = |key: &&str| SummaryType::of_key(key).is_some_and(|of_key| of_key.table == table);
        if notification.summaries.keys().any(is_of_table) {
            expectation.receive(&notification.body).unwrap();
        }
    }
    expectation.rows(table).cloned().collect()
}

fn ids(rows: &[Entry]) -> BTreeSet<i64> {
    rows.iter().filter_map(|row| row.get("activity_id")?.as_i64()).collect()
}

#[test]
fn an_activity_its_details_and_its_files_name_the_same_activity() {
    let activities = ids(&rows(plan(), "activity_summary"));
    for table in ["activity_detail", "activity_file"] {
        let others = ids(&rows(plan(), table));
        assert!(others.intersection(&activities).count() > 50, "{table}");
    }
}

#[test]
fn an_activity_is_edited_after_it_was_sent_and_sometimes_sent_again_after_that() {
    let mut keys: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for notification in notifications(&plan()) {
        for (key, list) in lists(&notification) {
            for entry in list.iter().filter(|_| key == "activities" || key == "manuallyUpdatedActivities") {
                let id = entry.get("activityId").unwrap_or_else(|| &entry["summaryId"]);
                keys.entry(id.to_string().replace('"', "")).or_default().push(key.clone());
            }
        }
    }
    let count = |first: &str, last: &str| {
        keys.values().filter(|keys| keys[0] == first && keys[keys.len() - 1] == last).count()
    };
    assert!(count("activities", "manuallyUpdatedActivities") > 10, "edited");
    assert!(count("manuallyUpdatedActivities", "manuallyUpdatedActivities") > 3, "typed in");
    let sent_again = |keys: &&Vec<String>| {
        keys.windows(2).any(|pair| pair[0] == "manuallyUpdatedActivities" && pair[1] == "activities")
    };
    assert!(keys.values().filter(sent_again).count() > 3);

    let rows = rows(plan(), "activity_summary");
    let of_hand = |by_hand: bool| rows.iter().filter(|row| row["manually_updated"] == by_hand).count();
    assert!(of_hand(true) > 20 && of_hand(false) > 50);
    assert!(rows.iter().all(|row| row["manually_updated"] == false || !row.contains_key("steps")));
}

#[test]
fn the_legs_of_a_multisport_activity_name_it() {
    let rows = rows(plan(), "activity_summary");
    let parents: BTreeSet<_> = rows
        .iter()
        .filter(|row| row.get("is_parent") == Some(&Value::Bool(true)))
        .filter_map(|row| row["summary_id"].as_str())
        .collect();
    let legs: Vec<_> = rows.iter().filter_map(|row| row.get("parent_summary_id")?.as_str()).collect();
    assert!(legs.len() >= 4);
    assert!(legs.iter().all(|parent| parents.contains(parent)));
}

#[test]
fn samples_are_uneven_in_order_and_as_far_apart_as_the_plan_wants() {
    let details = |sample_interval_seconds: Option<u32>| {
        entries(Plan { users: 30, sample_interval_seconds, ..plan() }, "activityDetails")
    };
    let distances = |entry: Entry| {
        let seconds = |sample: &Value| sample["startTimeInSeconds"].as_i64().unwrap();
        let samples = entry.get("samples").and_then(Value::as_array).cloned().unwrap_or_default();
        samples.windows(2).map(|pair| seconds(&pair[1]) - seconds(&pair[0])).collect::<Vec<_>>()
    };
    let native: BTreeSet<_> = details(None).flat_map(distances).collect();
    assert_eq!(native, (2..=8).collect());
    assert!(details(Some(60)).flat_map(distances).all(|seconds| seconds == 60));
    for sample in details(None).filter_map(|entry| entry.get("samples")?.as_array().cloned()).flatten() {
        let [moving, timer, clock] = ["moving", "timer", "clock"]
            .map(|name| sample[format!("{name}DurationInSeconds")].as_i64().unwrap());
        assert!(moving <= timer && timer <= clock, "{sample}");
    }
}

#[test]
fn details_may_lack_samples_and_laps() {
    let details: Vec<_> = entries(plan(), "activityDetails").collect();
    let length = |entry: &Entry, field: &str| entry.get(field).map(|list| list.as_array().unwrap().len());
    assert!(details.iter().any(|entry| length(entry, "samples") == Some(0)));
    assert!(
        details.iter().any(|entry| length(entry, "samples").is_none() && length(entry, "laps").is_none())
    );
    assert!(
        details.iter().any(|entry| length(entry, "samples") > Some(0) && length(entry, "laps").is_none())
    );
}

#[test]
fn a_file_is_announced_again_with_another_url_and_by_older_pings_without_ids() {
    let pings: Vec<_> = entries(plan(), "activityFiles").collect();
    let mut urls: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for ping in &pings {
        let file = (ping.get("summaryId").map(Value::to_string), ping.get("fileType").map(Value::to_string));
        urls.entry(file).or_default().insert(ping["callbackURL"].to_string());
    }
    assert!(urls.iter().any(|((id, _), urls)| id.is_some() && urls.len() > 1));
    assert!(pings.iter().any(|ping| !ping.contains_key("summaryId")));
    let rows = rows(plan(), "activity_file");
    assert!(rows.iter().all(|row| row["summary_id"].as_str().unwrap().starts_with(['2', '3'])));
}
