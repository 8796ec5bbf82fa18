//! The log of a job: it comes in chunks, can be read while it grows, and is an artifact of the task
//! in the end.

use std::io::{self, Read as _};
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use taskyard_access::Place;
use taskyard_engine::Timestamp;
use taskyard_engine::artifact::{self, Artifact, StorageType};
use taskyard_engine::stacks::{self as engine, AgentJob, Chunk, Definition};
use taskyard_store::{Error, Key, Store, Tx};

use crate::agents::PREFIX;
use crate::artifacts::Stored;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::request::{is_gzip, query_int, query_value};
use crate::service::{Asked, Parts, Shared};
use crate::time;

/// Where a log is found: while it grows and ever after, and the bytes of a finished one.
const LIVE: &str = "public/logs/live.log";
const BACKING: &str = "public/logs/live_backing.log";
/// When each heading of a log was written.
const HEADER_TIMES: &str = "public/logs/header_times.json";
const LOG_TYPE: &str = "text/plain; charset=utf-8";
const JSON_TYPE: &str = "application/json";

/// Longest log, in bytes. What goes beyond is not taken.
pub(crate) const LONGEST: i64 = 128 * 1024 * 1024;
/// Longest chunk, in bytes; agents are told to send shorter ones.
const LONGEST_CHUNK: usize = 1024 * 1024;
/// Chunks that are read at a time.
const PORTION: usize = 16;
/// Headings whose times are kept, and those of one request.
const HEADINGS: usize = 10_000;
const HEADINGS_AT_ONCE: usize = 1000;

/// The bytes of a chunk, which are bounded however well they were compressed.
fn inflate(data: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let limit = LONGEST_CHUNK as u64 + 1;
    MultiGzDecoder::new(data)
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| Problem::Bad(format!("the chunk is not compressed with gzip: {error}")))?;
    Ok(bytes)
}

/// A part of a log arrives; in any order, perhaps not for the first time.
pub(crate) async fn chunk(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let number = |name: &'static str| {
        query_int(asked.query(), name)?
            .filter(|number| *number >= 0)
            .ok_or_else(|| Problem::Bad(format!("{name} is required, and not negative")))
    };
    let (sequence, offset) = (number("sequence")?, number("offset")?);
    let job = asked.job().await?;
    let compressed = is_gzip(&asked.head.headers);
    let size = if compressed {
        inflate(&asked.body)?.len()
    } else {
        asked.body.len()
    };
    if size > LONGEST_CHUNK {
        return Err(Problem::TooLarge(format!(
            "a chunk has at most {LONGEST_CHUNK} bytes"
        )));
    }
    let size = size as i64;
    if query_int(asked.query(), "size")?.is_some_and(|told| told != size) {
        return Err(Problem::Invalid(format!("the chunk has {size} bytes")));
    }
    if offset.saturating_add(size) > LONGEST {
        return Err(Problem::Invalid(format!(
            "a log has at most {LONGEST} bytes"
        )));
    }
    let data = asked.body.to_vec();
    let key = Key::of(("job-log", &job.task_id));
    asked
        .store()
        .write(key, move |tx| {
            let chunk = Chunk {
                sequence,
                offset,
                size,
                is_gzip: compressed,
                data: data.clone(),
            };
            engine::keep_chunk(tx, (&job.task_id, job.run_id), &chunk)
        })
        .await?;
    Ok(Reply::json(StatusCode::CREATED, &json!({})))
}

/// When headings of the log were written.
pub(crate) async fn header_times(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let job = asked.job().await?;
    let payload = asked.payload()?;
    let wrong = || {
        Problem::Invalid("header_times must be an object of numbers and RFC 3339 times".to_owned())
    };
    let given = match payload.get("header_times") {
        Some(Value::Object(given)) if given.len() <= HEADINGS_AT_ONCE => given,
        _ => return Err(wrong()),
    };
    let read = |(heading, at): (&String, &Value)| {
        let heading = heading
            .parse()
            .ok()
            .filter(|it| (0..HEADINGS as i64).contains(it))?;
        let at = at.as_str().filter(|at| time::parse(at).is_some())?;
        Some((heading, at.to_owned()))
    };
    let times = given
        .iter()
        .map(|item| read(item).ok_or_else(wrong))
        .collect::<Result<Vec<(i64, String)>, _>>()?;
    let key = Key::of(("job-log", &job.task_id));
    asked
        .store()
        .write(key, move |tx| {
            engine::keep_header_times(tx, (&job.task_id, job.run_id), &times)
        })
        .await?;
    Ok(Reply::ok(&json!({})))
}

// === reading ===

/// What is done about bytes that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// They may still come: the log ends before them for now.
    Stop,
    /// They will not come: a line says so.
    Tell,
}

/// Where reading a log has got to.
struct Reading {
    store: Store,
    at: Arc<(String, usize)>,
    /// The last chunk read, as offset and sequence.
    after: (i64, i64),
    /// Bytes of the log that were read.
    position: i64,
    gap: Gap,
    is_over: bool,
}

impl Reading {
    /// The bytes of the next portion; `None` at the end.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while !self.is_over {
            let (at, after) = (Arc::clone(&self.at), self.after);
            let chunks = self
                .store
                .read(move |tx| engine::chunks(tx, (&at.0, at.1), after, PORTION))
                .await
                .map_err(io::Error::other)?;
            self.is_over = chunks.len() < PORTION;
            let mut bytes = Vec::new();
            for chunk in chunks {
                self.after = (chunk.offset, chunk.sequence);
                if !self.take(&chunk, &mut bytes)? {
                    self.is_over = true;
                    break;
                }
            }
            if !bytes.is_empty() {
                return Ok(Some(bytes.into()));
            }
        }
        Ok(None)
    }

    /// Appends what a chunk adds to the log; `false` if the log ends before it.
    fn take(&mut self, chunk: &Chunk, into: &mut Vec<u8>) -> io::Result<bool> {
        let missing = chunk.offset - self.position;
        if missing > 0 {
            if self.gap == Gap::Stop {
                return Ok(false);
            }
            into.extend_from_slice(
                format!("\n[taskyard] {missing} bytes of the log were lost here\n").as_bytes(),
            );
            self.position = chunk.offset;
        }
        let data = if chunk.is_gzip {
            inflate(&chunk.data).map_err(io::Error::other)?
        } else {
            chunk.data.clone()
        };
        let known = usize::try_from(self.position - chunk.offset).unwrap_or(usize::MAX);
        if let Some(new) = data.get(known..) {
            into.extend_from_slice(new);
            self.position += new.len() as i64;
        }
        Ok(true)
    }
}

/// The bytes of a run's log, in their order.
fn bytes_of(store: &Store, job: (&str, usize), gap: Gap) -> BoxStream<'static, io::Result<Bytes>> {
    let reading = Reading {
        store: store.clone(),
        at: Arc::new((job.0.to_owned(), job.1)),
        after: (-1, -1),
        position: 0,
        gap,
        is_over: false,
    };
    stream::try_unfold(reading, async |mut reading| {
        let bytes = reading.next().await?;
        Ok(bytes.map(|bytes| (bytes, reading)))
    })
    .boxed()
}

/// What the address of a live log permits.
#[derive(Debug, Serialize, Deserialize)]
struct Permit {
    #[serde(rename = "t")]
    task_id: String,
    #[serde(rename = "r")]
    run_id: usize,
    /// Microseconds since the epoch.
    #[serde(rename = "e")]
    expires: i64,
}

const PLACE: Place<'static> = Place {
    table: "job_log_chunks",
    row: "",
    column: "log",
};

/// A log as far as it has come.
pub(crate) fn read(
    shared: &Shared,
    now: Timestamp,
    head: &http::request::Parts,
) -> Result<Reply, Problem> {
    let parts = &shared.parts;
    let token = query_value(head.uri.query().unwrap_or_default(), "token");
    let permit = token
        .and_then(|token| parts.sealer.open(&PLACE, &token).ok())
        .and_then(|text| serde_json::from_slice::<Permit>(&text).ok())
        .filter(|permit| permit.expires >= now.0)
        .ok_or_else(|| {
            Problem::Forbidden(
                "This address is not valid, or not any more; ask the queue for a new one"
                    .to_owned(),
            )
        })?;
    let bytes = bytes_of(&parts.store, (&permit.task_id, permit.run_id), Gap::Stop);
    let header = |name: &'static str, value: &'static str| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    // It is a stranger's text, not a page.
    let mut reply = Reply::stream(LOG_TYPE, Body::from_stream(bytes));
    for (name, value) in [
        header("x-content-type-options", "nosniff"),
        header("content-security-policy", "sandbox; default-src 'none'"),
        header("cache-control", "no-store"),
        header("access-control-allow-origin", "*"),
    ] {
        reply = reply.with_header(name, value);
    }
    Ok(reply)
}

// === artifacts ===

fn artifact(job: &AgentJob, name: &str, storage_type: StorageType) -> Artifact {
    Artifact {
        task_id: job.task_id.clone(),
        run_id: job.run_id,
        name: name.to_owned(),
        storage_type,
        content_type: LOG_TYPE.to_owned(),
        details: "{}".to_owned(),
        expires: job.expires_at,
        content_length: None,
        present: true,
    }
}

/// The artifact through which a log can be read while it grows.
pub(crate) fn live(
    parts: &Parts,
    job: &AgentJob,
    definition: &Definition,
) -> Result<Artifact, Problem> {
    let permit = Permit {
        task_id: job.task_id.clone(),
        run_id: job.run_id,
        expires: definition.expires.0,
    };
    let text = serde_json::to_vec(&permit).map_err(Problem::internal)?;
    let token = parts
        .sealer
        .seal(&PLACE, &text)
        .map_err(Problem::internal)?;
    let url = format!("{}{PREFIX}/logs?token={token}", parts.root_url);
    Ok(Artifact {
        details: json!({ "url": url }).to_string(),
        ..artifact(job, LIVE, StorageType::Reference)
    })
}

/// Records an artifact of a log; `false` if the run takes no more of them. A log is a convenience:
/// the run goes on without.
pub(crate) fn announce(tx: &mut Tx<'_>, now: Timestamp, new: &Artifact) -> Result<bool, Error> {
    let refused = artifact::create(tx, now, new)?.err();
    if let Some(refusal) = &refused {
        tracing::info!(task_id = new.task_id, %refusal, "a log is not an artifact of its task");
    }
    Ok(refused.is_none())
}

/// What was kept of a run's log, and is to be recorded.
#[derive(Debug, Default)]
pub(crate) struct Kept(Vec<Artifact>);

/// Keeps the log of a job that has ended as a file. If that fails, the chunks stay, and with them
/// the live log.
pub(crate) async fn keep(asked: &Asked<'_>, job: &AgentJob, definition: &Definition) -> Kept {
    let kept = match keep_files(asked, job).await {
        Ok(kept) => kept,
        Err(error) => {
            let uuid = &definition.task_id;
            tracing::warn!(task_id = uuid, %error, "a log could not be kept as a file");
            return Kept::default();
        }
    };
    Kept(kept)
}

async fn keep_files(asked: &Asked<'_>, job: &AgentJob) -> io::Result<Vec<Artifact>> {
    let at = (job.task_id.clone(), job.run_id);
    let (size, times) = asked
        .store()
        .read(move |tx| {
            let at = (at.0.as_str(), at.1);
            Ok((
                engine::log_size(tx, at)?,
                engine::header_times(tx, at, HEADINGS)?,
            ))
        })
        .await
        .map_err(io::Error::other)?;
    let Some(size) = size else {
        return Ok(Vec::new());
    };
    let times: serde_json::Map<String, Value> = times
        .into_iter()
        .map(|(heading, at)| (heading.to_string(), at.into()))
        .collect();
    let times = (!times.is_empty()).then(|| json!({ "header_times": times }).to_string());
    let mut files = vec![Artifact {
        // Where bytes were lost, a line will say so.
        content_length: (size.end == size.kept).then_some(size.end),
        ..artifact(job, BACKING, StorageType::S3)
    }];
    files.extend(times.iter().map(|text| Artifact {
        content_type: JSON_TYPE.to_owned(),
        content_length: Some(text.len() as i64),
        ..artifact(job, HEADER_TIMES, StorageType::S3)
    }));
    if !announce_all(asked, job, files).await? {
        return Ok(Vec::new());
    }
    let store = &asked.parts().artifacts;
    let stored = |name, content_type| Stored {
        task_id: &job.task_id,
        run_id: job.run_id,
        name,
        content_type,
    };
    let bytes = bytes_of(asked.store(), (&job.task_id, job.run_id), Gap::Tell);
    store.put(stored(BACKING, LOG_TYPE), bytes).await?;
    if let Some(text) = times {
        let bytes = stream::iter([Ok(Bytes::from(text))]).boxed();
        store.put(stored(HEADER_TIMES, JSON_TYPE), bytes).await?;
    }
    Ok(vec![Artifact {
        details: json!({ "artifact": BACKING }).to_string(),
        ..artifact(job, LIVE, StorageType::Link)
    }])
}

/// Records files before their bytes come, as every maker of artifacts does; `false` if the run
/// takes none.
async fn announce_all(asked: &Asked<'_>, job: &AgentJob, files: Vec<Artifact>) -> io::Result<bool> {
    let (now, job) = (asked.now, job.clone());
    asked
        .store()
        .write(Key::of(("job-log", &job.task_id)), move |tx| {
            engine::lock_job(tx, &job)?;
            for file in &files {
                if !announce(tx, now, file)? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
        .map_err(io::Error::other)
}

/// Records what was kept.
pub(crate) fn record(
    tx: &mut Tx<'_>,
    now: Timestamp,
    job: &AgentJob,
    kept: &Kept,
) -> Result<(), Error> {
    let mut is_kept = !kept.0.is_empty();
    for artifact in &kept.0 {
        is_kept &= announce(tx, now, artifact)?;
    }
    if is_kept {
        engine::log_is_kept(tx, job)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn a_chunk_that_swells_beyond_all_bounds_is_cut() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder
            .write_all(&vec![0; 8 * LONGEST_CHUNK])
            .expect("it is written");
        let data = encoder.finish().expect("it ends");
        let bytes = inflate(&data).expect("it is gzip");
        assert_eq!(bytes.len(), LONGEST_CHUNK + 1);
        assert!(inflate(b"no gzip").is_err());
    }
}
