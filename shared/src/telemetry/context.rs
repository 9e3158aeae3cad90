//! W3C Trace Context: the header `traceparent`, by which a request, the messages that it becomes and their storage are
//! known as one trace.

use std::fmt;

/// The version that is written, and the flag of it that has a meaning here.
const VERSION: u8 = 0;
const SAMPLED: u8 = 1;

/// A version that no header may name.
const FORBIDDEN_VERSION: u8 = 0xff;

/// A span as its children know it, wherever they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: [u8; 8],
    pub(super) flags: u8,
}

impl TraceContext {
    /// Reads a header. One that does not follow the grammar is none, as the recommendation has it: a trace begins anew then.
    /// Of a version that is yet to come the part that all versions share is read.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut fields = header.splitn(5, '-');
        let [version] = bytes(fields.next()?)?;
        let context = Self {
            trace_id: bytes(fields.next()?)?,
            span_id: bytes(fields.next()?)?,
            flags: bytes::<1>(fields.next()?)?[0],
        };
        let ends = version != VERSION || fields.next().is_none();
        let is_null = context.trace_id == [0; 16] || context.span_id == [0; 8];
        (version != FORBIDDEN_VERSION && ends && !is_null).then_some(context)
    }

    /// The trace's id, in 32 hexadecimal digits, for logs.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.trace_id))
    }

    /// Whether its spans are recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// The header.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (u128::from_be_bytes(self.trace_id), u64::from_be_bytes(self.span_id));
        write!(f, "{VERSION:02x}-{trace:032x}-{span:016x}-{:02x}", self.flags)
    }
}

/// Exactly so many bytes in lower-case hexadecimal digits.
fn bytes<const N: usize>(field: &str) -> Option<[u8; N]> {
    let digits = field.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_trace_context_is_read() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (header, valid) in [
            (format!("00-{trace}-00f067aa0ba902b7-01"), true),
            (format!("00-{trace}-00f067aa0ba902b7-00"), true),
            (format!("00-{trace}-00f067aa0ba902b7-01-more"), false),
            (format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()), false),
            (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), false),
            (format!("00-{trace}-0000000000000000-01"), false),
            (format!("ff-{trace}-00f067aa0ba902b7-01"), false),
            (format!("00-{trace}-00f067aa0ba902b7-1"), false),
            (format!("00-{trace}-00f067aa0ba902ä-01"), false),
            (format!("00-{trace}"), false),
            (String::new(), false),
        ] {
            let read = TraceContext::parse(&header).map(|context| context.to_string());
            assert_eq!(read, valid.then_some(header));
        }
    }

    #[test]
    fn a_later_version_is_passed_on_as_the_one_that_is_known() {
        let header = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes";
        let context = TraceContext::parse(header).unwrap();
        assert!(context.is_sampled());
        assert_eq!(context.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    }
}
