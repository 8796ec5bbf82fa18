//! Keeping what a task leaves behind.

use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use futures_util::{StreamExt, stream};
use taskyard_client::{
    Content, Error, Timestamp,
    taskcluster::{ArtifactRequest, Queue},
};
use tempfile::NamedTempFile;

use crate::{
    claim::Held,
    fault::Fault,
    log::{TaskLog, Tone},
    payload::{Artifact, ArtifactKind, check_name},
};

/// Files uploaded at once.
const PARALLEL: usize = 4;

/// Most files of one directory.
const MAX_FILES: usize = 10_000;

/// Media types by extension; everything else is bytes.
const CONTENT_TYPES: [(&str, &str); 22] = [
    ("bz2", "application/x-bzip2"),
    ("c", "text/plain; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("html", "text/html; charset=utf-8"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("log", "text/plain; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("xml", "application/xml"),
    ("xz", "application/x-xz"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
];

/// One file on its way to the queue.
struct Upload {
    name: String,
    path: PathBuf,
    content_type: String,
    /// Where it is compressed before it is sent, if it is.
    compressed_in: Option<PathBuf>,
    expires: Timestamp,
}

/// Where a run's files are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Folders<'a> {
    /// The task's own, which artifacts are found below.
    pub(crate) work: &'a Path,
    /// For what is needed for a moment.
    pub(crate) temporary: &'a Path,
}

/// Uploads all `artifacts` of a run, even if some fail, and returns the first fault.
pub(crate) async fn upload_all(
    artifacts: &[Artifact],
    folders: Folders<'_>,
    task_expires: Timestamp,
    held: &Held,
    log: &TaskLog,
) -> Result<(), Fault> {
    let mut outcome = Ok(());
    for artifact in artifacts {
        let expires = artifact.expires.unwrap_or(task_expires);
        let uploaded = upload_one(artifact, folders, expires, held, log).await;
        outcome = outcome.and(uploaded);
    }
    outcome
}

async fn upload_one(
    artifact: &Artifact,
    folders: Folders<'_>,
    expires: Timestamp,
    held: &Held,
    log: &TaskLog,
) -> Result<(), Fault> {
    let path = folders.work.join(&artifact.path);
    match find(artifact, &path, log).await {
        Ok(files) => {
            let uploads = files.into_iter().map(|(name, path)| {
                let content_type = artifact
                    .content_type
                    .clone()
                    .unwrap_or_else(|| content_type(&path).to_owned());
                upload(
                    Upload {
                        name,
                        path,
                        content_type,
                        compressed_in: artifact.gzip.then(|| folders.temporary.to_owned()),
                        expires,
                    },
                    held,
                    log,
                )
            });
            let outcomes: Vec<Result<(), Fault>> =
                stream::iter(uploads).buffered(PARALLEL).collect().await;
            outcomes.into_iter().collect()
        }
        Err(missing) if artifact.optional && missing.reason == Missing::ABSENT => {
            log.info(&format!(
                "Artifact `{}` is not there: {}",
                artifact.name, missing.message
            ))
            .await;
            Ok(())
        }
        Err(missing) => record_missing(&artifact.name, expires, &missing, held, log).await,
    }
}

/// Records an artifact that should have been there, and fails the task.
async fn record_missing(
    name: &str,
    expires: Timestamp,
    missing: &Missing,
    held: &Held,
    log: &TaskLog,
) -> Result<(), Fault> {
    let text = format!("artifact `{name}` cannot be kept: {}", missing.message);
    log.note(Tone::Error, &text).await;
    let request = ArtifactRequest::Error {
        expires,
        reason: missing.reason.to_owned(),
        message: missing.message.clone(),
    };
    held.queue()
        .create_artifact(held.task_id(), held.run_id(), name, &request)
        .await
        .map_err(|error| Fault::artifact_refused(name, &error))?;
    Err(Fault::failed(text))
}

async fn upload(upload: Upload, held: &Held, log: &TaskLog) -> Result<(), Fault> {
    log.info(&format!("Uploading artifact {}", upload.name))
        .await;
    let queue = held.queue();
    let outcome = if let Some(folder) = &upload.compressed_in {
        put_compressed(&queue, held, &upload, folder).await
    } else {
        let content_type = &upload.content_type;
        let (name, expires) = (&upload.name, upload.expires);
        put_file(&queue, held, name, content_type, expires, &upload.path).await
    };
    if let Err(fault) = &outcome {
        log.note(Tone::Error, &fault.message).await;
    }
    outcome
}

/// As [`put_file`], with the file compressed on the way. Its compressed length must be known before
/// it is sent, so it is first written to a temporary file.
async fn put_compressed(
    queue: &Queue,
    held: &Held,
    upload: &Upload,
    folder: &Path,
) -> Result<(), Fault> {
    let (path, folder) = (upload.path.clone(), folder.to_owned());
    let compressed = tokio::task::spawn_blocking(move || compress(&path, &folder))
        .await
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(|error| {
            Fault::failed(format!(
                "artifact `{}` cannot be compressed: {error}",
                upload.name
            ))
        })?;
    send(
        queue,
        held,
        &upload.name,
        (&upload.content_type, Some("gzip")),
        upload.expires,
        &upload.path,
        compressed.path(),
    )
    .await
}

/// A temporary file in `folder` with the bytes of `path` compressed.
fn compress(path: &Path, folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut input = std::fs::File::open(path)?;
    let file = NamedTempFile::new_in(folder)?;
    let mut encoder = GzEncoder::new(file, Compression::default());
    std::io::copy(&mut input, &mut encoder)?;
    encoder.finish()
}

/// Creates the artifact `name` and sends the file's bytes.
pub(crate) async fn put_file(
    queue: &Queue,
    held: &Held,
    name: &str,
    content_type: &str,
    expires: Timestamp,
    path: &Path,
) -> Result<(), Fault> {
    send(queue, held, name, (content_type, None), expires, path, path).await
}

/// Creates an artifact of the bytes at `path` and sends those at `sent`, which are encoded.
async fn send(
    queue: &Queue,
    held: &Held,
    name: &str,
    (content_type, encoding): (&str, Option<&str>),
    expires: Timestamp,
    path: &Path,
    sent: &Path,
) -> Result<(), Fault> {
    let length = tokio::fs::metadata(path).await.map(|data| data.len()).ok();
    let request = ArtifactRequest::S3 {
        expires,
        content_type: content_type.to_owned(),
        content_length: length,
    };
    let made = queue
        .create_artifact(held.task_id(), held.run_id(), name, &request)
        .await
        .map_err(|error| Fault::artifact_refused(name, &error))?;
    let Some(put_url) = made.put_url else {
        let error = Error::Decode("it names no upload address".to_owned());
        return Err(Fault::upload_failed(name, &error));
    };
    // The server may have kept the type of an earlier attempt, and the address is bound to it.
    let content_type = made.content_type.as_deref().unwrap_or(content_type);
    queue
        .upload_artifact(
            &put_url,
            content_type,
            encoding,
            &Content::File(sent.to_owned()),
        )
        .await
        .map_err(|error| Fault::upload_failed(name, &error))
}

/// Why an artifact cannot be kept.
#[derive(Debug, PartialEq, Eq)]
struct Missing {
    /// As error artifacts name it.
    reason: &'static str,
    message: String,
}

impl Missing {
    const ABSENT: &'static str = "file-missing-on-worker";
    const INVALID: &'static str = "invalid-resource-on-worker";
    const UNREADABLE: &'static str = "file-not-readable-on-worker";
    const TOO_LARGE: &'static str = "too-large-file-on-worker";

    fn new(reason: &'static str, message: String) -> Self {
        Self { reason, message }
    }

    fn from_io(path: &Path, error: &std::io::Error) -> Self {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Self::ABSENT,
            _ => Self::UNREADABLE,
        };
        Self::new(reason, format!("{}: {error}", path.display()))
    }
}

/// The files that an artifact means, each with its name.
async fn find(
    artifact: &Artifact,
    path: &Path,
    log: &TaskLog,
) -> Result<Vec<(String, PathBuf)>, Missing> {
    let metadata = tokio::fs::metadata(path)
        .await
        .map_err(|error| Missing::from_io(path, &error))?;
    match artifact.kind {
        ArtifactKind::File if metadata.is_file() => {
            Ok(vec![(artifact.name.clone(), path.to_owned())])
        }
        ArtifactKind::Directory if metadata.is_dir() => walk(&artifact.name, path, log).await,
        kind => {
            let wanted = match kind {
                ArtifactKind::File => "a file",
                ArtifactKind::Directory => "a directory",
            };
            let message = format!("{} is not {wanted}", artifact.path.display());
            Err(Missing::new(Missing::INVALID, message))
        }
    }
}

/// Every file below `root`, in order of their names. Links are not followed out of the tree:
/// links to directories and special files are left out, with a note.
async fn walk(name: &str, root: &Path, log: &TaskLog) -> Result<Vec<(String, PathBuf)>, Missing> {
    let mut files = Vec::new();
    let mut folders = vec![(name.trim_end_matches('/').to_owned(), root.to_owned())];
    while let Some((prefix, folder)) = folders.pop() {
        let unreadable = |error| Missing::from_io(&folder, &error);
        let mut entries = tokio::fs::read_dir(&folder).await.map_err(unreadable)?;
        while let Some(entry) = entries.next_entry().await.map_err(unreadable)? {
            let path = entry.path();
            let Some(part) = entry.file_name().to_str().map(str::to_owned) else {
                let message = format!("{} has a name that is not text", path.display());
                return Err(Missing::new(Missing::INVALID, message));
            };
            let name = format!("{prefix}/{part}");
            check_name("an artifact's name", &name)
                .map_err(|message| Missing::new(Missing::INVALID, message))?;
            let kind = entry.file_type().await.map_err(unreadable)?;
            if kind.is_dir() {
                folders.push((name, path));
            } else if kind.is_file() || tokio::fs::metadata(&path).await.is_ok_and(|m| m.is_file())
            {
                files.push((name, path));
            } else {
                let text = format!("{} is neither file nor directory: left out", path.display());
                log.note(Tone::Warning, &text).await;
            }
            if files.len() > MAX_FILES {
                let message = format!("{} holds more than {MAX_FILES} files", root.display());
                return Err(Missing::new(Missing::TOO_LARGE, message));
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The media type of a file, by its extension.
pub(crate) fn content_type(path: &Path) -> &'static str {
    let extension = path
        .extension()
        .and_then(|text| text.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    CONTENT_TYPES
        .iter()
        .find(|(known, _)| *known == extension)
        .map_or("application/octet-stream", |(_, content_type)| content_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(kind: ArtifactKind, path: &str) -> Artifact {
        Artifact {
            kind,
            path: path.into(),
            name: format!("public/{path}"),
            expires: None,
            content_type: None,
            gzip: false,
            optional: false,
        }
    }

    #[tokio::test]
    async fn a_directory_stands_for_every_file_below_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("out/deep")).unwrap();
        for file in ["out/b", "out/deep/a", "out/a"] {
            std::fs::write(root.join(file), file).unwrap();
        }
        std::os::unix::fs::symlink(root, root.join("out/loop")).unwrap();
        let log = TaskLog::create(&root.join("log"), 100).await.unwrap();
        let found = find(
            &artifact(ArtifactKind::Directory, "out"),
            &root.join("out"),
            &log,
        )
        .await
        .unwrap();
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["public/out/a", "public/out/b", "public/out/deep/a"]);
        assert!(
            std::fs::read_to_string(log.path())
                .unwrap()
                .contains("loop")
        );
    }

    #[tokio::test]
    async fn what_is_not_there_or_of_the_wrong_kind_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let log = TaskLog::create(&folder.path().join("log"), 100)
            .await
            .unwrap();
        let reason = async |kind, path: &str| {
            find(&artifact(kind, path), &folder.path().join(path), &log)
                .await
                .unwrap_err()
                .reason
        };
        assert_eq!(
            reason(ArtifactKind::File, "none").await,
            "file-missing-on-worker"
        );
        assert_eq!(
            reason(ArtifactKind::File, "").await,
            "invalid-resource-on-worker"
        );
        assert_eq!(
            reason(ArtifactKind::Directory, "log").await,
            "invalid-resource-on-worker"
        );
        assert_eq!(
            reason(ArtifactKind::File, "log/below").await,
            "file-missing-on-worker"
        );
    }

    #[test]
    fn what_is_compressed_can_be_read_again() {
        use std::io::Read as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        let text = "again and again ".repeat(10_000);
        std::fs::write(&path, &text).unwrap();
        let compressed = compress(&path, folder.path()).unwrap();
        assert!(compressed.as_file().metadata().unwrap().len() < 10_000);
        let mut read = String::new();
        let file = std::fs::File::open(compressed.path()).unwrap();
        flate2::read::GzDecoder::new(file)
            .read_to_string(&mut read)
            .unwrap();
        assert_eq!(read, text);
        let gone = compressed.path().to_owned();
        drop(compressed);
        assert!(!gone.exists());
    }

    #[test]
    fn media_types_follow_the_extension() {
        assert_eq!(
            content_type(Path::new("a/b.TXT")),
            "text/plain; charset=utf-8"
        );
        assert_eq!(content_type(Path::new("a/b")), "application/octet-stream");
    }
}
