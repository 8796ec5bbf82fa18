//! Times and durations between messages and the engine.

use std::time::Duration;

use taskyard_engine::Timestamp;

use crate::failure::Failure;
use crate::message::Span;

/// The longest duration that is taken: 10,000 years, as `google.protobuf.Duration` has it.
const LONGEST_SECONDS: i64 = 315_576_000_000;

/// The duration of a field; `name` is what a refusal calls it.
pub(crate) fn duration(span: Span, name: &str) -> Result<Duration, Failure> {
    if span.seconds < 0 || span.nanos < 0 {
        return Err(Failure::invalid(format!("{name} cannot be negative.")));
    }
    if span.seconds > LONGEST_SECONDS || span.nanos > 999_999_999 {
        return Err(Failure::invalid(format!("{name} is not a valid duration.")));
    }
    Ok(Duration::new(
        span.seconds.unsigned_abs(),
        span.nanos.unsigned_abs(),
    ))
}

/// The time of a field, without what is below a microsecond.
pub(crate) fn timestamp(span: Span, name: &str) -> Result<Timestamp, Failure> {
    // The years 1 to 9999.
    let is_time = (-62_135_596_800..=253_402_300_799).contains(&span.seconds)
        && (0..=999_999_999).contains(&span.nanos);
    if !is_time {
        return Err(Failure::invalid(format!("{name} is not a valid time.")));
    }
    Ok(Timestamp(
        span.seconds * 1_000_000 + i64::from(span.nanos / 1000),
    ))
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Span {
            seconds: i64::try_from(duration.as_secs()).unwrap_or(LONGEST_SECONDS),
            nanos: duration.subsec_nanos() as i32,
        }
    }
}

impl From<Timestamp> for Span {
    fn from(time: Timestamp) -> Self {
        Span {
            seconds: time.0.div_euclid(1_000_000),
            nanos: (time.0.rem_euclid(1_000_000) * 1000) as i32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_become_what_they_say_or_are_refused() {
        let span = |seconds, nanos| Span { seconds, nanos };
        assert_eq!(
            duration(span(1, 500_000_000), "x"),
            Ok(Duration::from_millis(1500))
        );
        let refused = duration(span(-1, 0), "RetryConfig.minBackoff").expect_err("negative");
        assert_eq!(
            refused.message,
            "RetryConfig.minBackoff cannot be negative."
        );
        assert!(duration(span(0, 2_000_000_000), "x").is_err());
        assert_eq!(timestamp(span(1, 1999), "x"), Ok(Timestamp(1_000_001)));
        assert!(timestamp(span(i64::MAX, 0), "x").is_err());
        assert_eq!(Span::from(Timestamp(-1)), span(-1, 999_999_000));
    }
}
