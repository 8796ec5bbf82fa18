//! The bytes of artifacts, as files in a folder.
//!
//! A file begins with one line of JSON that says what the bytes are; the bytes follow. It is
//! written beside its place and renamed, so a reader finds all of an upload or none of it.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use taskyard_engine::artifact::Artifact;
use taskyard_engine::timer::ArtifactBytes;
use tokio::fs::{self, File};
use tokio::io::{AsyncBufReadExt, AsyncSeekExt, AsyncWriteExt, BufReader};

/// A folder of artifact files.
#[derive(Debug, Clone)]
pub struct Files {
    folder: PathBuf,
}

/// What is known of an uploaded file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) content_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) content_encoding: Option<String>,
    pub(super) etag: String,
}

/// An upload under way. Dropped before [`Draft::publish`], it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Draft {
    file: File,
    path: Option<PathBuf>,
    target: PathBuf,
}

impl Files {
    /// Keeps files below `folder`, which is made if need be.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub async fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(folder.join("drafts")).await?;
        Ok(Files { folder })
    }

    /// Names are the caller's and may be anything, so a file is called by their hash.
    fn path(&self, task_id: &str, run_id: usize, name: &str) -> PathBuf {
        let digest = digest(&SHA256, format!("{task_id}/{run_id}/{name}").as_bytes());
        let hash = URL_SAFE_NO_PAD.encode(digest);
        let (shelf, rest) = hash.split_at(2);
        self.folder.join(shelf).join(rest)
    }

    /// Begins an upload.
    pub(super) async fn draft(
        &self,
        task_id: &str,
        run_id: usize,
        name: &str,
        upload: &Upload,
    ) -> io::Result<Draft> {
        let target = self.path(task_id, run_id, name);
        let path = self.folder.join("drafts").join(&upload.etag);
        let mut head = serde_json::to_vec(upload).map_err(io::Error::other)?;
        head.push(b'\n');
        // The file and what removes it come into being together: if the sender goes away now, both
        // are dropped.
        let created = tokio::task::spawn_blocking(move || {
            let file = File::from_std(std::fs::File::create_new(&path)?);
            io::Result::Ok(Draft {
                file,
                path: Some(path),
                target,
            })
        });
        let mut draft = created.await.map_err(io::Error::other)??;
        draft.write(&head).await?;
        Ok(draft)
    }

    /// The file of an artifact, at the beginning of its bytes, with their number; `None` if nothing
    /// was uploaded.
    pub(super) async fn read(
        &self,
        task_id: &str,
        run_id: usize,
        name: &str,
    ) -> io::Result<Option<(Upload, File, u64)>> {
        let file = match File::open(self.path(task_id, run_id, name)).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let size = file.metadata().await?.len();
        let mut reader = BufReader::new(file);
        let mut head = Vec::new();
        let start = reader.read_until(b'\n', &mut head).await? as u64;
        let upload = serde_json::from_slice(&head).map_err(io::Error::other)?;
        let mut file = reader.into_inner();
        file.seek(SeekFrom::Start(start)).await?;
        Ok(Some((upload, file, size.saturating_sub(start))))
    }

    /// Removes the remains of uploads that a stopped server did not finish.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub async fn remove_drafts(&self) -> io::Result<()> {
        let mut drafts = fs::read_dir(self.folder.join("drafts")).await?;
        while let Some(draft) = drafts.next_entry().await? {
            fs::remove_file(draft.path()).await?;
        }
        Ok(())
    }
}

impl Draft {
    /// Appends bytes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await
    }

    /// Makes the upload durable and puts it in its place, over an earlier one.
    pub(super) async fn publish(mut self) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        let shelf = self.target.parent().unwrap_or(Path::new(".")).to_owned();
        make_shelf(&shelf).await?;
        if let Some(path) = &self.path {
            fs::rename(path, &self.target).await?;
        }
        self.path = None;
        // The name must survive a power cut too.
        File::open(&shelf).await?.sync_all().await
    }
}

/// Makes a folder for files, so that it survives a power cut.
async fn make_shelf(shelf: &Path) -> io::Result<()> {
    match fs::create_dir(shelf).await {
        Ok(()) => {
            File::open(shelf.parent().unwrap_or(Path::new(".")))
                .await?
                .sync_all()
                .await
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::warn!(%error, path = %path.display(), "an unfinished upload stays behind");
        }
    }
}

impl ArtifactBytes for Files {
    fn remove<'a>(
        &'a self,
        artifact: &'a Artifact,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        let path = self.path(&artifact.task_id, artifact.run_id, &artifact.name);
        Box::pin(async move {
            match fs::remove_file(path).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })
    }
}
