//! Removes bytes that nobody will ever ask for: uploads that broke off with their server, and bytes
//! that no record names.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use object_store::path::Path;
use taskyard_engine::Timestamp;
use taskyard_engine::clock::Clock;
use taskyard_engine::content;
use taskyard_store::{Key, Store};

use super::files::Files;

/// How often broken off uploads are looked for; those without a record once a day.
const INTERVAL: Duration = Duration::from_hours(1);
const DAY: u32 = 24;
/// A file that is being written is written to at least once a minute.
const UNTOUCHED: Duration = Duration::from_hours(1);
/// Bytes get their record when their upload ends, which takes half a day at most.
const YOUNG: Duration = Duration::from_hours(24);
/// Keys looked up at once.
const PORTION: usize = 500;

/// Keeps `files` free of bytes that belong to nothing, for ever.
pub async fn upkeep(files: Files, store: Store, clock: Clock) {
    for hour in 0_u32.. {
        if let Err(error) = remove_broken_off(&files, clock.now()).await {
            tracing::warn!(%error, "broken off uploads could not be removed");
        }
        if hour % DAY == 0
            && let Err(error) = remove_orphans(&files, &store, clock.now()).await
        {
            tracing::warn!(%error, "bytes without a record could not be removed");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Removes what uploads left that ended with their server. A bucket has none of these: there an
/// upload is made of whole objects.
///
/// # Errors
/// The folder cannot be read.
pub async fn remove_broken_off(files: &Files, now: Timestamp) -> io::Result<()> {
    let Some(folder) = files.folder().map(std::path::Path::to_owned) else {
        return Ok(());
    };
    let removed = tokio::task::spawn_blocking(move || remove_untouched(folder, now));
    removed.await.map_err(io::Error::other)?
}

/// Files that are written to are called by their key, `#` and a number.
fn remove_untouched(folder: PathBuf, now: Timestamp) -> io::Result<()> {
    for shelf in std::fs::read_dir(folder)? {
        let shelf = shelf?.path();
        if !shelf.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(shelf)? {
            let file = file?;
            let is_draft = file.file_name().to_string_lossy().contains('#');
            if !is_draft {
                continue;
            }
            // What is gone meanwhile was no remains.
            let Ok(touched) = file.metadata().and_then(|data| data.modified()) else {
                continue;
            };
            if Timestamp::from(chrono::DateTime::from(touched)).plus(UNTOUCHED) < now {
                std::fs::remove_file(file.path())?;
            }
        }
    }
    Ok(())
}

/// Removes bytes that no record names and that are too old for one to come.
///
/// # Errors
/// The folder, the bucket or the database does not answer.
pub async fn remove_orphans(files: &Files, store: &Store, now: Timestamp) -> io::Result<()> {
    let old = now.minus(YOUNG);
    let mut all = files
        .all()
        .try_filter(move |found| std::future::ready(Timestamp::from(found.last_modified) < old))
        .try_chunks(PORTION);
    while let Some(portion) = all.try_next().await.map_err(io::Error::other)? {
        let keyed: Vec<(String, Path)> = portion
            .into_iter()
            .filter_map(|found| Some((key(&found.location)?, found.location)))
            .collect();
        let mut keys: Vec<String> = keyed.iter().map(|(key, _)| key.clone()).collect();
        keys.dedup();
        let looked = keys.clone();
        let unowned = store
            .read(move |tx| content::unowned(tx, &looked))
            .await
            .map_err(io::Error::other)?;
        if unowned.is_empty() {
            continue;
        }
        let dropped = store
            .write(Key::of("expiry"), move |tx| {
                content::drop_unowned(tx, &unowned)
            })
            .await
            .map_err(io::Error::other)?;
        for (key, path) in keyed {
            if dropped.contains(&key) {
                tracing::info!(key, "removing bytes that belong to nothing");
                files.remove_at(path).await?;
            }
        }
    }
    Ok(())
}

/// The key that a path belongs to; `None` for what no upload has made.
fn key(path: &Path) -> Option<String> {
    let name = path.filename()?;
    let (key, piece) = name.split_once('.').unwrap_or((name, "0"));
    let is_ours = key.len() == 22 && piece.bytes().all(|byte| byte.is_ascii_digit());
    is_ours.then(|| key.to_owned())
}
