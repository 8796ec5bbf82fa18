//! `cargo xtask test`: whatever the tests need, then the tests.

use std::ffi::OsString;

use anyhow::Result;

use crate::chromium::Chromium;
use crate::postgres::Postgres;
use crate::rabbitmq::RabbitMq;
use crate::s3::S3;
use crate::{azurite, node, python, service, step, workspace};

/// Which tests to run, and with what beside them.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Run only this package's tests (may be given several times)
    #[arg(short, long, value_name = "NAME")]
    package: Vec<String>,
    /// Run only tests whose name contains one of these; options go to the test runner
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    filters: Vec<String>,
}

/// What the tests find in their environment.
type Variables = Vec<(&'static str, OsString)>;

/// Installs, starts, tests, stops. Services stop when this returns, and also when this process is
/// killed or interrupted.
pub(crate) fn run(options: &Options) -> Result<()> {
    service::remove_leftovers()?;
    let mut variables = Variables::new();
    // A failed scenario prints what both sides said; where in Rust it failed is of no interest.
    if std::env::var_os("RUST_LIB_BACKTRACE").is_none() {
        variables.push(("RUST_LIB_BACKTRACE", "0".into()));
    }
    step::step("test clients", || {
        for (name, path) in python::install()?.into_iter().chain(node::install()?) {
            variables.push((name, path.into_os_string()));
        }
        let azurite = azurite::install()?;
        variables.push(("TASKYARD_TEST_AZURITE", azurite.into_os_string()));
        Ok(())
    })?;
    step::step("build", || build(options))?;
    let server = workspace::target().join("debug/taskyard");
    variables.push(("TASKYARD_BIN", server.into_os_string()));

    let postgres = step::step("start PostgreSQL", Postgres::start)?;
    variables.push(("TASKYARD_TEST_DATABASE_URL", postgres.url().into()));
    let s3 = step::step("start a stand-in for S3", S3::start)?;
    variables.push(("TASKYARD_TEST_S3_URL", s3.url().into()));
    let browser = step::step("start a driver of Chromium", Chromium::start)?;
    variables.push(("TASKYARD_TEST_WEBDRIVER", browser.url().into()));
    let broker = step::step("start RabbitMQ", RabbitMq::start)?;
    variables.push(("TASKYARD_TEST_AMQP_URL", broker.url().into()));
    variables.push(("TASKYARD_TEST_BROKER", broker.control().into()));
    step::step("tests", || run_tests(options, &variables))?;
    if options.filters.is_empty() && options.package.is_empty() {
        step::step("documentation tests", || run_doc_tests(&variables))?;
    } else {
        eprintln!("    documentation tests run only with the whole workspace: not run");
    }
    Ok(())
}

/// Builds the server and the tests in one go, so that both share every dependency.
fn build(options: &Options) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["build", "--locked", "--bins", "--tests"]);
    command.args(selection(options));
    if options
        .package
        .iter()
        .any(|name| name == "taskyard-conformance")
    {
        command.args(["--package", "taskyard"]);
    }
    step::run(&mut command)
}

fn run_tests(options: &Options, variables: &Variables) -> Result<()> {
    let mut command = workspace::cargo();
    if workspace::program("cargo-nextest").is_some() {
        command
            .args(["nextest", "run", "--no-fail-fast", "--locked"])
            .args(selection(options));
    } else {
        eprintln!("    cargo-nextest is not installed: using cargo test");
        command.args(["test", "--bins", "--tests", "--no-fail-fast", "--locked"]);
        command.args(selection(options)).arg("--");
    }
    command.args(&options.filters);
    step::run(command.envs(variables.iter().cloned()))
}

fn run_doc_tests(variables: &Variables) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["test", "--doc", "--workspace", "--locked"]);
    step::run(command.envs(variables.iter().cloned()))
}

fn selection(options: &Options) -> Vec<String> {
    if options.package.is_empty() {
        return vec!["--workspace".to_owned()];
    }
    options
        .package
        .iter()
        .flat_map(|name| ["--package".to_owned(), name.clone()])
        .collect()
}
