//! What the tests know of Garmin on their own: its fields, and which table, identity and version each type has.
//!
//! The fields are a list made from what is known of Garmin, the types the table of design.md section 5, and the
//! names of columns follow from both by its rules. None of it comes from the worker, so that a mistake there is
//! not repeated here.

use heck::ToSnakeCase as _;
use std::sync::LazyLock;

/// A field of Garmin's.
#[derive(Debug, Clone)]
pub struct Field {
    /// The names that lead to it: its own, behind those of the objects it is in.
    pub path: Vec<&'static str>,
    /// What values fit.
    pub kind: Kind,
    /// Another spelling of its name.
    pub other_name: Option<&'static str>,
}

/// What values fit a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number of 32 bits.
    Integer,
    /// A whole number of 64 bits, or a string of its digits.
    BigInteger,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// `yyyy-mm-dd`.
    Date,
    /// Unix seconds.
    Moment,
    /// Whole numbers by their offset in seconds.
    IntegerMap,
    /// Numbers by their offset in seconds.
    NumberMap,
    /// A list of records.
    List,
    /// An object whose keys Garmin does not fix.
    OpenObject,
}

/// A summary type.
#[derive(Debug)]
pub struct SummaryType {
    /// The top-level keys of its entries; the first is its name.
    pub keys: &'static [&'static str],
    /// Its table in the schema `garmin_wellness`.
    pub table: &'static str,
    /// The fields that tell one summary of a user from another.
    pub identity: &'static [(&'static str, Otherwise)],
    /// The field that ranks the versions of a summary before their arrival does.
    pub rank: Option<&'static str>,
}

/// What counts where a field of the identity is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// The entry is a dead letter.
    DeadLetter,
    /// An empty text.
    Empty,
    /// `false`.
    False,
    /// `activityId`, as text.
    ActivityId,
    /// The `id` in `callbackURL`.
    CallbackId,
}

use Otherwise::{ActivityId, CallbackId, DeadLetter, Empty, False};

const START: (&str, Otherwise) = ("startTimeInSeconds", DeadLetter);
const MEASUREMENT: (&str, Otherwise) = ("measurementTimeInSeconds", DeadLetter);
const DURATION: Option<&str> = Some("durationInSeconds");

/// The table of design.md section 5.
pub const TYPES: [SummaryType; 18] = [
    summary_type(&["dailies"], "daily_summary", &[START], DURATION),
    summary_type(&["thirdPartyDailies"], "third_party_daily_summary", &[START], DURATION),
    summary_type(&["epochs"], "epoch_summary", &[START, ("activityType", Empty)], DURATION),
    summary_type(&["sleeps"], "sleep_summary", &[START], None),
    summary_type(&["bodyComps"], "body_composition", &[MEASUREMENT], None),
    summary_type(&["stressDetails"], "stress_summary", &[START], DURATION),
    summary_type(&["userMetrics"], "user_metrics", &[("calendarDate", DeadLetter)], None),
    summary_type(&["pulseox"], "pulse_ox_summary", &[START, ("onDemand", False)], DURATION),
    summary_type(&["allDayRespiration"], "respiration_summary", &[START], DURATION),
    summary_type(&["healthSnapshot"], "health_snapshot", &[START], DURATION),
    summary_type(&["hrv"], "hrv_summary", &[START], DURATION),
    summary_type(&["bloodPressures"], "blood_pressure", &[MEASUREMENT], None),
    summary_type(&["skinTemp"], "skin_temperature", &[START], DURATION),
    summary_type(
        &["activities", "manuallyUpdatedActivities"],
        "activity_summary",
        &[("summaryId", ActivityId)],
        None,
    ),
    summary_type(&["activityDetails"], "activity_detail", &[("summaryId", ActivityId)], None),
    summary_type(
        &["activityFiles"],
        "activity_file",
        &[("summaryId", CallbackId), ("fileType", Empty)],
        None,
    ),
    summary_type(&["moveIQActivities"], "move_iq_summary", &[START, ("activityType", Empty)], DURATION),
    summary_type(
        &["mct", "menstrualCycleTracking"],
        "menstrual_cycle_summary",
        &[("periodStartDate", DeadLetter)],
        Some("lastUpdatedTimeInSeconds"),
    ),
];

const fn summary_type(
    keys: &'static [&'static str],
    table: &'static str,
    identity: &'static [(&'static str, Otherwise)],
    rank: Option<&'static str>,
) -> SummaryType {
    SummaryType { keys, table, identity, rank }
}

/// Every top-level key with its type.
pub fn keys() -> impl Iterator<Item = (&'static str, &'static SummaryType)> {
    TYPES.iter().flat_map(|summary_type| summary_type.keys.iter().map(move |key| (*key, summary_type)))
}

impl SummaryType {
    /// The type that a top-level key stands for.
    #[must_use]
    pub fn of_key(key: &str) -> Option<&'static Self> {
        keys().find(|(of, _)| *of == key).map(|(_, summary_type)| summary_type)
    }

    /// Its name: the first of its keys, which is also its label in metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.keys[0]
    }

    /// Its fields.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        let name = self.name();
        FIELDS.iter().filter(move |(of, _)| *of == name).map(|(_, field)| field)
    }

    /// Whether a field is part of the identity.
    #[must_use]
    pub fn identifies(&self, field: &Field) -> bool {
        self.identity.iter().any(|(name, _)| field.path == [*name])
    }
}

/// Garmin's fields by the name of their type.
static FIELDS: LazyLock<Vec<(&'static str, Field)>> = LazyLock::new(|| {
    let lines = include_str!("../garmin-fields.tsv").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(read_line).collect()
});

fn read_line(line: &'static str) -> (&'static str, Field) {
    let mut cells = line.split('\t');
    let mut cell = || cells.next().unwrap_or_else(|| panic!("a cell is missing: {line}"));
    let (key, path, kind) = (cell(), cell(), cell());
    let kind = Kind::of_name(kind).unwrap_or_else(|| panic!("no such kind: {line}"));
    (key, Field { path: path.split('.').collect(), kind, other_name: cells.next() })
}

impl Kind {
    fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "integer" => Self::Integer,
            "bigint" => Self::BigInteger,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            "date" => Self::Date,
            "moment" => Self::Moment,
            "integer_map" => Self::IntegerMap,
            "number_map" => Self::NumberMap,
            "list" => Self::List,
            "open_object" => Self::OpenObject,
            _ => return None,
        })
    }
}

impl Field {
    /// Its path with dots.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.join(".")
    }

    /// Its columns and their types: one, or for a series the offsets and the values.
    #[must_use]
    pub fn columns(&self) -> Vec<(String, &'static str)> {
        let snake: Vec<String> = self.path.iter().map(|name| name.to_snake_case()).collect();
        let name = snake.join("_");
        match self.kind {
            Kind::Text => vec![(name, "text")],
            Kind::Integer => vec![(name, "integer")],
            Kind::BigInteger => vec![(name, "bigint")],
            Kind::Number => vec![(name, "double precision")],
            Kind::Boolean => vec![(name, "boolean")],
            Kind::Date => vec![(name, "date")],
            Kind::Moment => {
                vec![(name.trim_end_matches("_in_seconds").to_owned(), "timestamp with time zone")]
            }
            Kind::List | Kind::OpenObject => vec![(name, "jsonb")],
            Kind::IntegerMap => series(&name, "integer[]"),
            Kind::NumberMap => series(&name, "double precision[]"),
        }
    }
}

fn series(name: &str, values: &'static str) -> Vec<(String, &'static str)> {
    let name =
        name.trim_start_matches("time_offset_").trim_end_matches("_values").trim_end_matches("_samples");
    vec![(format!("{name}_offsets"), "integer[]"), (format!("{name}_values"), values)]
}
