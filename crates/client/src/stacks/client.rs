use std::collections::HashMap;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{self, HeaderValue};
use serde::{Deserialize, Serialize};

use super::agent::Agents;
use super::answer::Answer;
use super::error::Error;
use super::finish::FinishedJob;
use super::job::{Job, JobsPage, ReserveRequest, ReservedJobs, ScheduledJobs};
use super::job_state::JobState;
use super::metrics::Metrics;
use super::notification::{Notification, NotificationErrors};
use super::null;
use super::options::Options;
use super::retry::Retry;
use super::stack::{NewStack, Stack};
use super::token::{IssueRequest, JobAcquisitionTokens, TokenIdentity};
use super::transport::{JSON, Request, Transport, authorization, path, query};

/// How this client calls itself.
const USER_AGENT: &str = "taskyard-stacks";

/// The API, spoken to with the token of one cluster. Clones share connections.
#[derive(Debug, Clone)]
pub struct Stacks {
    transport: Transport,
    authorization: HeaderValue,
    token: Secret,
}

/// A text that is not shown.
#[derive(Clone)]
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

#[derive(Debug, Deserialize)]
struct States {
    #[serde(default, deserialize_with = "null::default")]
    states: HashMap<String, JobState>,
}

impl Stacks {
    /// A client with these options.
    ///
    /// # Errors
    /// `Call` with `Usage` when an option is wrong.
    pub fn new(options: Options) -> Result<Self, Error> {
        let authorization = authorization(&options.token)?;
        let token = Secret(options.token.clone());
        Ok(Self {
            transport: Transport::new(options, USER_AGENT)?,
            authorization,
            token,
        })
    }

    /// The same client with another way to repeat attempts, for one call or for many.
    pub fn with_retry(&self, retry: Retry) -> Self {
        let mut other = self.clone();
        other.transport.retry = retry;
        other
    }

    /// The same client without any repetition.
    pub fn without_retry(&self) -> Self {
        self.with_retry(Retry::never())
    }

    /// The same client with another limit of one attempt.
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        let mut other = self.clone();
        other.transport.timeout = timeout;
        other
    }

    /// Agents of the same cluster, over the same connections.
    ///
    /// # Errors
    /// `Call` with `Usage` when the token cannot be sent.
    pub fn agents(&self) -> Result<Agents, Error> {
        Agents::over(self.transport.clone(), &self.token.0)
    }

    /// Registers a stack, or changes the one that has its key.
    ///
    /// # Errors
    /// `Refused` with 422 when a field is wrong, 403 when there are too many stacks.
    pub async fn register(&self, stack: &NewStack) -> Result<Answer<Stack>, Error> {
        let request = self.post("stacks/register".to_owned(), stack)?;
        self.transport.call(&request).await
    }

    /// Says that a stack goes away.
    ///
    /// # Errors
    /// `Refused` with 404 when there is no such stack.
    pub async fn deregister(&self, stack_key: &str) -> Result<Answer<()>, Error> {
        let path = path(&["stacks", stack_key, "deregister"])?;
        self.transport.tell(&self.request(Method::POST, path)).await
    }

    /// One page of the jobs that are scheduled in a queue. Whoever lists is taken to be alive; the
    /// answer's [`Answer::retry_after`] says when the server wants to be asked again.
    ///
    /// # Errors
    /// `Refused` with 404 when there is no such stack or queue.
    pub async fn scheduled_jobs(&self, wanted: &ScheduledJobs) -> Result<Answer<JobsPage>, Error> {
        let limit = wanted.limit.map(|limit| limit.to_string());
        let mut pairs = Vec::new();
        pairs.extend(wanted.after.as_deref().map(|after| ("after", after)));
        pairs.extend(limit.as_deref().map(|limit| ("limit", limit)));
        pairs.push(("queue_key", &wanted.queue_key));
        let mut path = path(&["stacks", &wanted.stack_key, "scheduled-jobs"])?;
        path.push_str(&query(&pairs));
        self.transport.call(&self.request(Method::GET, path)).await
    }

    /// Reserves up to 1000 jobs for a stack, for `expiry` (15 minutes if unset, an hour at most).
    /// Reserving again prolongs.
    ///
    /// # Errors
    /// As every call: `Refused`, or no answer after all attempts. Jobs that could not be reserved
    /// are no error.
    pub async fn reserve(
        &self,
        stack_key: &str,
        job_uuids: Vec<String>,
        expiry: Option<Duration>,
    ) -> Result<Answer<ReservedJobs>, Error> {
        let path = path(&["stacks", stack_key, "scheduled-jobs", "batch-reserve"])?;
        let body = ReserveRequest::new(job_uuids, expiry);
        let request = self.request(Method::PUT, path).json(&body)?;
        self.transport.call(&request).await
    }

    /// What a job runs.
    ///
    /// # Errors
    /// `Refused` with 404 when there is no such job, or it cannot run any more.
    pub async fn job(&self, stack_key: &str, job_uuid: &str) -> Result<Answer<Job>, Error> {
        let path = path(&["stacks", stack_key, "jobs", job_uuid])?;
        self.transport.call(&self.request(Method::GET, path)).await
    }

    /// Where up to 1000 jobs stand. Unknown jobs are left out.
    ///
    /// # Errors
    /// As every call.
    pub async fn job_states(
        &self,
        stack_key: &str,
        job_uuids: &[String],
    ) -> Result<Answer<HashMap<String, JobState>>, Error> {
        let path = path(&["stacks", stack_key, "jobs", "get-states"])?;
        let body = serde_json::json!({ "job_uuids": job_uuids });
        let answer: Answer<States> = self.transport.call(&self.post(path, &body)?).await?;
        Ok(Answer {
            value: answer.value.states,
            headers: answer.headers,
        })
    }

    /// Where one job stands; `None` if it is unknown.
    ///
    /// # Errors
    /// As every call.
    pub async fn job_state(
        &self,
        stack_key: &str,
        job_uuid: &str,
    ) -> Result<Answer<Option<JobState>>, Error> {
        let mut answer = self.job_states(stack_key, &[job_uuid.to_owned()]).await?;
        Ok(Answer {
            value: answer.value.remove(job_uuid),
            headers: answer.headers,
        })
    }

    /// Ends a job that no agent has taken.
    ///
    /// # Errors
    /// `Refused` with 404 when there is no such job, 422 when an agent has it or it has ended.
    pub async fn finish(
        &self,
        stack_key: &str,
        job_uuid: &str,
        end: &FinishedJob,
    ) -> Result<Answer<()>, Error> {
        let path = path(&["stacks", stack_key, "jobs", job_uuid, "finish"])?;
        self.transport.tell(&self.post(path, &end.request())?).await
    }

    /// Shows up to 1000 notes at jobs. Those that are wrong are told, the others stored.
    ///
    /// # Errors
    /// As every call.
    pub async fn notify(
        &self,
        stack_key: &str,
        notifications: &[Notification],
    ) -> Result<Answer<NotificationErrors>, Error> {
        let path = path(&["stacks", stack_key, "notifications"])?;
        let body = serde_json::json!({ "notifications": notifications });
        self.transport.call(&self.post(path, &body)?).await
    }

    /// Makes a token for each of up to 1000 reserved jobs, with which an agent may take that job
    /// and nothing else, for `lifetime` (15 minutes if unset).
    ///
    /// # Errors
    /// As every call. Jobs that got no token are no error; no agent must be started for them.
    pub async fn job_acquisition_tokens(
        &self,
        stack_key: &str,
        job_uuids: Vec<String>,
        lifetime: Option<Duration>,
    ) -> Result<Answer<JobAcquisitionTokens>, Error> {
        let path = path(&["stacks", stack_key, "job-acquisition-tokens"])?;
        let body = IssueRequest::new(job_uuids, lifetime);
        self.transport.call(&self.post(path, &body)?).await
    }

    /// Whom the token stands for.
    ///
    /// # Errors
    /// `Refused` with 401 when it is worth nothing.
    pub async fn token(&self) -> Result<Answer<TokenIdentity>, Error> {
        let request = self.request(Method::GET, "token".to_owned());
        self.transport.call(&request).await
    }

    /// How many agents and jobs the cluster has.
    ///
    /// # Errors
    /// As every call.
    pub async fn metrics(&self) -> Result<Answer<Metrics>, Error> {
        let request = self.request(Method::GET, "metrics".to_owned());
        self.transport.call(&request).await
    }

    /// Every request says that it speaks JSON, even if it has no body.
    fn request(&self, method: Method, path: String) -> Request {
        Request::new(method, path)
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::ACCEPT, JSON)
            .header(header::CONTENT_TYPE, JSON)
    }

    fn post(&self, path: String, body: &impl Serialize) -> Result<Request, Error> {
        self.request(Method::POST, path).json(body)
    }
}
