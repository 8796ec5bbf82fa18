//! `cargo xtask ci`: all that must be green before a change is taken.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

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
        summary.push((title, outcome, took, free_space()));
    }
    eprintln!();
    let mut failed = Vec::new();
    for (title, outcome, took, free) in summary {
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        // A full disk fails a check in ways that are hard to read.
        let free = free.map_or_else(|_| "?".to_owned(), |gib| format!("{gib:.1}"));
        let seconds = took.as_secs_f64();
        eprintln!("{word:>6}  {seconds:>7.1} s  {free:>6} GiB free after  {title}");
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

/// What is left on the disk of the workspace, in GiB.
fn free_space() -> Result<f64> {
    let shown = step::output(Command::new("df").arg("-Pk").arg(workspace::root()))?;
    let line = shown.lines().last().context("df printed nothing")?;
    let free = line.split_ascii_whitespace().nth(3);
    let kib: f64 = free.context("df printed no free space")?.parse()?;
    Ok(kib / 1024.0 / 1024.0)
}

fn cargo(arguments: &[&str]) -> Result<()> {
    step::run(workspace::cargo().args(arguments))
}
