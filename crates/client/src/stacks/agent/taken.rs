use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use reqwest::header::{self, HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::stacks::error::Error;
use crate::stacks::job_state::JobState;
use crate::stacks::null;
use crate::stacks::retry::Retry;
use crate::stacks::transport::{Request, Transport, path, query, usage};
use crate::{Timestamp, clock};

/// Attempts of a call, and the seconds between them.
const START: (u32, u64) = (7, 5);
const CHUNK: (u32, u64) = (12, 5);
const FINISH: (u32, u64) = (12, 5);

/// Size of a piece of the log if the server names none.
const CHUNK_BYTES: u64 = 100 << 10;

/// A job as an agent gets it. `Debug` shows neither its token nor its variables.
#[derive(Clone, Deserialize)]
pub struct AcquiredJob {
    /// UUID.
    pub id: String,
    /// Variables of its environment, the command among them.
    #[serde(default, deserialize_with = "null::default")]
    pub env: BTreeMap<String, String>,
    /// What calls about the job are made with, if not the agent's own token.
    #[serde(default)]
    pub token: Option<String>,
    #[serde(default, deserialize_with = "null::default")]
    chunks_max_size_bytes: u64,
    #[serde(default, deserialize_with = "null::default")]
    chunks_interval_seconds: u64,
    #[serde(default, deserialize_with = "null::default")]
    log_max_size_bytes: u64,
}

/// A job that an agent has taken.
#[derive(Debug, Clone)]
pub struct TakenJob {
    pub(super) transport: Transport,
    authorization: HeaderValue,
    headers: HeaderMap,
    /// What it is.
    pub job: AcquiredJob,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    /// Exit code of its command; -1 if it has none.
    pub exit_status: i32,
    /// The signal that ended it, such as `SIGTERM`.
    pub signal: Option<String>,
    /// Why it was ended: `cancel`, `agent_stop`, `process_run_error`, ….
    pub signal_reason: Option<String>,
    /// Pieces of the log that the server did not take.
    pub chunks_failed_count: u64,
}

#[derive(Debug, Serialize)]
struct FinishRequest<'a> {
    exit_status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal_reason: Option<&'a str>,
    finished_at: Option<Timestamp>,
    chunks_failed_count: u64,
}

#[derive(Debug, Deserialize)]
struct State {
    state: JobState,
}

// === impl AcquiredJob ===

impl AcquiredJob {
    /// Most bytes of one piece of the log.
    pub fn chunk_bytes(&self) -> usize {
        let bytes = match self.chunks_max_size_bytes {
            0 => CHUNK_BYTES,
            bytes => bytes.min(1 << 20),
        };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// How often a piece of the log is sent.
    pub fn chunk_interval(&self) -> Duration {
        Duration::from_secs(self.chunks_interval_seconds.clamp(1, 60))
    }

    /// Most bytes of the whole log.
    pub fn log_bytes(&self) -> u64 {
        match self.log_max_size_bytes {
            0 => 1 << 30,
            bytes => bytes,
        }
    }

    /// The command, for a shell.
    pub fn command(&self) -> &str {
        self.env.get("BUILDKITE_COMMAND").map_or("", String::as_str)
    }
}

impl fmt::Debug for AcquiredJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquiredJob")
            .field("id", &self.id)
            .field("env", &self.env.keys())
            .finish_non_exhaustive()
    }
}

// === impl TakenJob ===

impl TakenJob {
    pub(super) fn new(
        transport: Transport,
        authorization: HeaderValue,
        headers: HeaderMap,
        job: AcquiredJob,
    ) -> Self {
        Self {
            transport,
            authorization,
            headers,
            job,
        }
    }

    /// Says that the job begins.
    ///
    /// # Errors
    /// `Refused` when the job must not run any more: then nothing else is to be said about it.
    pub async fn start(&self) -> Result<(), Error> {
        let started_at = Timestamp::from_millis(clock::unix_millis());
        let request = self
            .request(Method::PUT, &["start"])?
            .json(&json!({ "started_at": started_at }))?;
        self.transport(START).tell(&request).await.map(drop)
    }

    /// Stores a piece of the log. `sequence` counts pieces from 1, `offset` bytes before this one.
    ///
    /// # Errors
    /// As every call: `Refused`, or no answer after all attempts.
    pub async fn chunk(&self, sequence: u64, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut zipped = GzEncoder::new(Vec::new(), Compression::default());
        let zipped = zipped
            .write_all(bytes)
            .and_then(|()| zipped.finish())
            .map_err(|error| usage(format!("cannot compress a log: {error}")))?;
        let mut path = path(&["jobs", &self.job.id, "chunks"])?;
        path += &query(&[
            ("sequence", &sequence.to_string()),
            ("offset", &offset.to_string()),
            ("size", &bytes.len().to_string()),
        ]);
        let request = self
            .at(Method::POST, path)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))
            .header(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))
            .bytes(zipped);
        self.transport(CHUNK).tell(&request).await.map(drop)
    }

    /// Where the server sees the job: whether it must be stopped.
    ///
    /// # Errors
    /// As every call, without repetition. A 401 means that the job has been taken away.
    pub async fn state(&self) -> Result<JobState, Error> {
        let request = self.at(Method::GET, path(&["jobs", &self.job.id])?);
        let mut once = self.transport.clone();
        once.retry = Retry::never();
        Ok(once.call::<State>(&request).await?.value.state)
    }

    /// Says how the job ended. Saying it again changes nothing.
    ///
    /// # Errors
    /// As every call. A refusal means that the job had already ended otherwise.
    pub async fn finish(&self, end: &JobEnd) -> Result<(), Error> {
        let body = FinishRequest {
            exit_status: end.exit_status.to_string(),
            signal: end.signal.as_deref(),
            signal_reason: end.signal_reason.as_deref(),
            finished_at: Timestamp::from_millis(clock::unix_millis()),
            chunks_failed_count: end.chunks_failed_count,
        };
        let request = self.request(Method::PUT, &["finish"])?.json(&body)?;
        self.transport(FINISH).tell(&request).await.map(drop)
    }

    pub(super) fn request(&self, method: Method, below: &[&str]) -> Result<Request, Error> {
        let segments: Vec<&str> = ["jobs", &self.job.id]
            .into_iter()
            .chain(below.iter().copied())
            .collect();
        Ok(self.at(method, path(&segments)?))
    }

    fn at(&self, method: Method, path: String) -> Request {
        Request::new(method, path)
            .headers(&self.headers)
            .header(header::AUTHORIZATION, self.authorization.clone())
    }

    fn transport(&self, (attempts, seconds): (u32, u64)) -> Transport {
        let mut transport = self.transport.clone();
        transport.retry = Retry::constant(attempts, Duration::from_secs(seconds));
        transport
    }
}
