//! A service that hands out prepared jobs and remembers what a stack and its agents do with them.
//! It is for what a real server cannot be made to do at will: lose agents, refuse, be slow.

use std::{
    collections::HashMap,
    io::Read as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get, post, put},
};
use serde_json::{Value, json};
use taskyard_client::stacks::{Options, Retry};
use taskyard_worker::stack::{StackConfig, StackError, StackSummary};
use tokio::{net::TcpListener, sync::Notify};
use tokio_util::sync::CancellationToken;

/// How the service behaves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Behaviour {
    /// Status of registering a stack, if not success.
    pub(crate) register_status: Option<u16>,
    /// Status of taking a job, if not success.
    pub(crate) acquire_status: Option<u16>,
    /// State of every job that has printed something.
    pub(crate) job_state: Option<&'static str>,
    /// Status of a heartbeat after a job has printed something, if not success.
    pub(crate) heartbeat_status: Option<u16>,
    /// Whether the queue is paused.
    pub(crate) paused: bool,
}

/// The service and the stack's folder.
pub(crate) struct Scene {
    pub(crate) shared: Arc<Shared>,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) struct Shared {
    base_url: String,
    behaviour: Behaviour,
    jobs: Mutex<Vec<Job>>,
    calls: Mutex<Vec<String>>,
    finished: Mutex<HashMap<String, Value>>,
    logs: Mutex<HashMap<String, Vec<u8>>>,
    uploads: Mutex<Vec<(String, String)>>,
    called: Notify,
}

#[derive(Clone)]
struct Job {
    id: String,
    priority: i64,
    rules: Vec<String>,
    env: Value,
    reserved: bool,
}

type Service = State<Arc<Shared>>;

impl Scene {
    pub(crate) async fn new(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            base_url: format!("http://{}", listener.local_addr().unwrap()),
            behaviour,
            jobs: Mutex::default(),
            calls: Mutex::default(),
            finished: Mutex::default(),
            logs: Mutex::default(),
            uploads: Mutex::default(),
            called: Notify::new(),
        });
        let api = Router::new()
            .route("/stacks/register", post(register_stack))
            .route("/stacks/{key}/deregister", post(deregister))
            .route("/stacks/{key}/scheduled-jobs", get(list))
            .route("/stacks/{key}/scheduled-jobs/batch-reserve", put(reserve))
            .route("/stacks/{key}/notifications", post(notify))
            .route("/stacks/{key}/jobs/{id}/finish", post(finish_by_stack))
            .route("/register", post(register_agent))
            .route("/connect", post(ok))
            .route("/heartbeat", post(heartbeat))
            .route("/disconnect", post(ok))
            .route("/jobs/{id}", get(job_state))
            .route("/jobs/{id}/acquire", put(acquire))
            .route("/jobs/{id}/start", put(start))
            .route("/jobs/{id}/chunks", post(chunk))
            .route("/jobs/{id}/finish", put(finish))
            .route("/jobs/{id}/artifacts", any(artifacts));
        let router = Router::new()
            .nest("/v3", api)
            .route("/upload", post(upload))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            shared,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Schedules a job that runs `command`.
    pub(crate) fn add(&self, command: &str, env: Value) -> String {
        self.add_with(command, env, 0, &[])
    }

    pub(crate) fn add_with(
        &self,
        command: &str,
        mut env: Value,
        priority: i64,
        rules: &[&str],
    ) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        env["BUILDKITE_COMMAND"] = command.into();
        self.shared.jobs.lock().unwrap().push(Job {
            id: id.clone(),
            priority,
            rules: rules.iter().map(|&rule| rule.to_owned()).collect(),
            env,
            reserved: false,
        });
        id
    }

    pub(crate) fn config(&self) -> StackConfig {
        let options = Options::new("bkct_secret")
            .with_base_url(format!("{}/v3", self.shared.base_url))
            .with_retry(Retry::constant(3, Duration::from_millis(5)));
        let mut config = StackConfig::new(options, "stack", "default", self.folder.path());
        config.poll_interval = Duration::from_millis(50);
        config.kill_grace = Duration::from_millis(300);
        config
    }

    /// Runs a stack until `jobs` jobs have been finished by agents or the stack, or `stop` ends.
    pub(crate) async fn run(
        &self,
        config: StackConfig,
        stop: impl Future<Output = ()>,
    ) -> Result<StackSummary, StackError> {
        let shutdown = CancellationToken::new();
        let mut stack = std::pin::pin!(taskyard_worker::stack::run(config, shutdown.clone()));
        let limit = tokio::time::sleep(Duration::from_mins(1));
        tokio::select! {
            ended = &mut stack => return ended,
            () = stop => {}
            () = limit => panic!("the stack took too long: {:#?}", self.calls()),
        }
        shutdown.cancel();
        stack.await
    }

    /// Ends as soon as `count` jobs have ended.
    pub(crate) async fn finished(&self, count: usize) {
        self.until(|shared| shared.finished.lock().unwrap().len() >= count)
            .await;
    }

    /// Ends as soon as `happened`.
    pub(crate) async fn until(&self, happened: impl Fn(&Shared) -> bool) {
        loop {
            let called = self.shared.called.notified();
            if happened(&self.shared) {
                return;
            }
            called.await;
        }
    }

    /// The calls so far, without listings and heartbeats.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// What was said about the end of a job.
    pub(crate) fn end(&self, job: &str) -> Value {
        self.shared.finished.lock().unwrap()[job].clone()
    }

    /// Everything a job has printed, and what was said around it.
    pub(crate) fn log(&self, job: &str) -> String {
        self.shared.log(job)
    }

    /// Files that were uploaded: the form's text.
    pub(crate) fn uploads(&self) -> Vec<(String, String)> {
        self.shared.uploads.lock().unwrap().clone()
    }
}

impl Shared {
    pub(crate) fn log(&self, job: &str) -> String {
        let logs = self.logs.lock().unwrap();
        let bytes = logs.get(job).cloned().unwrap_or_default();
        String::from_utf8(bytes).unwrap()
    }

    /// Whether a job's own output has come.
    fn has_printed(&self, job: &str) -> bool {
        self.log(job).contains("printed")
    }

    fn anybody_has_printed(&self) -> bool {
        let ids: Vec<String> = self.logs.lock().unwrap().keys().cloned().collect();
        ids.iter().any(|id| self.has_printed(id))
    }

    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
        self.called.notify_waiters();
    }
}

fn answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, json, body.to_string()).into_response()
}

fn refusal(status: u16) -> Response {
    answer(status, &json!({ "message": "refused" }))
}

fn read(body: &Bytes) -> Value {
    serde_json::from_slice(body).unwrap()
}

async fn ok() -> Response {
    answer(200, &json!({}))
}

async fn register_stack(State(shared): Service, body: Bytes) -> Response {
    if let Some(status) = shared.behaviour.register_status {
        return refusal(status);
    }
    let stack = read(&body);
    shared.note(format!("register {}", stack["queue_key"].as_str().unwrap()));
    answer(
        201,
        &json!({"id": "i", "key": stack["key"], "type": stack["type"], "state": "connected",
            "cluster_queue_key": stack["queue_key"], "metadata": stack["metadata"]}),
    )
}

async fn deregister(State(shared): Service) -> Response {
    shared.note("deregister".to_owned());
    StatusCode::NO_CONTENT.into_response()
}

async fn list(State(shared): Service) -> Response {
    let jobs = shared.jobs.lock().unwrap();
    let jobs: Vec<Value> = jobs
        .iter()
        .filter(|job| !job.reserved)
        .map(|job| {
            json!({"id": job.id, "priority": job.priority, "agent_query_rules": job.rules,
                "scheduled_at": "2026-01-01T00:00:00Z", "pipeline": {}, "build": {}, "step": {}})
        })
        .collect();
    answer(
        200,
        &json!({"jobs": jobs, "page_info": {"has_next_page": false, "end_cursor": null},
            "cluster_queue": {"id": "q", "dispatch_paused": shared.behaviour.paused}}),
    )
}

async fn reserve(State(shared): Service, body: Bytes) -> Response {
    let mut reserved = Vec::new();
    for id in read(&body)["job_uuids"].as_array().unwrap() {
        let mut jobs = shared.jobs.lock().unwrap();
        let job = jobs.iter_mut().find(|job| job.id == id.as_str().unwrap());
        job.unwrap().reserved = true;
        reserved.push(id.clone());
    }
    shared.note(format!("reserve {}", reserved.len()));
    answer(200, &json!({ "reserved": reserved, "not_reserved": [] }))
}

async fn notify(State(shared): Service, body: Bytes) -> Response {
    let count = read(&body)["notifications"].as_array().unwrap().len();
    shared.note(format!("notify {count}"));
    answer(200, &json!({ "errors": [] }))
}

async fn finish_by_stack(
    State(shared): Service,
    Path((_, id)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    shared.finished.lock().unwrap().insert(id, read(&body));
    shared.note("finish by stack".to_owned());
    answer(200, &json!({}))
}

async fn register_agent(body: Bytes) -> Response {
    let name = read(&body)["name"].clone();
    answer(
        200,
        &json!({"id": "a", "name": name, "access_token": "bkaa_x", "endpoint": "",
            "ping_interval": 1, "job_status_interval": 1, "heartbeat_interval": 1}),
    )
}

async fn heartbeat(State(shared): Service) -> Response {
    match shared.behaviour.heartbeat_status {
        Some(status) if shared.anybody_has_printed() => refusal(status),
        _ => answer(200, &json!({})),
    }
}

async fn acquire(State(shared): Service, Path(id): Path<String>) -> Response {
    if let Some(status) = shared.behaviour.acquire_status {
        return refusal(status);
    }
    let job = shared.jobs.lock().unwrap();
    let job = job.iter().find(|job| job.id == id).unwrap().clone();
    answer(
        200,
        &json!({"id": id, "state": "accepted", "token": "bkaj_y", "env": job.env,
            "chunks_max_size_bytes": 100, "chunks_interval_seconds": 1}),
    )
}

async fn start(State(shared): Service) -> Response {
    shared.note("start".to_owned());
    answer(200, &json!({}))
}

async fn job_state(State(shared): Service, Path(id): Path<String>) -> Response {
    let state = match shared.behaviour.job_state {
        Some(state) if shared.has_printed(&id) => state,
        _ => "running",
    };
    answer(200, &json!({ "state": state }))
}

async fn chunk(
    State(shared): Service,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&body[..])
        .read_to_end(&mut bytes)
        .unwrap();
    {
        let mut logs = shared.logs.lock().unwrap();
        let log = logs.entry(id).or_default();
        let query = query.unwrap();
        let offset = format!("&offset={}&size={}", log.len(), bytes.len());
        assert!(query.ends_with(&offset), "{query} after {}", log.len());
        assert!(bytes.len() <= 100);
        log.extend(bytes);
    }
    shared.called.notify_waiters();
    StatusCode::CREATED.into_response()
}

async fn finish(State(shared): Service, Path(id): Path<String>, body: Bytes) -> Response {
    shared.finished.lock().unwrap().insert(id, read(&body));
    shared.note("finish".to_owned());
    answer(200, &json!({}))
}

async fn artifacts(State(shared): Service, body: Bytes) -> Response {
    let body = read(&body);
    let artifacts = body["artifacts"].as_array().unwrap();
    if let Some(state) = artifacts[0].get("state") {
        shared.note(format!("artifacts {}", state.as_str().unwrap()));
        return answer(200, &json!({}));
    }
    let ids: Vec<&Value> = artifacts.iter().map(|artifact| &artifact["path"]).collect();
    answer(
        201,
        &json!({"id": body["id"], "artifact_ids": ids, "upload_instructions": {
            "action": {"url": shared.base_url, "method": "POST", "path": "/upload",
                "file_input": "file"},
            "data": {"path": "${artifact:path}"}}}),
    )
}

async fn upload(State(shared): Service, body: Bytes) -> Response {
    let text = String::from_utf8(body.to_vec()).unwrap();
    let part = |number: usize| {
        let part = text.split("\r\n--").nth(number).unwrap();
        part.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    shared.uploads.lock().unwrap().push((part(0), part(1)));
    StatusCode::NO_CONTENT.into_response()
}
