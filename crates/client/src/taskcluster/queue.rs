use std::{path::Path, time::Duration};

use bytes::Bytes;
use reqwest::{Method, header};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::io::AsyncWrite;

use super::page::{Listing, Page, list, list_all};
use crate::{
    Call, Content, Credentials, Downloaded, Error, Options, Response, Result, Service, Timestamp,
    taskcluster::{
        Artifact, ArtifactContent, ArtifactRequest, ArtifactResponse, ArtifactsPage, Claim,
        ClaimWorkRequest, ClaimWorkResponse, DependentsPage, ExceptionReason, NewUpload, Object,
        Reclaim, Redirect, TaskAndStatus, TaskDefinition, TaskGroupPage, TaskStatus,
        TaskStatusResponse,
    },
};

/// Limit of one `claimWork`: the server holds it for up to 20 s.
const CLAIM_WORK_TIMEOUT: Duration = Duration::from_mins(1);

/// The queue: tasks, runs, claims, artifacts. Clones share connections.
#[derive(Debug, Clone)]
pub struct Queue {
    service: Service,
}

/// Answer of `ping`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Ping {
    /// Always true.
    pub alive: bool,
    /// Seconds since the service started.
    #[serde(default)]
    pub uptime: f64,
}

/// How many tasks wait in a queue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingTasks {
    /// The queue's name; absent on old deployments.
    pub task_queue_id: Option<String>,
    /// Tasks that wait.
    pub pending_tasks: u64,
}

impl Listing for TaskGroupPage {
    type Item = TaskAndStatus;

    fn into_parts(self) -> (Vec<TaskAndStatus>, Option<String>) {
        (self.tasks, self.continuation_token)
    }
}

impl Listing for DependentsPage {
    type Item = TaskAndStatus;

    fn into_parts(self) -> (Vec<TaskAndStatus>, Option<String>) {
        (self.tasks, self.continuation_token)
    }
}

impl Listing for ArtifactsPage {
    type Item = Artifact;

    fn into_parts(self) -> (Vec<Artifact>, Option<String>) {
        (self.artifacts, self.continuation_token)
    }
}

// === impl Queue ===

impl Queue {
    /// A client of the queue.
    ///
    /// # Errors
    /// `Usage` when an option is wrong.
    pub fn new(options: Options) -> Result<Self> {
        Ok(Self {
            service: Service::new("queue", "v1", options)?,
        })
    }

    /// The same connections with other credentials, such as those of a claim.
    pub fn with_credentials(&self, credentials: Credentials) -> Self {
        Self {
            service: self.service.with_credentials(&credentials),
        }
    }

    /// The same connections without credentials.
    pub fn anonymous(&self) -> Self {
        Self {
            service: self.service.anonymous(),
        }
    }

    /// The service beneath, for addresses, uploads and downloads.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Any call: `path` are the parts of the route, each escaped as a whole.
    ///
    /// # Errors
    /// As all methods: any variant of [`Error`] but `Artifact` and `File`.
    pub async fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&serde_json::Value>,
    ) -> Result<Response> {
        let mut call = Call::new(method, path);
        for (name, value) in query {
            call = call.query(name, value);
        }
        if let Some(body) = body {
            call = call.json(body)?;
        }
        self.service.send(call).await
    }

    async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T> {
        self.service.send(call).await?.json()
    }

    /// Whether the queue is there.
    pub async fn ping(&self) -> Result<Ping> {
        self.call(Call::get(&["ping"])).await
    }

    // --- tasks ---

    /// Creates a task. Repeating it with the same id and definition changes nothing.
    pub async fn create_task(
        &self,
        task_id: &str,
        task: &TaskDefinition,
    ) -> Result<TaskStatusResponse> {
        self.call(Call::put(&["task", task_id]).json(task)?).await
    }

    /// The definition of a task.
    pub async fn task(&self, task_id: &str) -> Result<TaskDefinition> {
        self.call(Call::get(&["task", task_id])).await
    }

    /// Where a task stands.
    pub async fn status(&self, task_id: &str) -> Result<TaskStatus> {
        Ok(self
            .call::<TaskStatusResponse>(Call::get(&["task", task_id, "status"]))
            .await?
            .status)
    }

    /// One page of a group's tasks, ordered by task id.
    pub async fn list_task_group(&self, task_group_id: &str, page: &Page) -> Result<TaskGroupPage> {
        list(&self.service, &["task-group", task_group_id, "list"], page).await
    }

    /// All tasks of a group.
    pub async fn list_task_group_all(&self, task_group_id: &str) -> Result<Vec<TaskAndStatus>> {
        list_all::<TaskGroupPage>(&self.service, &["task-group", task_group_id, "list"]).await
    }

    /// One page of the tasks that depend on `task_id`.
    pub async fn list_dependent_tasks(&self, task_id: &str, page: &Page) -> Result<DependentsPage> {
        list(&self.service, &["task", task_id, "dependents"], page).await
    }

    /// All tasks that depend on `task_id`.
    pub async fn list_dependent_tasks_all(&self, task_id: &str) -> Result<Vec<TaskAndStatus>> {
        list_all::<DependentsPage>(&self.service, &["task", task_id, "dependents"]).await
    }

    /// Makes an unscheduled task pending although its dependencies are not satisfied.
    pub async fn schedule_task(&self, task_id: &str) -> Result<TaskStatusResponse> {
        self.call(Call::post(&["task", task_id, "schedule"])).await
    }

    /// Gives a resolved task another run.
    pub async fn rerun_task(&self, task_id: &str) -> Result<TaskStatusResponse> {
        self.call(Call::post(&["task", task_id, "rerun"])).await
    }

    /// Ends a task that is not resolved yet.
    pub async fn cancel_task(&self, task_id: &str) -> Result<TaskStatusResponse> {
        self.call(Call::post(&["task", task_id, "cancel"])).await
    }

    /// How many tasks wait in a queue.
    pub async fn pending_tasks(&self, task_queue_id: &str) -> Result<PendingTasks> {
        self.call(Call::get(&["pending", task_queue_id])).await
    }

    // --- workers ---

    /// Claims up to `request.tasks` pending runs; waits up to 20 s for the first.
    pub async fn claim_work(
        &self,
        task_queue_id: &str,
        request: &ClaimWorkRequest,
    ) -> Result<ClaimWorkResponse> {
        let path = ["claim-work", task_queue_id];
        self.call(Call::post(&path).json(request)?.timeout(CLAIM_WORK_TIMEOUT))
            .await
    }

    /// Claims one run of one task (deprecated by the API in favour of `claimWork`).
    pub async fn claim_task(
        &self,
        task_id: &str,
        run_id: u32,
        worker_group: &str,
        worker_id: &str,
    ) -> Result<Claim> {
        let body = serde_json::json!({ "workerGroup": worker_group, "workerId": worker_id });
        let run = run_id.to_string();
        self.call(Call::post(&["task", task_id, "runs", &run, "claim"]).json(&body)?)
            .await
    }

    /// Extends a claim.
    pub async fn reclaim_task(&self, task_id: &str, run_id: u32) -> Result<Reclaim> {
        self.call(Call::post(&[
            "task",
            task_id,
            "runs",
            &run_id.to_string(),
            "reclaim",
        ]))
        .await
    }

    /// Ends a run successfully.
    pub async fn report_completed(&self, task_id: &str, run_id: u32) -> Result<TaskStatusResponse> {
        self.call(Call::post(&[
            "task",
            task_id,
            "runs",
            &run_id.to_string(),
            "completed",
        ]))
        .await
    }

    /// Ends a run unsuccessfully.
    pub async fn report_failed(&self, task_id: &str, run_id: u32) -> Result<TaskStatusResponse> {
        self.call(Call::post(&[
            "task",
            task_id,
            "runs",
            &run_id.to_string(),
            "failed",
        ]))
        .await
    }

    /// Ends a run that could not be finished.
    pub async fn report_exception(
        &self,
        task_id: &str,
        run_id: u32,
        reason: ExceptionReason,
    ) -> Result<TaskStatusResponse> {
        let body = serde_json::json!({ "reason": reason });
        let run = run_id.to_string();
        self.call(Call::post(&["task", task_id, "runs", &run, "exception"]).json(&body)?)
            .await
    }

    // --- artifacts ---

    /// Records an artifact of a run; for `s3` the answer says where its bytes go.
    pub async fn create_artifact(
        &self,
        task_id: &str,
        run_id: u32,
        name: &str,
        request: &ArtifactRequest,
    ) -> Result<ArtifactResponse> {
        let run = run_id.to_string();
        self.call(Call::post(&["task", task_id, "runs", &run, "artifacts", name]).json(request)?)
            .await
    }

    /// Sends the bytes of an `s3` artifact to the address that `create_artifact` gave.
    ///
    /// # Errors
    /// `File` when they cannot be read, and what [`Service::upload`] says.
    pub async fn upload_artifact(
        &self,
        put_url: &str,
        content_type: &str,
        content_encoding: Option<&str>,
        content: &Content,
    ) -> Result<()> {
        self.service
            .upload(put_url, content_type, content_encoding, content)
            .await
    }

    /// Says that all parts of a `blob` were uploaded; `etags` are what each upload was answered with,
    /// in the order of the requests.
    pub async fn complete_artifact(
        &self,
        task_id: &str,
        run_id: u32,
        name: &str,
        etags: &[String],
    ) -> Result<()> {
        let run = run_id.to_string();
        let path = ["task", task_id, "runs", &run, "artifacts", name];
        let body = serde_json::json!({ "etags": etags });
        let call = Call::put(&path).json(&body)?;
        self.service.send(call).await.map(drop)
    }

    /// Says that the object of an `object` artifact was uploaded.
    pub async fn finish_artifact(
        &self,
        task_id: &str,
        run_id: u32,
        name: &str,
        upload_id: &str,
    ) -> Result<()> {
        let run = run_id.to_string();
        let path = ["task", task_id, "runs", &run, "artifacts", name];
        let body = serde_json::json!({ "uploadId": upload_id });
        let call = Call::put(&path).json(&body)?;
        self.service.send(call).await.map(drop)
    }

    /// Creates an artifact of type `object`, uploads its bytes to the object service, and finishes
    /// it.
    ///
    /// # Errors
    /// `File` when they cannot be read.
    pub async fn upload_object(
        &self,
        task_id: &str,
        run_id: u32,
        name: &str,
        (expires, content_type): (Timestamp, &str),
        content: &Content,
    ) -> Result<()> {
        let request = ArtifactRequest::Object {
            expires,
            content_type: content_type.to_owned(),
            content_length: None,
        };
        let made = self
            .create_artifact(task_id, run_id, name, &request)
            .await?;
        let (Some(object), Some(project_id), Some(upload_id), Some(credentials), Some(expires)) = (
            made.name,
            made.project_id,
            made.upload_id,
            made.credentials,
            made.expires,
        ) else {
            return Err(Error::Decode(
                "a new object artifact names no object".to_owned(),
            ));
        };
        let upload = NewUpload {
            project_id,
            upload_id,
            expires,
            content_type: content_type.to_owned(),
        };
        Object::beside(&self.service, credentials)
            .upload(&object, &upload, content)
            .await?;
        self.finish_artifact(task_id, run_id, name, &upload.upload_id)
            .await
    }

    /// What is known of an artifact; of the last run if `run_id` is `None`.
    pub async fn artifact_info(
        &self,
        task_id: &str,
        run_id: Option<u32>,
        name: &str,
    ) -> Result<Artifact> {
        match run_id.map(|run| run.to_string()) {
            Some(run) => {
                let path = ["task", task_id, "runs", &run, "artifact-info", name];
                self.call(Call::get(&path)).await
            }
            None => {
                self.call(Call::get(&["task", task_id, "artifact-info", name]))
                    .await
            }
        }
    }

    /// Where an artifact of a run stands, links followed.
    ///
    /// # Errors
    /// `Artifact` when it stands for an error.
    pub async fn get_artifact(&self, task_id: &str, run_id: u32, name: &str) -> Result<Redirect> {
        let run = run_id.to_string();
        let path = ["task", task_id, "runs", &run, "artifacts", name];
        redirect(&self.service.send(Call::get(&path)).await?)
    }

    /// As [`Queue::get_artifact`], of the task's last run.
    ///
    /// # Errors
    /// `Artifact` when it stands for an error.
    pub async fn get_latest_artifact(&self, task_id: &str, name: &str) -> Result<Redirect> {
        redirect(
            &self
                .service
                .send(Call::get(&["task", task_id, "artifacts", name]))
                .await?,
        )
    }

    /// Where an artifact's bytes stand, by kind; of the last run if `run_id` is `None`.
    pub async fn artifact(
        &self,
        task_id: &str,
        run_id: Option<u32>,
        name: &str,
    ) -> Result<ArtifactContent> {
        match run_id.map(|run| run.to_string()) {
            Some(run) => {
                let path = ["task", task_id, "runs", &run, "artifact-content", name];
                self.call(Call::get(&path)).await
            }
            None => {
                self.call(Call::get(&["task", task_id, "artifact-content", name]))
                    .await
            }
        }
    }

    /// One page of a run's artifacts, ordered by name.
    pub async fn list_artifacts(
        &self,
        task_id: &str,
        run_id: u32,
        page: &Page,
    ) -> Result<ArtifactsPage> {
        list(
            &self.service,
            &["task", task_id, "runs", &run_id.to_string(), "artifacts"],
            page,
        )
        .await
    }

    /// All artifacts of a run.
    pub async fn list_artifacts_all(&self, task_id: &str, run_id: u32) -> Result<Vec<Artifact>> {
        list_all::<ArtifactsPage>(
            &self.service,
            &["task", task_id, "runs", &run_id.to_string(), "artifacts"],
        )
        .await
    }

    /// One page of the artifacts of the task's last run.
    pub async fn list_latest_artifacts(&self, task_id: &str, page: &Page) -> Result<ArtifactsPage> {
        list(&self.service, &["task", task_id, "artifacts"], page).await
    }

    /// All artifacts of the task's last run.
    pub async fn list_latest_artifacts_all(&self, task_id: &str) -> Result<Vec<Artifact>> {
        list_all::<ArtifactsPage>(&self.service, &["task", task_id, "artifacts"]).await
    }

    /// Writes an artifact's bytes to `writer`; of the last run if `run_id` is `None`.
    ///
    /// # Errors
    /// `Artifact` when it stands for an error, `File` when `writer` fails, `HashMismatch` when an
    /// object is not what was uploaded.
    pub async fn download_artifact(
        &self,
        task_id: &str,
        run_id: Option<u32>,
        name: &str,
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Downloaded> {
        match self.locate(task_id, run_id, name).await? {
            Location::Url(url) => self.service.download(&url, writer).await,
            Location::Object(object, name) => object.download(&name, writer).await,
        }
    }

    /// Writes an artifact to the file `path`, which appears only when it is complete.
    ///
    /// # Errors
    /// As [`Queue::download_artifact`].
    pub async fn download_artifact_to_file(
        &self,
        task_id: &str,
        run_id: Option<u32>,
        name: &str,
        path: &Path,
    ) -> Result<Downloaded> {
        match self.locate(task_id, run_id, name).await? {
            Location::Url(url) => self.service.download_to_file(&url, path).await,
            Location::Object(object, name) => object.download_to_file(&name, path).await,
        }
    }

    async fn locate(&self, task_id: &str, run_id: Option<u32>, name: &str) -> Result<Location> {
        let redirect = match run_id {
            Some(run_id) => self.get_artifact(task_id, run_id, name).await?,
            None => self.get_latest_artifact(task_id, name).await?,
        };
        if redirect.storage_type.as_deref() != Some("object") {
            return Ok(Location::Url(redirect.url));
        }
        // By way of the object service its hashes are known.
        match self.artifact(task_id, run_id, name).await? {
            ArtifactContent::Object { name, credentials } => Ok(Location::Object(
                Object::beside(&self.service, credentials),
                name,
            )),
            _ => Ok(Location::Url(redirect.url)),
        }
    }
}

/// Where an artifact is fetched.
enum Location {
    Url(String),
    /// From the object service, by this name.
    Object(Object, String),
}

/// Reads an artifact's address: from the body, or from the header of deployments before v41.
fn redirect(response: &Response) -> Result<Redirect> {
    if let Ok(redirect) = serde_json::from_slice::<Redirect>(&response.body) {
        return Ok(redirect);
    }
    let header = |name: header::HeaderName| response.headers.get(name)?.to_str().ok();
    match header(header::LOCATION) {
        Some(url) => Ok(Redirect {
            storage_type: header(header::HeaderName::from_static(
                "x-taskcluster-artifact-storage-type",
            ))
            .map(str::to_owned),
            url: url.to_owned(),
        }),
        None => Err(Error::Decode(
            "an artifact's answer names no address".to_owned(),
        )),
    }
}

impl From<&'static str> for Content {
    fn from(text: &'static str) -> Self {
        Self::Bytes(Bytes::from_static(text.as_bytes()))
    }
}
