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
            targets.push(Target {
                name: format!(
                    "{name} 1 000 of {}, p99 of {} calls",
                    thousands(level.pending as f64),
                    quantiles.count
                ),
                wanted: format!("< {limit_ms} ms"),
                measured: format!("{:.2} ms", quantiles.p99_ms),
                met: quantiles.p99_ms < limit_ms,
            });
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::latency::Quantiles;
    use crate::report::Phase;
    use crate::usage::Memory;

    fn level(p99_ms: [f64; 3], connections: usize) -> Level {
        let memory = Memory {
            resident: 0,
            anonymous: 0,
        };
        let phase = |(name, p99_ms)| Phase {
            name,
            connections,
            seconds: 1.0,
            requests: 1,
            requests_per_second: 1.0,
            share_of_empty: None,
            cycles_per_second: None,
            cycle: None,
            operations: BTreeMap::from([(
                name,
                Quantiles {
                    count: 1,
                    p50_ms: 0.0,
                    p99_ms,
                    p999_ms: 0.0,
                    max_ms: 0.0,
                },
            )]),
            fruitless: 0,
            server_cpu_seconds_per_request: 0.0,
            generator_cpu_seconds_per_request: 0.0,
            memory,
        };
        let phases = [LIST, RESERVE, STATES].into_iter().zip(p99_ms);
        Level {
            pending: 1_000_000,
            prefilled: 0,
            prefill_seconds: 0.0,
            data_bytes: None,
            memory,
            phases: phases.map(phase).collect(),
        }
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
