//! The bench of stacks.

mod caller;
mod targets;

use crate::empty::EMPTY;
use crate::levels::{self, Levels};
use crate::load::{Limit, Outcome};
use crate::options::Common;
use crate::queue;
use crate::report::{Level, Phase, Target};
use crate::turns::Turns;
use crate::yard::Yard;
use anyhow::Result;
use caller::{Caller, JOBS, Step};
use clap::Args;

/// Where jobs are created.
const TASK_QUEUE_ID: &str = "stacks/bench";

/// Connections that create the jobs.
const PREFILL_CONNECTIONS: usize = 64;

/// Jobs between two lines of progress.
const PREFILL_STEP: u64 = 50_000;

/// Calls of a phase of reservations at most: each takes a thousand jobs for good.
const MAX_RESERVATIONS: u64 = 100;

/// Calls before those that are measured.
const WARM_UP: u64 = 10;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Numbers of connections, each measured by itself.
    #[arg(long, value_delimiter = ',', default_value = "1,8",
          value_parser = clap::value_parser!(u16).range(1..=256))]
    connections: Vec<u16>,
    /// Numbers of scheduled jobs, smallest first.
    #[arg(long, value_delimiter = ',', default_value = "1000000",
          value_parser = clap::value_parser!(u64).range(2_000..=10_000_000))]
    scheduled: Vec<u64>,
    #[command(flatten)]
    common: Common,
}

/// The server and the state of its queue.
#[derive(Debug)]
struct Bench {
    yard: Yard,
    /// Jobs scheduled now.
    backlog: u64,
}

/// Runs the bench and prints its report.
///
/// # Errors
/// The server does not start, refuses a request, or loses a connection.
pub(crate) async fn run(options: Options) -> Result<()> {
    levels::run::<Bench>(&options.common, &options.scheduled, &options.connections).await
}

impl Levels for Bench {
    const NAME: &'static str = "stacks";

    fn new(yard: Yard) -> Self {
        Self { yard, backlog: 0 }
    }

    async fn fill(&mut self, scheduled: u64) -> Result<u64> {
        let numbers = (self.backlog, scheduled);
        let created = levels::fill(numbers, PREFILL_STEP, "jobs scheduled", async |limit| {
            let root = &self.yard.root;
            let callers = (0..PREFILL_CONNECTIONS)
                .map(|number| queue::creator(number, root.clone(), TASK_QUEUE_ID));
            let outcome = self.yard.load(callers, limit).await?;
            Ok(outcome.samples.request_count())
        });
        let created = created.await?;
        self.backlog += created;
        Ok(created)
    }

    /// At their beginning `scheduled` jobs wait; those that are reserved wait no more.
    async fn phases(&mut self, scheduled: u64, connections: &[usize]) -> Result<Vec<Phase>> {
        let duration = self.yard.duration;
        let mut phases = Vec::new();
        for &connections in connections {
            eprintln!("{connections} connections with {scheduled} jobs scheduled");
            let timed = self.yard.timed();
            let mut turns = Turns::default();
            turns.add(EMPTY, self.yard.empty(connections, timed).await?)?;
            let reservations = Limit {
                duration,
                // Most of the jobs stay for whoever comes next.
                steps: MAX_RESERVATIONS.min(self.backlog / JOBS as u64 / 4),
            };
            for (name, step, limit) in [
                (targets::LIST, Step::List, timed),
                (targets::STATES, Step::States, timed),
                (targets::RESERVE, Step::Reserve, reservations),
            ] {
                let warm_up = Limit {
                    duration,
                    steps: WARM_UP,
                };
                self.load(step, connections, warm_up).await?;
                let done = self.load(step, connections, limit).await?;
                turns.add(name, done)?;
            }
            phases.extend(turns.phases(connections));
        }
        Ok(phases)
    }

    fn judge(levels: &[Level], _embedded: bool) -> Vec<Target> {
        targets::judge(levels)
    }
}

impl Bench {
    async fn load(&mut self, step: Step, connections: usize, limit: Limit) -> Result<Outcome> {
        let callers = (0..connections).map(|number| Caller::new(step, number));
        let outcome = self.yard.load(callers, limit).await?;
        let operations = outcome.samples.operations();
        let reserved = operations
            .get(targets::RESERVE)
            .map_or(0, |quantiles| quantiles.count * JOBS as u64);
        self.backlog = self.backlog.saturating_sub(reserved);
        Ok(outcome)
    }
}
