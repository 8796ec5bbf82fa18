//! This machine's clock: read here and nowhere else in the crate.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 by this machine's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a client is an edge: a Hawk header carries its sender's own time"
)]
pub(crate) fn unix_millis() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
}
