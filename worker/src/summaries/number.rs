//! JSON's numbers as they are written, exactly.
//!
//! Garmin sends whole numbers as `144.0` and moments with fractions, so an integer is told by its value and
//! not by its spelling (design.md section 5, *Fits*).

/// A number as its significant digits times a power of ten: one form for all spellings. Its sign stands apart.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    /// ASCII, the first and the last not zero; none for zero.
    digits: Vec<u8>,
    power: i64,
}

impl Decimal {
    /// Nothing if `unsigned` is no number.
    fn of(unsigned: &str) -> Option<Self> {
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        if !all().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let mut digits: Vec<u8> = all().skip_while(|digit| *digit == b'0').collect();
        let significant = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        let zeros = digits.len() - significant;
        digits.truncate(significant);
        if digits.is_empty() {
            return Some(Self { digits, power: 0 });
        }
        // An exponent beyond 64 bits is that of no number that fits anything.
        let exponent: i64 = exponent.parse().ok()?;
        let power = exponent.checked_add(zeros as i64)?.checked_sub(fraction.len() as i64)?;
        Some(Self { digits, power })
    }
}

/// The JSON value `text` times ten to the power of `scale`, if it is a number and that is whole and fits.
fn scaled(text: &str, scale: i64) -> Option<i64> {
    let (sign, unsigned) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let Decimal { digits, power } = Decimal::of(unsigned)?;
    if digits.is_empty() {
        return Some(0);
    }
    let digits: i64 = std::str::from_utf8(&digits).ok()?.parse().ok()?;
    let power = u32::try_from(power.checked_add(scale)?).ok()?;
    10i64.checked_pow(power)?.checked_mul(digits)?.checked_mul(sign)
}

/// A whole number, however it is written: `144`, `144.0`, `1.44e2`.
pub(super) fn integer(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| scaled(text, 0))
}

/// Seconds, to the microsecond, as microseconds.
pub(super) fn microseconds(text: &str) -> Option<i64> {
    match text.parse::<i64>() {
        Ok(seconds) => seconds.checked_mul(1_000_000),
        Err(_) => scaled(text, 6),
    }
}

/// A finite number, rounded to the nearest that a `double precision` holds.
pub(super) fn float(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Significant digits that a `double precision` always keeps, and the powers of ten within which it does
/// (`DBL_DIG` and `DBL_MIN_10_EXP` of the C standard, with room to spare).
const DIGITS_ALWAYS_KEPT: usize = 15;
const POWERS_ALWAYS_KEPT: std::ops::RangeInclusive<i64> = -250..=250;

/// The least number from which on not every whole number is a `double precision`.
const WHOLE_NUMBERS_END: f64 = 9_007_199_254_740_992.0;

/// Whether `value`, written out again by PostgreSQL, is the number that `text` is. It is but for numbers of more
/// than 15 digits, huge, or hardly above zero.
///
/// PostgreSQL writes the shortest number that is read as the same value, as Rust does; but among huge ones it
/// chooses another of them, and so it does where the value lies in the middle between two that are equally
/// short. There the answer is no, for an exact copy more does no harm.
pub(super) fn is_exact(text: &str, value: f64) -> bool {
    if text.len() <= DIGITS_ALWAYS_KEPT && !text.contains(['e', 'E']) {
        return true;
    }
    let Some(sent) = Decimal::of(text.trim_start_matches('-')) else { return false };
    let written = |text: String| Decimal::of(&text).is_some_and(|written| written == sent);
    if value.abs() >= WHOLE_NUMBERS_END && !written(format!("{:.0}", value.abs())) {
        return false;
    }
    let surely = sent.digits.len() <= DIGITS_ALWAYS_KEPT && POWERS_ALWAYS_KEPT.contains(&sent.power);
    surely || written(format!("{:e}", value.abs())) && !is_tie(value, sent.digits.len())
}

/// Whether `value` lies in the middle between two numbers of so many digits.
fn is_tie(value: f64, digits: usize) -> bool {
    let expanded: String = format!("{:.30e}", value.abs()).chars().filter(char::is_ascii_digit).collect();
    expanded.get(digits..31).is_some_and(|rest| rest.trim_end_matches('0') == "5")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_numbers_in_any_spelling() {
        for (text, value) in [
            ("0", Some(0)),
            ("-0.0", Some(0)),
            ("0e999999999999", Some(0)),
            ("144.0", Some(144)),
            ("1.44e2", Some(144)),
            ("14400E-2", Some(144)),
            ("-1.0", Some(-1)),
            ("0.5", None),
            ("1e-1", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("1e30", None),
            ("1e99999999999999999999", None),
            ("0e99999999999999999999", Some(0)),
            ("11601116961891299800e-2", Some(116_011_169_618_912_998)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("\"12\"", None),
            ("null", None),
        ] {
            assert_eq!(integer(text), value, "{text}");
        }
    }

    #[test]
    fn moments_to_the_microsecond() {
        assert_eq!(microseconds("1794265200"), Some(1_794_265_200_000_000));
        assert_eq!(microseconds("1794265200.25"), Some(1_794_265_200_250_000));
        assert_eq!(microseconds("1.7942652e9"), Some(1_794_265_200_000_000));
        assert_eq!(microseconds("0.0000001"), None);
    }

    #[test]
    fn a_float_is_finite() {
        assert_eq!(float("-1.554"), Some(-1.554));
        assert_eq!(float("1e400"), None);
    }

    #[test]
    fn a_rounded_float_is_told_from_an_exact_one() {
        let exact = |text| float(text).is_some_and(|value| is_exact(text, value));
        for text in ["0", "-0.0", "1.10", "51.514834221452475", "0.1", "1e-300", "1.5E+3", "1e22", "0e-999"] {
            assert!(exact(text), "{text}");
        }
        // PostgreSQL writes the last three as 580073639999999970000, 2244896436011199.2 and 40000000000000330.
        for text in [
            "0.1234567890123456789",
            "1e-400",
            "9007199254740993",
            "3.00000000000000000001",
            "1e-330",
            "5800736400E11",
            "2244896436011199.3",
            "40000000000000328",
        ] {
            assert!(!exact(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_integer_is_read_from_its_float_spelling(value in -9_007_199_254_740_992i64..9_007_199_254_740_992) {
            prop_assert_eq!(integer(&format!("{value}.000")), Some(value));
            prop_assert_eq!(integer(&format!("{value}e0")), Some(value));
        }
    }
}
