//! The bench of taskstore.

mod caller;
mod targets;

use crate::load::{self, Limit, Outcome};
use crate::postgres::Postgres;
use crate::report::{Level, Phase, Report};
use crate::server::{self, Server};
use anyhow::{Context as _, Result, ensure};
use caller::{Caller, Shared, Step};
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections that fill the group that is claimed from.
const PREFILL_CONNECTIONS: usize = 2;

/// Updates between two lines of progress.
const PREFILL_STEP: u64 = 100;

/// A backlog that takes longer than this is given up.
const PREFILL_LIMIT: Duration = Duration::from_hours(1);

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
    /// Length of each phase in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The database behind the server. PostgreSQL is started for the run and its own CPU time is
    /// not counted as the server's.
    #[arg(long, value_enum, default_value_t = Database::Sqlite)]
    database: Database,
    /// Writes all figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Database {
    Sqlite,
    Postgres,
}

/// The server and the state of its group.
#[derive(Debug)]
struct Bench {
    address: SocketAddr,
    pid: u32,
    shared: Arc<Shared>,
    /// Tasks waiting now.
    backlog: u64,
    duration: Duration,
}

/// Runs the bench and prints its report.
///
/// # Errors
/// The server does not start, refuses a request, or loses a connection.
pub(crate) async fn run(options: Options) -> Result<()> {
    let binary = server::binary().await?;
    let postgres = match options.database {
        Database::Sqlite => None,
        Database::Postgres => Some(Postgres::start()?),
    };
    let url = postgres.as_ref().map(Postgres::url);
    let server = Server::start(&binary, server::fresh_folder()?, url.as_deref()).await?;
    let levels = measure(&options, &server)
        .await
        .with_context(|| server.log_tail())
        .context("given up")?;
    server.stop().await?;

    let report = Report {
        bench: "taskstore",
        database: match options.database {
            Database::Sqlite => "SQLite".to_owned(),
            Database::Postgres => "PostgreSQL".to_owned(),
        },
        processors: std::thread::available_parallelism()?.get(),
        seconds: options.seconds,
        targets: targets::judge(&levels, options.database == Database::Sqlite),
        levels,
    };
    report.print(&mut std::io::stdout().lock())?;
    if let Some(file) = &options.json {
        report.write_json(file)?;
    }
    Ok(())
}

async fn measure(options: &Options, server: &Server) -> Result<Vec<Level>> {
    let duration = Duration::from_secs(options.seconds);
    let mut bench = Bench::new(server.address(), server.pid(), duration);
    let mut sizes = options.waiting.clone();
    sizes.sort_unstable();
    sizes.dedup();
    let mut connections: Vec<usize> = options
        .connections
        .iter()
        .copied()
        .map(usize::from)
        .collect();
    connections.sort_unstable();
    connections.dedup();

    let mut levels = Vec::new();
    for pending in sizes {
        let begin = Instant::now();
        let prefilled = bench.fill(pending).await?;
        let prefill_seconds = begin.elapsed().as_secs_f64();
        let data_bytes = match options.database {
            Database::Sqlite => Some(server.data_bytes()?),
            Database::Postgres => None,
        };
        let memory = server.usage()?.memory;
        let phases = bench.phases(pending, &connections).await?;
        levels.push(Level {
            pending,
            prefilled,
            prefill_seconds,
            data_bytes,
            memory,
            phases,
        });
    }
    Ok(levels)
}

impl Bench {
    fn new(address: SocketAddr, pid: u32, duration: Duration) -> Self {
        Self {
            address,
            pid,
            shared: Arc::new(Shared::new()),
            backlog: 0,
            duration,
        }
    }

    /// Adds tasks until `pending` of them wait; answers how many it added.
    async fn fill(&mut self, pending: u64) -> Result<u64> {
        let begin = Instant::now();
        let missing = pending.saturating_sub(self.backlog);
        let mut left = missing;
        while left > 0 {
            let time = PREFILL_LIMIT.saturating_sub(begin.elapsed());
            ensure!(
                !time.is_zero(),
                "after {PREFILL_LIMIT:?} {left} of {pending} tasks are missing"
            );
            let portion = left.min(caller::BULK);
            let steps = (left / portion).min(PREFILL_STEP);
            let limit = Limit {
                duration: time,
                steps,
            };
            self.load(Step::Fill(portion), PREFILL_CONNECTIONS, limit)
                .await?;
            left -= portion * steps;
            eprintln!("{} of {pending} tasks waiting", pending - left);
        }
        self.backlog += missing;
        Ok(missing)
    }

    /// All phases with `pending` tasks waiting.
    async fn phases(&mut self, pending: u64, connections: &[usize]) -> Result<Vec<Phase>> {
        let most = connections.last().copied().unwrap_or(1);
        self.load(Step::Cycle, most, Limit::time(WARM_UP)).await?;
        let mut phases = Vec::new();
        for &connections in connections {
            eprintln!("{connections} connections with {pending} tasks waiting");
            let timed = Limit::time(self.duration);
            let empty = self.load(Step::Empty, connections, timed).await?;
            let empty = Phase::new("empty", connections, &empty, None);
            let ceiling = Some(empty.requests_per_second);
            phases.push(empty);
            for (name, step) in [
                (targets::UPDATE, Step::Update),
                (targets::CLAIM, Step::Claim),
                (targets::CYCLE, Step::Cycle),
            ] {
                let done = self.load(step, connections, timed).await?;
                phases.push(Phase::new(name, connections, &done, ceiling));
            }
        }
        let bulk = self.load(Step::Bulk, 1, Limit::time(self.duration)).await?;
        phases.push(Phase::new(targets::BULK, 1, &bulk, None));
        Ok(phases)
    }

    async fn load(&self, step: Step, connections: usize, limit: Limit) -> Result<Outcome> {
        let callers = (0..connections).map(|number| Caller::new(step, number, &self.shared));
        load::run(self.address, self.pid, callers.collect(), limit).await
    }
}
