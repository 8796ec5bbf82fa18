//! `cargo xtask test | ci | bench`: everything a developer or a CI machine runs.

mod account;
mod apt;
mod azurite;
mod bench;
mod chromium;
mod ci;
mod licences;
mod node;
mod postgres;
mod python;
mod rabbitmq;
mod s3;
mod service;
mod spdx;
mod step;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development tasks of this workspace.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what the tests need, start private services, run every test, stop the services
    Test(test::Options),
    /// Everything that must be green: format, lints, licences, documentation, tests
    Ci(ci::Options),
    /// Run the benchmarks (release build)
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Test(options) => test::run(&options),
        Command::Ci(options) => ci::run(&options),
        Command::Bench(options) => bench::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
