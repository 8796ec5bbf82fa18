//! Load generator: starts the real server, puts it under load through its public API and prints
//! what it did, as ratios to an empty handler on the same listener in the same run.
//!
//! One folder or file per API under measurement; everything beside them knows no API.

mod channel;
mod clock;
mod cloudtasks;
mod connection;
mod empty;
mod events;
mod identity;
mod latency;
mod levels;
mod load;
mod options;
mod postgres;
mod queue;
mod report;
mod server;
mod services;
mod stacks;
mod taskstore;
mod turns;
mod usage;
mod yard;

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// The one that the server uses: a sixth of what a request costs here is memory, which the C
/// library's is slower at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures a Taskyard server on this machine.
#[derive(Debug, Parser)]
#[command(name = "taskyard-bench")]
struct Arguments {
    /// `queue` if none is named.
    #[command(subcommand)]
    bench: Option<Bench>,
}

#[derive(Debug, Parser)]
enum Bench {
    /// Cloud Tasks: create, deliver at a fixed rate, and both beside a million paused tasks.
    Cloudtasks(cloudtasks::Options),
    /// Events: with a broker and without, the relay, and subscribers.
    Events(events::Options),
    /// Taskcluster's queue: create, claim, complete.
    Queue(queue::Options),
    /// Services: find tasks in the index, read a secret, ask for caches to be forgotten.
    Services(services::Options),
    /// Stacks: list a thousand jobs of a million, reserve a thousand, ask for a thousand states.
    Stacks(stacks::Options),
    /// Taskstore: update, claim, and updates of ten thousand tasks.
    Taskstore(taskstore::Options),
}

fn main() -> anyhow::Result<()> {
    let bench = match Arguments::parse().bench {
        Some(bench) => bench,
        None => Bench::parse_from(["taskyard-bench", "queue"]),
    };
    // Two threads: enough to load a server on the same small machine, and the same everywhere.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            // Dropping the bench stops the server and removes its folder.
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
            _ = terminate.recv() => anyhow::bail!("terminated"),
            result = async {
                match bench {
                    Bench::Cloudtasks(options) => Box::pin(cloudtasks::run(options)).await,
                    Bench::Events(options) => Box::pin(events::run(options)).await,
                    Bench::Queue(options) => Box::pin(queue::run(options)).await,
                    Bench::Services(options) => Box::pin(services::run(options)).await,
                    Bench::Stacks(options) => Box::pin(stacks::run(options)).await,
                    Bench::Taskstore(options) => Box::pin(taskstore::run(options)).await,
                }
            } => result,
        }
    })
}
