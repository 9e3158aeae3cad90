//! A notification's body as text: its members, their entries, whom each is about, and what is left of it when some
//! of them must not be kept.
//!
//! An entry that is taken out leaves `null` behind: the place of an entry is part of its version, so those behind it
//! must not move up, or the same notification would give other rows before a withdrawal than after it (design.md,
//! laws 3 and 6).

use super::entry;
use apollo_shared::endpoint::Endpoint;
use apollo_shared::topology::Lane;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The name in metrics of every key that is not Garmin's.
pub(crate) const UNKNOWN: &str = "unknown";

/// The field of an entry that says whom it is about.
pub(super) const USER_ID: &str = "userId";

/// A body's top level: keys as written, and values. A repeated key counts each time, as nothing may be lost.
pub(super) struct Body<'a>(pub(super) Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Body<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BodyVisitor;
        impl<'de> Visitor<'de> for BodyVisitor {
            type Value = Body<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Body(members))
            }
        }
        deserializer.deserialize_map(BodyVisitor)
    }
}

/// A value of a body's top level.
pub(super) enum Content<'a> {
    /// A list of summaries, or of what stands for them, cut into its entries.
    Summaries(&'static Endpoint, Vec<&'a RawValue>),
    /// Whatever else.
    Other(&'a RawValue),
}

/// A body's top level whose lists are cut while it is read, as [`Body`] is not. No other value may stand in their place.
struct Cut<'a>(Vec<(&'a RawValue, Content<'a>)>);

/// Cuts a body into its members, and those that are lists of summaries into entries.
///
/// # Errors
/// It is no JSON object.
pub(super) fn cut(body: &[u8]) -> serde_json::Result<Vec<(&RawValue, Content<'_>)>> {
    if let Ok(Cut(members)) = serde_json::from_slice(body) {
        return Ok(members);
    }
    let Body(members) = serde_json::from_slice(body)?;
    Ok(members.into_iter().map(|(key, value)| (key, Content::Other(value))).collect())
}

impl<'de> Deserialize<'de> for Cut<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CutVisitor;
        impl<'de> Visitor<'de> for CutVisitor {
            type Value = Cut<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with lists")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(key) = map.next_key()? {
                    let content = match endpoint_of(key).filter(|endpoint| endpoint.lane != Lane::Account) {
                        Some(endpoint) => Content::Summaries(endpoint, map.next_value()?),
                        None => Content::Other(map.next_value()?),
                    };
                    members.push((key, content));
                }
                Ok(Cut(members))
            }
        }
        deserializer.deserialize_map(CutVisitor)
    }
}

/// The notification type that a key as written stands for.
pub(super) fn endpoint_of(key: &RawValue) -> Option<&'static Endpoint> {
    entry::string(key.get()).and_then(|key| Endpoint::of_key(&key))
}

/// The entries of a key's value, if it is a list.
pub(super) fn entries(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// What may be an entry in the value of a key: those of its list, or else the value itself.
fn items(value: &RawValue) -> Vec<&RawValue> {
    entries(value).unwrap_or_else(|| vec![value])
}

/// Whether an entry may have been taken out here.
pub(super) fn is_gap(value: &RawValue) -> bool {
    value.get() == "null"
}

/// Whom an entry is about, as far as it can be told: it may be malformed otherwise. Of repeated fields the last that
/// is a text counts; a text with NUL characters is nobody that PostgreSQL could know.
pub(crate) fn user_of(entry: &RawValue) -> Option<Cow<'_, str>> {
    let Body(members) = serde_json::from_str(entry.get()).ok()?;
    let ids = members
        .into_iter()
        .rev()
        .filter(|(key, _)| entry::string(key.get()).is_some_and(|key| key == USER_ID));
    let mut ids = ids.filter_map(|(_, id)| entry::string(id.get()));
    ids.next().filter(|id| !id.is_empty() && !id.contains('\0'))
}

/// The entry of a body that holds no more than one, and what it is. `None` if there are more, or none under a key of
/// Garmin's.
pub(crate) fn only_entry(body: &[u8]) -> Option<(&'static Endpoint, &RawValue)> {
    let Body(members) = serde_json::from_slice(body).ok()?;
    let [(key, value)] = members[..] else { return None };
    let [entry] = entries(value)?[..] else { return None };
    Some((endpoint_of(key)?, entry))
}

/// Whom the entries of a body are about, those under unknown keys and malformed ones too.
#[must_use]
pub fn user_ids(body: &[u8]) -> BTreeSet<String> {
    let Ok(Body(members)) = serde_json::from_slice::<Body<'_>>(body) else {
        return BTreeSet::new();
    };
    let items = members.into_iter().flat_map(|(_, value)| items(value));
    items.filter_map(user_of).map(Cow::into_owned).collect()
}

/// What is left of a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Rest {
    /// The body with gaps.
    pub body: Vec<u8>,
    /// Whether there is nothing in it but gaps.
    pub is_empty: bool,
    /// How many entries of summaries were taken out, by key.
    pub taken: BTreeMap<&'static str, u64>,
}

/// Takes the entries out of `body` whose user `goes`. A body that is no notification is left as it is.
#[must_use]
pub fn without(body: &[u8], goes: impl Fn(Option<&str>) -> bool) -> Rest {
    let mut taken = BTreeMap::new();
    let Ok(Body(members)) = serde_json::from_slice::<Body<'_>>(body) else {
        return Rest { body: body.to_vec(), is_empty: false, taken };
    };
    let mut is_empty = true;
    let mut keep_or_take = |key: &RawValue, item: &RawValue| -> String {
        if !goes(user_of(item).as_deref()) {
            is_empty &= is_gap(item);
            return item.get().to_owned();
        }
        match endpoint_of(key) {
            Some(endpoint) if endpoint.lane == Lane::Account => {}
            endpoint => *taken.entry(endpoint.map_or(UNKNOWN, |it| it.key)).or_default() += 1,
        }
        "null".to_owned()
    };
    let members = members.into_iter().map(|(key, value)| {
        let rest = match entries(value) {
            Some(entries) => {
                let rest: Vec<String> = entries.into_iter().map(|entry| keep_or_take(key, entry)).collect();
                format!("[{}]", rest.join(","))
            }
            None => keep_or_take(key, value),
        };
        format!("{}:{rest}", key.get())
    });
    let members: Vec<String> = members.collect();
    Rest { body: format!("{{{}}}", members.join(",")).into_bytes(), is_empty, taken }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_u(body: &str) -> (String, bool, BTreeMap<&'static str, u64>) {
        let Rest { body, is_empty, taken } = without(body.as_bytes(), |user| user == Some("u"));
        (String::from_utf8(body).unwrap(), is_empty, taken)
    }

    #[test]
    fn what_is_taken_out_leaves_the_others_where_and_as_they_are() {
        let body = r#"{"dailies": [{"userId":"u","a":1}, {"userId": "v",  "b": 1.0e2}], "odd": [{"userId": "u"}, 5]}"#;
        let (rest, is_empty, taken) = without_u(body);
        assert_eq!(rest, r#"{"dailies":[null,{"userId": "v",  "b": 1.0e2}],"odd":[null,5]}"#);
        assert!(!is_empty);
        assert_eq!(taken, BTreeMap::from([("dailies", 1), (UNKNOWN, 1)]));
    }

    #[test]
    fn a_body_of_nobody_else_is_empty_even_after_others_were_taken_out_before() {
        let (_, is_empty, _) = without_u(r#"{"dailies": [null, {"userId": "u"}], "epochs": []}"#);
        assert!(is_empty);
        let (_, is_empty, _) = without_u(r#"{"dailies": [{"userId": "u"}], "odd": 7}"#);
        assert!(!is_empty);
    }

    #[test]
    fn an_entry_is_somebodys_however_malformed() {
        let deep = format!(r#"{{"userId":"u","x":{}{}}}"#, "[".repeat(500), "]".repeat(500));
        for entry in [
            r#"{"userId": "u"}"#,
            r#"{"\u0075serId": "\u0075"}"#,
            r#"{"userId": "v", "userId": "u"}"#,
            r#"{"userId": "u", "userId": 5}"#,
            r#"{"userId": "u", "\ud800": "\u0000"}"#,
            &deep,
        ] {
            let (rest, is_empty, taken) =
                without_u(&format!(r#"{{"dailies": [{entry}], "sleeps": {entry}}}"#));
            assert_eq!(rest, r#"{"dailies":[null],"sleeps":null}"#);
            assert!(is_empty, "{entry}");
            assert_eq!(taken, BTreeMap::from([("dailies", 1), ("sleeps", 1)]));
        }
        for entry in [r#"{"userId": "v"}"#, r#"{"userId": ["u"]}"#, r#""u""#, "5"] {
            let (_, is_empty, taken) = without_u(&format!(r#"{{"dailies": [{entry}]}}"#));
            assert!(!is_empty && taken.is_empty(), "{entry}");
        }
    }

    #[test]
    fn entries_about_accounts_are_taken_out_and_not_counted() {
        let (rest, _, taken) = without_u(r#"{"deregistrations": [{"userId": "u"}]}"#);
        assert_eq!((rest.as_str(), taken.len()), (r#"{"deregistrations":[null]}"#, 0));
    }

    #[test]
    fn users_are_found_under_every_key() {
        let body = r#"{"dailies": [{"userId": "a"}, 5, {"userId": "a"}], "odd": {"userId": "b"},
                       "deregistrations": [{"userId": "c"}], "epochs": [{"userId": ""}, {"userId": "\u0000"}]}"#;
        assert_eq!(user_ids(body.as_bytes()), ["a", "b", "c"].map(str::to_owned).into());
        assert!(user_ids(b"[1, 2").is_empty());
    }
}
