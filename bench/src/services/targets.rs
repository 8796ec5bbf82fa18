//! What the services must reach.

use crate::report::{Level, Target, thousands};

/// The phase that finds one task after the other.
pub(crate) const FIND: &str = "find";
/// The phase that finds a thousand tasks at once.
pub(crate) const FIND_MANY: &str = "find 1000";
/// The phase that lists a namespace of a thousand tasks.
pub(crate) const LIST: &str = "list 1000";
/// The phase that puts tasks at paths where others are.
pub(crate) const INSERT: &str = "insert";
/// The phase that reads a secret.
pub(crate) const SECRET: &str = "secret";
/// The phase that asks which caches to forget, as every worker does before every task.
pub(crate) const PURGES: &str = "purges";

/// Milliseconds within which 99 of 100 calls are answered, and with how many connections.
const LIMITS: [(&str, usize, f64); 5] = [
    (FIND, 16, 5.0),
    (SECRET, 16, 5.0),
    (PURGES, 16, 5.0),
    (FIND_MANY, 1, 20.0),
    (LIST, 1, 20.0),
];
/// How much slower a task may be found among many than among few.
const GROWTH: f64 = 1.5;

/// Judges the levels, which grow. What was not measured is not judged.
pub(crate) fn judge(levels: &[Level]) -> Vec<Target> {
    let mut targets = Vec::new();
    for level in levels {
        for (name, connections, limit_ms) in LIMITS {
            let phase = level.phase(name, connections);
            let Some(quantiles) = phase.and_then(|phase| phase.operations.get(name)) else {
                continue;
            };
            let name = format!(
                "{name} p99, {connections} connections, {} indexed",
                thousands(level.pending as f64)
            );
            targets.push(Target::within_ms(name, quantiles.p99_ms, limit_ms));
        }
    }
    if let [smallest, .., largest] = levels {
        targets.extend(growth(smallest, largest));
    }
    targets
}

fn growth(smallest: &Level, largest: &Level) -> Option<Target> {
    let p50 = |level: &Level| Some(level.phase(FIND, 16)?.operations.get(FIND)?.p50_ms);
    let name = format!(
        "find p50, {} against {} indexed",
        thousands(largest.pending as f64),
        thousands(smallest.pending as f64)
    );
    Some(Target::growth(name, p50(largest)? / p50(smallest)?, GROWTH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Phase;

    fn level(indexed: u64, p50_ms: f64, p99_ms: f64) -> Level {
        let phases = LIMITS.map(|(name, connections, limit)| {
            Phase::sample(name, connections).with(name, p50_ms, p99_ms * limit)
        });
        Level::sample(indexed, 0, phases.into())
    }

    fn met(levels: &[Level]) -> Vec<bool> {
        judge(levels).iter().map(|target| target.met).collect()
    }

    #[test]
    fn calls_below_their_limits_meet_the_targets_and_others_do_not() {
        assert_eq!(met(&[level(1000, 1.0, 0.9)]), [true; 5]);
        assert_eq!(met(&[level(1000, 1.0, 1.0)]), [false; 5]);
        let both = [level(1000, 1.0, 0.9), level(1_000_000, 1.6, 0.9)];
        assert_eq!(met(&both).last(), Some(&false));
        assert!(judge(&[Level::sample(1, 0, Vec::new())]).is_empty());
    }
}
