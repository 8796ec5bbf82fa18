//! `cargo xtask bench`: the load generator, built with optimizations.

use std::num::NonZero;
use std::process::Command;

use anyhow::{Result, bail};

use crate::rabbitmq::RabbitMq;
use crate::{service, step, workspace};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// With `events`: the broker gets a processor of its own, as if it were another machine; the
    /// server and the load share the others, also where they are measured without it
    #[arg(long)]
    broker_apart: bool,
    /// Benchmarks and their options, as `taskyard-bench --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds and runs the load generator.
pub(crate) fn run(options: &Options) -> Result<()> {
    let is_of_events = options
        .arguments
        .first()
        .is_some_and(|bench| bench == "events");
    if options.broker_apart && !is_of_events {
        bail!("only `events` has a broker: cargo xtask bench --broker-apart events");
    }
    let generator = ["--release", "--locked", "--package", "taskyard-bench"];
    let broker = is_of_events
        .then(|| {
            service::remove_leftovers()?;
            step::step("start RabbitMQ", RabbitMq::start)
        })
        .transpose()?;
    let mut command = workspace::cargo();
    command.arg("run").args(generator).arg("--");
    command.args(&options.arguments);
    if let Some(broker) = &broker {
        command.env("TASKYARD_TEST_AMQP_URL", broker.url());
        if options.broker_apart {
            // Before this process and those it starts have fewer processors.
            step::run(workspace::cargo().arg("build").args(generator))?;
            if std::env::var_os("TASKYARD_BIN").is_none() {
                let server = ["--profile", "dist", "--locked", "--package", "taskyard"];
                step::run(workspace::cargo().arg("build").args(server))?;
            }
            set_apart(broker)?;
        }
    }
    step::run(&mut command)
}

/// Gives the last processor to the broker, and the others to this process and what it starts.
fn set_apart(broker: &RabbitMq) -> Result<()> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let Some(others) = processors.checked_sub(2) else {
        bail!("there is one processor: --broker-apart needs two");
    };
    broker.keep_to(processors - 1)?;
    let (others, own) = (format!("0-{others}"), std::process::id().to_string());
    step::output(Command::new("taskset").args(["-acp", &others, &own])).map(drop)
}
