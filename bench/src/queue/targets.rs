//! What the queue must reach, judged within one run.

use crate::report::{Level, Phase, Target, megabytes, thousands};

/// The full cycle's requests per second, of the empty handler's.
const SHARE_OF_EMPTY: f64 = 0.25;
/// Connections at which the share is judged.
const SHARE_CONNECTIONS: usize = 64;
/// How much slower a claim may be with the largest backlog than with the smallest.
const CLAIM_GROWTH: f64 = 1.5;
/// A claim that finds work, 99th percentile, in milliseconds.
const CLAIM_P99_MS: f64 = 20.0;
/// Connections at which the 99th percentile is judged.
const CLAIM_P99_CONNECTIONS: usize = 16;
/// A page of a large task group, 99th percentile, in milliseconds.
const PAGE_P99_MS: f64 = 10.0;
/// Resident memory with the largest backlog, in megabytes.
const RESIDENT_MB: u64 = 150;

/// The phases whose claims are judged.
pub(crate) const WORK: &str = "work";
/// The phase that lists a large task group.
pub(crate) const LIST: &str = "list";
/// The phase of the full cycle.
pub(crate) const CYCLE: &str = "cycle";

/// Judges the levels, which grow. What was not measured is not judged, nor is the share of the
/// empty handler unless the database is `embedded` in the server: another process takes its part
/// of the same processors.
pub(crate) fn judge(levels: &[Level], embedded: bool) -> Vec<Target> {
    let mut targets = Vec::new();
    if embedded {
        targets.extend(levels.iter().filter_map(share_of_empty));
    }
    if let [smallest, .., largest] = levels {
        targets.extend(claim_growth(smallest, largest));
    }
    for level in levels {
        targets.extend(claim_p99(level));
        targets.extend(page_p99(level));
    }
    targets.extend(levels.last().map(resident));
    targets
}

fn share_of_empty(level: &Level) -> Option<Target> {
    let share = level.phase(CYCLE, SHARE_CONNECTIONS)?.share_of_first?;
    let name = format!(
        "full cycle against empty handler, {SHARE_CONNECTIONS} connections, {} pending",
        thousands(level.pending as f64)
    );
    Some(Target::share(name, share, SHARE_OF_EMPTY))
}

/// The full cycle keeps the backlog at its size, so its claims are compared.
fn claim_growth(smallest: &Level, largest: &Level) -> Vec<Target> {
    let cycles = largest.phases.iter().filter(|phase| phase.name == CYCLE);
    cycles
        .filter_map(|large| {
            let small = smallest.phase(CYCLE, large.connections)?;
            let growth = claim(large)?.p50_ms / claim(small)?.p50_ms;
            let name = format!(
                "claim p50, {} against {} pending, {} connections",
                thousands(largest.pending as f64),
                thousands(smallest.pending as f64),
                large.connections
            );
            Some(Target::growth(name, growth, CLAIM_GROWTH))
        })
        .collect()
}

fn claim_p99(level: &Level) -> Vec<Target> {
    [WORK, CYCLE]
        .into_iter()
        .filter_map(|name| {
            let p99 = claim(level.phase(name, CLAIM_P99_CONNECTIONS)?)?.p99_ms;
            let name = format!(
                "claim p99 in {name}, {CLAIM_P99_CONNECTIONS} connections, {} pending",
                thousands(level.pending as f64)
            );
            Some(Target::within_ms(name, p99, CLAIM_P99_MS))
        })
        .collect()
}

fn page_p99(level: &Level) -> Option<Target> {
    let listed = level.phases.iter().find(|phase| phase.name == LIST)?;
    let p99 = listed.operations.get("page")?.p99_ms;
    let name = format!(
        "page of a 10,000-task group p99, {} pending",
        thousands(level.pending as f64)
    );
    Some(Target::within_ms(name, p99, PAGE_P99_MS))
}

fn resident(level: &Level) -> Target {
    let most = megabytes(level.most_resident());
    Target {
        name: format!(
            "resident memory, {} pending",
            thousands(level.pending as f64)
        ),
        wanted: format!("< {RESIDENT_MB} MB"),
        measured: format!("{most} MB"),
        met: most < RESIDENT_MB,
    }
}

fn claim(phase: &Phase) -> Option<&crate::latency::Quantiles> {
    phase.operations.get("claim")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(pending: u64, share: f64, claim_p50_ms: f64, claim_p99_ms: f64, mb: u64) -> Level {
        let cycle = |connections| Phase {
            share_of_first: Some(share),
            ..Phase::sample(CYCLE, connections).with("claim", claim_p50_ms, claim_p99_ms)
        };
        let list = Phase::sample(LIST, 1).with("page", 0.0, claim_p99_ms / 2.0);
        Level::sample(pending, mb * 1_000_000, vec![cycle(16), cycle(64), list])
    }

    fn verdicts(levels: &[Level]) -> Vec<bool> {
        judge(levels, true)
            .iter()
            .map(|target| target.met)
            .collect()
    }

    #[test]
    fn a_run_at_the_limits_meets_every_target() {
        let levels = [
            level(1_000, 0.25, 1.0, 19.9, 149),
            level(1_000_000, 0.25, 1.5, 19.9, 149),
        ];
        assert_eq!(verdicts(&levels), [true; 9]);
    }

    #[test]
    fn a_run_beyond_the_limits_misses_every_target() {
        let levels = [
            level(1_000, 0.24, 1.0, 20.0, 1),
            level(1_000_000, 0.24, 1.6, 20.0, 150),
        ];
        assert_eq!(verdicts(&levels), [false; 9]);
    }

    #[test]
    fn growth_is_not_judged_with_one_level() {
        let names: Vec<String> = judge(&[level(1_000, 0.5, 1.0, 1.0, 1)], true)
            .into_iter()
            .map(|t| t.name)
            .collect();
        assert_eq!(names.len(), 4);
        assert!(
            names.iter().all(|name| !name.contains("against 1")),
            "{names:?}"
        );
    }

    #[test]
    fn the_share_is_judged_only_with_the_embedded_database() {
        let levels = [level(1_000, 0.1, 1.0, 1.0, 1)];
        let shares = |embedded| {
            let targets = judge(&levels, embedded);
            targets
                .into_iter()
                .filter(|target| target.name.starts_with("full cycle"))
                .count()
        };
        assert_eq!((shares(true), shares(false)), (1, 0));
    }
}
