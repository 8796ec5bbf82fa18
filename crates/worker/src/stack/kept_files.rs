//! Files that a job leaves behind, found by patterns and uploaded.

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use taskyard_client::stacks::agent::{NewArtifact, TakenJob};
use tokio::{fs::File, io::AsyncReadExt as _};

use super::{pattern, wishes::Wishes};
use crate::{
    artifacts::content_type,
    log::{TaskLog, Tone},
};

/// Most files that one job leaves behind.
const MAX_FILES: usize = 10_000;
/// Most files that are looked at.
const MAX_SEEN: usize = 100_000;
/// Size of the pieces in which files are digested.
const CHUNK_BYTES: usize = 64 << 10;

/// Uploads every file below `directory` that is wished for, and tells the log about it.
pub(super) async fn upload(
    job: &TakenJob,
    wishes: &Wishes,
    directory: &Path,
    log: &TaskLog,
) -> Result<(), String> {
    let patterns = wishes.artifact_paths.as_slice();
    if patterns.is_empty() {
        return Ok(());
    }
    let (root, wanted) = (directory.to_owned(), wishes.artifact_paths.clone());
    let found = tokio::task::spawn_blocking(move || find(&root, &wanted))
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|error| format!("cannot look for artifacts: {error}"))?;
    for pattern in patterns {
        if !found.iter().any(|(_, by)| by == pattern) {
            log.note(Tone::Warning, &format!("no file fits `{pattern}`"))
                .await;
        }
    }
    let mut artifacts = Vec::with_capacity(found.len());
    for (path, glob_path) in found {
        let absolute_path = directory.join(&path);
        let digest = digest(&absolute_path).await;
        let (file_size, sha1sum, sha256sum) =
            digest.map_err(|error| format!("cannot read the artifact {path}: {error}"))?;
        log.info(&format!("Uploading {path} ({file_size} bytes)"))
            .await;
        artifacts.push(NewArtifact {
            content_type: content_type(&absolute_path).to_owned(),
            path: format!("{}{path}", wishes.artifact_prefix),
            absolute_path,
            glob_path,
            file_size,
            sha1sum,
            sha256sum,
        });
    }
    job.upload(&artifacts)
        .await
        .map_err(|error| format!("cannot upload artifacts: {error}"))
}

/// Paths below `root` with the first pattern that each fits.
fn find(root: &Path, patterns: &[String]) -> io::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            seen += 1;
            if seen > MAX_SEEN {
                let text = format!("there are more than {MAX_SEEN} files");
                return Err(io::Error::other(text));
            }
            let path = folder.join(entry.file_name());
            // Links are not followed: they could lead anywhere.
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let Some(text) = path.to_str().filter(|_| kind.is_file()) else {
                continue;
            };
            if let Some(by) = patterns.iter().find(|by| pattern::matches(by, text)) {
                found.push((text.to_owned(), by.clone()));
            }
        }
    }
    if found.len() > MAX_FILES {
        let text = format!("{} files are more than {MAX_FILES}", found.len());
        return Err(io::Error::other(text));
    }
    found.sort_unstable();
    Ok(found)
}

/// Length and digests of a file.
async fn digest(path: &Path) -> io::Result<(u64, String, String)> {
    let mut file = File::open(path).await?;
    let mut contexts = [
        Context::new(&SHA1_FOR_LEGACY_USE_ONLY),
        Context::new(&SHA256),
    ];
    let mut length = 0;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            break;
        }
        length += read as u64;
        for context in &mut contexts {
            context.update(&chunk[..read]);
        }
    }
    let [sha1, sha256] = contexts.map(|context| hex(context.finish().as_ref()));
    Ok((length, sha1, sha256))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_below_folders_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("out/deep")).unwrap();
        for name in ["a.log", "out/b.txt", "out/deep/c.txt", "other"] {
            std::fs::write(root.join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("/", root.join("out/escape")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("out/d.txt")).unwrap();
        let patterns = ["out/**/*".to_owned(), "*.log".to_owned()];
        let found = find(root, &patterns).unwrap();
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(path, by)| (path.as_str(), by.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("a.log", "*.log"),
                ("out/b.txt", "out/**/*"),
                ("out/deep/c.txt", "out/**/*")
            ]
        );
    }

    #[tokio::test]
    async fn a_file_is_measured_and_digested() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let (length, sha1, sha256) = digest(&path).await.unwrap();
        assert_eq!(length, 3);
        assert_eq!(sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert!(sha256.starts_with("ba7816bf") && sha256.len() == 64);
    }
}
