//! This machine's clock: read here and nowhere else in the crate.

use std::time::SystemTime;

use taskyard_client::Timestamp;

/// Now, for log lines and expiries. Claims are timed by the server's clock instead.
#[expect(
    clippy::disallowed_methods,
    reason = "a worker is an edge: it stamps its log with its machine's time"
)]
pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

/// A random number from 0 to below 1, to keep workers from acting in step.
pub(crate) fn jitter() -> f64 {
    const BITS: u64 = 1 << 53;
    let (_, low) = uuid::Uuid::new_v4().as_u64_pair();
    (low % BITS) as f64 / BITS as f64
}
