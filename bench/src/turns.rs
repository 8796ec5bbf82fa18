//! Phases that take turns, so that whatever else happens on the machine happens to all of them: a
//! share compares what was measured within the same seconds.

use crate::load::Outcome;
use crate::report::Phase;
use anyhow::Result;

/// Turns that each phase takes. More of them would compare no better, and each turn has a beginning
/// in which connections are made.
pub(crate) const TURNS: u32 = 5;

/// What phases have done in all their turns so far, in the order in which they first came.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    outcomes: Vec<(&'static str, Outcome)>,
}

impl Turns {
    /// Adds a turn of the phase `name`.
    ///
    /// # Errors
    /// The latencies cannot be added.
    pub(crate) fn add(&mut self, name: &'static str, turn: Outcome) -> Result<()> {
        let mut outcomes = self.outcomes.iter_mut();
        if let Some((_, outcome)) = outcomes.find(|(known, _)| *known == name) {
            return outcome.add(turn);
        }
        self.outcomes.push((name, turn));
        Ok(())
    }

    /// The figures of each phase; the first is the ceiling of those that follow.
    pub(crate) fn phases(&self, connections: usize) -> Vec<Phase> {
        let mut ceiling = None;
        let mut phases = Vec::new();
        for (name, outcome) in &self.outcomes {
            let phase = Phase::new(name, connections, outcome, ceiling);
            ceiling.get_or_insert(phase.requests_per_second);
            phases.push(phase);
        }
        phases
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Samples;
    use crate::report::Level;
    use crate::usage::{Memory, Usage};
    use std::time::Duration;

    fn turn(name: &'static str, requests: u32) -> Outcome {
        let mut samples = Samples::default();
        for _ in 0..requests {
            samples.request(name, Duration::from_millis(1)).unwrap();
        }
        Outcome {
            samples,
            elapsed: Duration::from_secs(1),
            server: Usage {
                cpu: Duration::ZERO,
                memory: Memory::default(),
            },
            generator_cpu: Duration::ZERO,
        }
    }

    #[test]
    fn shares_are_of_all_turns_of_the_first_phase() {
        let mut turns = Turns::default();
        // The machine is half as fast in the second turn.
        for (empty, update) in [(100, 40), (50, 20)] {
            turns.add("empty", turn("empty", empty)).unwrap();
            turns.add("update", turn("update", update)).unwrap();
        }
        let level = Level::sample(0, 0, turns.phases(4));
        let empty = level.phase("empty", 4).unwrap();
        assert_eq!((empty.requests, empty.share_of_first), (150, None));
        let update = level.phase("update", 4).unwrap();
        assert_eq!(update.requests, 60);
        assert!((update.share_of_first.unwrap() - 0.4).abs() < 1e-9);
    }
}
