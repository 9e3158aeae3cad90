//! `activities`: a workout, once; now and then again with other figures.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::activity_id;
use crate::chance::happens;
use crate::device::{Record, Rhythm, Workout};
use crate::outbox::Outbox;
use crate::rounding::rounded;
use crate::user::User;

pub(crate) const KEY: &str = "activities";

/// The peak is so much above the average.
const PEAK: f64 = 1.15;

pub(crate) fn post(user: &User, record: &Record, workout: &Workout, rng: &mut Rng, outbox: &mut Outbox) {
    let over = record.moment(workout.begins + workout.seconds);
    outbox.post(over, KEY, summary(user, record, workout, rng));
    if happens(rng, 0.1) {
        let recomputed = Workout { climb: (workout.climb.0 + 3.0, workout.climb.1), ..workout.clone() };
        outbox.post(over + rng.i64(600..30_000), KEY, summary(user, record, &recomputed, rng));
    }
}

/// The workout as a summary of its own. In the days of OAuth 1.0a it had no `activityId`.
pub(super) fn summary(user: &User, record: &Record, workout: &Workout, rng: &mut Rng) -> Value {
    let mut summary = fields(user, record, workout);
    summary.insert("userId".to_owned(), json!(user.id));
    let with_activity_id = user.access_token.is_none();
    if with_activity_id {
        summary.insert("activityId".to_owned(), activity_id(rng, workout.activity_id));
    }
    if !with_activity_id || !happens(rng, 0.02) {
        summary.insert("summaryId".to_owned(), json!(workout.activity_id.to_string()));
    }
    Value::Object(summary)
}

/// What Garmin tells about a workout, whichever entry it stands in; no ids.
pub(super) fn fields(user: &User, record: &Record, workout: &Workout) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("activityName", json!(workout.name));
    set("activityType", json!(workout.sport.activity_type));
    set("startTimeInSeconds", json!(record.moment(workout.begins)));
    set("startTimeOffsetInSeconds", json!(record.offset));
    set("durationInSeconds", json!(workout.seconds));
    set("averageHeartRateInBeatsPerMinute", json!(workout.heart_rate));
    set("maxHeartRateInBeatsPerMinute", json!(workout.heart_rate + 22));
    set("activeKilocalories", json!(workout.seconds * u32::from(workout.heart_rate) / 800));
    set("deviceName", json!(user.device.name));
    set("manual", json!(false));
    set("isWebUpload", json!(workout.activity_id.is_multiple_of(16)));
    if let Some(description) = workout.description {
        set("activityDescription", json!(description));
    }
    if workout.is_parent() {
        set("isParent", json!(true));
    }
    if let Some(parent) = workout.parent {
        set("parentSummaryId", json!(parent.to_string()));
    }
    if workout.meters() > 0.0 {
        add_distance(&mut fields, workout);
    }
    if workout.sport.outdoors {
        add_place(&mut fields, workout);
    }
    add_rhythm(&mut fields, workout);
    fields
}

fn add_distance(fields: &mut Map<String, Value>, workout: &Workout) {
    let speed = workout.meters_per_second;
    let pace = |speed: f64| rounded(1_000.0 / 60.0 / speed, 4);
    for (name, value) in [
        ("distanceInMeters", workout.meters()),
        ("averageSpeedInMetersPerSecond", speed),
        ("maxSpeedInMetersPerSecond", rounded(speed * PEAK, 3)),
        ("averagePaceInMinutesPerKilometer", pace(speed)),
        ("maxPaceInMinutesPerKilometer", pace(speed * PEAK)),
    ] {
        fields.insert(name.to_owned(), json!(value));
    }
}

fn add_place(fields: &mut Map<String, Value>, workout: &Workout) {
    for (name, value) in [
        ("startingLatitudeInDegree", workout.place.0),
        ("startingLongitudeInDegree", workout.place.1),
        ("totalElevationGainInMeters", workout.climb.0),
        ("totalElevationLossInMeters", workout.climb.1),
    ] {
        fields.insert(name.to_owned(), json!(value));
    }
}

fn add_rhythm(fields: &mut Map<String, Value>, workout: &Workout) {
    let (average, peak) = (workout.cadence, rounded(workout.cadence * PEAK, 0));
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    match workout.sport.rhythm {
        Rhythm::None => {}
        Rhythm::Steps => {
            set("averageRunCadenceInStepsPerMinute", json!(average));
            set("maxRunCadenceInStepsPerMinute", json!(peak));
            set("steps", json!(workout.count()));
        }
        Rhythm::Pedals => {
            set("averageBikeCadenceInRoundsPerMinute", json!(average));
            set("maxBikeCadenceInRoundsPerMinute", json!(peak));
        }
        Rhythm::Strokes => {
            set("averageSwimCadenceInStrokesPerMinute", json!(average));
            set("numberOfActiveLengths", json!((workout.meters() / 25.0) as u32));
        }
        Rhythm::Pushes => {
            set("averagePushCadenceInPushesPerMinute", json!(average));
            set("maxPushCadenceInPushesPerMinute", json!(peak));
            set("pushes", json!(workout.count()));
        }
    }
}
