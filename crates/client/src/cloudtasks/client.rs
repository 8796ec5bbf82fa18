use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, Url, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::call_options::{CallOptions, CallSettings};
use super::error::Error;
use super::iam::Policy;
use super::lease::{Lease, LeaseRequest, Leased};
use super::operation::Operation;
use super::options::{Options, TokenSource, Version};
use super::pages::Pages;
use super::place::{CmekConfig, Location};
use super::queue::{Listing, Queue};
use super::task::{BufferedTask, FailedTask, LoggedAttempt, Task, View};
use crate::service::{connection_error, parse, pool, read_body};

/// How this client calls itself.
const USER_AGENT: &str = concat!("taskyard-cloudtasks/", env!("CARGO_PKG_VERSION"));

/// Cloud Tasks. Clones share connections.
#[derive(Debug, Clone)]
pub struct CloudTasks {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Without a slash at its end.
    endpoint: String,
    version: Version,
    http: reqwest::Client,
    token: Option<TokenSource>,
    quota_project: Option<header::HeaderValue>,
    calls: CallOptions,
}

/// One call, in all of its attempts.
#[derive(Debug)]
struct Call {
    method: Method,
    /// With the version.
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<(&'static str, Bytes)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct QueuesPage {
    queues: Vec<Queue>,
    next_page_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TasksPage {
    tasks: Vec<Task>,
    next_page_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AttemptsPage {
    attempts: Vec<LoggedAttempt>,
    next_page_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FailuresPage {
    failures: Vec<FailedTask>,
    next_page_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LocationsPage {
    locations: Vec<Location>,
    next_page_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Permissions {
    permissions: Vec<String>,
}

// === queues ===

impl CloudTasks {
    /// A client with these options.
    ///
    /// # Errors
    /// `Call` with `Usage` when an option is wrong.
    pub fn new(options: Options) -> Result<Self, Error> {
        let endpoint = options.endpoint.trim_end_matches('/').to_owned();
        let url = parse(&endpoint)?;
        let usage = |text: String| Error::Call(crate::Error::Usage(text));
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(usage(format!(
                "the endpoint must look like https://cloudtasks.googleapis.com, not `{endpoint}`"
            )));
        }
        let quota_project = options
            .quota_project
            .map(|project| header::HeaderValue::from_str(&project))
            .transpose()
            .map_err(|_| usage("the quota project cannot stand in a header".to_owned()))?;
        let http = match options.http {
            Some(http) => http,
            None => pool(&url)?,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                endpoint,
                version: options.version,
                http,
                token: options.token,
                quota_project,
                calls: options.calls,
            }),
        })
    }

    /// The queues below `parent` (`projects/P/locations/L`).
    pub fn list_queues(&self, parent: &str, listing: Listing) -> Pages<Queue> {
        let (client, parent) = (self.clone(), parent.to_owned());
        Pages::new(move |token| {
            let (client, parent, listing) = (client.clone(), parent.clone(), listing.clone());
            Box::pin(async move {
                let call = client
                    .get(&[&parent, "queues"])
                    .set("filter", listing.filter)
                    .number("pageSize", listing.page_size)
                    .set("pageToken", token)
                    .set("readMask", listing.read_mask);
                let settings = &client.shared.calls.list_queues;
                let page: QueuesPage = client.call(settings, call).await?;
                Ok((page.queues, page.next_page_token))
            })
        })
    }

    /// One queue.
    ///
    /// # Errors
    /// `Status` with `NotFound` when there is none.
    pub async fn get_queue(&self, name: &str) -> Result<Queue, Error> {
        self.call(&self.calls().get_queue, self.get(&[name])).await
    }

    /// One queue with the fields that `read_mask` names, such as `*,stats`. v2beta2 and v2beta3.
    ///
    /// # Errors
    /// As [`CloudTasks::get_queue`].
    pub async fn get_queue_masked(&self, name: &str, read_mask: &str) -> Result<Queue, Error> {
        let call = self.get(&[name]).set("readMask", read_mask.to_owned());
        self.call(&self.calls().get_queue, call).await
    }

    /// Creates a queue below `parent`.
    ///
    /// # Errors
    /// `Status` with `AlreadyExists` when there is one of this name.
    pub async fn create_queue(&self, parent: &str, queue: &Queue) -> Result<Queue, Error> {
        let call = self.post(&[parent, "queues"]).json(queue)?;
        self.call(&self.calls().create_queue, call).await
    }

    /// Changes the fields of a queue that `update_mask` names, all if it is empty, and creates the
    /// queue if there is none.
    ///
    /// # Errors
    /// `Status` with `InvalidArgument` when a field is out of its bounds.
    pub async fn update_queue(&self, queue: &Queue, update_mask: &str) -> Result<Queue, Error> {
        let call = self
            .at(Method::PATCH, &[&queue.name])
            .set("updateMask", update_mask.to_owned())
            .json(queue)?;
        self.call(&self.calls().update_queue, call).await
    }

    /// Deletes a queue with all of its tasks.
    ///
    /// # Errors
    /// `Status` with `NotFound` when there is none, also if an earlier attempt has deleted it.
    pub async fn delete_queue(&self, name: &str) -> Result<(), Error> {
        let call = self.at(Method::DELETE, &[name]);
        self.told(&self.calls().delete_queue, call).await
    }

    /// Deletes all tasks of a queue.
    ///
    /// # Errors
    /// As [`CloudTasks::get_queue`].
    pub async fn purge_queue(&self, name: &str) -> Result<Queue, Error> {
        let call = self.verb(name, "purge").json(&json!({}))?;
        self.call(&self.calls().purge_queue, call).await
    }

    /// Sends no more tasks of a queue.
    ///
    /// # Errors
    /// As [`CloudTasks::get_queue`].
    pub async fn pause_queue(&self, name: &str) -> Result<Queue, Error> {
        let call = self.verb(name, "pause").json(&json!({}))?;
        self.call(&self.calls().pause_queue, call).await
    }

    /// Sends tasks of a queue again.
    ///
    /// # Errors
    /// As [`CloudTasks::get_queue`].
    pub async fn resume_queue(&self, name: &str) -> Result<Queue, Error> {
        let call = self.verb(name, "resume").json(&json!({}))?;
        self.call(&self.calls().resume_queue, call).await
    }

    /// Makes queues what a `queue.yaml` says they are. v2beta2.
    ///
    /// # Errors
    /// `Status` with `InvalidArgument` when the file is wrong.
    pub async fn upload_queue_yaml(&self, app_id: &str, yaml: &str) -> Result<(), Error> {
        let mut call = Call::new(Method::POST, "api/queue/update".to_owned());
        call = call.set("appId", app_id.to_owned());
        call.body = Some(("application/yaml", yaml.to_owned().into()));
        self.told(&self.calls().upload_queue_yaml, call).await
    }
}

// === who may do what ===

impl CloudTasks {
    /// Who may do what with a queue.
    ///
    /// # Errors
    /// As [`CloudTasks::get_queue`].
    pub async fn get_iam_policy(&self, queue: &str) -> Result<Policy, Error> {
        let body = json!({"options": {"requestedPolicyVersion": 3}});
        let call = self.verb(queue, "getIamPolicy").json(&body)?;
        self.call(&self.calls().get_iam_policy, call).await
    }

    /// Replaces who may do what with a queue.
    ///
    /// # Errors
    /// `Status` with `Aborted` when the policy has changed since its etag.
    pub async fn set_iam_policy(&self, queue: &str, policy: &Policy) -> Result<Policy, Error> {
        let body = json!({ "policy": policy });
        let call = self.verb(queue, "setIamPolicy").json(&body)?;
        self.call(&self.calls().set_iam_policy, call).await
    }

    /// Those of `permissions` that the caller has; none for a queue that is not there.
    ///
    /// # Errors
    /// `Status` with `InvalidArgument` when one of them is a wildcard.
    pub async fn test_iam_permissions(
        &self,
        queue: &str,
        permissions: &[&str],
    ) -> Result<Vec<String>, Error> {
        let body = json!({ "permissions": permissions });
        let call = self.verb(queue, "testIamPermissions").json(&body)?;
        let answer: Permissions = self.call(&self.calls().test_iam_permissions, call).await?;
        Ok(answer.permissions)
    }
}

// === tasks ===

impl CloudTasks {
    /// The tasks of a queue, by the time they are due. Bodies are told in the full view only.
    pub fn list_tasks(&self, queue: &str, view: View, page_size: u32) -> Pages<Task> {
        let (client, queue) = (self.clone(), queue.to_owned());
        Pages::new(move |token| {
            let (client, queue) = (client.clone(), queue.clone());
            Box::pin(async move {
                let call = client
                    .get(&[&queue, "tasks"])
                    .view(view)
                    .number("pageSize", page_size)
                    .set("pageToken", token);
                let settings = &client.shared.calls.list_tasks;
                let page: TasksPage = client.call(settings, call).await?;
                Ok((page.tasks, page.next_page_token))
            })
        })
    }

    /// One task.
    ///
    /// # Errors
    /// `Status` with `NotFound` when there is none, or it has succeeded.
    pub async fn get_task(&self, name: &str, view: View) -> Result<Task, Error> {
        let call = self.get(&[name]).view(view);
        self.call(&self.calls().get_task, call).await
    }

    /// Creates a task in a queue. A task with a name of its own is created once, however often
    /// this is called.
    ///
    /// # Errors
    /// `Status` with `AlreadyExists` when its name is taken, or was until lately.
    pub async fn create_task(&self, queue: &str, task: &Task) -> Result<Task, Error> {
        let call = self
            .post(&[queue, "tasks"])
            .json(&json!({ "task": task }))?;
        self.call(&self.calls().create_task, call).await
    }

    /// Deletes a task.
    ///
    /// # Errors
    /// `Status` with `NotFound` when there is none, also if an earlier attempt has deleted it.
    pub async fn delete_task(&self, name: &str) -> Result<(), Error> {
        let call = self.at(Method::DELETE, &[name]);
        self.told(&self.calls().delete_task, call).await
    }

    /// Sends a task now, whatever its schedule and its queue's limits say.
    ///
    /// # Errors
    /// As [`CloudTasks::get_task`].
    pub async fn run_task(&self, name: &str) -> Result<Task, Error> {
        let call = self.verb(name, "run").json(&json!({}))?;
        self.call(&self.calls().run_task, call).await
    }

    /// Makes a task of a body, in a queue that has a target of its own. The service makes up an id
    /// if `task_id` is empty.
    ///
    /// # Errors
    /// `Status` with `FailedPrecondition` when the queue has no target.
    pub async fn buffer_task(
        &self,
        queue: &str,
        task_id: &str,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Result<Task, Error> {
        let mut call = if task_id.is_empty() {
            self.verb(&format!("{queue}/tasks"), "buffer")
        } else {
            self.verb(&format!("{queue}/tasks/{task_id}"), "buffer")
        };
        call.body = Some((content_type, body.into()));
        let made: BufferedTask = self.call(&self.calls().buffer_task, call).await?;
        Ok(made.task)
    }

    /// Creates up to 100 tasks, each by itself. The same `request_id` (a UUID) is carried out once.
    ///
    /// # Errors
    /// `Status` with `InvalidArgument` when there are too many.
    pub async fn batch_create_tasks(
        &self,
        queue: &str,
        tasks: &[Task],
        request_id: &str,
    ) -> Result<Operation, Error> {
        let requests: Vec<Value> = tasks
            .iter()
            .map(|task| json!({"parent": queue, "task": task}))
            .collect();
        let body = with_request_id(json!({ "requests": requests }), request_id);
        let call = self
            .verb(&format!("{queue}/tasks"), "batchCreate")
            .json(&body)?;
        self.call(&self.calls().batch_create_tasks, call).await
    }

    /// Deletes up to 1000 tasks of a queue, each by itself. The same `request_id` (a UUID) is
    /// carried out once.
    ///
    /// # Errors
    /// `Status` with `InvalidArgument` when there are too many.
    pub async fn batch_delete_tasks(
        &self,
        queue: &str,
        names: &[String],
        request_id: &str,
    ) -> Result<Operation, Error> {
        let body = with_request_id(json!({ "names": names }), request_id);
        let call = self
            .verb(&format!("{queue}/tasks"), "batchDelete")
            .json(&body)?;
        self.call(&self.calls().batch_delete_tasks, call).await
    }

    /// How an operation is going.
    ///
    /// # Errors
    /// `Status` with `NotFound` when it is unknown, or long gone.
    pub async fn get_operation(&self, name: &str) -> Result<Operation, Error> {
        let call = self.get(&[name]);
        self.call(&self.calls().get_operation, call).await
    }
}

// === what became of tasks ===

impl CloudTasks {
    /// The attempts at tasks of a queue, or at one task, which may be gone; newest first. What
    /// handlers answered is told in the full view only. Taskyard has this, the real service not.
    pub fn list_attempts(&self, parent: &str, view: View, page_size: u32) -> Pages<LoggedAttempt> {
        let (client, parent) = (self.clone(), parent.to_owned());
        Pages::new(move |token| {
            let (client, parent) = (client.clone(), parent.clone());
            Box::pin(async move {
                let call = client
                    .get(&[&parent, "attempts"])
                    .view(view)
                    .number("pageSize", page_size)
                    .set("pageToken", token);
                let settings = &client.shared.calls.list_attempts;
                let page: AttemptsPage = client.call(settings, call).await?;
                Ok((page.attempts, page.next_page_token))
            })
        })
    }

    /// Tasks of a queue that were given up of late, by the time they were created. Bodies are told
    /// in the full view only. Taskyard has this, the real service not.
    pub fn list_failures(&self, queue: &str, view: View, page_size: u32) -> Pages<FailedTask> {
        let (client, queue) = (self.clone(), queue.to_owned());
        Pages::new(move |token| {
            let (client, queue) = (client.clone(), queue.clone());
            Box::pin(async move {
                let call = client
                    .get(&[&queue, "failures"])
                    .view(view)
                    .number("pageSize", page_size)
                    .set("pageToken", token);
                let settings = &client.shared.calls.list_failures;
                let page: FailuresPage = client.call(settings, call).await?;
                Ok((page.failures, page.next_page_token))
            })
        })
    }
}

// === pull queues ===

impl CloudTasks {
    /// Takes tasks of a pull queue for a while; none if none are due. v2beta2.
    ///
    /// # Errors
    /// `Status` with `FailedPrecondition` when the queue is paused or no pull queue.
    pub async fn lease_tasks(
        &self,
        queue: &str,
        request: &LeaseRequest,
    ) -> Result<Vec<Task>, Error> {
        let call = self
            .verb(&format!("{queue}/tasks"), "lease")
            .json(request)?;
        let leased: Leased = self.call(&self.calls().lease_tasks, call).await?;
        Ok(leased.tasks)
    }

    /// Says that a leased task is done. v2beta2.
    ///
    /// # Errors
    /// `Status` with `FailedPrecondition` when the lease has ended.
    pub async fn acknowledge_task(&self, lease: &Lease) -> Result<(), Error> {
        let body = json!({ "scheduleTime": lease.schedule_time });
        let call = self.verb(&lease.name, "acknowledge").json(&body)?;
        self.told(&self.calls().acknowledge_task, call).await
    }

    /// Prolongs a lease to `lease_duration` (such as `60s`) from now. v2beta2.
    ///
    /// # Errors
    /// As [`CloudTasks::acknowledge_task`].
    pub async fn renew_lease(&self, lease: &Lease, lease_duration: &str) -> Result<Task, Error> {
        let body = json!({
            "scheduleTime": lease.schedule_time, "leaseDuration": lease_duration,
        });
        let call = self.verb(&lease.name, "renewLease").json(&body)?;
        self.call(&self.calls().renew_lease, call).await
    }

    /// Gives a leased task back. v2beta2.
    ///
    /// # Errors
    /// As [`CloudTasks::acknowledge_task`].
    pub async fn cancel_lease(&self, lease: &Lease) -> Result<Task, Error> {
        let body = json!({ "scheduleTime": lease.schedule_time });
        let call = self.verb(&lease.name, "cancelLease").json(&body)?;
        self.call(&self.calls().cancel_lease, call).await
    }
}

// === places ===

impl CloudTasks {
    /// Where a project (`projects/P`) can have queues.
    pub fn list_locations(&self, project: &str, listing: Listing) -> Pages<Location> {
        let (client, project) = (self.clone(), project.to_owned());
        Pages::new(move |token| {
            let (client, project, listing) = (client.clone(), project.clone(), listing.clone());
            Box::pin(async move {
                let call = client
                    .get(&[&project, "locations"])
                    .set("filter", listing.filter)
                    .number("pageSize", listing.page_size)
                    .set("pageToken", token);
                let settings = &client.shared.calls.list_locations;
                let page: LocationsPage = client.call(settings, call).await?;
                Ok((page.locations, page.next_page_token))
            })
        })
    }

    /// One place.
    ///
    /// # Errors
    /// `Status` with `NotFound` when there is none.
    pub async fn get_location(&self, name: &str) -> Result<Location, Error> {
        self.call(&self.calls().get_location, self.get(&[name]))
            .await
    }

    /// The key that the queues of a place (`projects/P/locations/L`) are encrypted with.
    ///
    /// # Errors
    /// As every call.
    pub async fn get_cmek_config(&self, location: &str) -> Result<CmekConfig, Error> {
        let call = self.get(&[location, "cmekConfig"]);
        self.call(&self.calls().get_cmek_config, call).await
    }

    /// Changes it.
    ///
    /// # Errors
    /// `Status` with `InvalidArgument` when the key is no name of one.
    pub async fn update_cmek_config(&self, config: &CmekConfig) -> Result<CmekConfig, Error> {
        let call = self
            .at(Method::PATCH, &[&config.name])
            .set("updateMask", "kmsKey".to_owned())
            .json(config)?;
        self.call(&self.calls().update_cmek_config, call).await
    }
}

fn with_request_id(mut body: Value, request_id: &str) -> Value {
    if !request_id.is_empty() {
        body["requestId"] = request_id.into();
    }
    body
}

// === calls ===

impl CloudTasks {
    fn calls(&self) -> &CallOptions {
        &self.shared.calls
    }

    fn at(&self, method: Method, parts: &[&str]) -> Call {
        let mut path = self.shared.version.as_str().to_owned();
        for part in parts {
            path.push('/');
            escape_into(&mut path, part, b"-_.~/:");
        }
        Call::new(method, path)
    }

    fn get(&self, parts: &[&str]) -> Call {
        self.at(Method::GET, parts)
    }

    fn post(&self, parts: &[&str]) -> Call {
        self.at(Method::POST, parts)
    }

    fn verb(&self, name: &str, verb: &str) -> Call {
        let mut call = self.post(&[name]);
        call.path.push(':');
        call.path.push_str(verb);
        call
    }

    async fn call<T: DeserializeOwned>(
        &self,
        settings: &CallSettings,
        call: Call,
    ) -> Result<T, Error> {
        let body = self.repeat(settings, &call).await?;
        serde_json::from_slice(&body)
            .map_err(|error| Error::Call(crate::Error::Decode(error.to_string())))
    }

    async fn told(&self, settings: &CallSettings, call: Call) -> Result<(), Error> {
        self.repeat(settings, &call).await.map(drop)
    }

    async fn repeat(&self, settings: &CallSettings, call: &Call) -> Result<Bytes, Error> {
        let url = self.url(call)?;
        let end = Instant::now() + settings.timeout;
        let mut attempts = 1;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let error = match self.attempt(call, &url, left).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            let Some(policy) = &settings.retry else {
                return Err(error);
            };
            let pause = policy.pause(attempts, crate::retry::random());
            if !policy.codes.contains(&error.code()) || Instant::now() + pause >= end {
                return Err(error);
            }
            tracing::debug!(%error, attempts, ?pause, "repeating a call");
            tokio::time::sleep(pause).await;
            attempts += 1;
        }
    }

    async fn attempt(&self, call: &Call, url: &Url, limit: Duration) -> Result<Bytes, Error> {
        let shared = &*self.shared;
        let mut request = shared
            .http
            .request(call.method.clone(), url.clone())
            .timeout(limit)
            .header(header::USER_AGENT, USER_AGENT);
        if let Some(token) = &shared.token {
            request = request.bearer_auth(token.token().await?);
        }
        if let Some(project) = &shared.quota_project {
            request = request.header("x-goog-user-project", project.clone());
        }
        if let Some((content_type, body)) = &call.body {
            request = request
                .header(header::CONTENT_TYPE, *content_type)
                .body(body.clone());
        } else if call.method != Method::GET {
            // Some servers and proxies refuse a POST that names no length.
            request = request.header(header::CONTENT_LENGTH, "0");
        }
        let answer = request
            .send()
            .await
            .map_err(|error| connection_error(url, limit, &error))?;
        let status = answer.status();
        let body = read_body(answer, url, limit).await?;
        tracing::debug!(method = %call.method, path = url.path(), status = status.as_u16(), "called");
        if status.is_success() {
            Ok(body)
        } else {
            Err(Error::from_answer(status.as_u16(), &body))
        }
    }

    fn url(&self, call: &Call) -> Result<Url, Error> {
        let mut url = format!("{}/{}", self.shared.endpoint, call.path);
        for (index, (name, value)) in call.query.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            escape_into(&mut url, value, b"-_.~");
        }
        Ok(parse(&url)?)
    }
}

impl Call {
    fn new(method: Method, path: String) -> Self {
        Self {
            method,
            path,
            query: Vec::new(),
            body: None,
        }
    }

    /// Adds a query argument, unless it is empty.
    fn set(mut self, name: &'static str, value: String) -> Self {
        if !value.is_empty() {
            self.query.push((name, value));
        }
        self
    }

    /// Adds a number, unless it is 0.
    fn number(self, name: &'static str, value: u32) -> Self {
        let text = match value {
            0 => String::new(),
            value => value.to_string(),
        };
        self.set(name, text)
    }

    fn view(self, view: View) -> Self {
        match view {
            View::Unspecified => self,
            view => self.set("responseView", view.as_str().to_owned()),
        }
    }

    /// # Errors
    /// `Call` with `Usage` when `body` has no JSON form.
    fn json(mut self, body: &impl Serialize) -> Result<Self, Error> {
        let bytes = serde_json::to_vec(body)
            .map_err(|error| crate::Error::Usage(format!("the request cannot be sent: {error}")))?;
        self.body = Some(("application/json", bytes.into()));
        Ok(self)
    }
}

/// Escapes everything but letters, digits and `kept`.
fn escape_into(to: &mut String, text: &str, kept: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            to.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(to, "%{byte:02X}");
        }
    }
}
