//! `cargo xtask bench`: the load generator, built with optimizations.

use anyhow::Result;

use crate::{step, workspace};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Benchmarks and their options, as `taskyard-bench --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds and runs the load generator.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut command = workspace::cargo();
    command.args([
        "run",
        "--release",
        "--locked",
        "--package",
        "taskyard-bench",
        "--",
    ]);
    step::run(command.args(&options.arguments))
}
