//! One entry of a notification, read into the values of its table's columns.
//!
//! No field is lost (design.md, law 4): what is not known, or does not fit its column, is kept under Garmin's
//! own name in the row's `extra`, its text as it came.

use super::field::{Field, Kind, Number};
use super::number;
use super::storable::{self, Unstorable};
use super::table::{self, Table};
use super::value::Value;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// An entry's values.
#[derive(Debug, PartialEq)]
pub struct Entry<'a> {
    /// A value for each column of its table; `user_id` is the first, `extra` the last.
    pub values: Vec<Value<'a>>,
    /// How many fields there were, at any depth of its fixed objects, that the declaration does not know.
    pub unknown_fields: u64,
}

/// Why an entry cannot become a row.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It is a number, a list, …
    #[error("the entry is not a JSON object")]
    NotAnObject,
    /// No user to keep it under.
    #[error("userId is missing, empty or not a string")]
    NoUser,
    /// A field of the identity is missing or unfitting.
    #[error("{0} is missing or does not fit, so it cannot be told which summary this is")]
    NoIdentity(&'static str),
    /// PostgreSQL could not keep it.
    #[error("the entry cannot be stored: {0}")]
    Unstorable(#[from] Unstorable),
}

/// The members of a JSON object, of repeated keys the last.
pub struct Members<'a>(pub BTreeMap<Cow<'a, str>, &'a RawValue>);

/// Opens an entry and sees that it names its user.
///
/// # Errors
/// See [`Rejection`].
pub fn open(raw: &RawValue) -> Result<Members<'_>, Rejection> {
    storable::check(raw.get())?;
    let members: Members<'_> = parse(raw).ok_or(Rejection::NotAnObject)?;
    let named = members.0.get("userId").and_then(|raw| string(raw)).is_some_and(|id| !id.is_empty());
    if named { Ok(members) } else { Err(Rejection::NoUser) }
}

/// Reads the members of an entry of `table`'s type.
///
/// # Errors
/// See [`Rejection`].
pub fn read<'a>(table: &Table, Members(mut members): Members<'a>) -> Result<Entry<'a>, Rejection> {
    let user_id = members.remove("userId").and_then(string).ok_or(Rejection::NoUser)?;
    // A user's token is not kept with the user's data.
    members.remove("userAccessToken");

    let mut values = Vec::with_capacity(table.columns.len());
    values.push(Value::Text(user_id));
    let Extra { kept, unknown_fields } = read_fields(table.summary_type.fields, members, &mut values);
    values.push(match kept.is_empty() {
        true => Value::Null,
        false => Value::Json(Kept::Object(kept).to_json().into()),
    });

    complete_identity(table, &mut values)?;
    Ok(Entry { values, unknown_fields })
}

/// What of an object goes to `extra`.
#[derive(Default)]
struct Extra<'a> {
    kept: BTreeMap<Cow<'a, str>, Kept<'a>>,
    unknown_fields: u64,
}

/// A value in `extra`.
enum Kept<'a> {
    Raw(&'a RawValue),
    Object(BTreeMap<Cow<'a, str>, Kept<'a>>),
}

/// Reads the declared `fields` of `members` into `values`. Returns the rest: what does not fit, what is unknown.
fn read_fields<'a>(
    fields: &[Field],
    mut members: BTreeMap<Cow<'a, str>, &'a RawValue>,
    values: &mut Vec<Value<'a>>,
) -> Extra<'a> {
    let mut extra = Extra::default();
    for field in fields {
        // The second spelling fills the column only where the first is missing; else it is an unknown field.
        let name = match field.other_name {
            Some(other) if !members.contains_key(field.name) => other,
            _ => field.name,
        };
        match members.remove(name) {
            None => values.extend(std::iter::repeat_n(Value::Null, column_count(field))),
            Some(raw) => {
                let (unfitting, unknown_fields) = read_field(field.kind, raw, values);
                extra.unknown_fields += unknown_fields;
                extra.kept.extend(unfitting.map(|kept| (Cow::Borrowed(name), kept)));
            }
        }
    }
    extra.unknown_fields += members.len() as u64;
    extra.kept.extend(members.into_iter().map(|(name, raw)| (name, Kept::Raw(raw))));
    extra
}

fn column_count(field: &Field) -> usize {
    match field.kind {
        Kind::Series(_) => 2,
        Kind::Object(fields) => fields.iter().map(column_count).sum(),
        _ => 1,
    }
}

/// Reads one field into its columns. Returns what of it does not fit, and how many unknown fields it holds.
fn read_field<'a>(kind: Kind, raw: &'a RawValue, values: &mut Vec<Value<'a>>) -> (Option<Kept<'a>>, u64) {
    match kind {
        Kind::Series(number) => (read_series(number, raw, values), 0),
        Kind::Object(fields) => read_object(fields, raw, values),
        _ => {
            let value = read_scalar(kind, raw);
            let unfitting = value.is_null().then_some(Kept::Raw(raw));
            values.push(value);
            (unfitting, 0)
        }
    }
}

fn read_scalar(kind: Kind, raw: &RawValue) -> Value<'_> {
    let json = raw.get();
    let value = match kind {
        Kind::Text => string(raw).map(Value::Text),
        Kind::Integer => number::integer(json).and_then(|value| value.try_into().ok()).map(Value::Integer),
        Kind::Float => number::float(json).map(Value::Float),
        Kind::Boolean => json.parse().ok().map(Value::Boolean),
        Kind::Date => string(raw).and_then(|date| days(&date)).map(Value::Date),
        Kind::Instant => instant(json).map(Value::Instant),
        Kind::List => json.starts_with('[').then_some(Value::Json(json.into())),
        Kind::OpenObject => json.starts_with('{').then_some(Value::Json(json.into())),
        Kind::Series(_) | Kind::Object(_) => None,
    };
    value.unwrap_or(Value::Null)
}

/// A moment that PostgreSQL and every client of it can show: in the years 1 to 9999.
fn instant(json: &str) -> Option<i64> {
    const YEARS_1_TO_9999: std::ops::Range<i64> = -62_135_596_800_000_000..253_402_300_800_000_000;
    number::microseconds(json).filter(|microseconds| YEARS_1_TO_9999.contains(microseconds))
}

/// Days from 2000-01-01 to a date written `yyyy-mm-dd`.
fn days(date: &str) -> Option<i32> {
    const JULIAN_DAY_OF_2000: i32 = 2_451_545;
    let format = time::macros::format_description!("[year]-[month]-[day]");
    let parsed = (date.len() == 10).then(|| time::Date::parse(date, format).ok()).flatten()?;
    (parsed.year() > 0).then(|| parsed.to_julian_day() - JULIAN_DAY_OF_2000)
}

/// Points that do not fit are returned; the others become two arrays in the order of time.
fn read_series<'a>(number: Number, raw: &'a RawValue, values: &mut Vec<Value<'a>>) -> Option<Kept<'a>> {
    let Some(Members(points)) = parse(raw) else {
        values.extend([Value::Null, Value::Null]);
        return Some(Kept::Raw(raw));
    };
    let (points, unfitting) = match number {
        Number::Integer => {
            let (offsets, numbers, unfitting) = series(points, |json| number::integer(json)?.try_into().ok());
            ([Value::Integers(offsets), Value::Integers(numbers)], unfitting)
        }
        Number::Float => {
            let (offsets, numbers, unfitting) = series(points, number::float);
            ([Value::Integers(offsets), Value::Floats(numbers)], unfitting)
        }
    };
    values.extend(points);
    (!unfitting.is_empty()).then_some(Kept::Object(unfitting))
}

type Points<'a, T> = (Vec<i32>, Vec<T>, BTreeMap<Cow<'a, str>, Kept<'a>>);

fn series<'a, T>(
    points: BTreeMap<Cow<'a, str>, &'a RawValue>,
    fits: impl Fn(&str) -> Option<T>,
) -> Points<'a, T> {
    let mut fitting = Vec::with_capacity(points.len());
    let mut unfitting = BTreeMap::new();
    for (key, raw) in points {
        match (offset(&key), fits(raw.get())) {
            (Some(offset), Some(value)) => fitting.push((offset, value)),
            _ => drop(unfitting.insert(key, Kept::Raw(raw))),
        }
    }
    fitting.sort_unstable_by_key(|(offset, _)| *offset);
    let (offsets, values) = fitting.into_iter().unzip();
    (offsets, values, unfitting)
}

/// Whole seconds in their usual spelling; from any other (`015`, `+15`) the key could not be told again.
fn offset(key: &str) -> Option<i32> {
    let digits = key.strip_prefix('-').unwrap_or(key);
    let usual = digits == "0" && key == "0" || !digits.starts_with(['0', '+']);
    usual.then(|| key.parse().ok()).flatten()
}

/// An object with nothing in its columns is kept whole, so that it can be told from a missing one.
fn read_object<'a>(
    fields: &[Field],
    raw: &'a RawValue,
    values: &mut Vec<Value<'a>>,
) -> (Option<Kept<'a>>, u64) {
    let Some(Members(members)) = parse(raw) else {
        values.extend(fields.iter().flat_map(|field| std::iter::repeat_n(Value::Null, column_count(field))));
        return (Some(Kept::Raw(raw)), 0);
    };
    let first = values.len();
    let Extra { kept, unknown_fields } = read_fields(fields, members, values);
    let empty = values[first..].iter().all(Value::is_null);
    ((empty || !kept.is_empty()).then_some(Kept::Object(kept)), unknown_fields)
}

/// Identity columns hold no null: a missing text counts as empty, anything else missing is a rejection.
fn complete_identity(table: &Table, values: &mut [Value<'_>]) -> Result<(), Rejection> {
    let fields = table.summary_type.fields.iter();
    let identity = fields.filter(|field| table.summary_type.identity.contains(&field.name));
    for (field, &place) in identity.zip(&table.identity[1..]) {
        if values[place].is_null() {
            if !table::may_be_missing(field.kind) {
                return Err(Rejection::NoIdentity(field.name));
            }
            values[place] = Value::Text("".into());
        }
    }
    Ok(())
}

impl Kept<'_> {
    fn to_json(&self) -> String {
        let mut json = String::new();
        self.write(&mut json);
        json
    }

    fn write(&self, json: &mut String) {
        match self {
            Self::Raw(raw) => json.push_str(raw.get()),
            Self::Object(members) => {
                json.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        json.push(',');
                    }
                    json.push_str(&serde_json::Value::from(name.as_ref()).to_string());
                    json.push(':');
                    value.write(json);
                }
                json.push('}');
            }
        }
    }
}

/// `raw` as what it is asked to be, or nothing.
fn parse<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// A JSON string's text.
fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { parse::<String>(raw).map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((Name(name), raw)) = map.next_entry()? {
                    members.insert(name, raw);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A key, borrowed from the body unless it holds escapes.
#[derive(Deserialize)]
pub(super) struct Name<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);
