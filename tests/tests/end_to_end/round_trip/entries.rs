//! Entries of every type: each of its fields missing, null, fitting, unfitting or there twice, in any order,
//! and between them what Apollo does not know.

use super::values::{any_json, fitting, of_kind, text, unstorable};
use apollo_tests::garmin::{Field, Otherwise, SummaryType};
use apollo_tests::json::{Json, Spelling};
use proptest::prelude::*;
use proptest::sample::select;

/// What all tokens are, so that none can come to lie with the data unseen.
pub(super) const TOKEN: &str = "t0ken-0f-a-user";

type Members = Vec<(String, Json)>;

/// An entry without its user.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its top-level key.
    pub(super) key: &'static str,
    /// What it is.
    pub(super) json: Json,
    /// How its strings are written.
    pub(super) spelling: Spelling,
}

/// Whether entries must be fit for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fitness {
    /// They can be told from other summaries, and stored.
    Storable,
    /// Anything may be wrong with them.
    Any,
}

/// Entries that come under `key`.
pub(super) fn entry(key: &'static str, of: &'static SummaryType, fitness: Fitness) -> BoxedStrategy<Entry> {
    let fields: Vec<&Field> = of.fields().collect();
    let callback = if of.name() == "activityFiles" { callback().boxed() } else { Just(vec![]).boxed() };
    let odd = match fitness {
        Fitness::Storable => Just(vec![]).boxed(),
        Fitness::Any => prop_oneof![
            5 => Just(vec![]),
            1 => unstorable().prop_map(|value| vec![("unstorable".to_owned(), value)]),
        ]
        .boxed(),
    };
    let required = |field: &Field| fitness == Fitness::Storable && is_required(of, field);
    let known = members(&fields, 0, &required);
    let spelling = prop_oneof![3 => Just(Spelling::Plain), 1 => Just(Spelling::Escaped)];
    (known, callback, odd, spelling)
        .prop_map(move |(known, callback, odd, spelling)| Entry {
            key,
            json: Json::Object([known, callback, odd].concat()),
            spelling,
        })
        .boxed()
}

/// Whether an entry without this field, or with an unfitting one, could not be told from another.
fn is_required(summary_type: &SummaryType, field: &Field) -> bool {
    summary_type.identity.iter().any(|(name, otherwise)| match otherwise {
        Otherwise::DeadLetter => field.path == [*name],
        Otherwise::ActivityId => field.path == ["activityId"],
        Otherwise::Empty | Otherwise::False | Otherwise::CallbackId => false,
    })
}

/// A file's address, which is all that some deliveries name it by.
fn callback() -> impl Strategy<Value = Members> {
    (1..i64::MAX).prop_map(|id| {
        let url = format!("https://127.0.0.1/wellness-api/rest/activityFile?id={id}&token={TOKEN}");
        vec![("callbackURL".to_owned(), Json::Text(url))]
    })
}

/// The members of an object that `fields` lie in, `depth` names of their paths above it, in any order.
fn members(fields: &[&Field], depth: usize, required: &dyn Fn(&Field) -> bool) -> BoxedStrategy<Members> {
    let mut names: Vec<&'static str> = fields.iter().map(|field| field.path[depth]).collect();
    names.dedup();
    let known = names.iter().map(|name| {
        let inner: Vec<&Field> = fields.iter().filter(|field| field.path[depth] == *name).copied().collect();
        match inner[..] {
            [field] if field.path.len() == depth + 1 => member(field, required(field)),
            _ => object_member(name, members(&inner, depth + 1, required)),
        }
    });
    let mut parts: Vec<BoxedStrategy<Members>> = known.collect();
    parts.push(unknown_members(fields, depth));
    let token = vec![("userAccessToken".to_owned(), Json::text(TOKEN))];
    parts.push(prop_oneof![4 => Just(vec![]), 1 => Just(token)].boxed());
    parts.prop_map(|parts| parts.concat()).prop_shuffle().boxed()
}

/// A field under its name, under its other spelling, or under both.
fn member(field: &Field, required: bool) -> BoxedStrategy<Members> {
    let name = field.path.last().copied().unwrap_or_default();
    let value = fitting(field.kind);
    if required {
        return value.prop_map(move |value| vec![(name.to_owned(), value)]).boxed();
    }
    match field.other_name {
        None => spelling(name, field),
        Some(other) => (spelling(name, field), spelling(other, field))
            .prop_map(|(first, second)| [first, second].concat())
            .boxed(),
    }
}

/// A field under one name.
fn spelling(name: &'static str, field: &Field) -> BoxedStrategy<Members> {
    let value = of_kind(field.kind);
    let named = move |value| (name.to_owned(), value);
    prop_oneof![
        6 => Just(vec![]),
        2 => Just(vec![named(Json::Null)]),
        10 => value.clone().prop_map(move |value| vec![named(value)]),
        1 => (value.clone(), value).prop_map(move |(one, other)| vec![named(one), named(other)]),
    ]
    .boxed()
}

/// A fixed object, or something in its place.
fn object_member(name: &'static str, members: BoxedStrategy<Members>) -> BoxedStrategy<Members> {
    let named = move |value| vec![(name.to_owned(), value)];
    prop_oneof![
        2 => Just(vec![]),
        1 => any_json().prop_map(named),
        1 => Just(named(Json::Object(vec![]))),
        8 => members.prop_map(move |members| named(Json::Object(members))),
    ]
    .boxed()
}

/// Members that are no fields here: any names, and those of fields in another case.
fn unknown_members(fields: &[&Field], depth: usize) -> BoxedStrategy<Members> {
    let mut reserved: Vec<&str> = vec!["userId", "userAccessToken", "callbackURL"];
    reserved.extend(fields.iter().map(|field| field.path[depth]));
    reserved.extend(fields.iter().filter_map(|field| field.other_name));
    let names = fields.iter().map(|field| field.path[depth]);
    let cases: Vec<String> = names.flat_map(|name| [name.to_uppercase(), name.to_lowercase()]).collect();
    let name = prop_oneof![text(), select(cases)];
    prop::collection::vec((name, any_json()), 0..3)
        .prop_map(move |mut members| {
            members.retain(|(name, _)| !reserved.contains(&name.as_str()));
            members
        })
        .boxed()
}
