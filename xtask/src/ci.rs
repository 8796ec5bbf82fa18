//! `cargo xtask ci`: all that must be green before a change is taken.

use anyhow::{Result, bail};

use crate::{licences, step, test, workspace};

type Check = fn() -> Result<()>;

/// Which checks to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these: format, lints, licences, documentation, tests
    checks: Vec<String>,
}

/// Runs every wanted check, also after one has failed, and sums them up at the end.
pub(crate) fn run(options: &Options) -> Result<()> {
    let checks: [(&str, Check); 5] = [
        ("format", || cargo(&["fmt", "--all", "--", "--check"])),
        ("lints", || {
            cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "-D",
                "warnings",
            ])
        }),
        ("licences", licences::check),
        ("documentation", || {
            let mut doc = workspace::cargo();
            doc.env("RUSTDOCFLAGS", "-D warnings");
            step::run(doc.args(["doc", "--workspace", "--no-deps", "--locked"]))
        }),
        ("tests", || test::run(&test::Options::default())),
    ];
    let wanted = |title: &str| options.checks.iter().any(|check| check == title);
    if let Some(unknown) = options
        .checks
        .iter()
        .find(|name| checks.iter().all(|(it, _)| it != name))
    {
        bail!("there is no check {unknown:?}, see `cargo xtask ci --help`");
    }
    let mut summary = Vec::new();
    for (title, check) in checks {
        if !options.checks.is_empty() && !wanted(title) {
            continue;
        }
        let (outcome, took) = step::timed(title, check);
        summary.push((title, outcome, took));
    }
    eprintln!();
    let mut failed = Vec::new();
    for (title, outcome, took) in summary {
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        eprintln!("{word:>6}  {:>7.1} s  {title}", took.as_secs_f64());
        if let Err(error) = outcome {
            eprintln!("        {error:#}");
            failed.push(title);
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn cargo(arguments: &[&str]) -> Result<()> {
    step::run(workspace::cargo().args(arguments))
}
