//! The live part: a line a task on a terminal, a line an event elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::standing::{Standing, State};
use crate::build_file::BuildFile;
use crate::build_file::duration::short;

/// Shows how the tasks of one build are going.
#[derive(Debug)]
pub(crate) struct Display {
    began: Instant,
    /// Width of the longest task name.
    width: usize,
    names: Vec<String>,
    needs: Vec<Vec<usize>>,
    last: Vec<Shown>,
    /// One bar a task; empty when the output is no terminal.
    bars: Vec<ProgressBar>,
    /// Keeps the bars together.
    _together: Option<MultiProgress>,
}

/// What was last seen of a task, and when it became so.
#[derive(Debug, Clone)]
struct Shown {
    state: State,
    runs: usize,
    since: Instant,
}

impl Display {
    /// Shows a build on the standard output. `now` is when the build began.
    pub(crate) fn new(build: &BuildFile, now: Instant) -> Self {
        let names: Vec<String> = build.tasks.iter().map(|task| task.id.clone()).collect();
        let width = names.iter().map(String::len).max().unwrap_or(0);
        let together = std::io::stdout()
            .is_terminal()
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stdout()));
        let bars = together.iter().flat_map(|together| {
            names.iter().map(|name| {
                let bar = together.add(ProgressBar::new_spinner());
                bar.set_style(style(&State::Waiting));
                bar.set_prefix(format!("{name:width$} "));
                bar.enable_steady_tick(Duration::from_millis(100));
                bar
            })
        });
        let waiting = Shown {
            state: State::Waiting,
            runs: 0,
            since: now,
        };
        Self {
            began: now,
            width,
            last: vec![waiting; names.len()],
            needs: build.tasks.iter().map(|task| task.needs.clone()).collect(),
            bars: bars.collect(),
            names,
            _together: together,
        }
    }

    /// Shows where the tasks stand at the moment `now`.
    pub(crate) fn update(&mut self, standings: &[Standing], now: Instant) {
        for (at, standing) in standings.iter().enumerate() {
            let Standing { state, runs, .. } = standing;
            let last = &self.last[at];
            // Canceling gives a skipped task a run, which is nothing to tell.
            let changed = last.state != *state || (last.runs != *runs && !state.is_final());
            if changed {
                self.last[at] = Shown {
                    state: state.clone(),
                    runs: *runs,
                    since: now,
                };
            }
            let words = self.words(at, standing, standings, now);
            match self.bars.get(at) {
                Some(bar) if bar.is_finished() => {}
                Some(bar) => {
                    bar.set_message(words);
                    if changed {
                        bar.set_style(style(state));
                    }
                    if state.is_final() {
                        bar.finish();
                    }
                }
                None if changed => {
                    let at_time = short(now.duration_since(self.began));
                    let name = &self.names[at];
                    let width = self.width;
                    // Nobody is left to tell when the standard output is gone.
                    let _ = writeln!(std::io::stdout(), "{at_time:>7}  {name:width$}  {words}");
                }
                None => {}
            }
        }
    }

    /// Stops drawing and leaves the last lines where they are.
    pub(crate) fn end(self) {
        for bar in &self.bars {
            if !bar.is_finished() {
                bar.abandon();
            }
        }
    }

    fn words(&self, at: usize, standing: &Standing, all: &[Standing], now: Instant) -> String {
        let Standing { state, runs, took } = standing;
        let again = if *runs > 1 {
            format!(", run {runs}")
        } else {
            String::new()
        };
        let in_all = if *runs > 1 {
            format!(" in {runs} runs")
        } else {
            String::new()
        };
        let took = took
            .map(|took| format!(" after {}", short(took)))
            .unwrap_or_default();
        match state {
            State::Waiting => {
                let open: Vec<&str> = self.needs[at]
                    .iter()
                    .filter(|need| all[**need].state != State::Completed)
                    .map(|need| self.names[*need].as_str())
                    .collect();
                if open.is_empty() {
                    "waits to be scheduled".to_owned()
                } else {
                    format!("waits for {}", open.join(", "))
                }
            }
            State::Ready => format!("ready{again}"),
            State::Running if self.bars.is_empty() => format!("running{again}"),
            State::Running => {
                format!(
                    "running {}{again}",
                    short(now.duration_since(self.last[at].since))
                )
            }
            State::Completed => format!("completed{took}{in_all}"),
            State::Failed => format!("failed{took}{in_all}"),
            State::Broken(reason) => format!("broken off{took}{in_all}: {reason}"),
            State::Skipped(culprit) => format!("skipped, needs {}", self.names[*culprit]),
            State::Canceled => format!("canceled{took}"),
        }
    }
}

/// How a line looks: only what runs spins.
fn style(state: &State) -> ProgressStyle {
    let template = match state {
        State::Waiting | State::Ready => "· {prefix} {msg:.dim}",
        State::Running => "{spinner:.cyan} {prefix:.cyan} {msg}",
        State::Completed => "✔ {prefix:.green} {msg}",
        State::Failed | State::Broken(_) => "✘ {prefix:.red} {msg}",
        State::Skipped(_) | State::Canceled => "- {prefix:.yellow} {msg}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
