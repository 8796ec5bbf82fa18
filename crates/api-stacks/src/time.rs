//! Times as the wire has them.

use chrono::{DateTime, Utc};
use taskyard_engine::Timestamp;

/// Reads an RFC 3339 time with any fraction; what is finer than a microsecond is cut off.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(Timestamp::from(time.with_timezone(&Utc)))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn nine_digits_of_a_second_are_read() {
        let time = parse("2026-03-01T10:00:00.123456789Z").expect("a time");
        assert_eq!(time.0 % 1_000_000, 123_456);
        assert_eq!(
            parse("2026-03-01T12:00:00+02:00"),
            parse("2026-03-01T10:00:00Z")
        );
        for text in ["", "now", "2026-03-01", "2026-03-01T10:00:00"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
