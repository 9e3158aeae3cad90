//! What PostgreSQL cannot keep, or only at a price that a hostile body could run up: such an entry becomes a
//! dead letter with its bytes as they came (design.md section 5, *Cannot be stored*).

/// Levels of nesting that an entry may have.
const MAX_DEPTH: usize = 100;

/// Digits that a number may have when written out. `1e131000` is eight bytes that `jsonb` makes 64 KB of.
const MAX_DIGITS: usize = 1000;

/// Why an entry cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unstorable {
    /// PostgreSQL's text and jsonb hold no U+0000.
    #[error("it holds a NUL character, which PostgreSQL cannot store")]
    NulCharacter,
    /// A `\ud800`…`\udfff` without its other half is no Unicode text.
    #[error("it holds half of a surrogate pair, which is not Unicode text")]
    LoneSurrogate,
    /// More than 100 levels.
    #[error("it is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// More than 1,000 digits.
    #[error("it holds a number of more than {MAX_DIGITS} digits")]
    HugeNumber,
}

/// Looks through the value `json`, which is well-formed, once.
///
/// # Errors
/// The first thing found that cannot be stored.
pub fn check(json: &str) -> Result<(), Unstorable> {
    end_of_value(json.as_bytes(), 0, 0).map(drop)
}

/// From the first byte of a value with so many levels of nesting around it to behind its last.
///
/// # Errors
/// The first thing found that cannot be stored.
pub(super) fn end_of_value(json: &[u8], start: usize, levels_around: usize) -> Result<usize, Unstorable> {
    let mut depth = levels_around;
    let mut at = start;
    while let Some(&byte) = json.get(at) {
        at = match byte {
            b'"' => end_of_string(json, at + 1)?,
            b'-' | b'0'..=b'9' => end_of_number(json, at)?,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Unstorable::TooDeep);
                }
                at += 1;
                continue;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            b't' | b'n' => at + 4,
            b'f' => at + 5,
            // Between values.
            _ => {
                at += 1;
                continue;
            }
        };
        if depth <= levels_around {
            break;
        }
    }
    Ok(at)
}

/// From behind a string's opening quotation mark to behind its closing one.
///
/// # Errors
/// The first thing found that cannot be stored.
pub(super) fn end_of_string(json: &[u8], mut at: usize) -> Result<usize, Unstorable> {
    loop {
        at += json[at..].iter().take_while(|byte| !matches!(byte, b'"' | b'\\')).count();
        match json.get(at..at + 2) {
            Some(b"\\u") => at = end_of_escape(json, at)?,
            Some([b'\\', _]) => at += 2,
            _ => return Ok(at + 1),
        }
    }
}

/// From a `\uXXXX` to behind it, and behind the other half of its pair if it is the first half of one.
fn end_of_escape(json: &[u8], at: usize) -> Result<usize, Unstorable> {
    match code_unit(json, at) {
        Some(0) => Err(Unstorable::NulCharacter),
        Some(0xd800..=0xdbff) => match code_unit(json, at + 6) {
            Some(0xdc00..=0xdfff) => Ok(at + 12),
            _ => Err(Unstorable::LoneSurrogate),
        },
        Some(0xdc00..=0xdfff) => Err(Unstorable::LoneSurrogate),
        _ => Ok(at + 6),
    }
}

/// The UTF-16 code unit that is escaped at `at`.
fn code_unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// From a number's first byte to behind its last.
fn end_of_number(json: &[u8], start: usize) -> Result<usize, Unstorable> {
    let bytes = &json[start..];
    let mantissa = bytes.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'.')).count();
    let (digits, length) = match bytes.get(mantissa) {
        Some(b'e' | b'E') => with_exponent(bytes, mantissa)?,
        _ => (mantissa, mantissa),
    };
    if digits > MAX_DIGITS { Err(Unstorable::HugeNumber) } else { Ok(start + length) }
}

/// How many digits a number has when written out, and how many bytes as it is.
fn with_exponent(bytes: &[u8], mantissa: usize) -> Result<(usize, usize), Unstorable> {
    let is_exponent = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'+' | b'-');
    let length = mantissa + 1 + bytes[mantissa + 1..].iter().take_while(is_exponent).count();
    let exponent =
        std::str::from_utf8(&bytes[mantissa + 1..length]).ok().and_then(|exponent| exponent.parse().ok());
    let exponent: i32 = exponent.ok_or(Unstorable::HugeNumber)?;
    let powers = usize::try_from(exponent.unsigned_abs()).unwrap_or(usize::MAX);
    Ok((length.saturating_add(powers), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_entries_are_storable() {
        for json in [
            r#"{"deviceName": "vívosmart 4", "quote": "a \" [[[ b", "pair": "\ud83d\ude00"}"#,
            r#"{"a": [1, -2.5e10, 1E-300], "backslash": "\\u0000 is text here"}"#,
            "{}",
        ] {
            assert_eq!(check(json), Ok(()), "{json}");
        }
    }

    #[test]
    fn what_postgresql_refuses_is_found_at_any_depth() {
        for (json, reason) in [
            (r#"{"a": {"b": ["\u0000"]}}"#, Unstorable::NulCharacter),
            (r#"{"\u0000": 1}"#, Unstorable::NulCharacter),
            (r#"{"a": "\ud800"}"#, Unstorable::LoneSurrogate),
            (r#"{"a": "\ud800\n"}"#, Unstorable::LoneSurrogate),
            (r#"{"a": "\ud800\u0041"}"#, Unstorable::LoneSurrogate),
            (r#"{"a": "\uDC00"}"#, Unstorable::LoneSurrogate),
            (r#"{"a": 1e5000}"#, Unstorable::HugeNumber),
            (r#"{"a": 1e-99999999999}"#, Unstorable::HugeNumber),
        ] {
            assert_eq!(check(json), Err(reason), "{json}");
        }
        assert_eq!(check(&format!(r#"{{"a": {}}}"#, "9".repeat(1001))), Err(Unstorable::HugeNumber));
    }

    #[test]
    fn a_hundred_levels_are_the_limit() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(check(&nested(100)), Ok(()));
        assert_eq!(check(&nested(101)), Err(Unstorable::TooDeep));
    }
}
