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

/// Looks through `json`, which is well-formed, once.
///
/// # Errors
/// The first thing found that cannot be stored.
pub fn check(json: &str) -> Result<(), Unstorable> {
    let bytes = json.as_bytes();
    let mut depth: usize = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at = match byte {
            b'"' => check_string(bytes, at + 1)?,
            b'-' | b'0'..=b'9' => check_number(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Unstorable::TooDeep);
                }
                at + 1
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            _ => at + 1,
        };
    }
    Ok(())
}

/// From behind a string's opening quotation mark to behind its closing one.
fn check_string(bytes: &[u8], mut at: usize) -> Result<usize, Unstorable> {
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return Ok(at + 1),
            b'\\' if bytes.get(at + 1) == Some(&b'u') => at = check_escape(bytes, at)?,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    Ok(at)
}

/// From a `\uXXXX` to behind it, and behind the other half of its pair if it is the first half of one.
fn check_escape(bytes: &[u8], at: usize) -> Result<usize, Unstorable> {
    match code_unit(bytes, at) {
        Some(0) => Err(Unstorable::NulCharacter),
        Some(0xd800..=0xdbff) => match code_unit(bytes, at + 6) {
            Some(0xdc00..=0xdfff) => Ok(at + 12),
            _ => Err(Unstorable::LoneSurrogate),
        },
        Some(0xdc00..=0xdfff) => Err(Unstorable::LoneSurrogate),
        _ => Ok(at + 6),
    }
}

/// The UTF-16 code unit that is escaped at `at`.
fn code_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// From a number's first byte to behind its last.
fn check_number(bytes: &[u8], start: usize) -> Result<usize, Unstorable> {
    let is_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let length = bytes[start..].iter().take_while(|byte| is_number(byte)).count();
    let number = &bytes[start..start + length];
    let exponent = match number.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(position) => std::str::from_utf8(&number[position + 1..])
            .ok()
            .and_then(|exponent| exponent.parse::<i32>().ok())
            .ok_or(Unstorable::HugeNumber)?,
        None => 0,
    };
    let digits = length.saturating_add(usize::try_from(exponent.unsigned_abs()).unwrap_or(usize::MAX));
    if digits > MAX_DIGITS { Err(Unstorable::HugeNumber) } else { Ok(start + length) }
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
