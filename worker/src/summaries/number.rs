//! JSON's numbers as they are written, exactly.
//!
//! Garmin sends whole numbers as `144.0` and moments with fractions, so an integer is told by its value and
//! not by its spelling (design.md section 5, *Fits*).

/// The JSON value `text` times ten to the power of `scale`, if it is a number and that is whole and fits.
fn scaled(text: &str, scale: i64) -> Option<i64> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let mut value: i64 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        let digit = char::from(digit).to_digit(10)?;
        value = value.checked_mul(10)?.checked_add(digit.into())?;
    }
    let mut power = exponent.checked_add(scale)?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    while power != 0 && value != 0 {
        if power > 0 {
            value = value.checked_mul(10)?;
            power -= 1;
        } else if value % 10 == 0 {
            value /= 10;
            power += 1;
        } else {
            return None;
        }
    }
    Some(if negative { -value } else { value })
}

/// A whole number, however it is written: `144`, `144.0`, `1.44e2`.
pub(super) fn integer(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| scaled(text, 0))
}

/// Seconds, to the microsecond, as microseconds.
pub(super) fn microseconds(text: &str) -> Option<i64> {
    scaled(text, 6)
}

/// A finite number, rounded to the nearest that a `double precision` holds.
pub(super) fn float(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Significant digits that a `double precision` always keeps, and the powers of ten within which it does
/// (`DBL_DIG` and `DBL_MIN_10_EXP` of the C standard, with room to spare).
const DIGITS_ALWAYS_KEPT: usize = 15;
const POWERS_ALWAYS_KEPT: std::ops::RangeInclusive<i64> = -250..=250;

/// Whether `value`, written out again, is the number that `text` is. It is but for numbers of more than 15
/// digits, or hardly above zero.
pub(super) fn is_exact(text: &str, value: f64) -> bool {
    if text.len() <= DIGITS_ALWAYS_KEPT && !text.contains(['e', 'E']) {
        return true;
    }
    let sent = Decimal::of(text);
    let surely = sent.digits.len() <= DIGITS_ALWAYS_KEPT && POWERS_ALWAYS_KEPT.contains(&sent.power);
    surely || sent == Decimal::of(&format!("{value:e}"))
}

/// A number as its significant digits times a power of ten: one form for all spellings.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    digits: Vec<u8>,
    power: i64,
}

impl Decimal {
    /// The sign is left out, as a number and its rounding have the same.
    fn of(text: &str) -> Self {
        let unsigned = text.trim_start_matches('-');
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: Vec<u8> =
            whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0').collect();
        let mut power = exponent.parse::<i64>().unwrap_or(i64::MAX).saturating_sub(fraction.len() as i64);
        while digits.last() == Some(&b'0') {
            digits.pop();
            power = power.saturating_add(1);
        }
        Self { power: if digits.is_empty() { 0 } else { power }, digits }
    }
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
        for text in
            ["0.1234567890123456789", "1e-400", "9007199254740993", "3.00000000000000000001", "1e-330"]
        {
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
