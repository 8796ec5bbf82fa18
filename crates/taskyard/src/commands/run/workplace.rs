//! The folders of one `taskyard run`.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use taskyard_client::slugid;

/// Where a build keeps its database, its tasks' folders, and what it leaves behind.
#[derive(Debug)]
pub(super) struct Workplace {
    /// Made for this run; what lies in it and is not asked for is removed at the end.
    temporary: PathBuf,
    data: PathBuf,
    work: PathBuf,
    output: PathBuf,
}

impl Workplace {
    /// Makes the folders: those that the user did not name in a new temporary one.
    ///
    /// # Errors
    /// When a folder cannot be made.
    pub(super) fn create(data: Option<&Path>, output: Option<&Path>) -> anyhow::Result<Self> {
        let unique: String = slugid::nice().chars().take(12).collect();
        let temporary = std::env::temp_dir().join(format!("taskyard-run-{unique}"));
        // Other users of the machine have no business with what tasks do.
        DirBuilder::new()
            .mode(0o700)
            .create(&temporary)
            .with_context(|| format!("cannot make the folder {}", temporary.display()))?;
        let workplace = Self {
            data: data.map_or_else(|| temporary.join("data"), Path::to_owned),
            work: temporary.join("work"),
            output: output.map_or_else(|| temporary.join("output"), Path::to_owned),
            temporary,
        };
        for folder in [&workplace.data, &workplace.work, &workplace.output] {
            if let Err(error) = fs::create_dir_all(folder) {
                workplace.clean_up();
                let folder = folder.display();
                return Err(error).with_context(|| format!("cannot make the folder {folder}"));
            }
        }
        Ok(workplace)
    }

    /// The server's database and artifacts.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// Tasks run below it.
    pub(super) fn work(&self) -> &Path {
        &self.work
    }

    /// Logs and artifacts for the user.
    pub(super) fn output(&self) -> &Path {
        &self.output
    }

    /// Removes everything that the user was not promised.
    pub(super) fn clean_up(&self) {
        for folder in [&self.data, &self.work] {
            if folder.starts_with(&self.temporary)
                && let Err(error) = fs::remove_dir_all(folder)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(%error, folder = %folder.display(), "cannot remove a temporary folder");
            }
        }
        // These stay when there is something in them.
        if self.output.starts_with(&self.temporary) {
            let _ = fs::remove_dir(&self.output);
        }
        let _ = fs::remove_dir(&self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_output_outlives_a_run() {
        let workplace = Workplace::create(None, None).unwrap();
        fs::write(workplace.data().join("db"), "x").unwrap();
        fs::write(workplace.output().join("log"), "x").unwrap();
        workplace.clean_up();
        assert!(!workplace.data().exists() && !workplace.work().exists());
        assert!(workplace.output().join("log").exists());
        fs::remove_dir_all(&workplace.temporary).unwrap();
    }

    #[test]
    fn a_run_that_left_nothing_behind_leaves_no_folder() {
        let workplace = Workplace::create(None, None).unwrap();
        workplace.clean_up();
        assert!(!workplace.temporary.exists());
    }

    #[test]
    fn folders_that_the_user_named_stay() {
        let mine = tempfile::tempdir().unwrap();
        let (data, output) = (mine.path().join("data"), mine.path().join("output"));
        let workplace = Workplace::create(Some(&data), Some(&output)).unwrap();
        workplace.clean_up();
        assert!(data.exists() && output.exists() && !workplace.temporary.exists());
    }
}
