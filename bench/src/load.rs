//! Load: many connections that each repeat a step until the time or the count is used up.

use crate::latency::Samples;
use crate::usage::Usage;
use anyhow::{Context as _, Result, bail};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long the last steps may take after the time is up: a claim without work waits 20 s.
const GRACE: Duration = Duration::from_mins(1);

/// What one connection does over and over.
pub(crate) trait Client: Send + 'static {
    /// What it speaks through.
    type Connection: Connect;

    /// Does one step and records what it measured.
    fn step(
        &mut self,
        connection: &mut Self::Connection,
        samples: &mut Samples,
    ) -> impl Future<Output = Result<()>> + Send;
}

/// A connection to the server under load.
pub(crate) trait Connect: Sized + Send {
    /// Connects to `address`.
    ///
    /// # Errors
    /// Nobody listens there, or they do not speak as we do.
    fn connect(address: SocketAddr) -> impl Future<Output = Result<Self>> + Send;
}

/// When a run ends: whichever comes first. Steps under way are finished.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) duration: Duration,
    /// Steps of all connections together.
    pub(crate) steps: u64,
}

/// What a run did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) samples: Samples,
    pub(crate) elapsed: Duration,
    /// The server's use during the run; memory at its end.
    pub(crate) server: Usage,
    /// The generator's own CPU time during the run.
    pub(crate) generator_cpu: Duration,
}

/// The steps and the time that are left, shared by all connections.
#[derive(Debug)]
struct Budget {
    taken: AtomicU64,
    steps: u64,
    end: Instant,
}

impl Outcome {
    /// Adds what another run of the same kind did.
    ///
    /// # Errors
    /// The latencies cannot be added.
    pub(crate) fn add(&mut self, other: Self) -> Result<()> {
        self.samples.merge(other.samples)?;
        self.elapsed += other.elapsed;
        self.server.cpu += other.server.cpu;
        self.server.memory = other.server.memory;
        self.generator_cpu += other.generator_cpu;
        Ok(())
    }
}

impl Limit {
    /// Ends with the time only.
    pub(crate) fn time(duration: Duration) -> Self {
        Self {
            duration,
            steps: u64::MAX,
        }
    }
}

impl Budget {
    fn take(&self) -> bool {
        Instant::now() < self.end && self.taken.fetch_add(1, Ordering::Relaxed) < self.steps
    }
}

/// Runs each of `clients` on a connection of its own. The time counts from the moment at which
/// all connections stand. `pid` is the server's.
///
/// # Errors
/// The first failure of any connection ends the run.
pub(crate) async fn run<C: Client>(
    address: SocketAddr,
    pid: u32,
    clients: Vec<C>,
    limit: Limit,
) -> Result<Outcome> {
    let connections = clients.len();
    let (start, started) = watch::channel(None::<Arc<Budget>>);
    let (ready, mut all_ready) = tokio::sync::mpsc::channel::<()>(connections.max(1));
    let mut tasks = JoinSet::<Result<Samples>>::new();
    for mut client in clients {
        let mut started = started.clone();
        let ready = ready.clone();
        tasks.spawn(async move {
            let mut connection = C::Connection::connect(address).await?;
            ready.send(()).await.ok();
            drop(ready);
            let budget = started.wait_for(Option::is_some).await?.clone();
            let budget = budget.context("the run ended before it began")?;
            let mut samples = Samples::default();
            while budget.take() {
                client.step(&mut connection, &mut samples).await?;
            }
            Ok(samples)
        });
    }
    drop(ready);
    for _ in 0..connections {
        if all_ready.recv().await.is_none() {
            break; // A connection failed; its error is found when the tasks are joined.
        }
    }

    let (server_before, own_before) = (Usage::of(pid)?, Usage::own()?);
    let begin = Instant::now();
    start.send_replace(Some(Arc::new(Budget {
        taken: AtomicU64::new(0),
        steps: limit.steps,
        end: begin + limit.duration,
    })));
    let mut samples = Samples::default();
    let joined = tokio::time::timeout(limit.duration + GRACE, async {
        while let Some(task) = tasks.join_next().await {
            samples.merge(task.context("a connection's task died")??)?;
        }
        Ok::<(), anyhow::Error>(())
    });
    match joined.await {
        Ok(result) => result?,
        Err(_) => bail!("some requests got no answer within {GRACE:?} after the end of the run"),
    }
    let elapsed = begin.elapsed();
    let (server_after, own_after) = (Usage::of(pid)?, Usage::own()?);
    Ok(Outcome {
        samples,
        elapsed,
        server: Usage {
            cpu: server_after.cpu.saturating_sub(server_before.cpu),
            memory: server_after.memory,
        },
        generator_cpu: own_after.cpu.saturating_sub(own_before.cpu),
    })
}
