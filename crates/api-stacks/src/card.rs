//! What a listing says of a job that never changes, kept ready to be sent: the head of a queue is
//! listed every second.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use taskyard_engine::stacks::{Definition, Listed};

use crate::job::Job;
use crate::problem::Problem;

/// The parts of a listed job between those that change.
#[derive(Debug)]
pub(crate) struct Card {
    /// `{"id":…,"agent_query_rules":…,"pipeline":…,"build":…,"step":…`
    text: String,
}

#[derive(Serialize)]
struct Face<'a> {
    id: String,
    agent_query_rules: Vec<String>,
    pipeline: Pipeline<'a>,
    build: Build<'a>,
    step: Step<'a>,
}

#[derive(Serialize)]
struct Pipeline<'a> {
    slug: &'a str,
    uuid: String,
}

#[derive(Serialize)]
struct Build<'a> {
    uuid: String,
    number: i64,
    branch: Option<&'a str>,
}

#[derive(Serialize)]
struct Step<'a> {
    key: Option<&'a str>,
}

impl Card {
    pub(crate) fn new(definition: &Definition, queue_key: &str) -> Result<Self, Problem> {
        let job = Job::read(definition)?;
        let face = Face {
            id: job.uuid(),
            agent_query_rules: job.rules(queue_key),
            pipeline: Pipeline {
                slug: job.pipeline(),
                uuid: job.pipeline_uuid(),
            },
            build: Build {
                uuid: job.build_uuid(),
                number: job.build_number(),
                branch: job.branch(),
            },
            step: Step { key: job.step() },
        };
        let mut text = serde_json::to_string(&face).map_err(Problem::internal)?;
        text.pop();
        Ok(Card { text })
    }

    /// Appends the job as it is listed.
    pub(crate) fn write(&self, listed: &Listed, into: &mut Vec<u8>) {
        let since = listed.at.scheduled.to_iso();
        // The lowest priority of a task is 1.
        let priority = listed.priority - 1;
        into.extend_from_slice(self.text.as_bytes());
        let rest = format!(
            ",\"priority\":{priority},\"scheduled_at\":\"{since}\",\"runnable_at\":\"{since}\"}}"
        );
        into.extend_from_slice(rest.as_bytes());
    }
}

/// Cards in each of the two halves.
const HALF: usize = 20_000;

/// The cards of jobs that were listed lately, by the numbers of their tasks. When one half is full,
/// the other, older one goes.
#[derive(Debug, Default)]
pub(crate) struct Cards {
    halves: Mutex<Halves>,
}

#[derive(Debug, Default)]
struct Halves {
    young: HashMap<i64, Arc<Card>>,
    old: HashMap<i64, Arc<Card>>,
}

impl Cards {
    /// The cards of these tasks, as far as they are there.
    pub(crate) fn of(&self, task_numbers: impl Iterator<Item = i64>) -> Vec<Option<Arc<Card>>> {
        let mut halves = self.halves.lock();
        task_numbers.map(|number| halves.get(number)).collect()
    }

    pub(crate) fn keep<'a>(&self, cards: impl Iterator<Item = (&'a i64, &'a Arc<Card>)>) {
        let mut halves = self.halves.lock();
        for (number, card) in cards {
            halves.put(*number, Arc::clone(card));
        }
    }
}

impl Halves {
    fn get(&mut self, number: i64) -> Option<Arc<Card>> {
        if let Some(card) = self.young.get(&number) {
            return Some(Arc::clone(card));
        }
        let card = self.old.remove(&number)?;
        self.put(number, Arc::clone(&card));
        Some(card)
    }

    fn put(&mut self, number: i64, card: Arc<Card>) {
        if self.young.len() >= HALF {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(number, card);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(text: &str) -> Arc<Card> {
        Arc::new(Card {
            text: text.to_owned(),
        })
    }

    #[test]
    fn what_is_asked_for_again_outlives_what_is_not() {
        let cards = Cards::default();
        let known = |number: i64| cards.of(std::iter::once(number)).pop().flatten();
        cards.keep([(&-1, &card("asked for")), (&-2, &card("not"))].into_iter());
        for number in 0..2 * HALF as i64 {
            cards.keep(std::iter::once((&number, &card("other"))));
            assert!(known(-1).is_some_and(|card| card.text == "asked for"));
        }
        assert!(known(-2).is_none());
    }
}
