//! What taskstore must reach, judged within one run.

use super::caller;
use crate::report::{Level, Phase, Target, megabytes, thousands};

/// Requests per second of an update or a claim of one task, of the empty handler's.
const SHARE_OF_EMPTY: f64 = 0.4;
/// Connections at which the share is judged.
const SHARE_CONNECTIONS: usize = 64;
/// Tasks a second that an update of ten thousand adds.
const BULK_TASKS_PER_SECOND: f64 = 150_000.0;
/// How much slower a claim may be with the most waiting tasks than with the fewest.
const CLAIM_GROWTH: f64 = 1.5;
/// The page caches of the embedded database, 48 and 2 × 8 MiB, and some slack, in megabytes.
const MEMORY_GROWTH_MB: u64 = 96;

/// The phase of updates that change one task.
pub(crate) const UPDATE: &str = "update";
/// The phase of claims that end at once.
pub(crate) const CLAIM: &str = "claim";
/// The phase of the full cycle.
pub(crate) const CYCLE: &str = "cycle";
/// The phase of large updates.
pub(crate) const BULK: &str = "bulk";

/// Judges the levels, which grow. What was not measured is not judged; nor is anything but the
/// growth of a claim unless the database is `embedded` in the server.
pub(crate) fn judge(levels: &[Level], embedded: bool) -> Vec<Target> {
    let mut targets = Vec::new();
    if embedded {
        for level in levels {
            targets.extend(
                [UPDATE, CLAIM]
                    .into_iter()
                    .filter_map(|name| share(level, name)),
            );
            targets.extend(bulk(level));
        }
    }
    if let [smallest, .., largest] = levels {
        targets.extend(claim_growth(smallest, largest));
        if embedded {
            targets.push(memory_growth(smallest, largest));
        }
    }
    targets
}

fn share(level: &Level, name: &str) -> Option<Target> {
    let share = level.phase(name, SHARE_CONNECTIONS)?.share_of_first?;
    let name = format!(
        "{name} against empty handler, {SHARE_CONNECTIONS} connections, {} waiting",
        thousands(level.pending as f64)
    );
    Some(Target::share(name, share, SHARE_OF_EMPTY))
}

fn bulk(level: &Level) -> Option<Target> {
    let bulk = level.phase(BULK, 1)?.operations.get("bulk")?;
    let tasks_per_second = caller::BULK as f64 / (bulk.p50_ms / 1000.0);
    Some(Target {
        name: format!(
            "tasks a second in updates of {}, {} waiting",
            thousands(caller::BULK as f64),
            thousands(level.pending as f64)
        ),
        wanted: format!("≥ {}", thousands(BULK_TASKS_PER_SECOND)),
        measured: thousands(tasks_per_second),
        met: tasks_per_second >= BULK_TASKS_PER_SECOND,
    })
}

fn claim_growth(smallest: &Level, largest: &Level) -> Vec<Target> {
    let claims = largest
        .phases
        .iter()
        .filter(|phase| [CLAIM, CYCLE].contains(&phase.name));
    claims
        .filter_map(|large| {
            let small = smallest.phase(large.name, large.connections)?;
            let p50 = |phase: &Phase| phase.operations.get("claim").map(|claim| claim.p50_ms);
            let growth = p50(large)? / p50(small)?;
            let name = format!(
                "claim p50 in {}, {} against {} waiting, {} connections",
                large.name,
                thousands(largest.pending as f64),
                thousands(smallest.pending as f64),
                large.connections
            );
            Some(Target::growth(name, growth, CLAIM_GROWTH))
        })
        .collect()
}

fn memory_growth(smallest: &Level, largest: &Level) -> Target {
    let growth = largest
        .most_resident()
        .saturating_sub(smallest.most_resident());
    let growth = megabytes(growth);
    Target {
        name: format!(
            "growth of resident memory, {} against {} waiting",
            thousands(largest.pending as f64),
            thousands(smallest.pending as f64)
        ),
        wanted: format!("< {MEMORY_GROWTH_MB} MB"),
        measured: format!("{growth} MB"),
        met: growth < MEMORY_GROWTH_MB,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(pending: u64, share: f64, claim_p50_ms: f64, bulk_p50_ms: f64, mb: u64) -> Level {
        let phase = |name, connections, operation, p50_ms| Phase {
            share_of_first: Some(share),
            ..Phase::sample(name, connections).with(operation, p50_ms, 0.0)
        };
        let phases = vec![
            phase(UPDATE, 64, "update", 1.0),
            phase(CLAIM, 64, "claim", claim_p50_ms),
            phase(BULK, 1, "bulk", bulk_p50_ms),
        ];
        Level::sample(pending, mb * 1_000_000, phases)
    }

    fn verdicts(levels: &[Level], embedded: bool) -> Vec<bool> {
        judge(levels, embedded)
            .iter()
            .map(|target| target.met)
            .collect()
    }

    #[test]
    fn a_run_at_the_limits_meets_every_target() {
        let levels = [
            level(1_000, 0.4, 1.0, 66.0, 50),
            level(10_000_000, 0.4, 1.5, 66.0, 145),
        ];
        assert_eq!(verdicts(&levels, true), [true; 8]);
    }

    #[test]
    fn a_run_beyond_the_limits_misses_every_target() {
        let levels = [
            level(1_000, 0.39, 1.0, 67.0, 50),
            level(10_000_000, 0.39, 1.6, 67.0, 146),
        ];
        assert_eq!(verdicts(&levels, true), [false; 8]);
    }

    #[test]
    fn with_another_database_only_the_growth_of_claims_is_judged() {
        let levels = [
            level(1_000, 0.1, 1.0, 99.0, 50),
            level(10_000_000, 0.1, 1.0, 99.0, 999),
        ];
        assert_eq!(verdicts(&levels, false), [true]);
    }
}
