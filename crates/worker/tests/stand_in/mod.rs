//! A queue that hands out prepared tasks and remembers what a worker does with them. It is for what
//! a real server cannot be made to do at will: lose claims, refuse, fail.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde_json::{Value, json};
use taskyard_client::{Timestamp, slugid};
use taskyard_worker::{Config, Error, Event, Summary};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
};
use tokio_util::sync::CancellationToken;

/// How the stand-in behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behaviour {
    /// Length of a claim.
    pub(crate) claim: Duration,
    /// Status of `claimWork`.
    pub(crate) claim_status: u16,
    /// Status of `reclaimTask`.
    pub(crate) reclaim_status: u16,
    /// How many reports fail with 500 before one is taken.
    pub(crate) failing_reports: u32,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            claim: Duration::from_mins(20),
            claim_status: 200,
            reclaim_status: 200,
            failing_reports: 0,
        }
    }
}

/// The queue and the worker's folder.
pub(crate) struct Scene {
    shared: Arc<Shared>,
    folder: tempfile::TempDir,
}

struct Shared {
    root_url: String,
    behaviour: Mutex<Behaviour>,
    pending: Mutex<Vec<Value>>,
    calls: Mutex<Vec<String>>,
    artifacts: Mutex<HashMap<String, Value>>,
    uploads: Mutex<HashMap<String, Vec<u8>>>,
    called: Notify,
}

/// How a worker's life ended.
pub(crate) struct Outcome {
    pub(crate) summary: Result<Summary, Error>,
    pub(crate) events: Vec<Event>,
}

fn now() -> SystemTime {
    #[expect(
        clippy::disallowed_methods,
        reason = "a stand-in of a server has a real clock"
    )]
    SystemTime::now()
}

fn at(moment: SystemTime) -> String {
    Timestamp::from(moment).to_string()
}

fn answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

impl Scene {
    pub(crate) async fn new(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            root_url: format!("http://{}", listener.local_addr().unwrap()),
            behaviour: Mutex::new(behaviour),
            pending: Mutex::default(),
            calls: Mutex::default(),
            artifacts: Mutex::default(),
            uploads: Mutex::default(),
            called: Notify::new(),
        });
        let queue = Router::new()
            .route("/claim-work/{queue}", post(claim_work))
            .route("/task/{task}/status", get(status))
            .route("/task/{task}/runs/{run}/{call}", post(resolve))
            .route(
                "/task/{task}/runs/{run}/artifacts/{name}",
                post(create_artifact),
            )
            .route("/task/{task}/artifacts/{name}", get(latest_artifact));
        let router = Router::new()
            .nest("/api/queue/v1", queue)
            .route("/upload/{name}", put(upload).get(download))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            shared,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Makes a task pending and returns its id.
    pub(crate) fn add(&self, payload: Value) -> String {
        self.add_dependent(payload, &[])
    }

    pub(crate) fn add_dependent(&self, payload: Value, dependencies: &[&str]) -> String {
        let task_id = slugid::nice();
        self.shared.pending.lock().unwrap().push(json!({
            "taskId": task_id, "payload": payload, "dependencies": dependencies,
        }));
        task_id
    }

    /// Stores an artifact of some other task.
    pub(crate) fn store(&self, name: &str, bytes: &[u8]) {
        self.shared
            .uploads
            .lock()
            .unwrap()
            .insert(name.to_owned(), bytes.to_vec());
    }

    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new(
            &self.shared.root_url,
            "local/shell",
            "here",
            "one",
            self.folder.path(),
        );
        config.kill_grace = Duration::from_millis(200);
        config
    }

    /// Runs a worker until `tasks` have ended, or `stop` does.
    pub(crate) async fn work(
        &self,
        mut config: Config,
        tasks: usize,
        stop: impl Future<Output = ()>,
    ) -> Outcome {
        let shutdown = CancellationToken::new();
        let (sender, mut receiver) = mpsc::unbounded_channel();
        config.events = Some(sender);
        let worker = tokio::spawn(taskyard_worker::run(config, shutdown.clone()));
        let mut events = Vec::new();
        let mut ended = 0;
        let mut stop = std::pin::pin!(stop);
        while ended < tasks {
            tokio::select! {
                event = receiver.recv() => match event {
                    Some(event) => {
                        ended += usize::from(matches!(event, Event::TaskFinished { .. }));
                        events.push(event);
                    }
                    None => break,
                },
                () = &mut stop => break,
            }
        }
        shutdown.cancel();
        let summary = worker.await.unwrap();
        while let Ok(event) = receiver.try_recv() {
            events.push(event);
        }
        Outcome { summary, events }
    }

    /// What was called, in order, without arguments that do not matter.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// Ends once `call` has been made.
    pub(crate) async fn called(&self, call: &str) {
        loop {
            let called = self.shared.called.notified();
            if self.calls().iter().any(|made| made == call) {
                return;
            }
            called.await;
        }
    }

    /// The last request for the artifact `name`.
    pub(crate) fn artifact(&self, name: &str) -> Value {
        self.shared
            .artifacts
            .lock()
            .unwrap()
            .get(name)
            .cloned()
            .unwrap_or_default()
    }

    /// The bytes uploaded as `name`.
    pub(crate) fn uploaded(&self, name: &str) -> Option<String> {
        let uploads = self.shared.uploads.lock().unwrap();
        uploads
            .get(name)
            .map(|bytes| String::from_utf8(bytes.clone()).unwrap())
    }

    /// A file of the worker's folder.
    pub(crate) fn path(&self, task_id: &str, file: &str) -> PathBuf {
        self.folder
            .path()
            .canonicalize()
            .unwrap()
            .join(task_id)
            .join("0")
            .join(file)
    }
}

impl Shared {
    fn behaviour(&self) -> Behaviour {
        *self.behaviour.lock().unwrap()
    }

    fn record(&self, call: String) {
        self.calls.lock().unwrap().push(call);
        self.called.notify_waiters();
    }

    fn status(&self, task_id: &str) -> Value {
        let (started, until) = (now(), now() + self.behaviour().claim);
        json!({
            "taskId": task_id, "provisionerId": "local", "workerType": "shell",
            "schedulerId": "-", "taskGroupId": task_id, "retriesLeft": 5, "state": "running",
            "deadline": at(started + Duration::from_hours(1)),
            "expires": at(started + Duration::from_hours(24)),
            "runs": [{
                "runId": 0, "state": "running", "reasonCreated": "scheduled",
                "workerGroup": "here", "workerId": "one", "scheduled": at(started),
                "started": at(started), "takenUntil": at(until),
            }],
        })
    }

    fn claim(&self, pending: &Value) -> Value {
        let task_id = pending["taskId"].as_str().unwrap();
        json!({
            "status": self.status(task_id), "runId": 0, "workerGroup": "here", "workerId": "one",
            "takenUntil": at(now() + self.behaviour().claim),
            "credentials": { "clientId": "task", "accessToken": "token", "certificate": "{}" },
            "task": {
                "taskQueueId": "local/shell", "created": at(now()), "deadline": at(now()),
                "dependencies": pending["dependencies"], "payload": pending["payload"],
                "metadata": {
                    "name": "a task", "description": "", "owner": "o@example.com",
                    "source": "https://example.com",
                },
            },
        })
    }
}

async fn claim_work(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let status = shared.behaviour().claim_status;
    if status != 200 {
        return answer(
            status,
            &json!({ "code": "InsufficientScopes", "message": "no" }),
        );
    }
    let request: Value = serde_json::from_slice(&body).unwrap();
    let wanted = usize::try_from(request["tasks"].as_u64().unwrap()).unwrap();
    let claims: Vec<Value> = {
        let mut pending = shared.pending.lock().unwrap();
        let count = pending.len().min(wanted);
        pending
            .drain(..count)
            .map(|task| shared.claim(&task))
            .collect()
    };
    if claims.is_empty() {
        // Nothing will come any more; the worker is stopped while it waits.
        std::future::pending::<()>().await;
    }
    answer(200, &json!({ "tasks": claims }))
}

async fn status(State(shared): State<Arc<Shared>>, Path(task): Path<String>) -> Response {
    answer(200, &json!({ "status": shared.status(&task) }))
}

async fn resolve(
    State(shared): State<Arc<Shared>>,
    Path((task, _run, call)): Path<(String, u32, String)>,
    body: Bytes,
) -> Response {
    if call == "reclaim" {
        let status = shared.behaviour().reclaim_status;
        shared.record(call);
        return answer(
            status,
            &json!({
                "status": shared.status(&task), "runId": 0,
                "takenUntil": at(now() + shared.behaviour().claim),
                "credentials": { "clientId": "task", "accessToken": "again" },
            }),
        );
    }
    let reason = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    match reason["reason"].as_str() {
        Some(reason) => shared.record(format!("{call} {reason}")),
        None => shared.record(call),
    }
    let fails = {
        let mut behaviour = shared.behaviour.lock().unwrap();
        let fails = behaviour.failing_reports > 0;
        behaviour.failing_reports = behaviour.failing_reports.saturating_sub(1);
        fails
    };
    answer(
        if fails { 500 } else { 200 },
        &json!({ "status": shared.status(&task) }),
    )
}

async fn create_artifact(
    State(shared): State<Arc<Shared>>,
    Path((_task, _run, name)): Path<(String, u32, String)>,
    body: Bytes,
) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let kind = request["storageType"].as_str().unwrap().to_owned();
    let put_url = format!("{}/upload/{}", shared.root_url, name.replace('/', "%2F"));
    let reply = json!({
        "storageType": kind, "putUrl": put_url, "contentType": request["contentType"],
        "expires": at(now() + Duration::from_mins(45)),
    });
    shared
        .artifacts
        .lock()
        .unwrap()
        .insert(name.clone(), request);
    shared.record(format!("{kind} {name}"));
    answer(200, &reply)
}

async fn latest_artifact(
    State(shared): State<Arc<Shared>>,
    Path((_task, name)): Path<(String, String)>,
) -> Response {
    let url = format!("{}/upload/{}", shared.root_url, name.replace('/', "%2F"));
    answer(303, &json!({ "storageType": "s3", "url": url }))
}

async fn upload(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    body: Bytes,
) -> StatusCode {
    shared
        .uploads
        .lock()
        .unwrap()
        .insert(name.clone(), body.to_vec());
    shared.record(format!("upload {name}"));
    StatusCode::OK
}

async fn download(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    match shared.uploads.lock().unwrap().get(&name) {
        Some(bytes) => Body::from(bytes.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
