//! What stacks must reach, judged by the time that one call of a thousand jobs takes.

use crate::report::{Level, Target, thousands};

/// The phase of listings, and the kind of request in it.
pub(crate) const LIST: &str = "list";
/// The phase of reservations.
pub(crate) const RESERVE: &str = "reserve";
/// The phase of questions for states.
pub(crate) const STATES: &str = "states";

/// Milliseconds within which 99 of 100 calls are answered, when nobody else calls.
const LIMITS: [(&str, f64); 3] = [(LIST, 10.0), (RESERVE, 25.0), (STATES, 10.0)];

/// Judges the levels. Calls side by side wait for each other on a small machine, so that only one
/// connection is judged.
pub(crate) fn judge(levels: &[Level]) -> Vec<Target> {
    let mut targets = Vec::new();
    for level in levels {
        for (name, limit_ms) in LIMITS {
            let alone = level.phase(name, 1);
            let Some(quantiles) = alone.and_then(|phase| phase.operations.get(name)) else {
                continue;
            };
            let name = format!(
                "{name} 1 000 of {}, p99 of {} calls",
                thousands(level.pending as f64),
                quantiles.count
            );
            targets.push(Target::within_ms(name, quantiles.p99_ms, limit_ms));
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Phase;

    fn level(p99_ms: [f64; 3], connections: usize) -> Level {
        let phases = [LIST, RESERVE, STATES].into_iter().zip(p99_ms);
        let phase = |(name, p99_ms)| Phase::sample(name, connections).with(name, 0.0, p99_ms);
        Level::sample(1_000_000, 0, phases.map(phase).collect())
    }

    #[test]
    fn calls_below_their_limits_meet_the_targets_and_others_do_not() {
        let met = |level: Level| -> Vec<bool> {
            judge(&[level]).iter().map(|target| target.met).collect()
        };
        assert_eq!(met(level([9.9, 24.9, 9.9], 1)), [true; 3]);
        assert_eq!(met(level([10.0, 25.0, 10.0], 1)), [false; 3]);
        assert!(met(level([1.0; 3], 8)).is_empty());
    }
}
