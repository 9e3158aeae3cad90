//! `activityDetails`: a workout with its samples and laps.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::{activities, activity_id};
use crate::chance::{between, happens};
use crate::device::{Record, Rhythm, Workout};
use crate::outbox::Outbox;
use crate::plan::Plan;
use crate::rounding::rounded;
use crate::user::User;

pub(crate) const KEY: &str = "activityDetails";

/// How long a lap takes, in seconds.
const LAP_SECONDS: u32 = 345;

/// Meters in a degree of latitude.
const METERS_A_DEGREE: f64 = 111_320.0;

pub(crate) fn post(
    plan: &Plan,
    user: &User,
    record: &Record,
    workout: &Workout,
    rng: &mut Rng,
    outbox: &mut Outbox,
) {
    let mut due = record.moment(workout.begins + workout.seconds) + rng.i64(0..1_800);
    let bare = summary(user, record, workout, rng);
    if happens(rng, 0.1) {
        outbox.post(due, KEY, bare.clone());
        due += rng.i64(600..20_000);
    }
    let mut whole = bare;
    match rng.u8(..20) {
        0 => {}
        _ if workout.is_parent() => {
            whole["samples"] = json!([]);
            whole["laps"] = json!([]);
        }
        1 => whole["samples"] = samples(plan, record, workout, rng),
        _ => {
            whole["samples"] = samples(plan, record, workout, rng);
            whole["laps"] = laps(record, workout);
        }
    }
    outbox.post(due, KEY, whole);
}

/// Without samples and laps. In one document the inner summary has its own id.
fn summary(user: &User, record: &Record, workout: &Workout, rng: &mut Rng) -> Value {
    let mut summary = activities::fields(user, record, workout);
    summary.insert("activityId".to_owned(), activity_id(rng, workout.activity_id));
    if user.device.other_spellings {
        summary.insert("summaryId".to_owned(), json!(workout.activity_id.to_string()));
    }
    if let Some(token) = &user.access_token {
        summary.insert("userAccessToken".to_owned(), json!(token));
    }
    json!({
        "userId": user.id,
        "summaryId": format!("{}-detail", workout.activity_id),
        "activityId": activity_id(rng, workout.activity_id),
        "summary": summary,
    })
}

fn laps(record: &Record, workout: &Workout) -> Value {
    let starts = (workout.begins..workout.begins + workout.seconds).step_by(LAP_SECONDS as usize);
    starts.map(|second| json!({"startTimeInSeconds": record.moment(second)})).collect()
}

/// About every five seconds, unevenly.
fn samples(plan: &Plan, record: &Record, workout: &Workout, rng: &mut Rng) -> Value {
    let mut samples = Vec::new();
    let mut second = 0;
    while second < workout.seconds {
        samples.push(sample(record, workout, second, rng));
        second += plan.sample_interval(rng.u32(2..=8));
    }
    Value::Array(samples)
}

fn sample(record: &Record, workout: &Workout, second: u32, rng: &mut Rng) -> Value {
    let mut sample = Map::new();
    let mut set = |name: &str, value: Value| sample.insert(name.to_owned(), value);
    set("startTimeInSeconds", json!(record.moment(workout.begins + second)));
    add_clocks(workout, second, &mut set);
    if happens(rng, 0.97) {
        set("heartRate", json!(workout.heart_rate.saturating_add_signed(rng.i8(-15..=15))));
    }
    if workout.meters_per_second > 0.0 {
        let meters = workout.meters_per_second * f64::from(second);
        set("totalDistanceInMeters", json!(rounded(meters, 2)));
        set("speedMetersPerSecond", json!(rounded(workout.meters_per_second * between(rng, 0.8, 1.2), 3)));
        if workout.sport.outdoors {
            add_place(workout, meters, rng, &mut set);
        }
    }
    if workout.sport.rhythm != Rhythm::None {
        let cadence = (workout.cadence * between(rng, 0.9, 1.1)).round();
        set(name_of_cadence(workout), json!(cadence));
    }
    if let Some(watts) = workout.watts {
        set("powerInWatts", json!((watts * between(rng, 0.7, 1.3)).round()));
    }
    Value::Object(sample)
}

/// The timer stops for a while, and the wearer stands now and then: moving <= timer <= clock.
fn add_clocks(workout: &Workout, second: u32, set: &mut impl FnMut(&str, Value) -> Option<Value>) {
    let paused = second.saturating_sub(workout.seconds / 2).min(30);
    let timer = second - paused;
    set("clockDurationInSeconds", json!(second));
    set("timerDurationInSeconds", json!(timer));
    set("movingDurationInSeconds", json!(timer - timer / 40));
}

fn add_place(
    workout: &Workout,
    meters: f64,
    rng: &mut Rng,
    set: &mut impl FnMut(&str, Value) -> Option<Value>,
) {
    let (latitude, longitude) = workout.place;
    set("latitudeInDegree", json!(rounded(latitude + meters / METERS_A_DEGREE, 6)));
    set("longitudeInDegree", json!(rounded(longitude + between(rng, -0.0002, 0.0002), 6)));
    set("elevationInMeters", json!(rounded(workout.climb.0 + between(rng, -2.0, 2.0), 1)));
    set("airTemperatureCelcius", json!(f64::from(rng.u8(9..=12))));
}

/// Of the wheelchair's there are two spellings.
fn name_of_cadence(workout: &Workout) -> &'static str {
    match workout.sport.rhythm {
        Rhythm::None | Rhythm::Steps => "stepsPerMinute",
        Rhythm::Pedals => "bikeCadenceInRPM",
        Rhythm::Strokes => "swimCadenceInStrokesPerMinute",
        Rhythm::Pushes if workout.activity_id.is_multiple_of(2) => "directWheelchairCadence",
        Rhythm::Pushes => "wheelChairCadenceInPushesPerMinute",
    }
}
