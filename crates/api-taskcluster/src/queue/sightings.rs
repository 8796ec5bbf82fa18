//! Which workers were noted as seen a short while ago, so that most of their calls need not even
//! look.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use taskyard_engine::Timestamp;
use taskyard_engine::task::Worker;
use taskyard_engine::task_queue::SEEN_EVERY;

/// More workers than this are not remembered; they are only looked up more often then.
const REMEMBERED: usize = 100_000;

/// When workers, and queues used by somebody without a name, were last noted. Nothing depends on
/// it: the tables have the truth, and another node its own memory.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    noted: Mutex<HashMap<String, Timestamp>>,
}

fn name(task_queue_id: &str, worker: Option<&Worker>) -> String {
    match worker {
        Some(worker) => format!("{task_queue_id} {} {}", worker.group, worker.id),
        None => task_queue_id.to_owned(),
    }
}

impl Sightings {
    /// Whether a sighting now has to be noted.
    pub(super) fn is_due(
        &self,
        now: Timestamp,
        task_queue_id: &str,
        worker: Option<&Worker>,
    ) -> bool {
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back makes it due, too.
        noted
            .get(&name(task_queue_id, worker))
            .is_none_or(|at| now < *at || now >= at.plus(SEEN_EVERY))
    }

    /// Remembers that a sighting was noted.
    pub(super) fn note(&self, now: Timestamp, task_queue_id: &str, worker: Option<&Worker>) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= REMEMBERED {
            noted.clear();
        }
        noted.insert(name(task_queue_id, worker), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sighting_is_due_again_after_half_an_hour() {
        let sightings = Sightings::default();
        let worker = Worker {
            group: "g".to_owned(),
            id: "w".to_owned(),
        };
        let start = Timestamp(1_800_000_000_000_000);
        assert!(sightings.is_due(start, "p/q", Some(&worker)));
        sightings.note(start, "p/q", Some(&worker));
        let last = Timestamp(start.plus(SEEN_EVERY).0 - 1);
        assert!(!sightings.is_due(last, "p/q", Some(&worker)));
        assert!(sightings.is_due(start.plus(SEEN_EVERY), "p/q", Some(&worker)));
        assert!(sightings.is_due(Timestamp(0), "p/q", Some(&worker)));
        assert!(
            sightings.is_due(last, "p/q", None) && sightings.is_due(last, "p/r", Some(&worker))
        );
    }
}
