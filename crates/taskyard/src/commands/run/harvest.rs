//! What a build leaves behind: logs and artifacts, fetched from the server into a folder.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use taskyard_client::taskcluster::{Artifact, Queue, Run, TaskStatus};

use crate::build_file::{BuildFile, Task};
use crate::progress::{Outcome, RunLog, Standing, State};

/// Where the worker puts a run's whole log.
const LOG: &str = "public/logs/live_backing.log";
/// Logs and their aliases; no artifact of a build file lies there.
const LOGS: &str = "public/logs/";
/// Lines of its log that are shown of a task that did not complete.
const TAIL_LINES: usize = 20;
/// These lines are looked for in so many bytes at the end of the log.
const TAIL_BYTES: u64 = 16 * 1024;

/// Fetches everything that the tasks left behind into `output`, one folder a task.
/// `standings` and `statuses` go by the tasks' positions in the file.
///
/// # Errors
/// When a folder cannot be made. What the server cannot deliver becomes a note of its task.
pub(super) async fn harvest(
    queue: &Queue,
    build: &BuildFile,
    standings: Vec<Standing>,
    statuses: &[Option<TaskStatus>],
    output: &Path,
) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(standings.len());
    for ((task, standing), status) in build.tasks.iter().zip(standings).zip(statuses) {
        let mut outcome = Outcome {
            standing,
            logs: Vec::new(),
            artifacts: Vec::new(),
            notes: Vec::new(),
            tail: Vec::new(),
        };
        if let Some(status) = status {
            Plot {
                queue,
                task,
                status,
                folder: output.join(&task.id),
            }
            .gather(&mut outcome)
            .await?;
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// One task's part of the harvest.
struct Plot<'a> {
    queue: &'a Queue,
    task: &'a Task,
    status: &'a TaskStatus,
    folder: PathBuf,
}

impl Plot<'_> {
    async fn gather(&self, outcome: &mut Outcome) -> anyhow::Result<()> {
        let last = self.status.runs.last().map(|run| run.run_id);
        for run in self.status.runs.iter().filter(|run| run.started.is_some()) {
            let listed = self
                .queue
                .list_artifacts_all(&self.status.task_id, run.run_id)
                .await;
            let artifacts = match listed {
                Ok(artifacts) => artifacts,
                Err(error) => {
                    outcome
                        .notes
                        .push(format!("cannot list what run {} left: {error}", run.run_id));
                    continue;
                }
            };
            self.log(run, &artifacts, outcome).await?;
            if last == Some(run.run_id) {
                for artifact in artifacts
                    .iter()
                    .filter(|other| !other.name.starts_with(LOGS))
                {
                    self.artifact(run, artifact, outcome).await?;
                }
            }
        }
        if matches!(outcome.standing.state, State::Failed | State::Broken(_))
            && let Some(log) = outcome.logs.last()
        {
            match tail(&log.path) {
                Ok(lines) => outcome.tail = lines,
                Err(error) => outcome.notes.push(format!("cannot read its log: {error}")),
            }
        }
        Ok(())
    }

    async fn log(
        &self,
        run: &Run,
        artifacts: &[Artifact],
        outcome: &mut Outcome,
    ) -> anyhow::Result<()> {
        let ended = run.reason_resolved.clone().unwrap_or_default();
        if !artifacts.iter().any(|artifact| artifact.name == LOG) {
            outcome
                .notes
                .push(format!("run {} ({ended}) left no log", run.run_id));
            return Ok(());
        }
        let path = self
            .folder
            .join("logs")
            .join(format!("run-{}.log", run.run_id));
        if self.fetch(run, LOG, &path, outcome).await? {
            outcome.logs.push(RunLog { path, ended });
        }
        Ok(())
    }

    async fn artifact(
        &self,
        run: &Run,
        artifact: &Artifact,
        outcome: &mut Outcome,
    ) -> anyhow::Result<()> {
        let name = artifact
            .name
            .strip_prefix("public/")
            .unwrap_or(&artifact.name);
        if artifact.storage_type == "error" {
            outcome.notes.push(format!(
                "the artifact {name} is missing: `{}` did not leave it behind",
                self.task.id
            ));
            return Ok(());
        }
        let Some(path) = inside(&self.folder, name) else {
            outcome.notes.push(format!(
                "the artifact {name} is left on the server: no safe file name"
            ));
            return Ok(());
        };
        if self.fetch(run, &artifact.name, &path, outcome).await? {
            outcome.artifacts.push(path);
        }
        Ok(())
    }

    /// Downloads an artifact; whether it worked.
    async fn fetch(
        &self,
        run: &Run,
        name: &str,
        path: &Path,
        outcome: &mut Outcome,
    ) -> anyhow::Result<bool> {
        let folder = path.parent().unwrap_or(path);
        tokio::fs::create_dir_all(folder)
            .await
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let id = &self.status.task_id;
        match self
            .queue
            .download_artifact_to_file(id, Some(run.run_id), name, path)
            .await
        {
            Ok(_) => Ok(true),
            Err(error) => {
                outcome.notes.push(format!("cannot fetch {name}: {error}"));
                Ok(false)
            }
        }
    }
}

/// The path of `name` below `folder`, unless it would lead elsewhere.
fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let name = Path::new(name);
    let plain = name
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    (plain && name.file_name().is_some()).then(|| folder.join(name))
}

/// The last lines of what a task and its worker have to say about a failure, without what could
/// upset a terminal.
fn tail(path: &Path) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let skipped = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> = text
        .lines()
        // The first line is cut in two when something was skipped.
        .skip(usize::from(skipped > 0))
        // What the worker notes for the record; its errors begin with `[taskcluster:error]`.
        .filter(|line| !line.starts_with("[taskcluster "))
        .map(|line| {
            line.chars()
                .filter(|c| !c.is_control() || *c == '\t')
                .collect()
        })
        .collect();
    Ok(lines[lines.len().saturating_sub(TAIL_LINES)..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_never_leaves_the_folder_of_its_task() {
        let folder = Path::new("/out/a");
        assert_eq!(
            inside(folder, "dist/x.tar.gz"),
            Some(PathBuf::from("/out/a/dist/x.tar.gz"))
        );
        for name in ["../x", "/etc/passwd", "a/../../x", "", "."] {
            assert_eq!(inside(folder, name), None, "{name}");
        }
    }

    #[test]
    fn the_tail_of_a_log_is_its_last_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(
            &path,
            "[taskcluster 2026] x\none\n\u{1b}[31mtwo\tx\n[taskcluster:error] y\n",
        )
        .unwrap();
        assert_eq!(
            tail(&path).unwrap(),
            ["one", "[31mtwo\tx", "[taskcluster:error] y"]
        );

        let long: Vec<String> = (0..10_000).map(|line| format!("line {line}")).collect();
        std::fs::write(&path, long.join("\n")).unwrap();
        let lines = tail(&path).unwrap();
        assert_eq!(lines.len(), TAIL_LINES);
        assert_eq!(lines.first().map(String::as_str), Some("line 9980"));
        assert_eq!(lines.last().map(String::as_str), Some("line 9999"));
    }
}
