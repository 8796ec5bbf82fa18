use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::taken::{AcquiredJob, TakenJob};
use crate::stacks::error::Error;
use crate::stacks::null;
use crate::stacks::options::Options;
use crate::stacks::retry::Retry;
use crate::stacks::transport::{Request, Transport, authorization, path};
use crate::{Timestamp, clock};

/// How this client calls itself.
const USER_AGENT: &str = "taskyard-agent";

/// Attempts to take a job, with pauses that double from a second.
const ACQUIRE_ATTEMPTS: u32 = 7;
/// Pauses between the attempts of the calls around a job, in seconds.
const CONNECT: (u32, u64) = (10, 5);
const HEARTBEAT: (u32, u64) = (10, 5);
const DISCONNECT: (u32, u64) = (4, 1);

/// Where agents register.
#[derive(Debug, Clone)]
pub struct Agents {
    transport: Transport,
    authorization: HeaderValue,
}

/// An agent that registers itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewAgent {
    /// Its name; `%hostname`, `%random` and `%pid` in it are replaced by the server.
    pub name: String,
    /// The machine it runs on.
    pub hostname: String,
    /// Operating system.
    pub os: String,
    /// Processor.
    pub arch: String,
    /// Whether it runs commands at all.
    pub script_eval_enabled: bool,
    /// Whether it wants no job but the one it takes.
    pub ignore_in_dispatches: bool,
    /// Version of the program.
    pub version: String,
    /// Build of the program.
    pub build: String,
    /// Its tags, such as `queue=default`.
    pub meta_data: Vec<String>,
    /// Process id.
    pub pid: u32,
    /// What it can do beyond the first version of the API.
    pub features: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Registration {
    #[serde(default, deserialize_with = "null::default")]
    id: String,
    #[serde(default, deserialize_with = "null::default")]
    name: String,
    access_token: String,
    #[serde(default, deserialize_with = "null::default")]
    endpoint: String,
    #[serde(default, deserialize_with = "null::default")]
    request_headers: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null::default")]
    ping_interval: u64,
    #[serde(default, deserialize_with = "null::default")]
    job_status_interval: u64,
    #[serde(default, deserialize_with = "null::default")]
    heartbeat_interval: u64,
}

/// A registered agent.
#[derive(Debug, Clone)]
pub struct Agent {
    transport: Transport,
    authorization: HeaderValue,
    headers: HeaderMap,
    /// Its id.
    pub id: String,
    /// Its name as the server knows it.
    pub name: String,
    /// How often to ask for work.
    pub ping_interval: Duration,
    /// How often to ask whether a job is still wanted.
    pub job_status_interval: Duration,
    /// How often to say that it is alive.
    pub heartbeat_interval: Duration,
}

/// What the server wants of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Ping {
    /// `pause` or `disconnect`; empty if there is nothing to do.
    #[serde(deserialize_with = "null::default")]
    pub action: String,
    /// Why.
    #[serde(deserialize_with = "null::default")]
    pub message: String,
    /// The job that it is to [accept](Agent::accept), if it takes any.
    pub job: Option<AssignedJob>,
}

/// A job that an agent is handed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct AssignedJob {
    /// Its UUID.
    pub id: String,
}

// === impl Agents ===

impl Agents {
    /// Where agents register with an agent token, or with one that allows one job.
    ///
    /// # Errors
    /// `Call` with `Usage` when an option is wrong.
    pub fn new(options: Options) -> Result<Self, Error> {
        let token = options.token.clone();
        Self::over(Transport::new(options, USER_AGENT)?, &token)
    }

    /// The same over the connections of a client.
    pub(in crate::stacks) fn over(transport: Transport, token: &str) -> Result<Self, Error> {
        Ok(Self {
            transport,
            authorization: authorization(token)?,
        })
    }

    /// Registers an agent, repeating as the options say.
    ///
    /// # Errors
    /// `Refused` with 401 when the token is worth nothing.
    pub async fn register(&self, agent: &NewAgent) -> Result<Agent, Error> {
        let request = Request::new(Method::POST, "register".to_owned())
            .header(header::AUTHORIZATION, self.authorization.clone())
            .json(agent)?;
        let made: Registration = self.transport.call(&request).await?.value;
        let transport = if made.endpoint.is_empty() {
            self.transport.clone()
        } else {
            self.transport.at(&made.endpoint)?
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &made.request_headers {
            // The server may ask for headers of its own, and for no others.
            let name = HeaderName::from_bytes(name.as_bytes()).ok();
            let name = name.filter(|name| name.as_str().starts_with("buildkite-"));
            if let (Some(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        }
        let seconds = |count: u64| Duration::from_secs(count.clamp(1, 3600));
        Ok(Agent {
            transport,
            authorization: authorization(&made.access_token)?,
            headers,
            id: made.id,
            name: made.name,
            ping_interval: seconds(made.ping_interval),
            job_status_interval: seconds(made.job_status_interval),
            heartbeat_interval: seconds(made.heartbeat_interval),
        })
    }
}

// === impl Agent ===

impl Agent {
    /// Where the API is, for programs that a job starts.
    pub fn endpoint(&self) -> &str {
        self.transport.base()
    }

    /// Says that it is there.
    ///
    /// # Errors
    /// As every call: `Refused`, or no answer after all attempts.
    pub async fn connect(&self) -> Result<(), Error> {
        let request = self.request(Method::POST, "connect");
        self.transport(CONNECT).tell(&request).await.map(drop)
    }

    /// Says that it still is.
    ///
    /// # Errors
    /// As every call. When it is refused for good, the job has been taken away.
    pub async fn heartbeat(&self) -> Result<(), Error> {
        let sent_at = Timestamp::from_millis(clock::unix_millis());
        let request = self
            .request(Method::POST, "heartbeat")
            .json(&json!({ "sent_at": sent_at }))?;
        self.transport(HEARTBEAT).tell(&request).await.map(drop)
    }

    /// Takes a job; `None` if it is somebody else's, or cannot run any more. Waits as long as the
    /// server says that the job cannot start yet, a few minutes at most.
    ///
    /// # Errors
    /// As every call.
    pub async fn acquire(&self, job_uuid: &str) -> Result<Option<TakenJob>, Error> {
        let path = path(&["jobs", job_uuid, "acquire"])?;
        let once = self.once();
        let mut attempt = 1;
        loop {
            let request = self
                .request(Method::PUT, &path)
                .header(
                    HeaderName::from_static("x-buildkite-lock-acquire-job"),
                    HeaderValue::from_static("1"),
                )
                .header(
                    HeaderName::from_static("x-buildkite-backoff-sequence"),
                    HeaderValue::from(attempt),
                );
            let error = match once.call::<AcquiredJob>(&request).await {
                Ok(answer) => return self.taken(answer.value).map(Some),
                Err(error) => error,
            };
            match error.status() {
                Some(404 | 422) => return Ok(None),
                Some(423) => {}
                _ if error.is_transient() => {}
                _ => return Err(error),
            }
            if attempt >= ACQUIRE_ATTEMPTS {
                return Err(error);
            }
            let pause = error.retry_after().unwrap_or_else(|| {
                let doubled = Duration::from_secs(1 << attempt.min(6));
                doubled.mul_f64(0.75 + crate::retry::random() / 2.0)
            });
            tracing::debug!(%error, attempt, ?pause, "a job cannot be taken yet");
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// Takes the job that a [ping](Agent::ping) told of; `None` if it is not this agent's any more.
    ///
    /// # Errors
    /// As every call.
    pub async fn accept(&self, job_uuid: &str) -> Result<Option<TakenJob>, Error> {
        let request = self.request(Method::PUT, &path(&["jobs", job_uuid, "accept"])?);
        match self.once().call::<AcquiredJob>(&request).await {
            Ok(answer) => self.taken(answer.value).map(Some),
            Err(error) if matches!(error.status(), Some(404 | 422)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn taken(&self, job: AcquiredJob) -> Result<TakenJob, Error> {
        let authorization = match &job.token {
            Some(token) if !token.is_empty() => authorization(token)?,
            _ => self.authorization.clone(),
        };
        Ok(TakenJob::new(
            self.transport.clone(),
            authorization,
            self.headers.clone(),
            job,
        ))
    }

    /// Asks what there is to do.
    ///
    /// # Errors
    /// As every call.
    pub async fn ping(&self) -> Result<Ping, Error> {
        let request = self.request(Method::GET, "ping");
        Ok(self.once().call(&request).await?.value)
    }

    /// Says that it goes away.
    ///
    /// # Errors
    /// As every call.
    pub async fn disconnect(&self) -> Result<(), Error> {
        let request = self.request(Method::POST, "disconnect");
        self.transport(DISCONNECT).tell(&request).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> Request {
        Request::new(method, path.to_owned())
            .headers(&self.headers)
            .header(header::AUTHORIZATION, self.authorization.clone())
    }

    fn transport(&self, (attempts, seconds): (u32, u64)) -> Transport {
        let mut transport = self.transport.clone();
        transport.retry = Retry::constant(attempts, Duration::from_secs(seconds));
        transport
    }

    fn once(&self) -> Transport {
        let mut transport = self.transport.clone();
        transport.retry = Retry::never();
        transport
    }
}
