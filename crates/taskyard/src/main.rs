//! The `taskyard` binary: reads the command line and hands over to a command.

mod assembly;
mod background;
mod build_file;
mod ceiling;
mod cloud;
mod commands;
mod config;
mod dev_clock;
mod doors;
mod figures;
mod job_artifacts;
mod logging;
mod pipeline_file;
mod progress;
mod queue_figures;
mod root;
mod signals;

use std::io::Write as _;
use std::num::NonZero;
use std::process::ExitCode;

use clap::Parser;

/// Many small, short-lived allocations on many threads are what a server does: mimalloc is faster
/// at it than the C library, and gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One durable task engine, spoken to in the language of the clients you already have.
#[derive(Debug, Parser)]
#[command(
    name = "taskyard",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
struct CommandLine {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    let command = CommandLine::parse().command;
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads())
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&anyhow::Error::from(error).context("cannot start threads")),
    };
    let ended = runtime.block_on(commands::execute(command));
    // A thread that is still busy, such as one that reads a file, must not hold up the end.
    runtime.shutdown_background();
    ended.unwrap_or_else(|error| refuse(&error))
}

/// Threads that serve requests. One processor is left to the threads of the database, without whom
/// no request is answered: where both compete for it, each request wakes and waits more often.
/// Measured on two processors: one thread answers a third more of the requests that write.
fn threads() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    processors.saturating_sub(1).max(1)
}

/// Prints why a command gave up, causes included. Exit code 2 tells a refusal from a failed build
/// (1) and from a broken pipe or signal (above 128).
fn refuse(error: &anyhow::Error) -> ExitCode {
    // Nobody is left to tell when the standard error is gone.
    let _ = writeln!(std::io::stderr(), "taskyard: {error:#}");
    ExitCode::from(2)
}
