//! How often, and after which pause, a failed attempt is repeated.

use std::time::Duration;

use crate::Error;

/// The pauses between attempts: they double from `delay_factor`, spread by
/// `randomization_factor`, and never exceed `max_delay`.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Attempts after the first; 0 turns repetition off. Default 5.
    pub retries: u32,
    /// The first pause. Default 100 ms.
    pub delay_factor: Duration,
    /// Share of a pause that is random, from 0 to below 1. Default 0.25.
    pub randomization_factor: f64,
    /// The longest pause. Default 30 s.
    pub max_delay: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            retries: 5,
            delay_factor: Duration::from_millis(100),
            randomization_factor: 0.25,
            max_delay: Duration::from_secs(30),
        }
    }
}

impl Retry {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if (0.0..1.0).contains(&self.randomization_factor) {
            Ok(())
        } else {
            Err(Error::Usage(format!(
                "randomization_factor must be at least 0 and below 1, not {}",
                self.randomization_factor
            )))
        }
    }

    /// The pause before retry `n` (1, 2, …); `random` is from 0 to 1.
    pub fn pause(&self, n: u32, random: f64) -> Duration {
        // 2^20 × 1 ms is already beyond any useful cap; the bound keeps the power finite.
        let doubled = self.delay_factor.as_secs_f64() * f64::from(1_u32 << (n.max(1) - 1).min(20));
        let spread = 1.0 + self.randomization_factor * (2.0 * random - 1.0);
        Duration::from_secs_f64((doubled * spread).clamp(0.0, self.max_delay.as_secs_f64()))
    }
}

/// A number from 0 to 1 that differs at every call.
pub(crate) fn random() -> f64 {
    const BITS: u64 = 1 << 53;
    let (_, low) = uuid::Uuid::new_v4().as_u64_pair();
    (low % BITS) as f64 / BITS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_stop_at_the_cap() {
        let retry = Retry::default();
        let middle = |n| retry.pause(n, 0.5).as_millis();
        assert_eq!(
            [middle(1), middle(2), middle(3), middle(4)],
            [100, 200, 400, 800]
        );
        assert_eq!(retry.pause(60, 1.0), Duration::from_secs(30));
    }

    #[test]
    fn the_spread_stays_within_the_randomization_factor() {
        let retry = Retry::default();
        assert_eq!(retry.pause(1, 0.0).as_millis(), 75);
        assert_eq!(retry.pause(1, 1.0).as_millis(), 125);
        assert!((0..100).all(|_| (0.0..1.0).contains(&random())));
    }

    #[test]
    fn a_factor_of_one_is_refused() {
        let retry = Retry {
            randomization_factor: 1.0,
            ..Retry::default()
        };
        assert!(
            retry
                .check()
                .unwrap_err()
                .to_string()
                .contains("randomization_factor")
        );
    }
}
