//! What Cloud Tasks must reach, judged within one run.

use super::handler::DELIVER;
use crate::report::{Level, Target, percent, thousands};

/// Tasks created a second, of calls of the empty method a second.
const SHARE_OF_EMPTY: f64 = 0.5;
/// Connections at which the share is judged.
const SHARE_CONNECTIONS: usize = 16;
/// From when a task should have been created to its handler, 99th percentile, in milliseconds.
const DELIVERY_P99_MS: f64 = 100.0;
/// What other queues keep of their throughput beside a long paused one.
const THROUGHPUT_KEPT: f64 = 0.95;
/// How much slower 99 of 100 cycles in other queues may be beside it. The 99th percentile varies
/// more from run to run than the throughput does.
const CYCLE_GROWTH: f64 = 1.25;
/// How far a resumed queue may be off its limit.
const RATE_ERROR: f64 = 0.05;

/// The phase that creates tasks in a paused queue.
pub(crate) const CREATE: &str = "create";
/// The phase that creates tasks at a fixed rate.
pub(crate) const STEADY: &str = "steady";
/// The phase in which each creator waits for the delivery of its task.
pub(crate) const CYCLE: &str = "cycle";

/// How fast a queue sent its tasks after it was resumed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resumed {
    /// Tasks a second that it was allowed.
    pub(crate) limit: f64,
    /// Tasks a second that arrived.
    pub(crate) rate: f64,
}

/// Judges the levels, which grow. What was not measured is not judged, nor is the share of the
/// empty method unless the database is `embedded` in the server.
pub(crate) fn judge(levels: &[Level], resumed: Option<Resumed>, embedded: bool) -> Vec<Target> {
    let mut targets = Vec::new();
    if embedded {
        targets.extend(levels.iter().filter_map(share_of_empty));
    }
    targets.extend(levels.iter().filter_map(deliveries));
    if let [without, .., with] = levels {
        targets.extend(beside(without, with).into_iter().flatten());
    }
    targets.extend(resumed.map(resumption));
    targets
}

fn paused(level: &Level) -> String {
    format!("{} paused", thousands(level.pending as f64))
}

fn share_of_empty(level: &Level) -> Option<Target> {
    let share = level.phase(CREATE, SHARE_CONNECTIONS)?.share_of_first?;
    let name = format!(
        "create_task against empty method, {SHARE_CONNECTIONS} connections, {}",
        paused(level)
    );
    Some(Target::share(name, share, SHARE_OF_EMPTY))
}

fn deliveries(level: &Level) -> Option<Target> {
    let steady = level.phases.iter().find(|phase| phase.name == STEADY)?;
    let delays = steady.operations.get(DELIVER)?;
    let name = format!(
        "created to delivered p99, {} delivered/s, {}",
        thousands(delays.count as f64 / steady.seconds),
        paused(level)
    );
    Some(Target::within_ms(name, delays.p99_ms, DELIVERY_P99_MS))
}

/// What the other queues lose to a long paused one.
fn beside(without: &Level, with: &Level) -> Option<[Target; 2]> {
    let cycle = |level: &Level| {
        let phase = level.phases.iter().find(|phase| phase.name == CYCLE)?;
        Some((phase.cycles_per_second?, phase.cycle?.p99_ms))
    };
    let ((fast, early), (slow, late)) = (cycle(without)?, cycle(with)?);
    let name = |what| format!("{what} of other queues, {} against none", paused(with));
    Some([
        Target::share(name("throughput"), slow / fast, THROUGHPUT_KEPT),
        Target::growth(name("cycle p99"), late / early, CYCLE_GROWTH),
    ])
}

fn resumption(resumed: Resumed) -> Target {
    let share = resumed.rate / resumed.limit;
    Target {
        name: format!(
            "rate of the resumed queue, of {}/s",
            thousands(resumed.limit)
        ),
        wanted: format!("± {}", percent(RATE_ERROR)),
        measured: format!("{:.1} %", share * 100.0),
        met: (resumed.rate - resumed.limit).abs() <= resumed.limit * RATE_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Quantiles;
    use crate::report::Phase;

    fn level(pending: u64, share: f64, delivery_p99_ms: f64, cycles: (f64, f64)) -> Level {
        let create = Phase {
            share_of_first: Some(share),
            ..Phase::sample(CREATE, SHARE_CONNECTIONS)
        };
        let steady = Phase::sample(STEADY, 64).with(DELIVER, 0.0, delivery_p99_ms);
        let cycle = Phase {
            cycles_per_second: Some(cycles.0),
            cycle: Some(Quantiles {
                p99_ms: cycles.1,
                ..Quantiles::default()
            }),
            ..Phase::sample(CYCLE, 64)
        };
        Level::sample(pending, 0, vec![create, steady, cycle])
    }

    fn verdicts(levels: &[Level], rate: f64, embedded: bool) -> Vec<bool> {
        let resumed = Resumed { limit: 400.0, rate };
        let targets = judge(levels, Some(resumed), embedded);
        targets.iter().map(|target| target.met).collect()
    }

    #[test]
    fn a_run_at_the_limits_meets_every_target() {
        let levels = [
            level(0, 0.5, 99.9, (1000.0, 10.0)),
            level(1_000_000, 0.5, 99.9, (950.0, 12.5)),
        ];
        assert_eq!(verdicts(&levels, 380.0, true), [true; 7]);
        assert_eq!(verdicts(&levels, 420.0, false), [true; 5]);
    }

    #[test]
    fn a_run_beyond_the_limits_misses_every_target() {
        let levels = [
            level(0, 0.49, 100.0, (1000.0, 10.0)),
            level(1_000_000, 0.49, 100.0, (949.0, 12.6)),
        ];
        assert_eq!(verdicts(&levels, 379.0, true), [false; 7]);
        assert_eq!(verdicts(&levels, 421.0, false), [false; 5]);
    }

    #[test]
    fn without_a_paused_queue_nothing_is_compared_with_it() {
        let targets = judge(&[level(0, 0.5, 1.0, (1.0, 1.0))], None, true);
        assert_eq!(targets.len(), 2);
    }
}
