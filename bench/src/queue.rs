//! The bench of Taskcluster's queue.

mod caller;
mod definition;
mod listing;
mod targets;

use crate::empty::EMPTY;
use crate::identity::Identity;
use crate::levels::{self, Levels, PREFILL_LIMIT};
use crate::load::{Limit, Outcome};
use crate::options::Common;
use crate::report::{Level, Phase, Target};
use crate::turns::{TURNS, Turns};
use crate::yard::Yard;
use anyhow::Result;
pub(crate) use caller::{Caller, Step};
use clap::Args;
pub(crate) use definition::TASK_QUEUE_ID;
use std::sync::Arc;
use std::time::Duration;
use taskyard_access::slugid;

/// Connections that fill the backlog.
const PREFILL_CONNECTIONS: usize = 64;

/// Tasks created between two lines of progress.
const PREFILL_STEP: u64 = 100_000;

/// Tasks in the group that is listed.
const LISTED_GROUP: u64 = 10_000;

/// Unmeasured load before the phases of a level.
const WARM_UP: Duration = Duration::from_secs(1);

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Numbers of connections, each measured by itself.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: Vec<u16>,
    /// Sizes of the backlog, smallest first; each is kept while its phases run.
    #[arg(long, value_delimiter = ',', default_value = "1000,1000000",
          value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    pending: Vec<u64>,
    #[command(flatten)]
    common: Common,
}

/// The `number`th of those who create tasks in a queue.
pub(crate) fn creator(number: usize, root: Arc<Identity>, task_queue_id: &'static str) -> Caller {
    Caller::new(Step::Create, number, root, task_queue_id)
}

/// The server and the state of its queue.
#[derive(Debug)]
struct Bench {
    yard: Yard,
    /// Tasks pending now.
    backlog: u64,
    /// The group that is listed, once it is made.
    group: Option<String>,
}

/// Runs the bench and prints its report.
///
/// # Errors
/// The server does not start, refuses a request, or loses a connection.
pub(crate) async fn run(options: Options) -> Result<()> {
    levels::run::<Bench>(&options.common, &options.pending, &options.connections).await
}

impl Levels for Bench {
    const NAME: &'static str = "queue";

    fn new(yard: Yard) -> Self {
        Self {
            yard,
            backlog: 0,
            group: None,
        }
    }

    async fn fill(&mut self, pending: u64) -> Result<u64> {
        let numbers = (self.backlog, pending);
        levels::fill(numbers, PREFILL_STEP, "tasks pending", async |limit| {
            let before = self.backlog;
            self.load(Step::Create, PREFILL_CONNECTIONS, limit).await?;
            Ok(self.backlog - before)
        })
        .await
    }

    async fn phases(&mut self, pending: u64, connections: &[usize]) -> Result<Vec<Phase>> {
        let mut phases = self.create_and_work(pending, connections).await?;
        phases.push(self.list(LISTED_GROUP).await?);
        Ok(phases)
    }

    fn judge(levels: &[Level], embedded: bool) -> Vec<Target> {
        targets::judge(levels, embedded)
    }
}

impl Bench {
    /// The phases that keep `pending` tasks in the backlog.
    async fn create_and_work(&mut self, pending: u64, connections: &[usize]) -> Result<Vec<Phase>> {
        let most = connections.last().copied().unwrap_or(1);
        self.load(Step::Cycle, most, Limit::time(WARM_UP)).await?;
        let mut phases = Vec::new();
        for &connections in connections {
            eprintln!("{connections} connections with {pending} tasks pending");
            let limit = self.yard.turn();
            let mut turns = Turns::default();
            for _ in 0..TURNS {
                turns.add(EMPTY, self.yard.empty(connections, limit).await?)?;
                let created = self.load(Step::Create, connections, limit).await?;
                turns.add("create", created)?;
                // Works off what was just created, so that the backlog keeps its size. It is two
                // requests a task, so it may take longer; what is left then is not measured.
                let rest = Limit {
                    duration: limit.duration * 2,
                    steps: self.backlog.saturating_sub(pending),
                };
                let worked = self.load(Step::Work, connections, rest).await?;
                turns.add(targets::WORK, worked)?;
                self.drain(pending).await?;
                let cycled = self.load(Step::Cycle, connections, limit).await?;
                turns.add(targets::CYCLE, cycled)?;
            }
            phases.extend(turns.phases(connections));
        }
        Ok(phases)
    }

    /// Lists a group of `size` tasks over and over, page by page.
    async fn list(&mut self, size: u64) -> Result<Phase> {
        let group = match &self.group {
            Some(group) => group.clone(),
            None => self.make_group(size).await?,
        };
        eprintln!("listing a group of {size} tasks");
        let caller = Caller::new(Step::List, 0, self.yard.root.clone(), TASK_QUEUE_ID)
            .in_group(&group, size);
        let listed = self.yard.load([caller], self.yard.timed()).await?;
        Ok(Phase::new(targets::LIST, 1, &listed, None))
    }

    async fn make_group(&mut self, size: u64) -> Result<String> {
        let group = slugid::nice();
        let callers = (0..PREFILL_CONNECTIONS).map(|number| {
            Caller::new(Step::Member, number, self.yard.root.clone(), TASK_QUEUE_ID)
                .in_group(&group, size)
        });
        let limit = Limit {
            duration: PREFILL_LIMIT,
            steps: size,
        };
        self.yard.load(callers, limit).await?;
        self.group = Some(group.clone());
        Ok(group)
    }

    /// Works off what exceeds `pending`.
    async fn drain(&mut self, pending: u64) -> Result<()> {
        let steps = self.backlog.saturating_sub(pending);
        if steps > 0 {
            let limit = Limit {
                duration: PREFILL_LIMIT,
                steps,
            };
            self.load(Step::Work, PREFILL_CONNECTIONS, limit).await?;
        }
        Ok(())
    }

    /// Puts the server under load and keeps count of the backlog.
    async fn load(&mut self, step: Step, connections: usize, limit: Limit) -> Result<Outcome> {
        let callers = (0..connections)
            .map(|number| Caller::new(step, number, self.yard.root.clone(), TASK_QUEUE_ID));
        let outcome = self.yard.load(callers, limit).await?;
        let operations = outcome.samples.operations();
        let count = |operation| {
            operations
                .get(operation)
                .map_or(0, |quantiles| quantiles.count)
        };
        let (created, completed) = (count("create"), count("complete"));
        self.backlog = (self.backlog + created).saturating_sub(completed);
        Ok(outcome)
    }
}

#[cfg(test)]
mod stand_in;
