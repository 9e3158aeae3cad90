//! Looking at a notification's body, once and without building a tree: is it one, and who is it for?
//!
//! The receiver stores what Garmin sent, not what it understood of it. So it asks no more than: a JSON
//! object, with a list in it somewhere, and whether any of its keys belongs to another queue than the rest.

use apollo_shared::endpoint::Endpoint;
use apollo_shared::topology::Lane;
use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Bytes, quotes included. A key longer than this is not looked up (no known one is half as long), nor is
/// its list divided, because every part would have to repeat it.
pub(crate) const LONGEST_KEY: usize = 256;

/// Name of the message type when neither path nor body tells.
pub(crate) const UNKNOWN: &str = "unknown";

/// Where a member of a body goes; its key decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// With the summaries.
    Push,
    /// To the account lane, under the key's own routing key.
    Account(&'static Endpoint),
}

impl Route {
    /// The route of a member, by its key as written (quotes included).
    pub(crate) fn of_raw_key(key: &str) -> Self {
        match endpoint_of_raw_key(key) {
            Some(endpoint) if endpoint.lane == Lane::Account => Self::Account(endpoint),
            _ => Self::Push,
        }
    }
}

/// A body that is a notification.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Notification {
    /// The body, as it came.
    pub(crate) text: String,
    /// The route that all members share, if they do.
    pub(crate) route: Option<Route>,
    /// The first known type in it that is not of the account lane.
    pub(crate) summary: Option<&'static Endpoint>,
}

/// Why a body is no notification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    /// The JSON ends too early.
    #[error("the JSON ends before it is complete")]
    CutShort,
    /// Not JSON.
    #[error("the body is not JSON (line {line}, column {column})")]
    NotJson {
        /// Where, from 1.
        line: usize,
        /// Where, in bytes, from 1.
        column: usize,
    },
    /// JSON has to be UTF-8 (RFC 8259).
    #[error("the body is not UTF-8 (at byte {offset})")]
    NotUtf8 {
        /// Where, from 0.
        offset: usize,
    },
    /// Another JSON value.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// Nothing that could be entries.
    #[error("the object has no list in it")]
    NoList,
}

impl Notification {
    /// Takes a body for a notification if it is one.
    ///
    /// # Errors
    /// See [`Flaw`].
    pub(crate) fn read(body: Vec<u8>) -> Result<Self, Flaw> {
        let text = String::from_utf8(body).map_err(|error| not_utf8(&error.utf8_error()))?;
        let mut json = serde_json::Deserializer::from_str(&text);
        let look = json
            .deserialize_map(Look::default())
            .and_then(|look| json.end().map(|()| look))
            .map_err(|error| not_json(&error))?;
        if !look.has_list {
            return Err(Flaw::NoList);
        }
        let route = if look.routes_differ { None } else { look.route };
        Ok(Self { text, route, summary: look.summary })
    }

    /// The AMQP type of what goes to the summaries: the type that the path named, if it is one of theirs,
    /// or else the first one in the body.
    pub(crate) fn push_type(&self, of_path: Option<&'static Endpoint>) -> &'static str {
        of_path
            .filter(|endpoint| endpoint.lane != Lane::Account)
            .or(self.summary)
            .map_or(UNKNOWN, |endpoint| endpoint.key)
    }
}

/// What is remembered of a body while its members pass by.
#[derive(Default)]
struct Look {
    has_list: bool,
    route: Option<Route>,
    routes_differ: bool,
    summary: Option<&'static Endpoint>,
}

impl Look {
    fn at_member(&mut self, key: &str, value: &str) {
        self.has_list |= value.starts_with('[');
        let route = Route::of_raw_key(key);
        self.routes_differ |= *self.route.get_or_insert(route) != route;
        if self.summary.is_none() && route == Route::Push {
            self.summary = endpoint_of_raw_key(key);
        }
    }
}

impl<'de> Visitor<'de> for Look {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Self, A::Error> {
        while let Some((key, value)) = members.next_entry::<&RawValue, &RawValue>()? {
            self.at_member(key.get(), value.get());
        }
        Ok(self)
    }
}

fn endpoint_of_raw_key(key: &str) -> Option<&'static Endpoint> {
    if key.len() > LONGEST_KEY {
        return None;
    }
    let inside = key.strip_prefix('"')?.strip_suffix('"')?;
    let name = if inside.contains('\\') {
        Cow::Owned(serde_json::from_str(key).ok()?)
    } else {
        Cow::Borrowed(inside)
    };
    Endpoint::of_key(&name)
}

fn not_utf8(error: &std::str::Utf8Error) -> Flaw {
    match error.error_len() {
        None => Flaw::CutShort,
        Some(_) => Flaw::NotUtf8 { offset: error.valid_up_to() },
    }
}

/// Only the place is kept of serde_json's message, which may quote the body.
fn not_json(error: &serde_json::Error) -> Flaw {
    match error.classify() {
        Category::Eof => Flaw::CutShort,
        Category::Data => Flaw::NotAnObject,
        Category::Syntax | Category::Io => Flaw::NotJson { line: error.line(), column: error.column() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: &str) -> Result<Notification, Flaw> {
        Notification::read(body.as_bytes().to_vec())
    }

    fn account(key: &str) -> Option<Route> {
        Endpoint::of_key(key).map(Route::Account)
    }

    #[test]
    fn what_is_no_notification_is_told_apart() {
        for body in ["", " ", "{", r#"{"dailies":"#, r#"{"dailies":[{"userId":"a"#, r#"{"dailies":[]"#, "tru"]
        {
            assert_eq!(read(body), Err(Flaw::CutShort), "{body}");
        }
        for body in ["[]", "[{\"dailies\":[]}]", "null", "12", "\"dailies\"", "true"] {
            assert_eq!(read(body), Err(Flaw::NotAnObject), "{body}");
        }
        for body in ["{}", r#"{"dailies":{}}"#, r#"{"dailies":null,"epochs":"[]"}"#] {
            assert_eq!(read(body), Err(Flaw::NoList), "{body}");
        }
        assert_eq!(read("{\n\"dailies\":[}"), Err(Flaw::NotJson { line: 2, column: 12 }));
        for body in ["dailies=1", "<a/>", r#"{"dailies":[]}{}"#, r#"{"dailies":[],}"#, "{dailies:[]}"] {
            assert!(matches!(read(body), Err(Flaw::NotJson { .. })), "{body}");
        }
        assert_eq!(Notification::read(b"{\"a\":[\"\xff\"]}".into()), Err(Flaw::NotUtf8 { offset: 7 }));
        assert_eq!(Notification::read("{\"a\":[\"ä".as_bytes()[..8].into()), Err(Flaw::CutShort));
    }

    #[test]
    fn odd_notifications_are_accepted() {
        for body in [
            r#"{"dailies":[]}"#,
            r#" {"dailies" : [ {} ] } "#,
            r#"{"unheardOf":[1,"a",null]}"#,
            r#"{"dailies":null,"epochs":[{}]}"#,
            r#"{"dailies":[{}],"dailies":[{}]}"#,
            r#"{"\ud800":["\ud800\u0000"]}"#,
        ] {
            assert_eq!(read(body).map(|notification| notification.text), Ok(body.to_owned()));
        }
        let deep = format!(r#"{{"dailies":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(read(&deep).is_ok());
        let long_key = format!(r#"{{"{}":[]}}"#, "k".repeat(100_000));
        assert!(read(&long_key).is_ok());
    }

    #[test]
    fn the_keys_decide_the_route() {
        for (body, route) in [
            (r#"{"dailies":[{}],"unheardOf":[]}"#, Some(Route::Push)),
            (r#"{"deregistrations":[{}]}"#, account("deregistrations")),
            (r#"{"deregistr\u0061tions":[{}]}"#, account("deregistrations")),
            (r#"{"userPermissionsChange":[{}]}"#, account("userPermissionsChange")),
            (r#"{"deregistrations":[{}],"dailies":[{}]}"#, None),
            (r#"{"deregistrations":null,"dailies":[{}]}"#, None),
            (r#"{"deregistrations":[{}],"userPermissionsChange":[{}]}"#, None),
        ] {
            assert_eq!(read(body).map(|notification| notification.route), Ok(route), "{body}");
        }
    }

    #[test]
    fn the_path_names_the_type_or_else_the_body_does() {
        for (path, body, name) in [
            ("epochs", r#"{"dailies":[]}"#, "epochs"),
            ("epochs", r#"{"unheardOf":[]}"#, "epochs"),
            ("", r#"{"unheardOf":[],"dailies":[],"epochs":[]}"#, "dailies"),
            ("", r#"{"menstrualCycleTracking":[]}"#, "mct"),
            ("", r#"{"unheardOf":[]}"#, "unknown"),
            ("deregistrations", r#"{"deregistrations":[],"dailies":[]}"#, "dailies"),
            ("deregistrations", r#"{"unheardOf":[]}"#, "unknown"),
        ] {
            assert_eq!(read(body).unwrap().push_type(Endpoint::of_path(path)), name, "{path} {body}");
        }
    }

    proptest! {
        /// The promise of 200 is given for everything that parses as an object with a list, and 400 says
        /// "cut short" of every beginning of it.
        #[test]
        fn every_beginning_of_a_notification_is_cut_short(
            entries in proptest::collection::vec("[a-zä\\\\n ]{0,5}", 0..5),
            cut in any::<proptest::sample::Index>(),
        ) {
            let body = serde_json::json!({"dailies": entries}).to_string().into_bytes();
            let cut = cut.index(body.len());
            prop_assert_eq!(Notification::read(body[..cut].to_vec()), Err(Flaw::CutShort));
            prop_assert!(Notification::read(body).is_ok());
        }

        #[test]
        fn no_body_brings_it_down(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Notification::read(body);
        }
    }
}
