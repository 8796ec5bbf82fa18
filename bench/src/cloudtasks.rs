//! The bench of Cloud Tasks.

mod caller;
mod handler;
mod message;
mod queues;
mod targets;

use crate::empty::EMPTY;
use crate::levels;
use crate::load::{Limit, Outcome};
use crate::options::Common;
use crate::postgres::Postgres;
use crate::report::{Level, Phase};
use crate::server::{self, Server};
use crate::turns::{TURNS, Turns};
use crate::yard::Yard;
use anyhow::{Context as _, Result};
use caller::{Caller, Plan, Shared, Step};
use clap::Args;
use handler::Handler;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use targets::Resumed;

/// Channels that park tasks, and that wait for deliveries.
const CHANNELS: usize = 64;

/// Channels that create tasks at a fixed rate: so many that one is free while others wait for the
/// disk, as each may take 25 ms at 5 000 a second.
const STEADY_CHANNELS: usize = 128;

/// Tasks parked between two lines of progress.
const PARK_STEP: u64 = 100_000;

/// Unmeasured load before the phases of a level.
const WARM_UP: Duration = Duration::from_secs(1);

/// Tasks a second that the resumed queue may send.
const RESUMED_PER_SECOND: f64 = 400.0;

/// Tasks after which a resumed queue has used what it was allowed to send at once.
const BURST: u64 = 400;

/// A shorter time says little about a rate: tasks are sent in batches.
const RATE_TIME: Duration = Duration::from_secs(5);

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Numbers of connections that create tasks in a paused queue, each measured by itself.
    #[arg(long, value_delimiter = ',', default_value = "16",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: Vec<u16>,
    /// Tasks in the paused queue; with 0 nothing is compared with it, and below some thousands it
    /// is not resumed.
    #[arg(long, default_value_t = 1_000_000,
          value_parser = clap::value_parser!(u64).range(0..=20_000_000))]
    paused: u64,
    /// Tasks created a second while deliveries are timed.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=7000))]
    rate: u32,
    #[command(flatten)]
    common: Common,
}

/// A server's queues, who creates tasks in them, and the handler that they send to.
#[derive(Debug)]
struct Bench {
    yard: Yard,
    shared: Arc<Shared>,
    handler: Handler,
}

/// A server under load.
struct House {
    bench: Bench,
    server: Server,
    // Stands longer than the server.
    _database: Option<Postgres>,
}

/// Runs the bench and prints its report.
///
/// # Errors
/// A server does not start, refuses a request, or loses a connection.
pub(crate) async fn run(options: Options) -> Result<()> {
    let binary = server::binary().await?;
    let mut houses = vec![House::open(&binary, &options).await?];
    if options.paused > 0 {
        houses.push(House::open(&binary, &options).await?);
    }
    let measured = measure(&options, &houses).await;
    let (levels, resumed) = measured
        .with_context(|| {
            let logs = houses.iter().map(|house| house.server.log_tail());
            logs.collect::<Vec<_>>().join("\n")
        })
        .context("given up")?;
    for house in houses {
        house.server.stop().await?;
    }
    let targets = targets::judge(&levels, resumed, options.common.is_embedded());
    options.common.report("cloudtasks", levels, targets)
}

/// Measures the servers, of which the second has paused tasks.
async fn measure(options: &Options, houses: &[House]) -> Result<(Vec<Level>, Option<Resumed>)> {
    let embedded = options.common.is_embedded();
    let mut levels = Vec::new();
    for (house, paused) in houses.iter().zip([0, options.paused]) {
        let begin = Instant::now();
        let parked = house.bench.park(paused).await?;
        let took = begin.elapsed();
        levels.push(Level::filled(
            &house.server,
            embedded,
            paused,
            parked,
            took,
        )?);
    }
    let benches: Vec<&Bench> = houses.iter().map(|house| &house.bench).collect();
    let cycles = cycles(&benches).await?;
    for ((bench, level), cycle) in benches.iter().zip(&mut levels).zip(cycles) {
        level.phases.push(cycle);
        for &connections in &options.connections {
            let phases = bench.create(level.pending, connections.into()).await?;
            level.phases.extend(phases);
        }
        let steady = bench.steady(level.pending, options.rate).await?;
        level.phases.push(steady);
    }
    let resumed = match benches[..] {
        [_, bench] if options.paused > bench.resumed_tasks() => Some(bench.resume().await?),
        _ => None,
    };
    Ok((levels, resumed))
}

/// Tasks from their creation to their delivery, on each server in turn.
async fn cycles(benches: &[&Bench]) -> Result<Vec<Phase>> {
    for bench in benches {
        bench
            .load(Step::Cycle, CHANNELS, Limit::time(WARM_UP))
            .await?;
    }
    let mut all: Vec<Turns> = benches.iter().map(|_| Turns::default()).collect();
    for turn in 1..=TURNS {
        eprintln!("{CHANNELS} connections that wait for deliveries, turn {turn} of {TURNS}");
        for (bench, turns) in benches.iter().zip(&mut all) {
            let limit = bench.yard.turn();
            turns.add(
                targets::CYCLE,
                bench.load(Step::Cycle, CHANNELS, limit).await?,
            )?;
        }
    }
    let phases = all.iter().flat_map(|turns| turns.phases(CHANNELS));
    Ok(phases.collect())
}

impl House {
    async fn open(binary: &Path, options: &Options) -> Result<Self> {
        let database = options.common.start_database()?;
        let url = database.as_ref().map(Postgres::url);
        let folder = server::fresh_folder()?;
        let variables = [("TASKYARD_OUTGOING_LOOPBACK", "true")];
        let server = Server::start_with(binary, folder, url.as_deref(), &variables).await?;
        let yard = Yard::of(&server, options.common.duration())?;
        Ok(Self {
            bench: Bench::new(yard).await?,
            server,
            _database: database,
        })
    }
}

impl Bench {
    async fn new(yard: Yard) -> Result<Self> {
        queues::create(yard.address).await?;
        let handler = Handler::start(CHANNELS).await?;
        Ok(Self {
            shared: Arc::new(Shared::new(yard.address, &handler)?),
            yard,
            handler,
        })
    }

    async fn load(&self, step: Step, channels: usize, limit: Limit) -> Result<Outcome> {
        let callers = (0..channels).map(|number| Caller::new(step.clone(), number, &self.shared));
        self.yard.load(callers, limit).await
    }

    /// Fills the paused queue; answers how many tasks it created.
    async fn park(&self, paused: u64) -> Result<u64> {
        levels::fill((0, paused), PARK_STEP, "tasks paused", async |limit| {
            let parked = self.load(Step::Park, CHANNELS, limit).await?;
            Ok(parked.samples.request_count())
        })
        .await
    }

    /// Calls of the empty method, and tasks created in the paused queue.
    async fn create(&self, paused: u64, channels: usize) -> Result<Vec<Phase>> {
        eprintln!("{channels} connections with {paused} tasks paused");
        let limit = self.yard.turn();
        let mut turns = Turns::default();
        for _ in 0..TURNS {
            turns.add(EMPTY, self.load(Step::Empty, channels, limit).await?)?;
            let created = self.load(Step::Park, channels, limit).await?;
            turns.add(targets::CREATE, created)?;
        }
        Ok(turns.phases(channels))
    }

    /// Creates tasks at a fixed rate and waits until the last of them is delivered.
    async fn steady(&self, paused: u64, rate: u32) -> Result<Phase> {
        eprintln!("{rate} tasks created a second with {paused} paused");
        let counter = self.handler.counter();
        let (before, _) = (counter.arrived(), counter.take_delays());
        let plan = Step::Planned(Arc::new(Plan::new(rate)));
        let limit = Limit {
            // The steps end it. This is time for those that are late.
            duration: self.yard.duration * 2 + Duration::from_mins(1),
            steps: u64::from(rate) * self.yard.duration.as_secs(),
        };
        let mut outcome = self.load(plan, STEADY_CHANNELS, limit).await?;
        let created = outcome.samples.request_count();
        let begin = Instant::now();
        counter.until(before + created).await?;
        outcome.elapsed += begin.elapsed();
        outcome.samples.merge(counter.take_delays())?;
        Ok(Phase::new(targets::STEADY, STEADY_CHANNELS, &outcome, None))
    }

    /// How long a resumed queue is watched.
    fn rate_time(&self) -> Duration {
        self.yard.duration.max(RATE_TIME)
    }

    /// More tasks than a resumed queue may send while it is watched.
    fn resumed_tasks(&self) -> u64 {
        BURST + (RESUMED_PER_SECOND * self.rate_time().as_secs_f64() * 1.5) as u64
    }

    /// Resumes the paused queue and counts what it sends.
    async fn resume(&self) -> Result<Resumed> {
        eprintln!("resuming the paused queue");
        let counter = self.handler.counter();
        let before = counter.arrived();
        queues::resume(self.yard.address, RESUMED_PER_SECOND).await?;
        counter.until(before + BURST).await?;
        let (begin, before) = (Instant::now(), counter.arrived());
        tokio::time::sleep(self.rate_time()).await;
        let arrived = counter.arrived() - before;
        Ok(Resumed {
            limit: RESUMED_PER_SECOND,
            rate: arrived as f64 / begin.elapsed().as_secs_f64(),
        })
    }
}

#[cfg(test)]
mod stand_in;
