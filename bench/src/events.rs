//! The bench of events: what it costs to tell the world.

mod listener;
mod metrics;

use crate::load::{Limit, Outcome};
use crate::options::Common;
use crate::postgres::Postgres;
use crate::queue::{Caller, Step, TASK_QUEUE_ID};
use crate::report::{Level, Phase, Target, thousands};
use crate::server::{self, Server};
use crate::turns::{TURNS, Turns};
use crate::yard::Yard;
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

use self::listener::Listeners;

/// What a broker may take of the throughput without one.
const BROKER_SHARE: f64 = 0.85;
/// Messages that go to the broker a second while it catches up.
const RELAYED_PER_SECOND: f64 = 10_000.0;
/// Processors that subscribers may take.
const SUBSCRIBERS_CORES: f64 = 1.0;
/// Each new task is told of in two messages.
const MESSAGES_OF_A_NEW_TASK: f64 = 2.0;
/// Where nobody listens.
const NO_BROKER: &str = "amqp://127.0.0.1:9";
/// Connections that create what is to be relayed.
const RELAY_CONNECTIONS: usize = 64;
/// How often the relay is asked whether it is done.
const LOOK: Duration = Duration::from_millis(20);
/// Tasks created a second while subscribers listen.
const CREATED_PER_SECOND: u64 = 1000;
/// How long the relay may take to catch up.
const CATCH_UP: Duration = Duration::from_mins(2);
/// Connections that work.
const CONNECTIONS: usize = 16;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// RabbitMQ to publish to; without one only subscribers are measured. `cargo xtask bench
    /// events` starts one.
    #[arg(long, value_name = "URL", env = "TASKYARD_TEST_AMQP_URL")]
    amqp_url: Option<String>,
    /// How many listen.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=9000))]
    subscribers: u32,
    #[command(flatten)]
    common: Common,
}

/// A server whose events are listened to.
struct House {
    server: Server,
    yard: Yard,
    // Stands longer than the server.
    database: Option<Postgres>,
}

/// Runs the bench and prints its report.
///
/// # Errors
/// The server does not start, refuses a request, or loses a connection.
pub(crate) async fn run(options: Options) -> Result<()> {
    let binary = server::binary().await?;
    let mut phases = Vec::new();
    let mut targets = Vec::new();

    let alone = House::open(&binary, &options, &[]).await?;
    if let Some(url) = &options.amqp_url {
        let published = House::open(&binary, &options, &[("TASKYARD_AMQP_URL", url)]).await?;
        published.connected().await?;
        let in_time;
        (phases, in_time) = published.beside(&alone).await?;
        let share = phases.last().and_then(|phase| phase.share_of_first);
        let name = format!(
            "full cycle with a broker against without, {CONNECTIONS} connections, {:.1} % \
             published meanwhile",
            in_time * 100.0
        );
        targets.push(Target::share(name, share.unwrap_or(0.0), BROKER_SHARE));
        targets.push(published.relay(&binary, url).await?);
    }
    targets.push(alone.subscribers(&options, &mut phases).await?);
    alone.server.stop().await?;

    let level = Level {
        pending: 0,
        prefilled: 0,
        prefill_seconds: 0.0,
        data_bytes: None,
        memory: phases.last().context("nothing was measured")?.memory,
        phases,
    };
    options.common.report("events", vec![level], targets)
}

impl House {
    async fn open(binary: &Path, options: &Options, variables: &[(&str, &str)]) -> Result<Self> {
        let database = options.common.start_database()?;
        let duration = options.common.duration();
        Self::with(
            binary,
            server::fresh_folder()?,
            database,
            duration,
            variables,
        )
        .await
    }

    async fn with(
        binary: &Path,
        folder: TempDir,
        database: Option<Postgres>,
        duration: Duration,
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let url = database.as_ref().map(Postgres::url);
        let server = Server::start_with(binary, folder, url.as_deref(), variables).await?;
        let yard = Yard::of(&server, duration)?;
        Ok(House {
            server,
            yard,
            database,
        })
    }

    /// Stops the server and starts another one on what it has stored, which publishes to `broker`.
    async fn again(self, binary: &Path, broker: &str) -> Result<Self> {
        let folder = self.server.stop().await?;
        let variables = [("TASKYARD_AMQP_URL", broker)];
        Self::with(
            binary,
            folder,
            self.database,
            self.yard.duration,
            &variables,
        )
        .await
    }

    async fn load(&self, step: Step, connections: usize, limit: Limit) -> Result<Outcome> {
        let root = &self.yard.root;
        let callers = (0..connections)
            .map(|number| Caller::new(step, number, Arc::clone(root), TASK_QUEUE_ID));
        self.yard.load(callers, limit).await
    }

    /// Full cycles on the server that is `alone` and on this one, in turns. Nothing is left to be
    /// published when the other's turn comes; how much was published while the turns lasted is
    /// returned too.
    async fn beside(&self, alone: &Self) -> Result<(Vec<Phase>, f64)> {
        let limit = self.yard.turn();
        let mut turns = Turns::default();
        self.quiet().await?;
        let (mut in_time, mut in_all) = (0.0, 0.0);
        for _ in 0..TURNS {
            let cycled = alone.load(Step::Cycle, CONNECTIONS, limit).await?;
            turns.add("cycle", cycled)?;
            let before = self.published().await?;
            let published = self.load(Step::Cycle, CONNECTIONS, limit).await?;
            turns.add("published", published)?;
            in_time += self.published().await? - before;
            self.quiet().await?;
            in_all += self.published().await? - before;
        }
        Ok((turns.phases(CONNECTIONS), in_time / in_all))
    }

    /// Creates tasks at a fixed rate.
    async fn create_steadily(&self) -> Result<Outcome> {
        let steps = CREATED_PER_SECOND * self.yard.duration.as_secs();
        let pause = Duration::from_secs(CONNECTIONS as u64) / CREATED_PER_SECOND as u32;
        let root = &self.yard.root;
        let callers = (0..CONNECTIONS).map(|number| {
            Caller::new(Step::Create, number, Arc::clone(root), TASK_QUEUE_ID).every(pause)
        });
        let limit = Limit {
            duration: self.yard.duration * 4,
            steps,
        };
        self.yard.load(callers, limit).await
    }

    /// What subscribers cost the server, beside what creating tasks costs.
    async fn subscribers(&self, options: &Options, phases: &mut Vec<Phase>) -> Result<Target> {
        let unheard = self.create_steadily().await?;
        let listeners = Listeners::start(
            self.yard.address,
            &self.yard.root,
            options.subscribers as usize,
        )
        .await?;
        let heard = self.create_steadily().await?;
        let messages = listeners.stop().await?;
        ensure!(messages > 0, "nobody heard anything");
        let cores =
            |outcome: &Outcome| outcome.server.cpu.as_secs_f64() / outcome.elapsed.as_secs_f64();
        let cost = cores(&heard) - cores(&unheard);
        let rate = MESSAGES_OF_A_NEW_TASK * heard.samples.request_count() as f64
            / heard.elapsed.as_secs_f64();
        let delivered = messages as f64 / heard.elapsed.as_secs_f64();
        phases.push(Phase::new("unheard", CONNECTIONS, &unheard, None));
        phases.push(Phase::new("heard", CONNECTIONS, &heard, None));
        Ok(Target {
            name: format!(
                "{} subscribers, {} messages/s, {} delivered/s",
                thousands(f64::from(options.subscribers)),
                thousands(rate),
                thousands(delivered)
            ),
            wanted: format!("< {SUBSCRIBERS_CORES} core"),
            measured: format!("{cost:.2} core"),
            met: cost < SUBSCRIBERS_CORES,
        })
    }

    /// Waits until the server publishes.
    async fn connected(&self) -> Result<()> {
        let begin = Instant::now();
        self.load(
            Step::Create,
            1,
            Limit {
                duration: self.yard.duration,
                steps: 1,
            },
        )
        .await?;
        while self.published().await? < 1.0 {
            ensure!(
                begin.elapsed() < CATCH_UP,
                "the server never reached the broker"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// How fast the relay goes when there is more than enough to publish: whatever a broker that
    /// was away has missed.
    async fn relay(self, binary: &Path, broker: &str) -> Result<Target> {
        let away = self.again(binary, NO_BROKER).await?;
        let created = away
            .load(Step::Create, RELAY_CONNECTIONS, away.yard.timed())
            .await?;
        let missed = created.samples.request_count() as f64 * MESSAGES_OF_A_NEW_TASK;

        let back = away.again(binary, broker).await?;
        let begin = Instant::now();
        while back.published().await? < missed {
            ensure!(
                begin.elapsed() < CATCH_UP,
                "the relay did not catch up with {missed} messages"
            );
            tokio::time::sleep(LOOK).await;
        }
        let rate = missed / begin.elapsed().as_secs_f64();
        back.server.stop().await?;
        Ok(Target {
            name: format!(
                "relayed once the broker is back, {} messages",
                thousands(missed)
            ),
            wanted: format!("≥ {}/s", thousands(RELAYED_PER_SECOND)),
            measured: format!("{}/s", thousands(rate)),
            met: rate >= RELAYED_PER_SECOND,
        })
    }

    /// Messages that this server has published.
    async fn published(&self) -> Result<f64> {
        metrics::read(self.yard.address, metrics::PUBLISHED).await
    }

    /// Waits until everything is published.
    async fn quiet(&self) -> Result<()> {
        let begin = Instant::now();
        let mut last = -1.0;
        loop {
            let published = self.published().await?;
            if published - last < 1.0 {
                return Ok(());
            }
            last = published;
            ensure!(begin.elapsed() < CATCH_UP, "the relay did not catch up");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
