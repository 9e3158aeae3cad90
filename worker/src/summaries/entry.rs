//! One entry of a notification, read into the values of its table's columns.
//!
//! No field is lost (design.md, law 4): what is not known, or does not fit its column, is kept under Garmin's
//! own name in the row's `extra`, its text as it came. So is a number that its column holds only rounded: an
//! entry is told again from its row by laying `extra` over the columns.

use super::cursor::Cursor;
use super::declaration::{IdentityField, Missing};
use super::field::{Field, Kind};
use super::storable::{self, Unstorable};
use super::table::Table;
use super::value::Value;
use super::{number, series};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

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

/// The members of a JSON object, in the order in which they came. There are few, so looking at each is quicker than
/// keeping them in an order to be found by.
pub struct Members<'a>(Vec<Member<'a>>);

struct Member<'a> {
    name: Cow<'a, str>,
    json: &'a str,
    is_taken: bool,
}

/// Members that most objects do not have more of.
const USUAL_MEMBERS: usize = 32;

impl<'a> Members<'a> {
    /// Those of `json`, which is well-formed; nothing if it is no object.
    fn of(json: &'a str) -> Result<Option<Self>, Unstorable> {
        let Some(mut cursor) = Cursor::new(json) else { return Ok(None) };
        let mut members = Vec::with_capacity(USUAL_MEMBERS);
        while let Some((name, json)) = cursor.next_member()? {
            members.push(Member { name, json, is_taken: false });
        }
        Ok(Some(Self(members)))
    }

    /// The value under `name`; of a repeated key the last.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|member| member.name == name).map(|member| member.json)
    }

    /// The same, and it is not among the [`Self::rest`] then.
    fn take(&mut self, name: &str) -> Option<&'a str> {
        let mut found = None;
        for member in self.0.iter_mut().filter(|member| member.name == name) {
            member.is_taken = true;
            found = Some(member.json);
        }
        found
    }

    /// What was not taken; of a repeated key the last.
    fn rest(self) -> BTreeMap<Cow<'a, str>, Kept<'a>> {
        let rest = self.0.into_iter().filter(|member| !member.is_taken);
        rest.map(|member| (member.name, Kept::Raw(member.json))).collect()
    }
}

/// Opens an entry and sees that it names its user.
///
/// # Errors
/// See [`Rejection`].
pub fn open(raw: &RawValue) -> Result<Members<'_>, Rejection> {
    let Some(members) = Members::of(raw.get())? else {
        storable::check(raw.get())?;
        return Err(Rejection::NotAnObject);
    };
    let named = members.get("userId").and_then(string).is_some_and(|id| !id.is_empty());
    if named { Ok(members) } else { Err(Rejection::NoUser) }
}

/// Reads the members of an entry of `table`'s type, which came under the top-level `key`.
///
/// # Errors
/// See [`Rejection`].
pub fn read<'a>(table: &Table, key: &str, mut members: Members<'a>) -> Result<Entry<'a>, Rejection> {
    let user_id = members.take("userId").and_then(string).ok_or(Rejection::NoUser)?;
    let callback = members.take(CALLBACK_URL).and_then(string);

    let mut values = Vec::with_capacity(table.columns.len());
    values.push(Value::Text(user_id));
    let Extra { kept, unknown_fields } = read_fields(table.summary_type.all_fields(), members, &mut values);
    values.extend(table.summary_type.second_key.map(|second| Value::Boolean(second.key == key)));
    values.push(match kept.is_empty() {
        true => Value::Null,
        false => Value::Json(Kept::Object(kept).to_json().into()),
    });

    complete_identity(table, callback.as_deref(), &mut values)?;
    Ok(Entry { values, unknown_fields })
}

/// Where the data that a ping announces is to be fetched: with a token in it, so not kept with the data.
const CALLBACK_URL: &str = "callbackURL";

/// A user's token, in OAuth 1.0a apps: not kept with the user's data either.
const ACCESS_TOKEN: &str = "userAccessToken";

/// What of an object goes to `extra`.
#[derive(Default)]
struct Extra<'a> {
    kept: BTreeMap<Cow<'a, str>, Kept<'a>>,
    unknown_fields: u64,
}

/// A value in `extra`.
pub(super) enum Kept<'a> {
    Raw(&'a str),
    Object(BTreeMap<Cow<'a, str>, Kept<'a>>),
}

/// Reads the declared `fields` of `members` into `values`. Returns the rest: what does not fit, what is unknown.
fn read_fields<'a>(
    fields: impl Iterator<Item = &'static Field>,
    mut members: Members<'a>,
    values: &mut Vec<Value<'a>>,
) -> Extra<'a> {
    members.take(ACCESS_TOKEN);
    let mut extra = Extra::default();
    for field in fields {
        // The second spelling fills the column only where the first is missing; else it is an unknown field.
        let spellings = std::iter::once(field.name).chain(field.other_name);
        let found = spellings.into_iter().find_map(|name| Some((name, members.take(name)?)));
        match found {
            None => values.extend(std::iter::repeat_n(Value::Null, field.column_count())),
            Some((name, json)) => {
                let (kept, unknown_fields) = read_field(field, json, values);
                extra.unknown_fields += unknown_fields;
                extra.kept.extend(kept.map(|kept| (Cow::Borrowed(name), kept)));
            }
        }
    }
    let mut unknown = members.rest();
    extra.unknown_fields += unknown.len() as u64;
    extra.kept.append(&mut unknown);
    extra
}

/// Reads one field into its columns. Returns what of it goes to `extra`, and how many unknown fields it holds.
fn read_field<'a>(field: &Field, json: &'a str, values: &mut Vec<Value<'a>>) -> (Option<Kept<'a>>, u64) {
    let first = values.len();
    let (kept, unknown_fields) = match field.kind {
        Kind::Series(number) => match series::read(number, json) {
            None => (Some(Kept::Raw(json)), 0),
            Some((arrays, kept)) => {
                values.extend(arrays);
                ((!kept.is_empty()).then_some(Kept::Object(kept)), 0)
            }
        },
        Kind::Object(fields) => match Members::of(json) {
            // The error cannot be: what the entry could not be stored for was found when it was opened.
            Ok(None) | Err(_) => (Some(Kept::Raw(json)), 0),
            Ok(Some(members)) => {
                let Extra { kept, unknown_fields } = read_fields(fields.iter(), members, values);
                // An object with nothing in its columns is kept, so that it can be told from a missing one.
                let empty = values[first..].iter().all(Value::is_null);
                ((empty || !kept.is_empty()).then_some(Kept::Object(kept)), unknown_fields)
            }
        },
        scalar => {
            let value = read_scalar(scalar, json);
            let is_exact = match value {
                None => false,
                Some(Value::Float(float)) => number::is_exact(json, float),
                Some(_) => true,
            };
            values.push(value.unwrap_or(Value::Null));
            return ((!is_exact).then_some(Kept::Raw(json)), 0);
        }
    };
    values.resize(first + field.column_count(), Value::Null);
    (kept, unknown_fields)
}

fn read_scalar(kind: Kind, json: &str) -> Option<Value<'_>> {
    match kind {
        Kind::Text => string(json).map(Value::Text),
        Kind::Integer => number::integer(json).and_then(|value| value.try_into().ok()).map(Value::Integer),
        Kind::BigInteger => big_integer(json).map(Value::BigInteger),
        Kind::Float => number::float(json).map(Value::Float),
        Kind::Boolean => json.parse().ok().map(Value::Boolean),
        Kind::Date => string(json).and_then(|date| days(&date)).map(Value::Date),
        Kind::Instant => instant(json).map(Value::Instant),
        Kind::List => json.starts_with('[').then_some(Value::Json(json.into())),
        Kind::OpenObject => json.starts_with('{').then_some(Value::Json(json.into())),
        Kind::Series(_) | Kind::Object(_) => None,
    }
}

/// A number, or a string of its digits in their usual spelling.
fn big_integer(json: &str) -> Option<i64> {
    match string(json) {
        None => number::integer(json),
        Some(digits) => digits.parse().ok().filter(|value: &i64| value.to_string() == digits),
    }
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

/// Identity columns hold no null (design.md section 5, *Identity*).
fn complete_identity(
    table: &Table,
    callback: Option<&str>,
    values: &mut [Value<'_>],
) -> Result<(), Rejection> {
    for (field, &place) in table.summary_type.identity.iter().zip(&table.identity[1..]) {
        if values[place].is_null() {
            values[place] =
                stand_in(field, table, callback, values).ok_or(Rejection::NoIdentity(field.name))?;
        }
    }
    Ok(())
}

/// What counts where a field of the identity is missing.
fn stand_in(
    field: &IdentityField,
    table: &Table,
    callback: Option<&str>,
    values: &[Value<'_>],
) -> Option<Value<'static>> {
    match field.missing {
        Missing::Rejected => None,
        Missing::Empty => Some(Value::Text("".into())),
        Missing::False => Some(Value::Boolean(false)),
        Missing::ActivityId => match values.get(table.place("activity_id")?)? {
            Value::BigInteger(id) => Some(Value::Text(id.to_string().into())),
            _ => None,
        },
        Missing::CallbackId => callback_id(callback?).map(|id| Value::Text(id.to_owned().into())),
    }
}

/// The value of `id` in the query of a callback URL (garmin-health-api.md 1.18).
fn callback_id(url: &str) -> Option<&str> {
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("id=")).filter(|id| !id.is_empty())
}

impl Kept<'_> {
    pub(super) fn to_json(&self) -> String {
        let mut json = String::new();
        self.write(&mut json);
        json
    }

    fn write(&self, json: &mut String) {
        match self {
            Self::Raw(raw) => json.push_str(raw),
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

/// A JSON string's text; nothing for half of a surrogate pair, which is none.
pub(super) fn string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str::<String>(json).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}
