//! A value of a FIT file as JSON, in the units of Garmin's profile.
//!
//! A raw number of the file is divided by the field's scale; its type has one value that means "missing".

use rustyfit::profile::ProfileType;
use rustyfit::profile::lookup::FieldReference;
use rustyfit::profile::typedef::{
    ActivityType, Event, EventType, FitBaseType, Intensity, LapTrigger, SessionTrigger, Sport, SubSport,
};
use rustyfit::proto::Value;
use serde_json::Value as Json;
use time::format_description::well_known::Rfc3339;
use time::macros::{datetime, format_description};
use time::{Duration, OffsetDateTime};

/// Second 0 of FIT.
const EPOCH: OffsetDateTime = datetime!(1989-12-31 00:00 UTC);

/// What one semicircle is, in degrees.
const DEGREES: f64 = 180.0 / 2_147_483_648.0;

/// What the raw numbers of a field stand for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meaning {
    kind: Kind,
    scale: f64,
    offset: f64,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Number,
    Semicircles,
    Moment,
    LocalMoment,
    Boolean,
    /// One of names that the profile numbers.
    Name(fn(u8) -> String),
}

impl Meaning {
    /// A number whose scale and offset are known.
    pub(super) const fn number(scale: f64, offset: f64) -> Self {
        Self { kind: Kind::Number, scale, offset }
    }

    /// Of a field of the profile.
    pub(super) fn of(field: &FieldReference) -> Self {
        let kind = match field.profile_type() {
            _ if field.units() == "semicircles" => Kind::Semicircles,
            ProfileType::DateTime => Kind::Moment,
            ProfileType::LocalDateTime => Kind::LocalMoment,
            ProfileType::Bool => Kind::Boolean,
            ProfileType::Sport => Kind::Name(|number| Sport(number).to_string()),
            ProfileType::SubSport => Kind::Name(|number| SubSport(number).to_string()),
            ProfileType::Event => Kind::Name(|number| Event(number).to_string()),
            ProfileType::EventType => Kind::Name(|number| EventType(number).to_string()),
            ProfileType::Intensity => Kind::Name(|number| Intensity(number).to_string()),
            ProfileType::LapTrigger => Kind::Name(|number| LapTrigger(number).to_string()),
            ProfileType::SessionTrigger => Kind::Name(|number| SessionTrigger(number).to_string()),
            ProfileType::ActivityType => Kind::Name(|number| ActivityType(number).to_string()),
            _ => Kind::Number,
        };
        Self { kind, scale: field.scale(), offset: field.offset() }
    }

    fn interpret(self, raw: Json) -> Json {
        let interpreted = match self.kind {
            Kind::Number if self.scale == 1.0 && self.offset == 0.0 => None,
            // The offset is subtracted before the division, which so is the only one to round.
            Kind::Number => raw.as_f64().map(|raw| Json::from((raw - self.offset * self.scale) / self.scale)),
            Kind::Semicircles => raw.as_f64().map(|raw| Json::from(raw * DEGREES)),
            Kind::Moment => raw.as_u64().and_then(|raw| text(moment(raw.try_into().ok()?))),
            Kind::LocalMoment => raw.as_u64().and_then(|raw| local_text(moment(raw.try_into().ok()?))),
            Kind::Boolean => raw.as_u64().filter(|raw| *raw < 2).map(|raw| Json::from(raw == 1)),
            Kind::Name(name) => raw.as_u64().and_then(|raw| known(name(raw.try_into().ok()?))),
        };
        interpreted.unwrap_or(raw)
    }
}

/// A moment of FIT.
pub(super) fn moment(seconds: u32) -> OffsetDateTime {
    EPOCH + Duration::seconds(seconds.into())
}

fn text(moment: OffsetDateTime) -> Option<Json> {
    moment.format(&Rfc3339).ok().map(Json::from)
}

fn local_text(moment: OffsetDateTime) -> Option<Json> {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    moment.format(&format).ok().map(Json::from)
}

/// A name; a number that the profile does not name yet is told as `Sport(250)`.
fn known(name: String) -> Option<Json> {
    (!name.ends_with(')')).then(|| Json::from(name))
}

/// `value`, which the file holds as a `base_type`. `None` if it is missing; missing members of a list are null.
pub(super) fn to_json(value: &Value, base_type: FitBaseType, meaning: Meaning) -> Option<Json> {
    let json = match raw(value, base_type) {
        Json::Array(members) if members.iter().all(Json::is_null) => Json::Null,
        Json::Array(members) => members.into_iter().map(|raw| meaning.interpret(raw)).collect(),
        raw => meaning.interpret(raw),
    };
    (!json.is_null()).then_some(json)
}

fn raw(value: &Value, base_type: FitBaseType) -> Json {
    let uint = |value: u64| unsigned(value, base_type);
    match value {
        Value::Invalid => Json::Null,
        Value::Int8(value) => signed(*value, i8::MAX),
        Value::Int16(value) => signed(*value, i16::MAX),
        Value::Int32(value) => signed(*value, i32::MAX),
        Value::Int64(value) => signed(*value, i64::MAX),
        Value::Uint8(value) => uint((*value).into()),
        Value::Uint16(value) => uint((*value).into()),
        Value::Uint32(value) => uint((*value).into()),
        Value::Uint64(value) => uint(*value),
        // What is no finite number becomes null; all bits set, which means missing, is none.
        Value::Float32(value) => f64::from(*value).into(),
        Value::Float64(value) => (*value).into(),
        Value::String(value) => string(value),
        Value::ArrayInt8(values) => values.iter().map(|value| signed(*value, i8::MAX)).collect(),
        Value::ArrayInt16(values) => values.iter().map(|value| signed(*value, i16::MAX)).collect(),
        Value::ArrayInt32(values) => values.iter().map(|value| signed(*value, i32::MAX)).collect(),
        Value::ArrayInt64(values) => values.iter().map(|value| signed(*value, i64::MAX)).collect(),
        // Of bytes, only all of them together can be missing.
        Value::ArrayUint8(bytes) if base_type == FitBaseType::BYTE => {
            if bytes.iter().all(|byte| *byte == u8::MAX) { Json::Null } else { bytes.to_vec().into() }
        }
        Value::ArrayUint8(values) => values.iter().map(|value| uint((*value).into())).collect(),
        Value::ArrayUint16(values) => values.iter().map(|value| uint((*value).into())).collect(),
        Value::ArrayUint32(values) => values.iter().map(|value| uint((*value).into())).collect(),
        Value::ArrayUint64(values) => values.iter().map(|value| uint(*value)).collect(),
        Value::ArrayFloat32(values) => values.iter().map(|value| Json::from(f64::from(*value))).collect(),
        Value::ArrayFloat64(values) => values.iter().map(|value| Json::from(*value)).collect(),
        Value::ArrayString(values) => values.iter().map(|value| string(value)).collect(),
    }
}

fn signed<T: Into<i64> + PartialEq>(value: T, missing: T) -> Json {
    if value == missing { Json::Null } else { value.into().into() }
}

fn unsigned(value: u64, base_type: FitBaseType) -> Json {
    let missing = match base_type {
        FitBaseType::ENUM | FitBaseType::UINT8 | FitBaseType::BYTE => u8::MAX.into(),
        FitBaseType::UINT16 => u16::MAX.into(),
        FitBaseType::UINT32 => u32::MAX.into(),
        FitBaseType::UINT8Z | FitBaseType::UINT16Z | FitBaseType::UINT32Z | FitBaseType::UINT64Z => 0,
        _ => u64::MAX,
    };
    if value == missing { Json::Null } else { value.into() }
}

/// PostgreSQL's text holds no NUL.
fn string(text: &str) -> Json {
    let text = text.replace('\0', "");
    if text.is_empty() { Json::Null } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NUMBER: Meaning = Meaning::number(1.0, 0.0);

    #[test]
    fn what_a_type_uses_for_missing_is_missing() {
        for (value, base_type) in [
            (Value::Uint8(255), FitBaseType::UINT8),
            (Value::Uint8(255), FitBaseType::ENUM),
            (Value::Uint8(0), FitBaseType::UINT8Z),
            (Value::Int8(127), FitBaseType::SINT8),
            (Value::Uint16(0xffff), FitBaseType::UINT16),
            (Value::Int16(0x7fff), FitBaseType::SINT16),
            (Value::Uint32(u32::MAX), FitBaseType::UINT32),
            (Value::Uint32(0), FitBaseType::UINT32Z),
            (Value::Int32(i32::MAX), FitBaseType::SINT32),
            (Value::Float32(f32::from_bits(u32::MAX)), FitBaseType::FLOAT32),
            (Value::String("".into()), FitBaseType::STRING),
            (Value::ArrayUint16([0xffff, 0xffff].into()), FitBaseType::UINT16),
            (Value::ArrayUint8([255, 255].into()), FitBaseType::BYTE),
            (Value::Invalid, FitBaseType::UINT8),
        ] {
            assert_eq!(to_json(&value, base_type, NUMBER), None, "{value:?}");
        }
        let zero = to_json(&Value::Uint32(0), FitBaseType::UINT32, NUMBER);
        assert_eq!(zero, Some(json!(0)), "a zero is missing only of the types that say so");
        let bytes = to_json(&Value::ArrayUint8([255, 1].into()), FitBaseType::BYTE, NUMBER);
        assert_eq!(bytes, Some(json!([255, 1])));
        let list = to_json(&Value::ArrayUint16([0xffff, 7].into()), FitBaseType::UINT16, NUMBER);
        assert_eq!(list, Some(json!([null, 7])));
    }

    #[test]
    fn numbers_are_in_the_units_of_the_profile() {
        let altitude = Meaning::number(5.0, 500.0);
        assert_eq!(to_json(&Value::Uint16(2754), FitBaseType::UINT16, altitude), Some(json!(50.8)));
        let speed = Meaning::number(1000.0, 0.0);
        assert_eq!(to_json(&Value::Uint32(8033), FitBaseType::UINT32, speed), Some(json!(8.033)));
        let position = Meaning { kind: Kind::Semicircles, ..NUMBER };
        assert_eq!(to_json(&Value::Int32(-1 << 30), FitBaseType::SINT32, position), Some(json!(-90.0)));
        let time = Meaning { kind: Kind::Moment, ..NUMBER };
        let json = to_json(&Value::Uint32(1_000_000_000), FitBaseType::UINT32, time);
        assert_eq!(json, Some(json!("2021-09-08T01:46:40Z")));
    }

    #[test]
    fn a_name_that_the_profile_does_not_know_stays_a_number() {
        let sport = Meaning { kind: Kind::Name(|number| Sport(number).to_string()), ..NUMBER };
        assert_eq!(to_json(&Value::Uint8(2), FitBaseType::ENUM, sport), Some(json!("cycling")));
        assert_eq!(to_json(&Value::Uint8(250), FitBaseType::ENUM, sport), Some(json!(250)));
    }
}
