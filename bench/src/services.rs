//! The bench of Taskcluster's index, secrets and purge-cache services.

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
use caller::{Caller, Next, Step};
use clap::Args;
use std::sync::Arc;

/// Connections that fill the index.
const PREFILL_CONNECTIONS: usize = 64;

/// Tasks indexed between two lines of progress.
const PREFILL_STEP: u64 = 100_000;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Numbers of connections, each measured by itself.
    #[arg(long, value_delimiter = ',', default_value = "1,16",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: Vec<u16>,
    /// Numbers of indexed tasks, smallest first.
    #[arg(long, value_delimiter = ',', default_value = "1000,1000000",
          value_parser = clap::value_parser!(u64).range(1000..=20_000_000))]
    indexed: Vec<u64>,
    #[command(flatten)]
    common: Common,
}

/// The server and what its index has.
#[derive(Debug)]
struct Bench {
    yard: Yard,
    next: Arc<Next>,
}

/// Runs the bench and prints its report.
///
/// # Errors
/// The server does not start, refuses a request, or loses a connection.
pub(crate) async fn run(options: Options) -> Result<()> {
    levels::run::<Bench>(&options.common, &options.indexed, &options.connections).await
}

impl Levels for Bench {
    const NAME: &'static str = "services";

    fn new(yard: Yard) -> Self {
        Self {
            yard,
            next: Arc::default(),
        }
    }

    async fn fill(&mut self, indexed: u64) -> Result<u64> {
        let numbers = (self.next.count(), indexed);
        levels::fill(numbers, PREFILL_STEP, "tasks indexed", async |limit| {
            let before = self.next.count();
            self.load(Step::Fill, PREFILL_CONNECTIONS, limit).await?;
            Ok(self.next.count() - before)
        })
        .await
    }

    async fn phases(&mut self, indexed: u64, connections: &[usize]) -> Result<Vec<Phase>> {
        let once = Limit {
            steps: 1,
            ..self.yard.timed()
        };
        self.load(Step::SetUp, 1, once).await?;
        let mut phases = Vec::new();
        for &connections in connections {
            eprintln!("{connections} connections with {indexed} tasks indexed");
            let limit = self.yard.turn();
            let mut turns = Turns::default();
            for _ in 0..TURNS {
                turns.add(EMPTY, self.yard.empty(connections, limit).await?)?;
                for (name, step) in [
                    (targets::FIND, Step::Find),
                    (targets::INSERT, Step::Insert),
                    (targets::SECRET, Step::Secret),
                    (targets::PURGES, Step::Purges),
                ] {
                    turns.add(name, self.load(step, connections, limit).await?)?;
                }
            }
            phases.extend(turns.phases(connections));
        }
        for (name, step) in [
            (targets::FIND_MANY, Step::FindMany),
            (targets::LIST, Step::List),
        ] {
            let outcome = self.load(step, 1, self.yard.timed()).await?;
            phases.push(Phase::new(name, 1, &outcome, None));
        }
        Ok(phases)
    }

    fn judge(levels: &[Level], _embedded: bool) -> Vec<Target> {
        targets::judge(levels)
    }
}

impl Bench {
    async fn load(&self, step: Step, connections: usize, limit: Limit) -> Result<Outcome> {
        let callers = (0..connections).map(|number| {
            Caller::new(
                step,
                number,
                Arc::clone(&self.yard.root),
                Arc::clone(&self.next),
            )
        });
        self.yard.load(callers, limit).await
    }
}
