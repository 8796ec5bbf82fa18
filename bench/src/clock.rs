//! The generator's edge to the system's clock.

use chrono::{DateTime, SecondsFormat, Utc};

/// Now, in milliseconds since the Unix epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "the generator is an edge: it signs with real time"
)]
pub(crate) fn now_ms() -> i64 {
    Utc::now().timestamp_millis()
}

/// `ms` since the Unix epoch as RFC 3339 with milliseconds and `Z`.
pub(crate) fn rfc3339(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}
