//! The bench of Taskcluster's queue.

mod caller;
mod definition;
mod listing;
mod targets;

use crate::identity::Identity;
use crate::load::{self, Limit, Outcome};
use crate::postgres::Postgres;
use crate::report::{Level, Phase, Report};
use crate::server::{self, Server};
use anyhow::{Context as _, Result, ensure};
pub(crate) use caller::{Caller, Step};
use clap::{Args, ValueEnum};
pub(crate) use definition::TASK_QUEUE_ID;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use taskyard_access::sign::Credentials;
use taskyard_access::slugid;

/// Connections that fill the backlog.
const PREFILL_CONNECTIONS: usize = 64;

/// Tasks created between two lines of progress.
const PREFILL_STEP: u64 = 100_000;

/// A backlog that takes longer than this is given up.
const PREFILL_LIMIT: Duration = Duration::from_hours(1);

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

/// The `number`th of those who create tasks in a queue.
pub(crate) fn creator(number: usize, root: Arc<Identity>, task_queue_id: &'static str) -> Caller {
    Caller::new(Step::Create, number, root, task_queue_id)
}

/// The server and the state of its queue.
#[derive(Debug)]
struct Bench {
    address: SocketAddr,
    pid: u32,
    root: Arc<Identity>,
    /// Tasks pending now.
    backlog: u64,
    /// The group that is listed, once it is made.
    group: Option<String>,
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
        bench: "queue",
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
    let mut bench = Bench::new(
        server.address(),
        server.pid(),
        Duration::from_secs(options.seconds),
    )?;
    let mut sizes = options.pending.clone();
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
        let mut phases = bench.phases(pending, &connections).await?;
        phases.push(bench.list(LISTED_GROUP).await?);
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
        let root = Arc::new(Identity::new(address, &root)?);
        Ok(Self {
            address,
            pid,
            root,
            backlog: 0,
            group: None,
            duration,
        })
    }

    /// Creates tasks until `pending` of them wait; answers how many it created.
    async fn fill(&mut self, pending: u64) -> Result<u64> {
        let begin = Instant::now();
        let missing = pending.saturating_sub(self.backlog);
        while self.backlog < pending {
            let left = PREFILL_LIMIT.saturating_sub(begin.elapsed());
            ensure!(
                !left.is_zero(),
                "after {PREFILL_LIMIT:?} only {} of {pending} tasks were created",
                self.backlog
            );
            let steps = (pending - self.backlog).min(PREFILL_STEP);
            self.load(
                Step::Create,
                PREFILL_CONNECTIONS,
                Limit {
                    duration: left,
                    steps,
                },
            )
            .await?;
            eprintln!("{} of {pending} tasks pending", self.backlog);
        }
        Ok(missing)
    }

    /// All phases with `pending` tasks in the backlog.
    async fn phases(&mut self, pending: u64, connections: &[usize]) -> Result<Vec<Phase>> {
        let most = connections.last().copied().unwrap_or(1);
        self.load(Step::Cycle, most, Limit::time(WARM_UP)).await?;
        let mut phases = Vec::new();
        for &connections in connections {
            eprintln!("{connections} connections with {pending} tasks pending");
            let timed = Limit::time(self.duration);
            let empty = self.load(Step::Empty, connections, timed).await?;
            let empty = Phase::new("empty", connections, &empty, None);
            let ceiling = Some(empty.requests_per_second);
            phases.push(empty);

            let created = self.load(Step::Create, connections, timed).await?;
            phases.push(Phase::new("create", connections, &created, ceiling));

            // Works off what was just created, so that the backlog keeps its size. It is two
            // requests a task, so it may take longer; what is left then is not measured.
            let steps = self.backlog.saturating_sub(pending);
            let limit = Limit {
                duration: self.duration * 2,
                steps,
            };
            let worked = self.load(Step::Work, connections, limit).await?;
            phases.push(Phase::new(targets::WORK, connections, &worked, ceiling));
            self.drain(pending).await?;

            let cycled = self.load(Step::Cycle, connections, timed).await?;
            phases.push(Phase::new(targets::CYCLE, connections, &cycled, ceiling));
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
        let caller =
            Caller::new(Step::List, 0, self.root.clone(), TASK_QUEUE_ID).in_group(&group, size);
        let limit = Limit::time(self.duration);
        let listed = load::run(self.address, self.pid, vec![caller], limit).await?;
        Ok(Phase::new(targets::LIST, 1, &listed, None))
    }

    async fn make_group(&mut self, size: u64) -> Result<String> {
        let group = slugid::nice();
        let callers = (0..PREFILL_CONNECTIONS)
            .map(|number| {
                Caller::new(Step::Member, number, self.root.clone(), TASK_QUEUE_ID)
                    .in_group(&group, size)
            })
            .collect();
        let limit = Limit {
            duration: PREFILL_LIMIT,
            steps: size,
        };
        load::run(self.address, self.pid, callers, limit).await?;
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
            .map(|number| Caller::new(step, number, self.root.clone(), TASK_QUEUE_ID))
            .collect();
        let outcome = load::run(self.address, self.pid, callers, limit).await?;
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
