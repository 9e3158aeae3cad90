//! JSON with its numbers as they are written: `serde_json::Value` would round them.
//!
//! Two trees are equal if they mean the same: objects whatever the order of their members, of repeated names the
//! last, and numbers by their value, whatever their spelling and however many digits they have.

use crate::Result;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// A JSON value.
#[derive(Clone)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number as it is written.
    Number(String),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object: its members in order, repeated names included.
    Object(Vec<(String, Json)>),
}

/// How strings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// As they are, but for what JSON wants escaped.
    Plain,
    /// Every character as `\uXXXX`, or a pair of them.
    Escaped,
}

impl Json {
    /// Reads JSON.
    ///
    /// # Errors
    /// It is malformed.
    pub fn parse(text: &str) -> Result<Self> {
        Self::of_raw(serde_json::from_str(text)?)
    }

    fn of_raw(raw: &RawValue) -> Result<Self> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't' | b'f') => Self::Boolean(serde_json::from_str(text)?),
            Some(b'"') => Self::Text(serde_json::from_str(text)?),
            Some(b'[') => {
                let values: Vec<&RawValue> = serde_json::from_str(text)?;
                Self::List(values.into_iter().map(Self::of_raw).collect::<Result<_>>()?)
            }
            Some(b'{') => {
                let Members(members) = serde_json::from_str(text)?;
                let read = |(name, raw)| Ok((name, Self::of_raw(raw)?));
                Self::Object(members.into_iter().map(read).collect::<Result<_>>()?)
            }
            _ => Self::Number(text.to_owned()),
        })
    }

    /// A whole number.
    #[must_use]
    pub fn integer(value: i64) -> Self {
        Self::Number(value.to_string())
    }

    /// A string.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// An object's members, of repeated names the last; none if it is no object.
    #[must_use]
    pub fn members(&self) -> BTreeMap<&str, &Json> {
        let Self::Object(members) = self else { return BTreeMap::new() };
        members.iter().map(|(name, value)| (name.as_str(), value)).collect()
    }

    /// An object's member, of several of one name the last.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        let Self::Object(members) = self else { return None };
        members.iter().rev().find(|(of, _)| of == name).map(|(_, value)| value)
    }

    /// `value` in the objects that `path` names.
    #[must_use]
    pub fn at(path: &[&str], value: Self) -> Self {
        path.iter().rev().fold(value, |value, name| Self::Object(vec![((*name).to_owned(), value)]))
    }

    /// Lays another value over this one: objects member by member, anything else in its place.
    pub fn lay_over(&mut self, above: &Self) {
        let (Self::Object(members), Self::Object(above)) = (&mut *self, above) else {
            *self = above.clone();
            return;
        };
        for (name, value) in above {
            match members.iter_mut().find(|(of, _)| of == name) {
                Some((_, below)) => below.lay_over(value),
                None => members.push((name.clone(), value.clone())),
            }
        }
    }

    /// A string's text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// A whole number, however it is written.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        let Self::Number(text) = self else { return None };
        let Decimal { negative, digits, power } = Decimal::of(text);
        let zeros = "0".repeat(usize::try_from(power).ok().filter(|zeros| *zeros < 20)?);
        format!("{}0{digits}{zeros}", if negative { "-" } else { "" }).parse().ok()
    }

    /// Writes it in one line.
    #[must_use]
    pub fn to_text(&self, spelling: Spelling) -> String {
        let mut text = String::new();
        self.write(&mut text, spelling);
        text
    }

    fn write(&self, to: &mut String, spelling: Spelling) {
        match self {
            Self::Null => to.push_str("null"),
            Self::Boolean(value) => to.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => to.push_str(number),
            Self::Text(text) => write_string(to, text, spelling),
            Self::List(values) => {
                to.push('[');
                for (index, value) in values.iter().enumerate() {
                    to.push_str(if index > 0 { "," } else { "" });
                    value.write(to, spelling);
                }
                to.push(']');
            }
            Self::Object(members) => {
                to.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    to.push_str(if index > 0 { "," } else { "" });
                    write_string(to, name, spelling);
                    to.push(':');
                    value.write(to, spelling);
                }
                to.push('}');
            }
        }
    }
}

fn write_string(to: &mut String, text: &str, spelling: Spelling) {
    match spelling {
        Spelling::Plain => to.push_str(&serde_json::Value::from(text).to_string()),
        Spelling::Escaped => {
            to.push('"');
            for unit in text.encode_utf16() {
                let _ = write!(to, "\\u{unit:04x}");
            }
            to.push('"');
        }
    }
}

/// As JSON, so that a failing case can be read and sent again.
impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(Spelling::Plain))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(one), Self::Boolean(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => Decimal::of(one) == Decimal::of(other),
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::List(one), Self::List(other)) => one == other,
            (Self::Object(_), Self::Object(_)) => self.members() == other.members(),
            _ => false,
        }
    }
}

/// A number's value: its significant digits, none of them a zero at an end, times a power of ten.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    power: i64,
}

impl Decimal {
    fn of(text: &str) -> Self {
        let unsigned = text.trim_start_matches('-');
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_matches('0');
        if digits.is_empty() {
            return Self { negative: false, digits: String::new(), power: 0 };
        }
        let zeros_behind = all.len() - all.trim_end_matches('0').len();
        let shift = zeros_behind as i64 - fraction.len() as i64;
        Self {
            negative: text.starts_with('-'),
            digits: digits.to_owned(),
            power: exponent.parse::<i64>().unwrap_or(i64::MAX / 2) + shift,
        }
    }
}

/// An object's members in order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}
