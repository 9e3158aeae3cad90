//! Numbers and times in few characters.

use indicatif::HumanCount;
use time::OffsetDateTime;

/// `1,234`.
pub(crate) fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// A time in seconds: `0.12 s`, `1.5 s`, `42 s`, `5 min`, `3 h`, `2 days`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match seconds {
        ..1.0 => format!("{seconds:.2} s"),
        ..10.0 => format!("{seconds:.1} s"),
        ..120.0 => format!("{whole} s"),
        ..7200.0 => format!("{} min", whole / 60),
        ..172_800.0 => format!("{} h", whole / 3600),
        _ => format!("{} days", whole / 86_400),
    }
}

/// How long before `now` something was, to the second at best.
pub(crate) fn age(now: OffsetDateTime, then: OffsetDateTime) -> String {
    match (now - then).as_seconds_f64().max(0.0) {
        seconds if seconds < 10.0 => format!("{} s", seconds as u64),
        seconds => duration(seconds),
    }
}

/// A moment in UTC, by the minute of its day if that is the day of `now`: `12:03:05`, `2026-11-10 12:03`.
pub(crate) fn moment(now: OffsetDateTime, then: OffsetDateTime) -> String {
    let (date, (hour, minute, second)) = (then.date(), then.time().as_hms());
    match date == now.date() {
        true => format!("{hour:02}:{minute:02}:{second:02}"),
        false => format!("{date} {hour:02}:{minute:02}"),
    }
}

/// What changes by so much a second: `+12/s`, `−0.5/s`, `0/s`.
pub(crate) fn growth(per_second: f64) -> String {
    let sign = if per_second > 0.0 { "+" } else { "−" };
    match rate(per_second.abs()).as_str() {
        "0" => "0/s".to_owned(),
        rate => format!("{sign}{rate}/s"),
    }
}

/// So many a second, to two digits at least where there are so many: `0`, `0.5`, `12`, `1,234`.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        ..0.05 => "0".to_owned(),
        ..9.95 => format!("{per_second:.1}"),
        _ => count(per_second.round() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn times_are_told_in_the_unit_that_serves() {
        let told = [0.123, 1.5, 42.4, 119.4, 120.0, 7199.0, 7200.0, 172_800.0].map(duration);
        assert_eq!(told, ["0.12 s", "1.5 s", "42 s", "119 s", "2 min", "119 min", "2 h", "2 days"]);
    }

    #[test]
    fn an_age_is_told_in_whole_seconds() {
        let now = datetime!(2026-11-10 12:00:00 UTC);
        let ages = [-5, 0, 1, 9, 10, 130].map(|seconds| age(now, now - time::Duration::seconds(seconds)));
        assert_eq!(ages, ["0 s", "0 s", "1 s", "9 s", "10 s", "2 min"]);
    }

    #[test]
    fn a_moment_is_told_with_its_day_if_that_is_another() {
        let now = datetime!(2026-11-10 12:00:00 UTC);
        assert_eq!(moment(now, datetime!(2026-11-10 01:02:03 UTC)), "01:02:03");
        assert_eq!(moment(now, datetime!(2026-11-09 23:59:59 UTC)), "2026-11-09 23:59");
    }

    #[test]
    fn rates_are_told_with_their_sign() {
        let told = [0.01, 0.5, -0.5, 12.3, -1234.0, 9.97].map(growth);
        assert_eq!(told, ["0/s", "+0.5/s", "−0.5/s", "+12/s", "−1,234/s", "+10/s"]);
    }
}
