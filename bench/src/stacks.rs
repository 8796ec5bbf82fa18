//! The bench of stacks.

mod caller;
mod targets;

use crate::identity::Identity;
use crate::load::{self, Limit, Outcome};
use crate::postgres::Postgres;
use crate::queue;
use crate::report::{Level, Phase, Report};
use crate::server::{self, Server};
use anyhow::{Context as _, Result, ensure};
use caller::{Caller, JOBS, Step};
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use taskyard_access::sign::Credentials;

/// Where jobs are created.
const TASK_QUEUE_ID: &str = "stacks/bench";

/// Connections that create the jobs.
const PREFILL_CONNECTIONS: usize = 64;

/// Jobs between two lines of progress.
const PREFILL_STEP: u64 = 50_000;

/// A backlog that takes longer than this is given up.
const PREFILL_LIMIT: Duration = Duration::from_hours(1);

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

/// The server and the state of its queue.
#[derive(Debug)]
struct Bench {
    address: SocketAddr,
    pid: u32,
    root: Arc<Identity>,
    /// Jobs scheduled now.
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
        bench: "stacks",
        database: match options.database {
            Database::Sqlite => "SQLite".to_owned(),
            Database::Postgres => "PostgreSQL".to_owned(),
        },
        processors: std::thread::available_parallelism()?.get(),
        seconds: options.seconds,
        targets: targets::judge(&levels),
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
    let mut bench = Bench::new(server.address(), server.pid(), duration)?;
    let mut sizes = options.scheduled.clone();
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
    fn new(address: SocketAddr, pid: u32, duration: Duration) -> Result<Self> {
        let root = Credentials {
            client_id: server::ROOT_CLIENT_ID.to_owned(),
            access_token: server::ROOT_ACCESS_TOKEN.into(),
            certificate: None,
        };
        Ok(Self {
            address,
            pid,
            root: Arc::new(Identity::new(address, &root)?),
            backlog: 0,
            duration,
        })
    }

    /// Creates jobs until `pending` of them are scheduled; answers how many it created.
    async fn fill(&mut self, pending: u64) -> Result<u64> {
        let begin = Instant::now();
        let missing = pending.saturating_sub(self.backlog);
        let mut left = missing;
        while left > 0 {
            let time = PREFILL_LIMIT.saturating_sub(begin.elapsed());
            ensure!(
                !time.is_zero(),
                "after {PREFILL_LIMIT:?} {left} of {pending} jobs are missing"
            );
            let steps = left.min(PREFILL_STEP);
            let callers = (0..PREFILL_CONNECTIONS)
                .map(|number| queue::creator(number, self.root.clone(), TASK_QUEUE_ID));
            let limit = Limit {
                duration: time,
                steps,
            };
            load::run(self.address, self.pid, callers.collect(), limit).await?;
            left -= steps;
            eprintln!("{} of {pending} jobs scheduled", pending - left);
        }
        self.backlog += missing;
        Ok(missing)
    }

    /// All phases with `pending` jobs scheduled at their beginning.
    async fn phases(&mut self, pending: u64, connections: &[usize]) -> Result<Vec<Phase>> {
        let mut phases = Vec::new();
        for &connections in connections {
            eprintln!("{connections} connections with {pending} jobs scheduled");
            let timed = Limit::time(self.duration);
            let empty = self.load(Step::Empty, connections, timed).await?;
            let empty = Phase::new("empty", connections, &empty, None);
            let ceiling = Some(empty.requests_per_second);
            phases.push(empty);
            let reservations = Limit {
                duration: self.duration,
                // Most of the jobs stay for whoever comes next.
                steps: MAX_RESERVATIONS.min(self.backlog / JOBS as u64 / 4),
            };
            for (name, step, limit) in [
                (targets::LIST, Step::List, timed),
                (targets::STATES, Step::States, timed),
                (targets::RESERVE, Step::Reserve, reservations),
            ] {
                let warm_up = Limit {
                    duration: self.duration,
                    steps: WARM_UP,
                };
                self.load(step, connections, warm_up).await?;
                let done = self.load(step, connections, limit).await?;
                phases.push(Phase::new(name, connections, &done, ceiling));
            }
        }
        Ok(phases)
    }

    async fn load(&mut self, step: Step, connections: usize, limit: Limit) -> Result<Outcome> {
        let callers = (0..connections).map(|number| Caller::new(step, number));
        let outcome = load::run(self.address, self.pid, callers.collect(), limit).await?;
        let operations = outcome.samples.operations();
        let reserved = operations
            .get(targets::RESERVE)
            .map_or(0, |quantiles| quantiles.count * JOBS as u64);
        self.backlog = self.backlog.saturating_sub(reserved);
        Ok(outcome)
    }
}
