//! The log of one run: a file that grows, and that others may read while it does.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::{
    fs::File,
    io::{self, AsyncReadExt, AsyncWriteExt},
    sync::{Mutex, watch},
};

use crate::clock;

/// Most bytes read at once by a follower.
const CHUNK_BYTES: u64 = 64 << 10;

/// The log of one run. Clones write to the same log.
#[derive(Debug, Clone)]
pub(crate) struct TaskLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    max_output_bytes: u64,
    writer: Mutex<Writer>,
    progress: watch::Sender<Progress>,
}

#[derive(Debug)]
struct Writer {
    file: File,
    output_bytes: u64,
    state: State,
    at_line_start: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Everything is written.
    Open,
    /// The task has used up its share; only the worker's own lines are written.
    Full,
    /// The disk refuses; nothing is written.
    Broken,
}

/// How much of the log can be read.
#[derive(Debug, Clone, Copy)]
struct Progress {
    bytes: u64,
    closed: bool,
}

/// Who speaks in a line of the worker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Info,
    Warning,
    Error,
}

// === impl TaskLog ===

impl TaskLog {
    /// An empty log at `path`, which keeps `max_output_bytes` of the task's output.
    pub(crate) async fn create(path: &Path, max_output_bytes: u64) -> io::Result<Self> {
        let file = File::create(path).await?;
        let writer = Writer {
            file,
            output_bytes: 0,
            state: State::Open,
            at_line_start: true,
        };
        let shared = Shared {
            path: path.to_owned(),
            max_output_bytes,
            writer: Mutex::new(writer),
            progress: watch::Sender::new(Progress {
                bytes: 0,
                closed: false,
            }),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The file on disk.
    pub(crate) fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Adds output of the task, up to the limit.
    pub(crate) async fn output(&self, bytes: &[u8]) {
        let mut writer = self.shared.writer.lock().await;
        if writer.state != State::Open {
            return;
        }
        let room = self.shared.max_output_bytes - writer.output_bytes;
        let kept = &bytes[..bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        writer.output_bytes += kept.len() as u64;
        self.write(&mut writer, kept).await;
        if kept.len() < bytes.len() && writer.state == State::Open {
            writer.state = State::Full;
            let text = format!(
                "the task has written more than {} bytes; what follows is not kept",
                self.shared.max_output_bytes
            );
            self.write_lines(&mut writer, Tone::Warning, &text).await;
        }
    }

    /// Adds a line of the worker's.
    pub(crate) async fn note(&self, tone: Tone, text: &str) {
        let mut writer = self.shared.writer.lock().await;
        self.write_lines(&mut writer, tone, text).await;
    }

    /// Adds a line of the worker's in its ordinary tone.
    pub(crate) async fn info(&self, text: &str) {
        self.note(Tone::Info, text).await;
    }

    /// Ends the log: followers stop at its end.
    pub(crate) async fn close(&self) {
        let _writer = self.shared.writer.lock().await;
        self.shared
            .progress
            .send_modify(|progress| progress.closed = true);
    }

    /// The log from its start, until it is closed.
    pub(crate) fn follow(&self) -> impl Stream<Item = io::Result<Bytes>> + use<> {
        let start = Follower {
            path: self.shared.path.clone(),
            file: None,
            sent: 0,
            progress: self.shared.progress.subscribe(),
        };
        stream::try_unfold(start, Follower::next)
    }

    async fn write_lines(&self, writer: &mut Writer, tone: Tone, text: &str) {
        let prefix = match tone {
            Tone::Info => format!("[taskcluster {}] ", clock::now()),
            Tone::Warning => format!("[taskcluster:warn {}] ", clock::now()),
            Tone::Error => "[taskcluster:error] ".to_owned(),
        };
        let mut lines = String::new();
        if !writer.at_line_start {
            lines.push('\n');
        }
        for line in text.lines() {
            lines.push_str(&prefix);
            lines.push_str(line);
            lines.push('\n');
        }
        self.write(writer, lines.as_bytes()).await;
    }

    /// Writes to the file. A disk that refuses must not end the task, so the log just stops.
    async fn write(&self, writer: &mut Writer, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        if writer.state == State::Broken {
            return;
        }
        let written = async {
            writer.file.write_all(bytes).await?;
            writer.file.flush().await
        };
        if let Err(error) = written.await {
            tracing::error!(path = %self.shared.path.display(), %error, "cannot write a task's log");
            writer.state = State::Broken;
            return;
        }
        writer.at_line_start = *last == b'\n';
        self.shared
            .progress
            .send_modify(|progress| progress.bytes += bytes.len() as u64);
    }
}

/// Somebody who reads the log while it grows.
struct Follower {
    path: PathBuf,
    file: Option<File>,
    sent: u64,
    progress: watch::Receiver<Progress>,
}

impl Follower {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let sent = self.sent;
        // An error means that nobody can write any more: what there is, is all.
        let _ = self
            .progress
            .wait_for(|now| now.bytes > sent || now.closed)
            .await;
        let seen = *self.progress.borrow();
        if seen.bytes <= self.sent {
            return Ok(None);
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => File::open(&self.path).await?,
        };
        let mut chunk = Vec::new();
        let wanted = (seen.bytes - self.sent).min(CHUNK_BYTES);
        (&mut file).take(wanted).read_to_end(&mut chunk).await?;
        if chunk.is_empty() {
            // The file was cut short by somebody else; there is nothing to wait for.
            return Ok(None);
        }
        self.sent += chunk.len() as u64;
        self.file = Some(file);
        Ok(Some((chunk.into(), self)))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    async fn log(limit: u64) -> (tempfile::TempDir, TaskLog) {
        let folder = tempfile::tempdir().unwrap();
        let log = TaskLog::create(&folder.path().join("live.log"), limit)
            .await
            .unwrap();
        (folder, log)
    }

    fn text(log: &TaskLog) -> String {
        std::fs::read_to_string(log.path()).unwrap()
    }

    #[tokio::test]
    async fn lines_of_the_worker_start_on_a_line_of_their_own() {
        let (_folder, log) = log(1000).await;
        log.output(b"no newline").await;
        log.note(Tone::Error, "first\nsecond").await;
        log.info("third").await;
        let text = text(&log);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..3],
            [
                "no newline",
                "[taskcluster:error] first",
                "[taskcluster:error] second"
            ]
        );
        assert!(
            lines[3].starts_with("[taskcluster 20") && lines[3].ends_with("Z] third"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn output_beyond_the_limit_is_dropped_with_a_note() {
        let (_folder, log) = log(10).await;
        log.output(b"12345").await;
        log.output(b"6789012345").await;
        log.output(b"dropped").await;
        log.info("the end").await;
        let text = text(&log);
        assert!(text.starts_with("1234567890\n[taskcluster:warn "), "{text}");
        assert!(
            text.contains("more than 10 bytes") && !text.contains("dropped"),
            "{text}"
        );
        assert!(text.ends_with("the end\n"), "{text}");
    }

    #[tokio::test]
    async fn a_follower_sees_what_comes_later_and_stops_at_the_end() {
        let (_folder, log) = log(1 << 20).await;
        log.output(b"before ").await;
        let mut follower = Box::pin(log.follow());
        assert_eq!(follower.try_next().await.unwrap().unwrap(), "before ");
        let (next, ()) = tokio::join!(follower.try_next(), log.output(b"during "));
        assert_eq!(next.unwrap().unwrap(), "during ");
        log.output(&vec![b'x'; 200_000]).await;
        log.close().await;
        let rest: Vec<Bytes> = follower.try_collect().await.unwrap();
        assert_eq!(rest.iter().map(Bytes::len).sum::<usize>(), 200_000);
        assert!(rest.len() > 1, "a long log comes in pieces");
    }
}
