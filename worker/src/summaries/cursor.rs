//! A walk through the members of a JSON object that is known to be well-formed.
//!
//! A body is read by serde_json once, so whatever is cut out of it is well-formed. To go through that again, member by
//! member, neither grammar nor numbers need be looked at, but only where values end; and what PostgreSQL cannot keep
//! is found on the same way.

use super::storable::{Unstorable, end_of_string, end_of_value};
use std::borrow::Cow;

/// A place in an object.
pub(super) struct Cursor<'a> {
    json: &'a str,
    at: usize,
}

/// The object itself is a level of nesting.
const LEVELS_AROUND: usize = 1;

/// Digits that always fit 32 bits.
const DIGITS_THAT_FIT: usize = 9;

impl<'a> Cursor<'a> {
    /// In front of the first member of `json`. Nothing if that is no object.
    pub(super) fn new(json: &'a str) -> Option<Self> {
        json.starts_with('{').then_some(Self { json, at: 1 })
    }

    /// The name, borrowed unless it holds escapes, and the value of the next member.
    ///
    /// # Errors
    /// The first thing found that cannot be stored.
    pub(super) fn next_member(&mut self) -> Result<Option<(Cow<'a, str>, &'a str)>, Unstorable> {
        let json = self.json.as_bytes();
        let key = self.next_token();
        if json.get(key) != Some(&b'"') {
            return Ok(None);
        }
        let plain = json[key + 1..].iter().take_while(|byte| !matches!(byte, b'"' | b'\\')).count();
        let mut name = Cow::Borrowed(&self.json[key + 1..key + 1 + plain]);
        self.at = key + 1 + plain + 1;
        if json.get(key + 1 + plain) == Some(&b'\\') {
            self.at = end_of_string(json, key + 1)?;
            // A key without NUL and halves of pairs is text.
            name = serde_json::from_str::<String>(&self.json[key..self.at]).unwrap_or_default().into();
        }
        let value = self.next_token();
        self.at = end_of_value(json, value, LEVELS_AROUND)?;
        Ok(Some((name, &self.json[value..self.at])))
    }

    /// The next member if it is the point of a series in its usual spelling: a whole number of a few digits for a key, and a
    /// number without an exponent. Else nothing, and it is still the next.
    pub(super) fn next_point(&mut self) -> Option<(i32, &'a str)> {
        let rest = &self.json.as_bytes()[self.at..];
        let rest = rest.strip_prefix(b",").unwrap_or(rest).strip_prefix(b"\"")?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = rest[digits..].strip_prefix(b"\":")?;
        let is_usual = digits > 0 && digits <= DIGITS_THAT_FIT && (rest[0] != b'0' || digits == 1);
        let length = number.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-')).count();
        if !is_usual || length == 0 || !matches!(number.get(length), Some(b',' | b'}')) {
            return None;
        }
        let offset = rest[..digits].iter().fold(0, |offset, digit| offset * 10 + i32::from(digit - b'0'));
        let start = self.json.len() - number.len();
        self.at = start + length;
        Some((offset, &self.json[start..self.at]))
    }

    /// Where the next key or value begins, or the object ends.
    fn next_token(&self) -> usize {
        let rest = &self.json.as_bytes()[self.at..];
        let between =
            rest.iter().take_while(|byte| matches!(byte, b',' | b':' | b' ' | b'\n' | b'\r' | b'\t'));
        self.at + between.count()
    }
}
