//! What is said when a build has ended.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::standing::{Standing, State};
use crate::build_file::BuildFile;
use crate::build_file::duration::short;

/// How a task ended and what it left behind.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// Where it stands.
    pub(crate) standing: Standing,
    /// The logs of its runs.
    pub(crate) logs: Vec<RunLog>,
    /// Its artifacts, as files of this machine.
    pub(crate) artifacts: Vec<PathBuf>,
    /// What could not be had, in a sentence each.
    pub(crate) notes: Vec<String>,
    /// The last lines of its log, shown when it did not complete.
    pub(crate) tail: Vec<String>,
}

/// The log of one run.
#[derive(Debug, Clone)]
pub(crate) struct RunLog {
    /// The file.
    pub(crate) path: PathBuf,
    /// How the run ended, in the queue's word.
    pub(crate) ended: String,
}

/// The whole summary; `took` is how long the build took. `outcomes` go by the tasks' positions.
pub(crate) fn summary(build: &BuildFile, outcomes: &[Outcome], took: Duration) -> String {
    let width = build
        .tasks
        .iter()
        .map(|task| task.id.len())
        .max()
        .unwrap_or(0);
    let completed = outcomes
        .iter()
        .filter(|outcome| outcome.standing.state == State::Completed)
        .count();
    let mut text = format!(
        "\n{}: {completed} of {} tasks completed in {}\n",
        build.name,
        outcomes.len(),
        short(took)
    );
    for (task, outcome) in build.tasks.iter().zip(outcomes) {
        let id = &task.id;
        let Standing { state, runs, took } = &outcome.standing;
        let took = took.map(short).unwrap_or_default();
        let ended = match state {
            State::Waiting | State::Ready | State::Running => "not finished".to_owned(),
            State::Completed => "completed".to_owned(),
            State::Failed => "failed".to_owned(),
            State::Broken(reason) => reason.clone(),
            State::Skipped(culprit) => format!("skipped (needs {})", build.tasks[*culprit].id),
            State::Canceled => "canceled".to_owned(),
        };
        let retried = match runs {
            0 | 1 => String::new(),
            _ => format!("  {runs} runs"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "\n  {}",
            format!("{id:width$}  {ended:<10} {took:>7}{retried}").trim_end()
        );
        for log in &outcome.logs {
            let ended = match log.ended.as_str() {
                "completed" => String::new(),
                ended => format!("  ({ended})"),
            };
            let _ = writeln!(text, "    log       {}{ended}", log.path.display());
        }
        for artifact in &outcome.artifacts {
            let _ = writeln!(text, "    artifact  {}", artifact.display());
        }
        for note in &outcome.notes {
            let _ = writeln!(text, "    note      {note}");
        }
        for line in &outcome.tail {
            let _ = writeln!(text, "      | {line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::build_file::Task;

    fn task(id: &str) -> Task {
        Task {
            id: id.to_owned(),
            description: String::new(),
            command: Vec::new(),
            needs: Vec::new(),
            env: BTreeMap::new(),
            timeout: Duration::ZERO,
            retries: 0,
            retry_on: Vec::new(),
            artifacts: Vec::new(),
            inputs: Vec::new(),
            priority: crate::build_file::Priority::default(),
        }
    }

    fn outcome(state: State, runs: usize, took: Option<u64>) -> Outcome {
        let took = took.map(Duration::from_millis);
        Outcome {
            standing: Standing { state, runs, took },
            logs: Vec::new(),
            artifacts: Vec::new(),
            notes: Vec::new(),
            tail: Vec::new(),
        }
    }

    fn log(path: &str, ended: &str) -> RunLog {
        RunLog {
            path: PathBuf::from(path),
            ended: ended.to_owned(),
        }
    }

    #[test]
    fn each_task_has_its_ending_its_logs_and_what_it_left_behind() {
        let build = BuildFile {
            name: "demo".to_owned(),
            path: PathBuf::from("/src/build.yml"),
            source_dir: PathBuf::from("/src"),
            tasks: ["make", "test", "pack"].map(task).into(),
        };
        let mut made = outcome(State::Completed, 2, Some(1240));
        made.logs = vec![
            log("/o/0.log", "intermittent-task"),
            log("/o/1.log", "completed"),
        ];
        made.artifacts = vec![PathBuf::from("/o/hello")];
        let mut failed = outcome(State::Failed, 1, Some(52));
        failed.logs = vec![log("/o/test.log", "failed")];
        failed.notes = vec!["no report".to_owned()];
        failed.tail = vec!["it is wrong".to_owned()];
        let skipped = outcome(State::Skipped(1), 0, None);
        assert_eq!(
            summary(&build, &[made, failed, skipped], Duration::from_secs(75)),
            "
demo: 1 of 3 tasks completed in 1m15s

  make  completed     1.2s  2 runs
    log       /o/0.log  (intermittent-task)
    log       /o/1.log
    artifact  /o/hello

  test  failed       0.05s
    log       /o/test.log  (failed)
    note      no report
      | it is wrong

  pack  skipped (needs test)
"
        );
    }
}
