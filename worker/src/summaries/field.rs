//! The words that a summary type is declared with: one line a field.
//!
//! A field names Garmin's key and what fits; its column's name and SQL type follow from that by the rules of
//! design.md section 5.

use super::sql_type::SqlType;
use heck::ToSnakeCase;

/// A field of Garmin's.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Garmin's name.
    pub name: &'static str,
    /// Another spelling of the name that facts give; both fill the column that is named after the first.
    pub other_name: Option<&'static str>,
    /// What fits.
    pub kind: Kind,
    /// The unit of its value, or of its series' values; empty where there is none.
    pub unit: &'static str,
    /// What it means, for researchers; empty for an object, whose fields have meanings of their own.
    pub meaning: &'static str,
}

/// What values fit a field, and so which columns it has.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number of 32 bits.
    Integer,
    /// A whole number of 64 bits, which Garmin writes as a number or as a string of digits.
    BigInteger,
    /// A number.
    Float,
    /// `true` or `false`.
    Boolean,
    /// A string `yyyy-mm-dd`.
    Date,
    /// Unix seconds.
    Instant,
    /// A list of records, kept as it is.
    List,
    /// An object with open keys, kept as it is.
    OpenObject,
    /// An object from offsets in seconds to numbers.
    Series(Number),
    /// An object with fixed keys, whose fields become columns with its name in front.
    Object(&'static [Field]),
}

/// What a series' values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// Whole numbers of 32 bits.
    Integer,
    /// Any numbers.
    Float,
}

/// A string.
pub const fn text(name: &'static str) -> Field {
    field(name, Kind::Text)
}

/// A whole number of 32 bits.
pub const fn integer(name: &'static str) -> Field {
    field(name, Kind::Integer)
}

/// A whole number of 64 bits, which Garmin writes as a number or as a string of digits.
pub const fn big_integer(name: &'static str) -> Field {
    field(name, Kind::BigInteger)
}

/// A number.
pub const fn float(name: &'static str) -> Field {
    field(name, Kind::Float)
}

/// `true` or `false`.
pub const fn boolean(name: &'static str) -> Field {
    field(name, Kind::Boolean)
}

/// A calendar day, `yyyy-mm-dd`.
pub const fn date(name: &'static str) -> Field {
    field(name, Kind::Date)
}

/// A moment in Unix seconds.
pub const fn instant(name: &'static str) -> Field {
    field(name, Kind::Instant)
}

/// A list of records.
pub const fn list(name: &'static str) -> Field {
    field(name, Kind::List)
}

/// An object with open keys.
pub const fn open_object(name: &'static str) -> Field {
    field(name, Kind::OpenObject)
}

/// Whole numbers by their offset in seconds from the start.
pub const fn integer_series(name: &'static str) -> Field {
    field(name, Kind::Series(Number::Integer))
}

/// Numbers by their offset in seconds from the start.
pub const fn float_series(name: &'static str) -> Field {
    field(name, Kind::Series(Number::Float))
}

/// An object whose keys Garmin fixes.
pub const fn object(name: &'static str, fields: &'static [Field]) -> Field {
    field(name, Kind::Object(fields))
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, other_name: None, kind, unit: "", meaning: "" }
}

impl Field {
    /// Accepts another spelling of the name too.
    pub const fn or(mut self, other_name: &'static str) -> Self {
        self.other_name = Some(other_name);
        self
    }

    /// Tells the unit of its values and what they mean.
    pub const fn means(mut self, unit: &'static str, meaning: &'static str) -> Self {
        self.unit = unit;
        self.meaning = meaning;
        self
    }

    /// How many columns the field fills.
    pub fn column_count(&self) -> usize {
        match self.kind {
            Kind::Series(_) => 2,
            Kind::Object(fields) => fields.iter().map(Self::column_count).sum(),
            _ => 1,
        }
    }

    /// The columns that the field fills, within the objects named in `path`.
    pub fn columns(&self, path: &[&str]) -> Vec<Column> {
        let path = [path, &[self.name]].concat();
        let name = path.join("_").to_snake_case();
        let comment = comment(self.unit, &format!("{} (Garmin's {})", self.meaning, path.join(".")));
        let one = |sql_type| vec![Column { name: name.clone(), sql_type, comment: comment.clone() }];
        match self.kind {
            Kind::Text => one(SqlType::Text),
            Kind::Integer => one(SqlType::Integer),
            Kind::BigInteger => one(SqlType::BigInteger),
            Kind::Float => one(SqlType::Float),
            Kind::Boolean => one(SqlType::Boolean),
            Kind::Date => one(SqlType::Date),
            Kind::Instant => {
                let name = name.strip_suffix("_in_seconds").unwrap_or(&name).to_owned();
                vec![Column { name, sql_type: SqlType::Instant, comment }]
            }
            Kind::List | Kind::OpenObject => one(SqlType::Jsonb),
            Kind::Series(number) => series_columns(&name, number, comment),
            Kind::Object(fields) => fields.iter().flat_map(|field| field.columns(&path)).collect(),
        }
    }
}

fn series_columns(name: &str, number: Number, comment: String) -> Vec<Column> {
    let series = name.strip_prefix("time_offset_").unwrap_or(name);
    let series = series.strip_suffix("_values").or_else(|| series.strip_suffix("_samples")).unwrap_or(series);
    let values = match number {
        Number::Integer => SqlType::Integers,
        Number::Float => SqlType::Floats,
    };
    let offsets = format!("[s] When each of {series}_values was measured, from start_time, in order");
    vec![
        Column { name: format!("{series}_offsets"), sql_type: SqlType::Integers, comment: offsets },
        Column { name: format!("{series}_values"), sql_type: values, comment },
    ]
}

/// A column of a summary type's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub sql_type: SqlType,
    /// What it holds, for researchers: the unit in square brackets, the meaning, Garmin's name.
    pub comment: String,
}

/// A meaning with its unit in front.
fn comment(unit: &str, meaning: &str) -> String {
    if unit.is_empty() { meaning.to_owned() } else { format!("[{unit}] {meaning}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(field: Field) -> Vec<String> {
        field.columns(&[]).into_iter().map(|column| column.name).collect()
    }

    #[test]
    fn column_names_follow_the_mechanical_rule() {
        assert_eq!(names(float("vo2Max")), ["vo2_max"]);
        assert_eq!(names(integer("lastNight5MinHigh")), ["last_night5_min_high"]);
        assert_eq!(names(integer("startTimeOffsetInSeconds")), ["start_time_offset_in_seconds"]);
        assert_eq!(names(instant("startTimeInSeconds")), ["start_time"]);
        assert_eq!(
            names(integer_series("timeOffsetHeartRateSamples")),
            ["heart_rate_offsets", "heart_rate_values"]
        );
        assert_eq!(names(integer_series("hrvValues")), ["hrv_offsets", "hrv_values"]);
        assert_eq!(names(integer_series("timeOffsetSleepSpo2")), ["sleep_spo2_offsets", "sleep_spo2_values"]);
        const SCORE: &[Field] = &[integer("value"), text("qualifierKey")];
        assert_eq!(
            names(object("overallSleepScore", SCORE)),
            ["overall_sleep_score_value", "overall_sleep_score_qualifier_key"]
        );
    }
}
