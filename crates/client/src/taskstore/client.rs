use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, Url, header};
use serde::de::DeserializeOwned;
use taskyard_access::sign::{Destination, Payload, nonce};

use super::claim::Claim;
use super::error::Error;
use super::task::{Stats, Task};
use super::update::Update;
use super::wire::{self, Envelope, WireTask};
use super::worker::Worker;
use crate::service::{connection_error, parse, pool};
use crate::{Options, Retry, clock, retry};

/// `Content-Type` of every body sent.
const JSON: &str = "application/json";

/// A taskstore, spoken to as one client. Clones share connections.
#[derive(Debug, Clone)]
pub struct Taskstore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Without a slash at its end.
    base: String,
    client_id: i32,
    http: reqwest::Client,
    signer: Option<taskyard_access::Signer>,
    retry: Retry,
    timeout: Duration,
    clock_offset_ms: i64,
}

/// Which tasks of a group to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listing {
    /// At most so many; 0 means all.
    pub limit: usize,
    /// Also those that are held, or wait for a later time.
    pub with_held: bool,
    /// Those after a task with this `available_at` and `id`: the last one of the page before.
    pub after: Option<(i64, i64)>,
}

impl Taskstore {
    /// The taskstore of the deployment at `options.root_url`.
    ///
    /// # Errors
    /// `Usage` when an option is wrong.
    pub fn new(options: Options) -> Result<Self, Error> {
        let base = format!("{}/taskstore", options.root_url.trim_end_matches('/'));
        Self::at(&base, options)
    }

    /// The taskstore whose paths begin right after `base`, such as `http://127.0.0.1:8048`. The
    /// options' root URL does not matter. User and password in `base` are sent as they are.
    ///
    /// # Errors
    /// `Usage` when an option is wrong.
    pub fn at(base: &str, options: Options) -> Result<Self, Error> {
        let base = base.trim_end_matches('/').to_owned();
        let url = parse(&base)?;
        options.retry.check()?;
        let signer = match &options.credentials {
            Some(credentials) => Some(credentials.signer(options.authorized_scopes.as_deref())?),
            None => None,
        };
        let http = match options.http {
            Some(http) => http,
            None => pool(&url)?,
        };
        let (_, random) = uuid::Uuid::new_v4().as_u64_pair();
        let shared = Shared {
            base,
            // Not negative, as every server takes it.
            client_id: (random >> 33) as i32,
            http,
            signer,
            retry: options.retry,
            timeout: options.timeout,
            clock_offset_ms: options.clock_offset_ms,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Under which id this client holds tasks: a random number. It proves nothing.
    pub fn id(&self) -> i32 {
        self.shared.client_id
    }

    /// The same store as another client. Clients with the same id hold tasks together.
    pub fn with_id(&self, client_id: i32) -> Self {
        let Shared {
            base,
            http,
            signer,
            retry,
            timeout,
            clock_offset_ms,
            ..
        } = &*self.shared;
        let shared = Shared {
            base: base.clone(),
            client_id,
            http: http.clone(),
            signer: signer.clone(),
            retry: retry.clone(),
            timeout: *timeout,
            clock_offset_ms: *clock_offset_ms,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The names of all groups that have tasks.
    ///
    /// # Errors
    /// As every read: `Call`, after all retries.
    pub async fn groups(&self) -> Result<Vec<String>, Error> {
        self.get("group", &[]).await
    }

    /// Tasks of a group, by the time at which they become available.
    ///
    /// # Errors
    /// As [`Taskstore::groups`].
    pub async fn group(&self, name: &str, listing: Listing) -> Result<Vec<Task>, Error> {
        let after = listing.after.map(|(at, id)| format!("{at}:{id}"));
        let limit = listing.limit.to_string();
        let mut query = vec![
            ("limit", limit.as_str()),
            ("owned", if listing.with_held { "1" } else { "0" }),
        ];
        query.extend(after.as_deref().map(|after| ("after", after)));
        let path = format!("group/{}", escape(name)?);
        let tasks: Option<Vec<WireTask>> = self.get(&path, &query).await?;
        Ok(wire::tasks(tasks.unwrap_or_default())?)
    }

    /// One task; `None` if this version is gone.
    ///
    /// # Errors
    /// As [`Taskstore::groups`].
    pub async fn task(&self, id: i64) -> Result<Option<Task>, Error> {
        let task: Option<WireTask> = self.get(&format!("task/{id}"), &[]).await?;
        Ok(task.map(Task::try_from).transpose()?)
    }

    /// Several tasks, in the order of `ids`.
    ///
    /// # Errors
    /// As [`Taskstore::groups`].
    pub async fn tasks(&self, ids: &[i64]) -> Result<Vec<Option<Task>>, Error> {
        // A portion of ids fits into any server's limit on addresses.
        let mut found = Vec::with_capacity(ids.len());
        for some in ids.chunks(300) {
            let list: Vec<String> = some.iter().map(ToString::to_string).collect();
            let path = format!("tasks/{}", list.join(","));
            let tasks: Vec<Option<WireTask>> = self.get(&path, &[]).await?;
            for task in tasks {
                found.push(task.map(Task::try_from).transpose()?);
            }
        }
        Ok(found)
    }

    /// How many tasks each group has.
    ///
    /// # Errors
    /// As [`Taskstore::groups`].
    pub async fn stats(&self) -> Result<Vec<Stats>, Error> {
        self.get("stats", &[]).await
    }

    /// How many tasks a group has.
    ///
    /// # Errors
    /// As [`Taskstore::groups`].
    pub async fn group_stats(&self, name: &str) -> Result<Stats, Error> {
        self.get(&format!("stats/{}", escape(name)?), &[]).await
    }

    /// Adds, changes and deletes tasks, all or nothing. Answers with the new tasks: first the
    /// added ones, then the changed ones, in their order.
    ///
    /// # Errors
    /// `Refused` if nothing was done. After a `Call` error that is transient it may have been
    /// done: a look at the ids that it names will tell.
    pub async fn update(&self, update: Update) -> Result<Vec<Task>, Error> {
        let body = wire::update(self.shared.client_id, &update);
        self.post("update", &body, Duration::ZERO).await
    }

    /// Takes tasks for a while; none if there are none.
    ///
    /// # Errors
    /// `Refused` if a task that the claim depends on is gone. After a `Call` error that is
    /// transient, tasks may be held that nobody knows of; they come back when the lease ends.
    pub async fn claim(&self, claim: &Claim) -> Result<Vec<Task>, Error> {
        let body = wire::claim(self.shared.client_id, claim);
        self.post("claim", &body, claim.wait).await
    }

    /// Works off the tasks of `group`: see [`Worker`].
    pub fn worker(&self, group: impl Into<String>) -> Worker {
        Worker::new(self.clone(), group)
    }

    /// Works off the tasks of `group` with `handler` for ever, with a lease of 30 s: see
    /// [`Worker::run`].
    ///
    /// # Errors
    /// The first error that will not pass by itself.
    pub async fn work<H, F>(&self, group: impl Into<String>, handler: H) -> Result<(), Error>
    where
        H: Fn(Task) -> F,
        F: Future<Output = Result<Update, super::HandlerError>>,
    {
        self.worker(group).run(handler).await
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Error> {
        let mut url = format!("{}/{path}", self.shared.base);
        crate::url::append_query(&mut url, query);
        let url = parse(&url)?;
        let mut retries = 0;
        loop {
            match self
                .attempt(Method::GET, &url, None, self.shared.timeout)
                .await
            {
                Err(failure) if failure.error.is_transient() && self.may_retry(retries) => {}
                Err(failure) => return Err(failure.error.into()),
                Ok(body) => return decode(&body),
            }
            retries += 1;
            self.pause(retries).await;
        }
    }

    /// Sends what must not be done twice: it is only repeated if it never got away.
    async fn post(
        &self,
        path: &str,
        body: &serde_json::Value,
        wait: Duration,
    ) -> Result<Vec<Task>, Error> {
        let url = parse(&format!("{}/{path}", self.shared.base))?;
        let body = body.to_string().into_bytes();
        let timeout = self.shared.timeout.saturating_add(wait);
        let mut retries = 0;
        loop {
            match self.attempt(Method::POST, &url, Some(&body), timeout).await {
                Err(failure) if failure.was_not_sent && self.may_retry(retries) => {}
                Err(failure) => return Err(failure.error.into()),
                Ok(body) => return decode::<Envelope>(&body)?.open(),
            }
            retries += 1;
            self.pause(retries).await;
        }
    }

    fn may_retry(&self, retries: u32) -> bool {
        retries < self.shared.retry.retries
    }

    async fn pause(&self, retries: u32) {
        tokio::time::sleep(self.shared.retry.pause(retries, retry::random())).await;
    }

    async fn attempt(
        &self,
        method: Method,
        url: &Url,
        body: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<bytes::Bytes, Failure> {
        let shared = &*self.shared;
        let mut request = shared
            .http
            .request(method.clone(), url.clone())
            .timeout(timeout);
        if let Some(signer) = &shared.signer {
            let target = match url.query() {
                Some(query) => format!("{}?{query}", url.path()),
                None => url.path().to_owned(),
            };
            let to = Destination {
                target: &target,
                host: url.host_str().unwrap_or_default(),
                port: url.port_or_known_default().unwrap_or_default(),
            };
            let payload = body.map(|body| Payload {
                content_type: JSON,
                body,
            });
            let seconds = (clock::unix_millis() + shared.clock_offset_ms).div_euclid(1000);
            let authorization =
                signer.authorization_header(method.as_str(), &to, seconds, &nonce(), payload);
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(body) = body {
            request = request
                .header(header::CONTENT_TYPE, JSON)
                .body(body.to_vec());
        }
        let lost = |error: reqwest::Error| Failure {
            was_not_sent: error.is_connect(),
            error: connection_error(url, timeout, &error),
        };
        let answer = request.send().await.map_err(lost)?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(lost)?;
        if status == 200 {
            return Ok(body);
        }
        Err(Failure {
            was_not_sent: false,
            error: refused(status, &body),
        })
    }
}

/// A call that got no answer, or none that says what came of it.
struct Failure {
    was_not_sent: bool,
    error: crate::Error,
}

/// The error of an answer outside 200: a line of text.
fn refused(status: u16, body: &[u8]) -> crate::Error {
    let message = String::from_utf8_lossy(body).trim().to_owned();
    let (code, body) = ("TaskstoreError".to_owned(), None);
    if status == 401 {
        crate::Error::Auth {
            status,
            code,
            message,
            body,
        }
    } else {
        crate::Error::Api {
            status,
            code,
            message,
            body,
        }
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body)
        .map_err(|error| Error::Call(crate::Error::Decode(error.to_string())))
}

fn escape(name: &str) -> Result<String, Error> {
    Ok(crate::url::route(&[name])?)
}
