//! Where a run stands on disk.

use std::{
    io,
    path::{Path, PathBuf},
};

use taskyard_client::slugid;

use crate::Keep;

/// The folder in which runs get theirs, made where it is missing; its path from the root.
pub(crate) async fn of_all_runs(work_dir: &Path) -> io::Result<PathBuf> {
    tokio::fs::create_dir_all(work_dir).await?;
    tokio::fs::canonicalize(work_dir).await
}

/// The folders of one run, `<work_dir>/<taskId>/<runId>/…`.
#[derive(Debug)]
pub(crate) struct RunDirectory {
    root: PathBuf,
    keep: Keep,
}

// === impl RunDirectory ===

impl RunDirectory {
    /// Makes the folders, empty even if a former attempt has left something there.
    pub(crate) async fn create(
        work_dir: &Path,
        task_id: &str,
        run_id: u32,
        keep: Keep,
    ) -> io::Result<Self> {
        // The id becomes part of a path that is removed, so it has to be what it should be.
        if !slugid::is_valid(task_id) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the task id is not one",
            ));
        }
        let root = work_dir.join(task_id).join(run_id.to_string());
        remove(&root).await?;
        let directory = Self { root, keep };
        for folder in [directory.work(), directory.temporary()] {
            tokio::fs::create_dir_all(folder).await?;
        }
        Ok(directory)
    }

    /// Where its commands start.
    pub(crate) fn work(&self) -> PathBuf {
        self.root.join("task")
    }

    /// Its `TMPDIR`.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Its log.
    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("live.log")
    }

    /// Removes what is not to be kept.
    pub(crate) async fn clean_up(&self) {
        let gone = match self.keep {
            Keep::Everything => Vec::new(),
            Keep::Logs => vec![self.work(), self.temporary()],
            Keep::Nothing => vec![self.root.clone()],
        };
        for folder in gone {
            if let Err(error) = remove(&folder).await {
                tracing::warn!(folder = %folder.display(), %error, "cannot remove a task's folder");
            }
        }
        if self.keep == Keep::Nothing
            && let Some(task) = self.root.parent()
        {
            // Fails as long as other runs of the task have something there.
            let _ = tokio::fs::remove_dir(task).await;
        }
    }
}

async fn remove(folder: &Path) -> io::Result<()> {
    match tokio::fs::remove_dir_all(folder).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = "fN1SbArXTPSVFNUvaOlinQ";

    #[tokio::test]
    async fn a_second_attempt_starts_empty_and_leaves_its_log() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let run = RunDirectory::create(folder.path(), TASK, 0, Keep::Logs)
                .await
                .unwrap();
            assert_eq!(std::fs::read_dir(run.work()).unwrap().count(), 0);
            std::fs::write(run.work().join("left"), "behind").unwrap();
            std::fs::write(run.log(), "log").unwrap();
        }
        let run = RunDirectory {
            root: folder.path().join(TASK).join("0"),
            keep: Keep::Logs,
        };
        run.clean_up().await;
        assert!(run.log().exists() && !run.work().exists());
    }

    #[tokio::test]
    async fn an_id_that_would_leave_the_work_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = RunDirectory::create(folder.path(), "..", 0, Keep::Logs).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[tokio::test]
    async fn nothing_is_left_when_nothing_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDirectory::create(folder.path(), TASK, 0, Keep::Nothing)
            .await
            .unwrap();
        run.clean_up().await;
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
