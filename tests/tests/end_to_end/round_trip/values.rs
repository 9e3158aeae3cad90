//! Values that Garmin might send, as JSON text would hold them.

use apollo_tests::garmin::Kind;
use apollo_tests::json::Json;
use proptest::prelude::*;
use proptest::sample::select;

/// Garmin's ids have 10 or 11 digits (garmin-health-api.md 1.15).
const BIGGEST_ID: i64 = 10_i64.pow(15);

/// Values that fit a field of this kind, or all but fit it.
pub(super) fn of_kind(kind: Kind) -> BoxedStrategy<Json> {
    prop_oneof![5 => fitting(kind), 1 => unusual(kind), 1 => any_json()].boxed()
}

/// Values that fit.
pub(super) fn fitting(kind: Kind) -> BoxedStrategy<Json> {
    match kind {
        Kind::Text => text().prop_map(Json::Text).boxed(),
        Kind::Integer => any::<i32>().prop_flat_map(|value| spelled(value.into())).boxed(),
        Kind::BigInteger => {
            let number = (-BIGGEST_ID..=BIGGEST_ID).prop_flat_map(spelled);
            let digits = any::<i64>().prop_map(|value| Json::text(value.to_string()));
            prop_oneof![number, digits].boxed()
        }
        Kind::Number => decimal(),
        Kind::Boolean => any::<bool>().prop_map(Json::Boolean).boxed(),
        Kind::Date => (1..=9999i32, 1..=12u8, 1..=28u8)
            .prop_map(|(year, month, day)| Json::text(format!("{year:04}-{month:02}-{day:02}")))
            .boxed(),
        Kind::Moment => moment(),
        Kind::IntegerMap => map(Kind::Integer),
        Kind::NumberMap => map(Kind::Number),
        Kind::List => prop::collection::vec(any_json(), 0..4).prop_map(Json::List).boxed(),
        Kind::OpenObject => object().boxed(),
    }
}

/// Values at the edges of what fits, on either side.
fn unusual(kind: Kind) -> BoxedStrategy<Json> {
    let numbers: &[&str] = match kind {
        Kind::Integer => &[
            "2147483647",
            "2147483648",
            "-2147483648",
            "-2147483649",
            "0.5",
            "-0",
            "1e9",
            "1e10",
            "1e400",
            "0e99",
        ],
        Kind::BigInteger => {
            &["9223372036854775807", "9223372036854775808", "-9223372036854775809", "1.5", "2e18"]
        }
        Kind::Moment => &[
            "0",
            "-62135596800",
            "-62135596801",
            "253402300799.999999",
            "253402300800",
            "1.0000001",
            "1e300",
        ],
        _ => &["1e400", "-1e400", "1e-400", "4.9e-324", "1.7976931348623157e308", "1e-300", "-0.0"],
    };
    let texts: &[&str] = match kind {
        Kind::Date => &[
            "2026-02-29",
            "2028-02-29",
            "0000-01-01",
            "2026-2-3",
            "2026-13-01",
            "12026-01-01",
            "20260203",
            "",
        ],
        Kind::BigInteger => &["007", "+7", "-7", "-0", "7.0", "9223372036854775808", " 7", ""],
        _ => &["144", "true", "null", "{}", "1794265200", "NaN", "infinity"],
    };
    let numbers: Vec<Json> = numbers.iter().map(|number| Json::Number((*number).to_owned())).collect();
    let texts: Vec<Json> = texts.iter().map(|text| Json::text(*text)).collect();
    prop_oneof![select(numbers), select(texts)].boxed()
}

/// A whole number in one of the spellings that JSON has for it.
fn spelled(value: i64) -> impl Strategy<Value = Json> {
    let sign = if value < 0 { "-" } else { "" };
    let digits = value.unsigned_abs().to_string();
    let (first, rest) = digits.split_at(1);
    select(vec![
        format!("{value}"),
        format!("{value}.0"),
        format!("{value}.000"),
        format!("{value}E+0"),
        format!("{value}00e-2"),
        format!("{sign}{first}.{rest}0e{}", rest.len()),
    ])
    .prop_map(Json::Number)
}

/// Numbers of 1 to 25 digits before and behind the point.
fn decimal() -> BoxedStrategy<Json> {
    let pattern = r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?";
    prop_oneof![
        2 => r"-?[0-9]\.[0-9]{1,3}",
        2 => pattern,
        1 => any::<f64>().prop_filter("JSON has no infinity", |value| value.is_finite()).prop_map(|it| format!("{it:e}")),
    ]
    .prop_map(Json::Number)
    .boxed()
}

/// Unix seconds within the years 1 to 9999, some to the microsecond.
fn moment() -> BoxedStrategy<Json> {
    let seconds = prop_oneof![1_600_000_000..1_800_000_000i64, -62_135_596_800..253_402_300_800i64];
    prop_oneof![
        3 => seconds.clone().prop_flat_map(spelled),
        1 => (seconds, "[0-9]{1,6}").prop_map(|(seconds, fraction)| Json::Number(format!("{seconds}.{fraction}"))),
    ]
    .prop_filter("year 0", |moment| !matches!(moment, Json::Number(text) if text.starts_with("-62135596800.")))
    .boxed()
}

/// A map of offsets with points that fit, points that do not, repeated offsets and odd ones.
fn map(values: Kind) -> BoxedStrategy<Json> {
    let odd =
        select(&["015", "+1", "-0", "x", "", "1e1", "2147483648", "99999999999", "1.0", " 1", "１"][..]);
    let offset = prop_oneof![
        4 => (0..8i32).prop_map(|step| (step * 15).to_string()),
        2 => any::<i32>().prop_map(|offset| offset.to_string()),
        1 => odd.prop_map(str::to_owned),
    ];
    let point =
        prop_oneof![6 => fitting(values), 1 => unusual(values), 1 => Just(Json::Null), 1 => any_json()];
    prop::collection::vec((offset, point), 0..8).prop_map(Json::Object).boxed()
}

/// Text with what JSON escapes, what Unicode has, and what looks like something else.
pub(super) fn text() -> BoxedStrategy<String> {
    let odd = select(
        &[
            "",
            "vívosmart 4",
            "😀👩‍👩‍👧",
            "\"quoted\" \\ and \\u0000",
            "'; --",
            "null",
            "{\"a\":1}",
            "\t\r\n",
            "\u{1}\u{7f}",
            "\u{feff}\u{2028}",
            "\u{10ffff}",
            "user_id",
            "extra",
        ][..],
    );
    prop_oneof![2 => "[ -~]{0,12}", 2 => odd.prop_map(str::to_owned), 1 => r"\PC{0,6}"].boxed()
}

/// An object with any names, some of them repeated.
fn object() -> impl Strategy<Value = Json> {
    prop::collection::vec((text(), any_json()), 0..4).prop_map(Json::Object)
}

/// Anything.
pub(super) fn any_json() -> BoxedStrategy<Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Boolean),
        decimal(),
        text().prop_map(Json::Text),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::List),
            prop::collection::vec((text(), inner), 0..3).prop_map(Json::Object),
        ]
    })
    .boxed()
}

/// Values that no row can hold: such an entry is a dead letter whatever else is in it.
pub(super) fn unstorable() -> BoxedStrategy<Json> {
    let nested = (0..110).fold(Json::Null, |inner, _| Json::List(vec![inner]));
    let digits = Json::Number("9".repeat(1001));
    select(vec![Json::text("a\0b"), nested, digits, Json::Number("1e5000".to_owned())]).boxed()
}
