//! Later versions, corrections, and what arrives out of order.

use super::*;

/// Types whose summaries have a duration, beside those that [`super`] looks at.
const GROWING: [&str; 7] = [
    "thirdPartyDailies",
    "pulseox",
    "allDayRespiration",
    "healthSnapshot",
    "hrv",
    "skinTemp",
    "moveIQActivities",
];

fn seconds_of(field: &'static str) -> impl Fn(&Entry) -> i64 {
    move |entry| entry.get(field).and_then(Value::as_f64).unwrap_or_default() as i64
}

#[test]
fn what_is_measured_over_hours_grows_from_version_to_version() {
    let mut durations: BTreeMap<_, Vec<i64>> = BTreeMap::new();
    for notification in notifications(&Plan { users: 100, ..plan() }) {
        for (key, list) in lists(&notification).into_iter().filter(|(key, _)| GROWING.contains(&key.as_str()))
        {
            for entry in &list {
                let text = |field: &str| entry.get(field).map(Value::to_string);
                let identity = (
                    key.clone(),
                    text("userId"),
                    text("startTimeInSeconds"),
                    text("activityType"),
                    text("onDemand"),
                );
                durations.entry(identity).or_default().push(seconds_of("durationInSeconds")(entry));
            }
        }
    }
    for key in GROWING {
        let versions = durations.iter().filter(|((name, ..), _)| name == key).map(|(_, durations)| durations);
        let grown = |durations: &&Vec<i64>| durations.windows(2).any(|pair| 0 < pair[0] && pair[0] < pair[1]);
        assert!(versions.filter(grown).count() > 2, "{key}");
    }
}

#[test]
fn what_is_measured_at_a_moment_is_sometimes_corrected() {
    let readings = versions(Plan { users: 100, ..plan() }, "bodyComps");
    let corrected = |reading: &Vec<Entry>| {
        reading.windows(2).any(|pair| pair[0]["weightInGrams"] != pair[1]["weightInGrams"])
    };
    assert!(readings.iter().any(corrected));
    let nights = versions(Plan { users: 100, ..plan() }, "skinTemp");
    let judged_again = |night: &Vec<Entry>| {
        night.windows(2).any(|pair| {
            pair[0]["durationInSeconds"] == pair[1]["durationInSeconds"]
                && pair[0].get("avgDeviationCelsius") != pair[1].get("avgDeviationCelsius")
        })
    };
    assert!(nights.iter().any(judged_again), "of equally long nights the later counts");
}

#[test]
fn a_cycles_versions_arrive_in_any_order_under_both_keys() {
    let mut cycles: BTreeMap<_, Vec<(String, i64)>> = BTreeMap::new();
    for notification in notifications(&Plan { users: 120, ..plan() }) {
        for (key, list) in lists(&notification) {
            for entry in list.iter().filter(|entry| entry.contains_key("periodStartDate")) {
                let cycle = (entry["userId"].to_string(), entry["periodStartDate"].to_string());
                let updated = seconds_of("lastUpdatedTimeInSeconds")(entry);
                cycles.entry(cycle).or_default().push((key.clone(), updated));
            }
        }
    }
    let of_both_keys = |versions: &&Vec<(String, i64)>| {
        versions.iter().any(|(key, _)| key == "mct") && versions.iter().any(|(key, _)| key != "mct")
    };
    let overtaken = |versions: &&Vec<(String, i64)>| {
        versions.windows(2).any(|pair| pair[1].1 > 0 && pair[1].1 < pair[0].1)
    };
    let of_unknown_time = |versions: &&Vec<(String, i64)>| versions.iter().any(|(_, updated)| *updated == 0);
    assert!(cycles.values().filter(of_both_keys).filter(overtaken).count() > 10);
    assert!(cycles.values().filter(of_unknown_time).count() > 1);
}

#[test]
fn a_spot_check_may_begin_where_the_day_begins_and_a_start_may_have_a_fraction() {
    let plan = Plan { users: 120, ..plan() };
    let mut kinds: BTreeMap<_, BTreeSet<bool>> = BTreeMap::new();
    for reading in entries(plan, "pulseox") {
        let start = (reading["userId"].to_string(), number(&reading, "startTimeInSeconds"));
        let on_demand = reading.get("onDemand").and_then(Value::as_bool).unwrap_or_default();
        kinds.entry(start).or_default().insert(on_demand);
    }
    assert!(kinds.values().any(|kinds| kinds.len() == 2));
    assert!(entries(plan, "pulseox").any(|reading| !reading.contains_key("onDemand")));
    let half_past = |reading: Entry| reading["startTimeInSeconds"].as_f64().unwrap().fract() == 0.5;
    assert!(entries(plan, "pulseox").any(half_past));
    assert!(entries(plan, "allDayRespiration").any(half_past));
}

#[test]
fn no_row_holds_a_secret() {
    let plan = plan();
    let mut secrets = BTreeSet::new();
    for notification in notifications(&plan) {
        for entry in lists(&notification).values().flatten() {
            let text = |field: &str| entry.get(field).and_then(Value::as_str).map(str::to_owned);
            secrets.extend(text("userAccessToken"));
            secrets.extend(text("callbackURL").and_then(|url| Some(url.split_once("token=")?.1.to_owned())));
        }
    }
    assert!(secrets.len() > 20);
    for group in plan.groups() {
        let expectation = Expectation::of_group(&group).unwrap();
        for summary_type in &crate::expectation::SUMMARY_TYPES {
            for row in expectation.rows(summary_type.table) {
                let mut texts = row.values().filter_map(Value::as_str);
                assert!(!texts.any(|text| secrets.contains(text)), "{row:?}");
                assert!(!row.contains_key("callback_url") && !row.contains_key("summary_user_access_token"));
            }
        }
    }
}
