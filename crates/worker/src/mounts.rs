//! Files put in place before the first command.

use std::{fmt::Write as _, path::Path};

use aws_lc_rs::digest::{Context, SHA256};
use taskyard_client::{Error, taskcluster::Queue};
use tokio::{fs::File, io::AsyncReadExt};

use crate::{
    fault::Fault,
    log::TaskLog,
    payload::{Mount, MountContent},
};

/// Size of the pieces in which a file is digested.
const CHUNK_BYTES: usize = 64 << 10;

/// Puts all `mounts` below `directory`. Downloads use the rights of `queue`, which are the task's.
pub(crate) async fn prepare(
    mounts: &[Mount],
    directory: &Path,
    queue: &Queue,
    log: &TaskLog,
) -> Result<(), Fault> {
    for mount in mounts {
        let path = directory.join(&mount.file);
        let failed = |reason: String| {
            Fault::failed(format!("cannot mount {}: {reason}", mount.file.display()))
        };
        if let Some(parent) = path.parent() {
            tokio::fs::create_dir_all(parent)
                .await
                .map_err(|error| failed(error.to_string()))?;
        }
        let digest = match &mount.content {
            MountContent::Bytes(bytes) => {
                tokio::fs::write(&path, bytes)
                    .await
                    .map_err(|error| failed(error.to_string()))?;
                None
            }
            MountContent::Artifact {
                task_id,
                artifact,
                sha256,
            } => {
                log.info(&format!("Fetching {artifact} of task {task_id}"))
                    .await;
                queue
                    .download_artifact_to_file(task_id, None, artifact, &path)
                    .await
                    .map_err(|error: Error| failed(error.to_string()))?;
                sha256.as_deref()
            }
            MountContent::Url { url, sha256 } => {
                log.info(&format!("Fetching {}", without_query(url))).await;
                queue
                    .service()
                    .download_to_file(url, &path)
                    .await
                    .map_err(|error| failed(error.to_string()))?;
                sha256.as_deref()
            }
        };
        if let Some(wanted) = digest {
            let found = sha256(&path)
                .await
                .map_err(|error| failed(error.to_string()))?;
            if found != wanted {
                return Err(failed(format!("its SHA-256 is {found}, not {wanted}")));
            }
        }
    }
    Ok(())
}

/// An address without its query, which may be a secret.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// The digest of a file, in lower-case hex.
async fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path).await?;
    let mut context = Context::new(&SHA256);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk).await? {
            0 => break,
            length => context.update(&chunk[..length]),
        }
    }
    let mut hex = String::new();
    for byte in context.finish().as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

#[cfg(test)]
mod tests {
    use taskyard_client::Options;

    use super::*;

    #[tokio::test]
    async fn inline_content_is_written_below_new_folders() {
        let folder = tempfile::tempdir().unwrap();
        let log = TaskLog::create(&folder.path().join("log"), 100)
            .await
            .unwrap();
        let queue = Queue::new(Options::new("http://127.0.0.1:9")).unwrap();
        let mount = Mount {
            file: "a/b/c".into(),
            content: MountContent::Bytes(b"hi".to_vec()),
        };
        prepare(&[mount], folder.path(), &queue, &log)
            .await
            .unwrap();
        assert_eq!(std::fs::read(folder.path().join("a/b/c")).unwrap(), b"hi");
    }

    #[tokio::test]
    async fn the_digest_of_a_file_is_its_sha256() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(
            sha256(&path).await.unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
