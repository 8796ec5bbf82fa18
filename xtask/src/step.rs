//! One step of a task: a line when it begins, a line with its duration when it ends.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Runs `work` as the step `title` and tells how long it took.
pub(crate) fn step<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let (outcome, _) = timed(title, work);
    outcome
}

/// As [`step`], and hands back the duration as well.
pub(crate) fn timed<T>(title: &str, work: impl FnOnce() -> Result<T>) -> (Result<T>, Duration) {
    eprintln!("==> {title}");
    let begun = Instant::now();
    let outcome = work();
    let took = begun.elapsed();
    let word = if outcome.is_ok() { "ok" } else { "FAILED" };
    eprintln!("<== {title}: {word}, {:.1} s", took.as_secs_f64());
    (outcome, took)
}

/// Runs a program whose output the developer should see. Fails when it exits with anything but 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command
        .status()
        .with_context(|| format!("could not start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Runs a program quietly and returns its standard output. When it fails, the error carries all it
/// printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not start `{shown}`"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}` ended with {}\n{stdout}{stderr}", output.status);
    }
    Ok(stdout)
}

/// The command line as one would type it, for messages.
fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}
