//! What several commands are told in the same way.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

/// A day (from midnight UTC), or a moment.
pub(super) fn moment(text: &str) -> Result<OffsetDateTime, String> {
    let day = Date::parse(text, format_description!("[year]-[month]-[day]"));
    day.map(|day| day.midnight().assume_utc())
        .or_else(|_| OffsetDateTime::parse(text, &Rfc3339))
        .map(|moment| moment.to_offset(UtcOffset::UTC))
        .map_err(|_| "neither a day such as 2026-11-10 nor a moment such as 2026-11-10T18:30:00Z".to_owned())
}
