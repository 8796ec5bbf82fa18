use std::time::Duration;

/// How often, and after which pauses, a failed attempt is repeated: no answer, an answer that
/// cannot be read, 429 and 5xx. A `Retry-After` of the server takes the place of the next pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all; 1 repeats nothing. Default 5.
    pub attempts: u32,
    /// The pauses without their random part.
    pub backoff: Backoff,
    /// Least and most time added to a pause at random. Default 0.5 to 1 s.
    pub jitter: (Duration, Duration),
}

/// How pauses grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backoff {
    /// They don't.
    Constant(Duration),
    /// From the given one by its own 16th root each time, counted in milliseconds: from 1 s that
    /// is 1.0, 1.5, 2.4, 3.7, 5.6 s.
    ExponentialSubsecond(Duration),
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 5,
            backoff: Backoff::ExponentialSubsecond(Duration::from_secs(1)),
            jitter: (Duration::from_millis(500), Duration::from_secs(1)),
        }
    }
}

impl Retry {
    /// One attempt, no more.
    pub fn never() -> Self {
        Self::constant(1, Duration::ZERO)
    }

    /// `attempts` attempts with the same pause between them.
    pub fn constant(attempts: u32, pause: Duration) -> Self {
        Self {
            attempts,
            backoff: Backoff::Constant(pause),
            jitter: (Duration::ZERO, Duration::ZERO),
        }
    }

    /// The pause after the `n`th failed attempt (1, 2, …); `random` is from 0 to 1.
    pub fn pause(&self, n: u32, random: f64) -> Duration {
        let base = match self.backoff {
            Backoff::Constant(pause) => pause,
            Backoff::ExponentialSubsecond(first) => {
                let millis = (first.as_secs_f64() * 1000.0).max(1.0);
                // Bounded, so that the power stays finite.
                let power = 1.0 + f64::from(n.clamp(1, 64) - 1) / 16.0;
                Duration::try_from_secs_f64(millis.powf(power) / 1000.0).unwrap_or(first)
            }
        };
        let (least, most) = self.jitter;
        base + least + most.saturating_sub(least).mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_pauses_are_those_of_the_go_client() {
        let retry = Retry::default();
        let pauses = [1, 2, 3, 4].map(|n| retry.pause(n, 0.0).as_millis() - 500);
        assert_eq!(pauses, [1000, 1539, 2371, 3651]);
        let spread = Duration::from_millis(500);
        assert_eq!(retry.pause(1, 1.0), retry.pause(1, 0.0) + spread);
    }

    #[test]
    fn constant_pauses_stay_the_same() {
        let retry = Retry::constant(3, Duration::from_secs(5));
        assert_eq!(retry.pause(1, 1.0), Duration::from_secs(5));
        assert_eq!(retry.pause(9, 0.0), Duration::from_secs(5));
        assert_eq!(Retry::never().attempts, 1);
    }
}
