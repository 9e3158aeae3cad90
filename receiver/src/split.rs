//! Dividing a body at entry boundaries into smaller bodies of the same shape.
//!
//! A part is a stretch of the body, from one entry to a later one, copied as it stands between a head
//! (`{"key":[`) and a foot (`]}`). So nothing is written anew, keys and white space in between included, and
//! finding the next part needs no list of the entries: a hundred megabytes may hold fifty million of them.
//! The stretch ends where the part would grow too large, or where a member of another route begins.

use crate::notification::{LONGEST_KEY, Notification, Route};
use serde::Deserialize as _;
use serde_json::value::RawValue;
use std::ops::Range;
use std::sync::Arc;

/// The parts of a body, made one at a time.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The body, or what is left of it.
    text: String,
    /// Bytes that a part should not exceed; a single larger entry travels alone.
    limit: usize,
    cursor: Cursor,
}

/// A part that is found but not made yet.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where it goes.
    pub(crate) route: Route,
    head: String,
    stretch: Range<usize>,
    foot: &'static str,
}

impl Plan {
    /// Bytes of the part.
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.stretch.len() + self.foot.len()
    }
}

impl Parts {
    /// The parts of `notification`, none above `limit` bytes but for single larger entries.
    pub(crate) fn new(notification: Notification, limit: usize) -> Self {
        let cursor = Cursor::at_first_member(&notification.text);
        Self { text: notification.text, limit, cursor }
    }

    /// Bytes of the body that are held here.
    pub(crate) fn held(&self) -> usize {
        self.text.len()
    }

    /// Finds the next part. [`Parts::make`] is to be called for it before the next one is looked for.
    pub(crate) fn plan(&mut self) -> Option<Plan> {
        let first = self.cursor.next_piece(&self.text)?;
        let head = first.head();
        let mut plan = Plan { route: first.route, head, foot: first.foot(), stretch: first.span };
        loop {
            let before = self.cursor.clone();
            match self.cursor.next_piece(&self.text) {
                Some(next) if self.fits(&plan, &next) => {
                    plan.stretch.end = next.span.end;
                    plan.foot = next.foot();
                }
                _ => {
                    self.cursor = before;
                    return Some(plan);
                }
            }
        }
    }

    fn fits(&self, plan: &Plan, next: &Piece) -> bool {
        let length = plan.head.len() + (next.span.end - plan.stretch.start) + next.foot().len();
        next.route == plan.route && length <= self.limit
    }

    /// Makes the part. One that is larger than half of the body takes the body's place in memory instead of
    /// being copied, and what follows it is copied: however large an entry is, body and part together never
    /// need more than twice the body.
    pub(crate) fn make(&mut self, plan: Plan) -> String {
        if 2 * plan.len() <= self.text.len() {
            return [plan.head.as_str(), &self.text[plan.stretch], plan.foot].concat();
        }
        let rest = self.text.split_off(plan.stretch.end);
        let mut part = std::mem::replace(&mut self.text, rest);
        self.cursor.at = 0;
        part.replace_range(..plan.stretch.start, &plan.head);
        part.push_str(plan.foot);
        part
    }
}

/// What is never divided: an entry of a list, or a member that is no list or an empty one.
#[derive(Debug)]
struct Piece {
    /// The list that the entry is in; a whole member is in none.
    list: Option<List>,
    route: Route,
    /// The entry, or the member with its key.
    span: Range<usize>,
}

impl Piece {
    fn head(&self) -> String {
        self.list.as_ref().map_or_else(|| "{".to_owned(), |list| format!("{{{}:[", list.key))
    }

    fn foot(&self) -> &'static str {
        if self.list.is_some() { "]}" } else { "}" }
    }
}

#[derive(Debug, Clone)]
struct List {
    /// As written, quotes included.
    key: Arc<str>,
    route: Route,
}

/// A place in a body that is known to be a JSON object.
#[derive(Debug, Clone)]
struct Cursor {
    /// Byte offset.
    at: usize,
    /// The list that the place is in.
    list: Option<List>,
}

impl Cursor {
    fn at_first_member(text: &str) -> Self {
        Self { at: text.find('{').map_or(0, |brace| brace + 1), list: None }
    }

    /// The next piece; the place is then right behind it. `None` at the end of the object.
    fn next_piece(&mut self, text: &str) -> Option<Piece> {
        while self.next_token(text)? == b']' {
            self.at += 1;
            self.list = None;
        }
        match self.list.clone() {
            Some(list) => self.entry(text, list),
            None => self.member(text),
        }
    }

    fn entry(&mut self, text: &str, list: List) -> Option<Piece> {
        let span = self.value(text)?;
        Some(Piece { route: list.route, list: Some(list), span })
    }

    /// The first entry of the member, or all of it if it is not to be divided.
    fn member(&mut self, text: &str) -> Option<Piece> {
        let key = self.value(text)?;
        let route = Route::of_raw_key(&text[key.clone()]);
        if key.len() <= LONGEST_KEY && self.enters_list(text)? {
            let list = List { key: text[key].into(), route };
            self.list = Some(list.clone());
            return self.entry(text, list);
        }
        self.next_token(text)?;
        let value = self.value(text)?;
        Some(Piece { list: None, route, span: key.start..value.end })
    }

    /// Steps to the first entry of the list that comes next; stays where it is if none does, or an empty one.
    fn enters_list(&mut self, text: &str) -> Option<bool> {
        let mut inside = self.clone();
        if inside.next_token(text)? != b'[' {
            return Some(false);
        }
        inside.at += 1;
        let has_entry = inside.next_token(text)? != b']';
        if has_entry {
            *self = inside;
        }
        Some(has_entry)
    }

    /// Steps over the JSON value that begins here.
    fn value(&mut self, text: &str) -> Option<Range<usize>> {
        let start = self.at;
        let mut json = serde_json::Deserializer::from_str(text.get(start..)?);
        self.at += <&RawValue>::deserialize(&mut json).ok()?.get().len();
        Some(start..self.at)
    }

    /// Steps over white space and separators to what comes next.
    fn next_token(&mut self, text: &str) -> Option<u8> {
        let rest = text.as_bytes().get(self.at..)?;
        let skipped = rest.iter().position(|byte| !b" \t\r\n,:".contains(byte))?;
        self.at += skipped;
        Some(rest[skipped])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserializer as _;
    use serde::de::{MapAccess, Visitor};
    use std::fmt;

    /// A member's key and one of its entries; no entry for an empty list; a value that is no list.
    #[derive(Debug, Clone, PartialEq)]
    enum Item {
        Entry(String, String),
        Empty(String),
        Whole(String, String),
    }

    struct Items;

    impl<'de> Visitor<'de> for Items {
        type Value = Vec<Item>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Vec<Item>, A::Error> {
            let mut items = Vec::new();
            while let Some((key, value)) = members.next_entry::<String, &RawValue>()? {
                match serde_json::from_str::<Vec<&RawValue>>(value.get()) {
                    Ok(entries) if entries.is_empty() => items.push(Item::Empty(key)),
                    Ok(entries) => items
                        .extend(entries.iter().map(|entry| Item::Entry(key.clone(), entry.get().to_owned()))),
                    Err(_) => items.push(Item::Whole(key, value.get().to_owned())),
                }
            }
            Ok(items)
        }
    }

    fn items(body: &str) -> Vec<Item> {
        serde_json::Deserializer::from_str(body).deserialize_map(Items).unwrap()
    }

    fn divide(body: &str, limit: usize) -> Vec<(Route, String)> {
        let mut parts = Parts::new(Notification::read(body.as_bytes().to_vec()).unwrap(), limit);
        let mut made = Vec::new();
        while let Some(plan) = parts.plan() {
            let (route, length) = (plan.route, plan.len());
            let part = parts.make(plan);
            assert_eq!(part.len(), length);
            made.push((route, part));
        }
        made
    }

    fn bodies(body: &str, limit: usize) -> Vec<String> {
        divide(body, limit).into_iter().map(|(_, part)| part).collect()
    }

    #[test]
    fn entries_are_copied_as_they_stand() {
        assert_eq!(
            bodies(r#"{"dailies":[{"a": 1.0},{"b":"\u0000"}],"epochs":[{"c":1e2}]}"#, 30),
            [r#"{"dailies":[{"a": 1.0}]}"#, r#"{"dailies":[{"b":"\u0000"}]}"#, r#"{"epochs":[{"c":1e2}]}"#]
        );
    }

    #[test]
    fn members_share_a_part_while_they_fit() {
        let body = r#"{"dailies":[1,2],"epochs":[],"sleeps":null,"hrv":[3]}"#;
        assert_eq!(bodies(body, body.len()), [body]);
        assert_eq!(bodies(body, 42), [r#"{"dailies":[1,2],"epochs":[]}"#, r#"{"sleeps":null,"hrv":[3]}"#]);
    }

    #[test]
    fn each_lane_gets_its_own_members() {
        let parts = divide(
            r#"{"deregistrations":[{"userId":"a"}],"dailies":[1],"userPermissionsChange":[]}"#,
            1 << 20,
        );
        let names: Vec<_> = parts
            .iter()
            .map(|(route, body)| match route {
                Route::Push => ("push", body.as_str()),
                Route::Account(endpoint) => (endpoint.key, body.as_str()),
            })
            .collect();
        assert_eq!(
            names,
            [
                ("deregistrations", r#"{"deregistrations":[{"userId":"a"}]}"#),
                ("push", r#"{"dailies":[1]}"#),
                ("userPermissionsChange", r#"{"userPermissionsChange":[]}"#),
            ]
        );
    }

    #[test]
    fn a_larger_entry_travels_alone() {
        let large = format!("\"{}\"", "x".repeat(1000));
        let body = format!(r#"{{"dailies":[1,2,{large},3,4]}}"#);
        let alone = format!(r#"{{"dailies":[{large}]}}"#);
        assert_eq!(bodies(&body, 100), [r#"{"dailies":[1,2]}"#, alone.as_str(), r#"{"dailies":[3,4]}"#]);
    }

    #[test]
    fn a_part_of_most_of_the_body_takes_its_place_in_memory() {
        let body = format!(r#"{{"dailies":[1,"{}",2]}}"#, "x".repeat(1000));
        let notification = Notification::read(body.into_bytes()).unwrap();
        let place = notification.text.as_ptr();
        let mut parts = Parts::new(notification, 100);
        let small = parts.plan().unwrap();
        let small = parts.make(small);
        assert_ne!(small.as_ptr(), place);
        let large = parts.plan().unwrap();
        let large = parts.make(large);
        assert_eq!(large.as_ptr(), place);
        assert!(parts.held() < 10, "only what follows is left");
    }

    #[test]
    fn a_key_that_would_blow_up_the_parts_is_not_repeated() {
        let key = "k".repeat(LONGEST_KEY);
        let body = format!(r#"{{"{key}":[1,2,3],"dailies":[4]}}"#);
        assert_eq!(bodies(&body, 20), [format!(r#"{{"{key}":[1,2,3]}}"#), r#"{"dailies":[4]}"#.to_owned()]);
    }

    #[test]
    fn white_space_between_entries_does_not_count_for_one() {
        let body = format!(r#"{{"dailies":[1,{}2]}}"#, " ".repeat(1000));
        assert_eq!(bodies(&body, 100), [r#"{"dailies":[1]}"#, r#"{"dailies":[2]}"#]);
    }

    fn space() -> impl Strategy<Value = &'static str> {
        proptest::sample::select(vec!["", "", "", " ", "\n\t", "     "])
    }

    fn value() -> impl Strategy<Value = String> {
        let small =
            proptest::sample::select(vec!["1", "-2.50e3", "null", "[]", "{}", r#"{"a":[{"b":"]}"}]}"#]);
        prop_oneof![
            small.prop_map(str::to_owned),
            "[a-zä,:\\]\\}]{0,40}".prop_map(|text| serde_json::json!(text).to_string()),
            (0usize..600).prop_map(|length| format!("\"{}\"", "x".repeat(length))),
        ]
    }

    fn member() -> impl Strategy<Value = String> {
        let keys = ["dailies", "epochs", "deregistrations", "userPermissionsChange", "ünknown", "[", "}"];
        let entries = proptest::collection::vec((space(), value(), space()), 0..12)
            .prop_map(|entries| {
                entries.iter().map(|(a, entry, b)| format!("{a}{entry}{b}")).collect::<Vec<_>>()
            })
            .prop_map(|entries| format!("[{}]", entries.join(",")));
        let whole = prop_oneof![9 => entries, 1 => value()];
        (proptest::sample::select(keys.to_vec()), space(), space(), whole, space())
            .prop_map(|(key, a, b, value, c)| format!("{a}\"{key}\"{b}:{value}{c}"))
    }

    fn body() -> impl Strategy<Value = String> {
        (space(), proptest::collection::vec(member(), 0..6)).prop_map(|(before, mut members)| {
            members.push(r#""dailies":[7]"#.to_owned());
            format!("{before}{{{}}}{before}", members.join(","))
        })
    }

    proptest! {
        /// Nothing is lost, doubled, altered or moved; nothing goes to another's lane; and no
        /// part is larger than asked for, unless it holds one thing that cannot be divided.
        #[test]
        fn the_parts_are_the_body(body in body(), limit in 1usize..1500) {
            let parts = divide(&body, limit);
            let sequence: Vec<Item> = parts.iter().flat_map(|(_, part)| items(part)).collect();
            prop_assert_eq!(sequence, items(&body));
            for (route, part) in &parts {
                let of_part = Notification::read(part.clone().into_bytes()).map(|part| part.route);
                prop_assert!(matches!(of_part, Ok(of_part) if of_part == Some(*route))
                    || matches!(of_part, Err(crate::notification::Flaw::NoList)));
                prop_assert!(part.len() <= limit || items(part).len() == 1, "{} > {}", part.len(), limit);
            }
        }
    }
}
