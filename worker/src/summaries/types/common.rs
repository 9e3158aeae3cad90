//! Fields that many types begin with.

use crate::summaries::field::{Field, date, instant, integer, text};

pub(super) const SUMMARY_ID: Field = text("summaryId")
    .means("", "Garmin's id of this version; of several types it contains the duration and changes with it");

pub(super) const CALENDAR_DATE: Field =
    date("calendarDate").means("", "The day that the summary belongs to, by the user's clock");

pub(super) const START_TIME: Field = instant("startTimeInSeconds").means("", "Where the summary begins");

pub(super) const START_TIME_OFFSET: Field = integer("startTimeOffsetInSeconds")
    .means("s", "What to add to UTC to get the user's clock; missing means unknown, not UTC");

pub(super) const DURATION: Field = integer("durationInSeconds").means("s", "Time covered by the summary");

/// A stretch of time without a date.
pub(super) const SPAN: &[Field] = &[SUMMARY_ID, START_TIME, START_TIME_OFFSET, DURATION];

/// A stretch of time that belongs to a day.
pub(super) const SPAN_OF_A_DAY: &[Field] =
    &[SUMMARY_ID, CALENDAR_DATE, START_TIME, START_TIME_OFFSET, DURATION];

/// A measurement at one moment.
pub(super) const MEASUREMENT: &[Field] = &[
    SUMMARY_ID,
    instant("measurementTimeInSeconds").means("", "When it was measured"),
    integer("measurementTimeOffsetInSeconds")
        .means("s", "What to add to UTC to get the user's clock; missing means unknown, not UTC"),
];
