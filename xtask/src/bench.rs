//! `cargo xtask bench`: the load generator, built with optimizations.

use anyhow::Result;

use crate::rabbitmq::RabbitMq;
use crate::{service, step, workspace};

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
    command.args(&options.arguments);
    let broker = (options
        .arguments
        .first()
        .is_some_and(|bench| bench == "events"))
    .then(|| {
        service::remove_leftovers()?;
        step::step("start RabbitMQ", RabbitMq::start)
    })
    .transpose()?;
    if let Some(broker) = &broker {
        command.env("TASKYARD_TEST_AMQP_URL", broker.url());
    }
    step::run(&mut command)
}
