//! What a user recorded before they connected: made up when it is asked for, a small summary a day and type. It follows
//! from the user, the type and the day, so whoever asked can say which rows must be there: one for each UTC day whose
//! midnight lies within the range and is not to come; of `mct`, one for each of those days since 1970 whose number is a multiple
//! of 28, on which a cycle begins.

use fastrand::Rng;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::{Date, OffsetDateTime};

use super::data_type::ACTIVITY_FILES;
use super::server::API;
use crate::chance::{between, derived_seed, one_of};
use crate::rounding::rounded;

pub(super) const DAY: i64 = 86_400;

/// In days.
const CYCLE: i64 = 28;

/// A day of a user, about to be told under one key.
struct PastDay {
    rng: Rng,
    /// Midnight at Greenwich in Unix seconds.
    start: i64,
    date: Date,
}

/// The numbers of the days, counted from 1970, whose midnight lies within the range.
pub(super) fn days((start, end): (i64, i64)) -> std::ops::Range<i64> {
    let first_from = |moment: i64| moment.div_euclid(DAY) + i64::from(moment.rem_euclid(DAY) > 0);
    first_from(start)..first_from(end)
}

/// What is told of the day of that number if the history under `key` is asked for, each with the key under which it is sent:
/// an activity is followed by its file.
pub(super) fn entries(user_id: &str, key: &'static str, day: i64) -> Vec<(&'static str, Value)> {
    let Ok(midnight) = OffsetDateTime::from_unix_timestamp(day * DAY) else { return Vec::new() };
    let rng = Rng::with_seed(derived_seed(seed(user_id, key), day.cast_unsigned()));
    let mut day = PastDay { rng, start: day * DAY, date: midnight.date() };
    let Some(mut entry) = day.entry(key) else { return Vec::new() };
    entry["userId"] = json!(user_id);
    if key != "activities" {
        return vec![(key, entry)];
    }
    let file = file_of(&entry);
    vec![(key, entry), (ACTIVITY_FILES, file)]
}

fn seed(user_id: &str, key: &str) -> u64 {
    // The details of an activity are about the one that is told without them.
    let key = if key == "activityDetails" { "activities" } else { key };
    let digest = Sha256::digest(format!("{user_id}/{key}"));
    digest.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}

impl PastDay {
    fn entry(&mut self, key: &str) -> Option<Value> {
        Some(match key {
            "dailies" => self.daily(),
            "epochs" => self.epoch(),
            "sleeps" => self.sleep(),
            "bodyComps" => self.weight(),
            "bloodPressures" => self.blood_pressure(),
            "stressDetails" => self.stress(),
            "userMetrics" => self.metrics(),
            "pulseox" => self.oxygen(),
            "allDayRespiration" => self.respiration(),
            "healthSnapshot" => self.snapshot(),
            "hrv" => self.heart_rate_variability(),
            "skinTemp" => self.skin(),
            "activities" => self.activity(),
            "activityDetails" => self.details(),
            "moveIQActivities" => self.recognised(),
            "mct" if self.number() % CYCLE == 0 => self.cycle(),
            _ => return None,
        })
    }

    fn number(&self) -> i64 {
        self.start / DAY
    }

    fn summary_id(&self, suffix: &str) -> String {
        format!("x{:x}{suffix}", self.start)
    }

    /// A summary of a stretch of the day that begins at that second.
    fn stretch(&self, second: i64, seconds: u32, fields: Value) -> Value {
        let stretch = json!({
            "summaryId": format!("{}-{seconds:x}", self.summary_id("")),
            "calendarDate": self.date.to_string(),
            "startTimeInSeconds": self.start + second,
            "startTimeOffsetInSeconds": 0,
            "durationInSeconds": seconds,
        });
        joined(stretch, fields)
    }

    fn measurement(&self, fields: Value) -> Value {
        let measurement = json!({
            "summaryId": self.summary_id(""),
            "measurementTimeInSeconds": self.start + 25_200,
            "measurementTimeOffsetInSeconds": 0,
        });
        joined(measurement, fields)
    }

    fn daily(&mut self) -> Value {
        let steps = self.rng.u32(1_500..22_000);
        let resting = self.rng.u8(42..72);
        self.stretch(
            0,
            86_400,
            json!({
                "activityType": "GENERIC",
                "steps": steps,
                "distanceInMeters": f64::from(steps) * 0.75,
                "activeKilocalories": steps / 25,
                "bmrKilocalories": 1_640,
                "restingHeartRateInBeatsPerMinute": resting,
                "averageHeartRateInBeatsPerMinute": resting + 11,
                "timeOffsetHeartRateSamples": {"0": resting, "43200": resting + 30},
            }),
        )
    }

    fn epoch(&mut self) -> Value {
        let steps = self.rng.u32(..1_500);
        let epoch =
            json!({"activityType": "WALKING", "steps": steps, "activeTimeInSeconds": 900, "met": 3.2});
        self.stretch(0, 900, epoch)
    }

    fn sleep(&mut self) -> Value {
        let [deep, light, rem] = [5_400, 14_400, 5_400].map(|most| self.rng.u32(most / 2..most));
        self.stretch(
            0,
            deep + light + rem,
            json!({
                "deepSleepDurationInSeconds": deep,
                "lightSleepDurationInSeconds": light,
                "remSleepInSeconds": rem,
                "awakeDurationInSeconds": 0,
                "validation": "ENHANCED_FINAL",
            }),
        )
    }

    fn weight(&mut self) -> Value {
        let grams = self.rng.u32(48_000..110_000);
        self.measurement(json!({"weightInGrams": grams}))
    }

    fn blood_pressure(&mut self) -> Value {
        let (systolic, diastolic) = (self.rng.u8(98..165), self.rng.u8(55..98));
        self.measurement(json!({"systolic": systolic, "diastolic": diastolic, "sourceType": "DEVICE"}))
    }

    fn stress(&mut self) -> Value {
        let levels = [0, 28_800, 57_600].map(|second| (second, self.rng.u8(1..90)));
        self.stretch(0, 86_400, json!({"timeOffsetStressLevelValues": series(&levels)}))
    }

    fn metrics(&mut self) -> Value {
        let (vo2_max, age) = (self.rng.u8(30..60), self.rng.u8(20..70));
        let (id, date) = (self.summary_id(""), self.date.to_string());
        json!({"summaryId": id, "calendarDate": date, "vo2Max": f64::from(vo2_max), "fitnessAge": age})
    }

    fn oxygen(&mut self) -> Value {
        let values = [3_600, 7_200].map(|second| (second, self.rng.u8(88..100)));
        self.stretch(0, 86_400, json!({"timeOffsetSpo2Values": series(&values), "onDemand": false}))
    }

    fn respiration(&mut self) -> Value {
        let breaths = [0, 300, 600].map(|second| (second, rounded(between(&mut self.rng, 11.0, 18.0), 2)));
        let mut respiration = self.stretch(0, 900, json!({"timeOffsetEpochToBreaths": series(&breaths)}));
        // The only type that does not name its day.
        if let Value::Object(fields) = &mut respiration {
            fields.remove("calendarDate");
        }
        respiration
    }

    fn snapshot(&mut self) -> Value {
        let variability = json!({"summaryType": "rmssd_hrv", "avgValue": f64::from(self.rng.u8(18..90))});
        self.stretch(32_400, 120, json!({"summaries": [variability]}))
    }

    fn heart_rate_variability(&mut self) -> Value {
        let values = [300, 600].map(|second| (second, self.rng.u32(18..90)));
        self.stretch(0, 25_200, json!({"lastNightAvg": values[0].1, "hrvValues": series(&values)}))
    }

    fn skin(&mut self) -> Value {
        let deviation = rounded(between(&mut self.rng, -1.5, 1.5), 3);
        self.stretch(0, 25_200, json!({"avgDeviationCelsius": deviation}))
    }

    fn activity(&mut self) -> Value {
        let id = self.rng.u64(1..1 << 40);
        let activity_type = one_of(&mut self.rng, &["RUNNING", "CYCLING", "WALKING"]);
        json!({
            "summaryId": id.to_string(),
            "activityId": id,
            "activityName": "Before the study",
            "activityType": activity_type,
            "startTimeInSeconds": self.start + 61_200,
            "startTimeOffsetInSeconds": 0,
            "durationInSeconds": self.rng.u32(600..5_400),
            "averageHeartRateInBeatsPerMinute": self.rng.u8(95..165),
            "deviceName": "Forerunner 965",
            "manual": false,
        })
    }

    fn details(&mut self) -> Value {
        let mut summary = self.activity();
        if let Value::Object(fields) = &mut summary {
            fields.remove("summaryId");
        }
        let samples: Vec<Value> = (0..5)
            .map(|second| json!({"startTimeInSeconds": self.start + 61_200 + second, "heartRate": self.rng.u8(90..170)}))
            .collect();
        json!({
            "summaryId": format!("{}-detail", summary["activityId"]),
            "activityId": summary["activityId"],
            "summary": summary,
            "samples": samples,
        })
    }

    fn recognised(&mut self) -> Value {
        json!({
            "summaryId": self.summary_id("-walking"),
            "calendarDate": self.date.to_string(),
            "startTimeInSeconds": self.start + 43_200,
            "offsetInSeconds": 0,
            "durationInSeconds": self.rng.u32(600..3_600),
            "activityType": "walking",
        })
    }

    fn cycle(&mut self) -> Value {
        json!({
            "summaryId": self.summary_id(""),
            "periodStartDate": self.date.to_string(),
            "dayInCycle": 1,
            "cycleLength": CYCLE,
            "periodLength": self.rng.u8(3..8),
            "currentPhaseType": "MENSTRUAL",
            "lastUpdatedTimeInSeconds": self.start + DAY,
        })
    }
}

/// The file of an activity. Whoever sends it gives it a URL.
fn file_of(activity: &Value) -> Value {
    let id = &activity["activityId"];
    json!({
        "userId": activity["userId"],
        "summaryId": format!("{id}-file"),
        "activityId": id,
        "fileType": "FIT",
        "startTimeInSeconds": activity["startTimeInSeconds"],
        "activityType": activity["activityType"],
        "callbackURL": format!("https://apis.garmin.com{API}/activityFile?id={id}"),
    })
}

fn joined(mut object: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut object, more) {
        fields.extend(more);
    }
    object
}

fn series<T: Copy + Into<Value>>(points: &[(u32, T)]) -> Value {
    points.iter().map(|(second, value)| (second.to_string(), (*value).into())).collect()
}
