//! Records of a FIT file as columns: an array for each figure that has one, and the rest of each record as JSON.

use serde_json::{Map, Value as Json};
use time::OffsetDateTime;

/// A message's fields by their names in Garmin's profile.
pub(super) type Fields = Map<String, Json>;

/// Parallel arrays, in the order of the file; what a record lacks is `None`.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Records {
    /// When it was noted.
    pub time: Vec<Option<OffsetDateTime>>,
    /// Degrees north.
    pub latitude: Vec<Option<f64>>,
    /// Degrees east.
    pub longitude: Vec<Option<f64>>,
    /// Meters above the sea.
    pub altitude: Vec<Option<f64>>,
    /// Beats a minute.
    pub heart_rate: Vec<Option<i32>>,
    /// A minute: rounds of the crank, or steps of one foot.
    pub cadence: Vec<Option<i32>>,
    /// Watts.
    pub power: Vec<Option<i32>>,
    /// Meters a second.
    pub speed: Vec<Option<f64>>,
    /// Meters since the beginning.
    pub distance: Vec<Option<f64>>,
    /// Degrees Celsius.
    pub temperature: Vec<Option<i32>>,
    /// What else a record holds, as the text of a JSON object.
    pub extra: Vec<Option<String>>,
}

impl Records {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.time.is_empty()
    }

    /// Appends a record; returns how many bytes of JSON are kept of it.
    pub(super) fn push(&mut self, time: Option<OffsetDateTime>, mut fields: Fields) -> usize {
        self.time.push(time);
        self.latitude.push(float(&mut fields, "position_lat"));
        self.longitude.push(float(&mut fields, "position_long"));
        self.altitude.push(enhanced(&mut fields, "enhanced_altitude", "altitude"));
        self.heart_rate.push(integer(&mut fields, "heart_rate"));
        self.cadence.push(integer(&mut fields, "cadence"));
        self.power.push(integer(&mut fields, "power"));
        self.speed.push(enhanced(&mut fields, "enhanced_speed", "speed"));
        self.distance.push(float(&mut fields, "distance"));
        self.temperature.push(integer(&mut fields, "temperature"));
        let extra = (!fields.is_empty()).then(|| Json::from(fields).to_string());
        let bytes = extra.as_ref().map_or(0, String::len);
        self.extra.push(extra);
        bytes
    }
}

/// Takes a number out; what is none stays.
fn float(fields: &mut Fields, name: &str) -> Option<f64> {
    let value = fields.get(name)?.as_f64()?;
    fields.remove(name);
    Some(value)
}

fn integer(fields: &mut Fields, name: &str) -> Option<i32> {
    let value = fields.get(name)?.as_i64()?.try_into().ok()?;
    fields.remove(name);
    Some(value)
}

/// Devices of today write a figure in four bytes under one name, older ones in two under another, and some both: then
/// the second is dropped if it says the same.
fn enhanced(fields: &mut Fields, name: &str, older: &str) -> Option<f64> {
    let value = float(fields, name).or_else(|| float(fields, older))?;
    if fields.get(older).and_then(Json::as_f64) == Some(value) {
        fields.remove(older);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pushed(fields: Json) -> Records {
        let Json::Object(fields) = fields else { panic!("an object: {fields}") };
        let mut records = Records::default();
        records.push(None, fields);
        records
    }

    #[test]
    fn what_has_no_column_or_does_not_fit_it_is_kept() {
        let records = pushed(json!({
            "heart_rate": [60, 61], "power": 250, "fractional_cadence": 0.5, "cadence": 82.5,
        }));
        assert_eq!((records.heart_rate[0], records.power[0], records.cadence[0]), (None, Some(250), None));
        let extra: Json = serde_json::from_str(records.extra[0].as_deref().unwrap()).unwrap();
        assert_eq!(extra, json!({"heart_rate": [60, 61], "fractional_cadence": 0.5, "cadence": 82.5}));
        assert_eq!(pushed(json!({"power": 1})).extra, [None]);
    }

    #[test]
    fn of_two_spellings_the_finer_counts_and_the_other_is_kept_if_it_differs() {
        for (fields, speed, extra) in [
            (json!({"speed": 2.5}), Some(2.5), None),
            (json!({"enhanced_speed": 2.5, "speed": 2.5}), Some(2.5), None),
            (json!({"enhanced_speed": 70.1, "speed": 65.5}), Some(70.1), Some("{\"speed\":65.5}")),
            (json!({}), None, None),
        ] {
            let records = pushed(fields);
            assert_eq!((records.speed[0], records.extra[0].as_deref()), (speed, extra));
        }
    }
}
