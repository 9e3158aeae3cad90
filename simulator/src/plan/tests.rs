//! What a plan makes: repeatable, shaped as Garmin's documents say, and with the oddities that a receiver must survive.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::*;
use crate::columns::NOVELTY;
use crate::expectation::Expectation;

mod activities;
mod shapes;
mod versions;

type Entry = Map<String, Value>;

/// Enough users for every oddity, with few samples.
fn plan() -> Plan {
    Plan { users: 60, days: 2, seed: 7, sample_interval_seconds: Some(1_800) }
}

fn notifications(plan: &Plan) -> Vec<Notification> {
    plan.groups().flat_map(|group| group.notifications()).collect()
}

fn lists(notification: &Notification) -> BTreeMap<String, Vec<Entry>> {
    serde_json::from_slice(&notification.body).unwrap()
}

/// All summaries of a type, in the order of sending.
fn entries(plan: Plan, key: &'static str) -> impl Iterator<Item = Entry> {
    let with_key = move |notification: &Notification| notification.summaries.contains_key(key);
    let sent = plan.groups().flat_map(|group| group.notifications()).filter(with_key);
    sent.flat_map(move |notification| lists(&notification).remove(key).unwrap_or_default())
}

fn number(entry: &Entry, field: &str) -> i64 {
    entry[field].as_f64().unwrap() as i64
}

/// The versions of each summary of a type, in the order of sending.
fn versions(plan: Plan, key: &'static str) -> Vec<Vec<Entry>> {
    let mut versions: BTreeMap<_, Vec<Entry>> = BTreeMap::new();
    for entry in entries(plan, key) {
        let text = |field: &str| entry.get(field).map(Value::to_string);
        let time = if key == "bodyComps" { "measurementTimeInSeconds" } else { "startTimeInSeconds" };
        let identity = (text("userId"), number(&entry, time), text("activityType"), text("onDemand"));
        versions.entry(identity).or_default().push(entry);
    }
    versions.into_values().collect()
}

#[test]
fn equal_plans_make_equal_notifications() {
    let bodies = |plan: &Plan| {
        notifications(plan).into_iter().map(|notification| notification.body).collect::<Vec<_>>()
    };
    assert_eq!(bodies(&plan()), bodies(&plan()));
    assert_ne!(bodies(&plan()), bodies(&Plan { seed: 8, ..plan() }));
}

#[test]
fn a_household_does_not_depend_on_how_many_others_there_are() {
    let first = |users: u32| Plan { users, ..plan() }.groups().next().unwrap();
    let bodies =
        |group: Group| group.notifications().map(|notification| notification.body).collect::<Vec<_>>();
    assert_eq!(bodies(first(50)), bodies(first(500)));
}

#[test]
fn households_have_every_user_once() {
    let groups: Vec<_> = plan().groups().collect();
    let users: BTreeSet<_> = groups.iter().flat_map(Group::user_ids).collect();
    assert_eq!(users.len(), 60);
    assert!(groups.iter().rev().skip(1).all(|group| (5..=10).contains(&group.size())));
}

#[test]
fn no_users_make_no_notifications() {
    assert_eq!(Plan { users: 0, ..plan() }.groups().count(), 0);
}

#[test]
fn every_body_holds_what_is_announced() {
    for notification in notifications(&plan()) {
        let lists = lists(&notification);
        let counts: Vec<_> = lists.iter().map(|(key, list)| (key.as_str(), list.len() as u64)).collect();
        let announced: Vec<_> = notification.summaries.iter().map(|(key, count)| (*key, *count)).collect();
        assert_eq!(counts, announced);
        assert!(counts.iter().all(|(_, count)| *count > 0));
        if let Some(endpoint) = notification.endpoint {
            assert_eq!(lists.keys().collect::<Vec<_>>(), [endpoint]);
        }
    }
}

#[test]
fn a_plan_has_about_as_many_summaries_as_people_make() {
    let plan = Plan { users: 100, ..plan() };
    let sent = notifications(&plan);
    let summaries: u64 = sent.iter().flat_map(|notification| notification.summaries.values()).sum();
    assert!((40_000..50_000).contains(&summaries), "{summaries}");
    assert!((1_500..4_000).contains(&sent.len()), "{}", sent.len());
}

#[test]
fn in_the_end_every_day_and_every_slice_is_whole() {
    let plan = plan();
    for group in plan.groups() {
        let expectation = Expectation::of_group(&group).unwrap();
        let days = (group.size() * plan.days) as usize;
        assert_eq!(expectation.rows("daily_summary").count(), days);
        assert_eq!(expectation.rows("stress_summary").count(), days);
        assert_eq!(expectation.rows("sleep_summary").count(), days);
        for day in expectation.rows("daily_summary") {
            let seconds = day["duration_in_seconds"].as_f64().unwrap();
            assert!(seconds % 900.0 == 0.0 && seconds >= 43_200.0, "{day:?}");
        }
        let mut slices = expectation.rows("epoch_summary");
        assert!(slices.all(|slice| slice["duration_in_seconds"].as_f64() == Some(900.0)));
    }
}

#[test]
fn the_times_of_the_activities_in_a_slice_add_up_to_it() {
    for group in plan().groups().take(5) {
        let expectation = Expectation::of_group(&group).unwrap();
        let mut slices: BTreeMap<_, f64> = BTreeMap::new();
        for row in expectation.rows("epoch_summary") {
            *slices.entry((row["user_id"].to_string(), row["start_time"].to_string())).or_default() +=
                row["active_time_in_seconds"].as_f64().unwrap();
        }
        assert!(slices.values().all(|seconds| *seconds == 900.0));
    }
}

#[test]
fn days_grow_from_version_to_version_under_changing_ids() {
    for key in ["dailies", "stressDetails"] {
        let days = versions(plan(), key);
        let ids = |day: &Vec<Entry>| {
            day.iter().map(|entry| entry["summaryId"].to_string()).collect::<BTreeSet<_>>()
        };
        let growing = days.iter().filter(|day| ids(day).len() >= 3).count();
        assert!(growing > days.len() / 2, "{key}: {growing} of {}", days.len());
    }
    let corrected = |day: &Vec<Entry>| {
        day.windows(2)
            .any(|pair| pair[0]["summaryId"] == pair[1]["summaryId"] && pair[0]["steps"] != pair[1]["steps"])
    };
    assert!(versions(plan(), "dailies").iter().any(corrected), "a finished day comes again with other steps");
}

#[test]
fn some_slices_are_sent_short_and_then_whole() {
    let slices = versions(plan(), "epochs");
    let grown = |slice: &&Vec<Entry>| number(&slice[0], "durationInSeconds") < 900 && slice.len() > 1;
    assert!(slices.iter().filter(grown).count() > 100);
}

#[test]
fn nights_are_tentative_and_then_final() {
    let nights = versions(plan(), "sleeps");
    let verdicts = |night: &Vec<Entry>| {
        night.iter().map(|entry| entry["validation"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let settled = |night: &&Vec<Entry>| {
        let verdicts = verdicts(night);
        verdicts.first().is_some_and(|first| first.ends_with("_TENTATIVE"))
            && verdicts.iter().any(|verdict| verdict.ends_with("_FINAL"))
    };
    assert!(nights.iter().filter(settled).count() > 50);
    assert!(nights.iter().any(|night| verdicts(night) == ["OFF_WRIST"]));
    for night in nights.iter().flatten().filter(|night| night.contains_key("sleepLevelsMap")) {
        let stages = ["deepSleepDurationInSeconds", "lightSleepDurationInSeconds", "remSleepInSeconds"];
        let asleep: i64 = stages.iter().map(|stage| number(night, stage)).sum();
        assert_eq!(number(night, "durationInSeconds"), asleep, "asleep time only");
    }
    assert!(nights.iter().flatten().any(|night| night.contains_key("naps")));
    assert!(nights.iter().flatten().any(|night| night.contains_key("overallSleepScore")));
}

#[test]
fn users_differ_in_clock_device_and_habits() {
    let days: Vec<_> = entries(Plan { users: 150, ..plan() }, "dailies").collect();
    let mut offsets: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for day in &days {
        offsets
            .entry(day["userId"].as_str().unwrap())
            .or_default()
            .insert(number(day, "startTimeOffsetInSeconds"));
    }
    assert!(offsets.values().any(|offsets| offsets.contains(&34_200)));
    assert!(offsets.values().any(|offsets| offsets.len() == 2), "somebody travels");
    assert!(offsets.keys().any(|user| user.len() == 32) && offsets.keys().any(|user| user.len() == 36));
    assert!(days.iter().any(|day| day.contains_key("pushes")), "somebody uses a wheelchair");
    assert!(days.iter().any(|day| !day.contains_key("bodyBatteryChargedValue")));
    let unworn = days.iter().find(|day| number(day, "averageStressLevel") == -1).unwrap();
    assert_eq!(unworn["timeOffsetHeartRateSamples"], Value::Object(Map::new()));
    assert!(!unworn.contains_key("restingHeartRateInBeatsPerMinute"));
}

#[test]
fn devices_record_heart_rates_at_their_own_intervals() {
    let plan = Plan { users: 40, days: 1, seed: 7, sample_interval_seconds: None };
    let closest = |day: &Entry| {
        let mut offsets: Vec<u32> = day["timeOffsetHeartRateSamples"]
            .as_object()
            .unwrap()
            .keys()
            .map(|key| key.parse().unwrap())
            .collect();
        offsets.sort_unstable();
        offsets.windows(2).map(|pair| pair[1] - pair[0]).min()
    };
    let intervals: BTreeSet<_> = entries(plan, "dailies").filter_map(|day| closest(&day)).collect();
    assert_eq!(intervals, BTreeSet::from([15, 60, 90, 120]));
}

#[test]
fn stress_holds_the_values_that_are_no_levels() {
    let details = entries(Plan { users: 40, sample_interval_seconds: None, ..plan() }, "stressDetails");
    let levels = |detail: &Entry| {
        let samples = detail["timeOffsetStressLevelValues"].as_object().unwrap().values();
        samples.map(|value| value.as_f64().unwrap() as i64).collect::<Vec<_>>()
    };
    let values: BTreeSet<_> = details.flat_map(|detail| levels(&detail)).collect();
    assert!([-4, -2, -1, 0].iter().all(|special| values.contains(special)), "{values:?}");
    assert!(values.iter().all(|value| (-5..=100).contains(value)));
}

#[test]
fn some_numbers_are_written_otherwise_and_some_fields_are_new() {
    let days: Vec<_> = entries(plan(), "dailies").collect();
    let fractional =
        |day: &Entry| day.iter().any(|(name, value)| value.is_f64() && name != "distanceInMeters");
    assert!(days.iter().any(fractional), "an integer as 144.0");
    let fractional_sample =
        |day: &Entry| day["timeOffsetHeartRateSamples"].as_object().unwrap().values().any(Value::is_f64);
    assert!(days.iter().any(fractional_sample));
    assert!(entries(plan(), "epochs").any(|epoch| epoch.contains_key(NOVELTY)));
    let mut nights = entries(Plan { users: 400, ..plan() }, "sleeps");
    assert!(
        nights.any(|night| night.get("overallSleepScore").is_some_and(|score| score.get(NOVELTY).is_some()))
    );
}

#[test]
fn bodies_hold_several_users_and_now_and_then_several_types() {
    let sent = notifications(&plan());
    let users = |notification: &Notification| {
        let lists = lists(notification);
        lists.values().flatten().map(|entry| entry["userId"].to_string()).collect::<BTreeSet<_>>().len()
    };
    assert!(sent.iter().any(|notification| users(notification) == 3));
    assert!(
        sent.iter().any(|notification| notification.summaries.len() > 1 && notification.endpoint.is_none())
    );
    assert!(
        sent.iter().any(|notification| notification.summaries.len() == 1 && notification.endpoint.is_none())
    );
}

#[test]
fn some_notifications_come_twice_at_once_and_some_again_later() {
    let mut at_once = 0;
    let mut later = 0;
    for group in plan().groups() {
        let bodies: Vec<_> = group.notifications().map(|notification| notification.body).collect();
        at_once += bodies.windows(2).filter(|pair| pair[0] == pair[1]).count();
        let earlier =
            |(place, body): (usize, &Vec<u8>)| bodies[..place].contains(body) && bodies[place - 1] != *body;
        later += bodies.iter().enumerate().skip(1).filter(|pair| earlier(*pair)).count();
    }
    assert!(at_once > 10 && later > 10, "{at_once} at once, {later} later");
}
