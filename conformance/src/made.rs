//! What a client makes up for its requests: ids and times.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{SecondsFormat, TimeDelta, Utc};

/// A fresh task id: the bytes of a UUID in 22 characters.
pub fn slug() -> String {
    URL_SAFE_NO_PAD.encode(uuid::Uuid::new_v4())
}

/// So much later than now, as requests write it.
#[expect(
    clippy::disallowed_methods,
    reason = "a client's clock is the machine's"
)]
pub fn after(time: TimeDelta) -> String {
    (Utc::now() + time).to_rfc3339_opts(SecondsFormat::Millis, true)
}
