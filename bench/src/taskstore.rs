//! The bench of taskstore.

mod caller;
mod targets;

use crate::empty::EMPTY;
use crate::levels::{self, Levels};
use crate::load::{Limit, Outcome};
use crate::options::Common;
use crate::report::{Level, Phase, Target};
use crate::turns::{TURNS, Turns};
use crate::yard::Yard;
use anyhow::Result;
use caller::{Caller, Shared, Step};
use clap::Args;
use std::sync::Arc;
use std::time::Duration;

/// Connections that fill the group that is claimed from.
const PREFILL_CONNECTIONS: usize = 2;

/// Tasks added between two lines of progress.
const PREFILL_STEP: u64 = 100 * caller::BULK;

/// Unmeasured load before the phases of a level.
const WARM_UP: Duration = Duration::from_secs(1);

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Numbers of connections, each measured by itself.
    #[arg(long, value_delimiter = ',', default_value = "1,64",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: Vec<u16>,
    /// Numbers of waiting tasks, smallest first; each is kept while its phases run.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000000",
          value_parser = clap::value_parser!(u64).range(1..=50_000_000))]
    waiting: Vec<u64>,
    #[command(flatten)]
    common: Common,
}

/// The server and the state of its group.
#[derive(Debug)]
struct Bench {
    yard: Yard,
    shared: Arc<Shared>,
    /// Tasks waiting now.
    backlog: u64,
}

/// Runs the bench and prints its report.
///
/// # Errors
/// The server does not start, refuses a request, or loses a connection.
pub(crate) async fn run(options: Options) -> Result<()> {
    levels::run::<Bench>(&options.common, &options.waiting, &options.connections).await
}

impl Levels for Bench {
    const NAME: &'static str = "taskstore";

    fn new(yard: Yard) -> Self {
        Self {
            yard,
            shared: Arc::new(Shared::new()),
            backlog: 0,
        }
    }

    async fn fill(&mut self, waiting: u64) -> Result<u64> {
        let numbers = (self.backlog, waiting);
        let added = levels::fill(numbers, PREFILL_STEP, "tasks waiting", async |limit| {
            let portion = limit.steps.min(caller::BULK);
            let steps = limit.steps / portion;
            self.load(
                Step::Fill(portion),
                PREFILL_CONNECTIONS,
                Limit { steps, ..limit },
            )
            .await?;
            Ok(portion * steps)
        });
        let added = added.await?;
        self.backlog += added;
        Ok(added)
    }

    async fn phases(&mut self, waiting: u64, connections: &[usize]) -> Result<Vec<Phase>> {
        let most = connections.last().copied().unwrap_or(1);
        self.load(Step::Cycle, most, Limit::time(WARM_UP)).await?;
        let mut phases = Vec::new();
        for &connections in connections {
            eprintln!("{connections} connections with {waiting} tasks waiting");
            let limit = self.yard.turn();
            let mut turns = Turns::default();
            for _ in 0..TURNS {
                turns.add(EMPTY, self.yard.empty(connections, limit).await?)?;
                for (name, step) in [
                    (targets::UPDATE, Step::Update),
                    (targets::CLAIM, Step::Claim),
                    (targets::CYCLE, Step::Cycle),
                ] {
                    turns.add(name, self.load(step, connections, limit).await?)?;
                }
            }
            phases.extend(turns.phases(connections));
        }
        let bulk = self.load(Step::Bulk, 1, self.yard.timed()).await?;
        phases.push(Phase::new(targets::BULK, 1, &bulk, None));
        Ok(phases)
    }

    fn judge(levels: &[Level], embedded: bool) -> Vec<Target> {
        targets::judge(levels, embedded)
    }
}

impl Bench {
    async fn load(&self, step: Step, connections: usize, limit: Limit) -> Result<Outcome> {
        let callers = (0..connections).map(|number| Caller::new(step, number, &self.shared));
        self.yard.load(callers, limit).await
    }
}
