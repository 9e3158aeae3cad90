//! An entry, told again from its row: nothing of what Garmin sent may be lost (design.md, law 4).
//!
//! The rule: each column's value under Garmin's name, a series as an object again, and `extra` laid over it,
//! objects member by member. Where both have a value `extra` wins, because a number that its column holds only
//! rounded is there exactly.
//!
//! What comes back is what was sent, but for these differences, which are meant ([`as_kept`] makes them):
//! - tokens are gone: `userAccessToken` from the entry and its fixed objects, and `callbackURL`;
//! - a second spelling that came without the first comes back as the first;
//! - an `activityId` that came as a string of digits comes back as a number;
//! - a field of the identity that was missing comes back as what counts in its place.

use crate::Result;
use crate::garmin::{Field, Kind, Otherwise, SummaryType};
use crate::json::Json;
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The entry that a row of `summary_type`'s table was made of.
///
/// # Errors
/// A column is missing, or does not hold what its name says.
pub fn entry_of(summary_type: &SummaryType, row: &Json) -> Result<Json> {
    let mut entry = Json::Object(vec![("userId".to_owned(), column(row, "user_id")?.clone())]);
    for field in summary_type.fields() {
        if let Some(value) = value_of(field, row)? {
            entry.lay_over(&Json::at(&field.path, value));
        }
    }
    match column(row, "extra")? {
        Json::Null => {}
        extra => entry.lay_over(extra),
    }
    Ok(entry)
}

fn column<'a>(row: &'a Json, name: &str) -> Result<&'a Json> {
    row.get(name).ok_or_else(|| format!("there is no column {name}").into())
}

/// The value in a field's columns, if there is one.
fn value_of(field: &Field, row: &Json) -> Result<Option<Json>> {
    let columns = field.columns();
    let value = column(row, &columns[0].0)?;
    Ok(match (value, field.kind) {
        (Json::Null, _) => None,
        (offsets, Kind::IntegerMap | Kind::NumberMap) => Some(series(offsets, column(row, &columns[1].0)?)?),
        (moment, Kind::Moment) => Some(unix_seconds(moment)?),
        (value, _) => Some(value.clone()),
    })
}

fn series(offsets: &Json, values: &Json) -> Result<Json> {
    match (offsets, values) {
        (Json::List(offsets), Json::List(values)) if offsets.len() == values.len() => {
            let names = offsets.iter().map(|offset| format!("{offset:?}"));
            Ok(Json::Object(names.zip(values.iter().cloned()).collect()))
        }
        _ => Err(format!("{offsets:?} and {values:?} are not two arrays of the same length").into()),
    }
}

fn unix_seconds(moment: &Json) -> Result<Json> {
    let moment = OffsetDateTime::parse(moment.as_text().ok_or("a moment is no text")?, &Rfc3339)?;
    let microseconds = moment.unix_timestamp_nanos() / 1000;
    Ok(Json::Number(format!("{microseconds}e-6")))
}

/// An entry as it is kept: with the differences that are meant.
#[must_use]
pub fn as_kept(summary_type: &SummaryType, entry: &Json) -> Json {
    let fields: Vec<&Field> = summary_type.fields().collect();
    let mut members = kept_members(&fields, 0, entry);
    let callback = members.remove("callbackURL");
    for (name, otherwise) in summary_type.identity {
        if !members.contains_key(*name) {
            let value = stand_in(*otherwise, &members, callback.as_ref());
            members.extend(value.map(|value| ((*name).to_owned(), value)));
        }
    }
    Json::Object(members.into_iter().collect())
}

/// The members of an object that `fields` lie in, `depth` names of their paths above it.
fn kept_members(fields: &[&Field], depth: usize, object: &Json) -> BTreeMap<String, Json> {
    let mut members: BTreeMap<String, Json> =
        object.members().into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
    members.remove("userAccessToken");
    for field in fields.iter().filter(|field| field.path.len() == depth + 1) {
        let name = field.path[depth];
        if !members.contains_key(name) {
            let other = field.other_name.and_then(|other| members.remove(other));
            members.extend(other.map(|value| (name.to_owned(), value)));
        }
        if let (Kind::BigInteger, Some(value)) = (field.kind, members.get_mut(name))
            && let Some(number) = number_of_digits(value)
        {
            *value = number;
        }
    }
    let deeper = fields.iter().filter(|field| field.path.len() > depth + 1);
    for name in deeper.map(|field| field.path[depth]).collect::<BTreeSet<_>>() {
        let inner: Vec<&Field> = fields.iter().filter(|field| field.path[depth] == name).copied().collect();
        if let Some(object @ Json::Object(_)) = members.get_mut(name) {
            *object = Json::Object(kept_members(&inner, depth + 1, object).into_iter().collect());
        }
    }
    members
}

/// A string of a whole number's digits, in their usual spelling, as that number.
fn number_of_digits(value: &Json) -> Option<Json> {
    let digits = value.as_text()?;
    let number: i64 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(Json::integer(number))
}

fn stand_in(otherwise: Otherwise, members: &BTreeMap<String, Json>, callback: Option<&Json>) -> Option<Json> {
    match otherwise {
        Otherwise::DeadLetter => None,
        Otherwise::Empty => Some(Json::text("")),
        Otherwise::False => Some(Json::Boolean(false)),
        Otherwise::ActivityId => members.get("activityId")?.as_integer().map(|id| Json::text(id.to_string())),
        Otherwise::CallbackId => {
            let (_, query) = callback?.as_text()?.split_once('?')?;
            query.split('&').find_map(|pair| pair.strip_prefix("id=")).map(Json::text)
        }
    }
}

/// Where two objects differ, a line for each member.
#[must_use]
pub fn differences(sent: &Json, found: &Json) -> Vec<String> {
    let (sent, found) = (sent.members(), found.members());
    let names: BTreeSet<&str> = sent.keys().chain(found.keys()).copied().collect();
    let show = |value: Option<&&Json>| value.map_or("nothing".to_owned(), |value| format!("{value:?}"));
    names
        .into_iter()
        .filter(|name| sent.get(name) != found.get(name))
        .map(|name| format!("{name}: sent {}, found {}", show(sent.get(name)), show(found.get(name))))
        .collect()
}
