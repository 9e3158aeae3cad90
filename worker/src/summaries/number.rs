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

    proptest! {
        #[test]
        fn an_integer_is_read_from_its_float_spelling(value in -9_007_199_254_740_992i64..9_007_199_254_740_992) {
            prop_assert_eq!(integer(&format!("{value}.000")), Some(value));
            prop_assert_eq!(integer(&format!("{value}e0")), Some(value));
        }
    }
}
