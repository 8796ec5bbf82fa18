//! A server that listens on loopback, tasks to be its jobs, and short ways to call it.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde_json::{Value, json};
use taskyard_access::{Directory, Sealer, directory, slugid};
use taskyard_api_stacks::{ArtifactStore, Parts, QueueMap, Stacks, Stored};
use taskyard_engine::artifact::Artifact;
use taskyard_engine::clock::Clock;
use taskyard_engine::stacks::Outline;
use taskyard_engine::task::{self, NewTask, Priority, Requires, State, Task};
use taskyard_engine::timer::{ArtifactBytes, Timer};
use taskyard_engine::{MIGRATIONS, Timestamp, stacks};
use taskyard_http::{Draining, Limits};
use taskyard_store::testing::{Database, Kind};
use taskyard_store::{Error, Key, Store, Tx};

use crate::raw::{self, Answer};

/// The key of the stack of tests that need only one.
pub(crate) const STACK: &str = "my-stack";

pub(crate) struct Yard {
    address: String,
    /// What a stack and its agents come with.
    pub(crate) token: String,
    pub(crate) clock: Clock,
    directory: Arc<Directory>,
    pub(crate) store: Store,
    pub(crate) folder: tempfile::TempDir,
    _database: Database,
}

/// A task to be made.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) task_queue: &'static str,
    pub(crate) priority: Priority,
    pub(crate) definition: Value,
    pub(crate) dependencies: Vec<String>,
    pub(crate) group_id: Option<String>,
    pub(crate) retries: u32,
    pub(crate) lasting: Duration,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted {
            task_queue: "stacks/default",
            priority: Priority::Lowest,
            definition: json!({"payload": {"command": "echo hi"}, "metadata": {"name": "test"}}),
            dependencies: Vec::new(),
            group_id: None,
            retries: 5,
            lasting: Duration::from_hours(24),
        }
    }
}

/// How a yard differs from others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) rate_limits: bool,
    pub(crate) queues: QueueMap,
}

impl Yard {
    /// A server without rate limits, on which one stack is registered.
    pub(crate) async fn new(kind: Kind) -> Self {
        let yard = Self::with(kind, Options::default()).await;
        yard.register(STACK).await;
        yard
    }

    pub(crate) async fn with(kind: Kind, options: Options) -> Self {
        let database = Database::new(kind);
        let migrations = [
            taskyard_events::MIGRATIONS,
            MIGRATIONS,
            stacks::MIGRATIONS,
            directory::MIGRATIONS,
        ]
        .concat();
        let store = database.open(&migrations);
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::default();
        let sealer = Sealer::from_key_file(&folder.path().join("secret.key")).expect("a key");
        let sealer = Arc::new(sealer);
        let directory = Directory::open(store.clone(), Arc::clone(&sealer), false).await;
        let directory = Arc::new(directory.expect("a directory"));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let parts = Parts {
            store: store.clone(),
            clock: clock.clone(),
            directory: Arc::clone(&directory),
            sealer,
            artifacts: Arc::new(Folder(folder.path().to_owned())),
            root_url: format!("http://{address}"),
            queues: options.queues,
            rate_limits: options.rate_limits,
            dev: false,
        };
        let service = Stacks::new(parts);
        let router = axum::Router::new().fallback(move |request| {
            let service = service.clone();
            async move { service.answer("/v3", request).await }
        });
        let draining = Draining::new();
        tokio::spawn(taskyard_http::serve(
            listener,
            router,
            Limits {
                // However long the machine stands still between two requests.
                header_read: Duration::from_mins(10),
                ..Limits::default()
            },
            draining,
        ));
        let mut yard = Yard {
            address,
            token: String::new(),
            clock,
            directory,
            store,
            folder,
            _database: database,
        };
        yard.token = yard.issue(&json!({})).await;
        yard
    }

    /// A new cluster token, made by a client that may make them all.
    pub(crate) async fn issue(&self, body: &Value) -> String {
        let admin = self.client("admin", &["stacks:*"]).await;
        let made = self.call(&admin, "POST", "stack-tokens", Some(body)).await;
        made.expect(201)["token"]
            .as_str()
            .expect("a token")
            .to_owned()
    }

    /// What a client with these scopes comes with.
    pub(crate) async fn client(&self, id: &str, scopes: &[&str]) -> String {
        let now_ms = self.clock.now().millis();
        let ensured = self
            .directory
            .ensure_client(now_ms, id, scopes, "for a test", None)
            .await;
        let (access_token, _) = ensured.expect("a client");
        format!("{id}:{}", access_token.expose())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.move_by(by.as_micros() as i64);
    }

    /// Does what has fallen due, as the timer of a server does.
    pub(crate) async fn sweep(&self) {
        let mut timer = Timer::new(self.store.clone(), self.clock.clone(), Arc::new(NoBytes));
        let now = self.now();
        while timer.sweep(now).await.expect("the timer looks") <= now {}
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request whose head has these lines.
    pub(crate) async fn raw(&self, head: &[&str], body: &[u8]) -> Answer {
        let mut request = Vec::new();
        for (at, line) in head.iter().enumerate() {
            request.extend_from_slice(line.as_bytes());
            request.extend_from_slice(b"\r\n");
            if at == 0 {
                let host = format!("Host: {}\r\nConnection: close\r\n", self.address);
                request.extend_from_slice(host.as_bytes());
            }
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        raw::send(&self.address, &request).await
    }

    /// Sends a request with a token as the clients send it.
    pub(crate) async fn call(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        let line = format!("{method} /v3/{path} HTTP/1.1");
        let authorization = format!("Authorization: Token {token}");
        let length = format!("Content-Length: {}", body.len());
        let head = [
            line.as_str(),
            authorization.as_str(),
            "Accept: application/json",
            "Content-Type: application/json",
            "User-Agent: stackspi/v1.0.0",
            length.as_str(),
        ];
        self.raw(&head, body.as_bytes()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(&self.token, "GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(&self.token, "POST", path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(&self.token, "PUT", path, Some(body)).await
    }

    pub(crate) async fn register(&self, key: &str) -> Value {
        let body = json!({
            "key": key, "type": "custom", "queue_key": "default", "metadata": {"version": "1"},
        });
        let answer = self.post("stacks/register", &body).await;
        assert!([200, 201].contains(&answer.status), "{}", answer.text());
        answer.json()
    }

    /// The scheduled jobs of the default queue.
    pub(crate) async fn listed(&self) -> Vec<String> {
        let path = format!("stacks/{STACK}/scheduled-jobs?queue_key=default&limit=1000");
        let page = self.get(&path).await.expect(200);
        ids(&page["jobs"], "id")
    }

    /// Reserves jobs for a stack; answers those that it got.
    pub(crate) async fn reserve(&self, stack: &str, uuids: &[String]) -> Vec<String> {
        let path = format!("stacks/{stack}/scheduled-jobs/batch-reserve");
        let answer = self.put(&path, &json!({ "job_uuids": uuids })).await;
        strings(&answer.expect(200)["reserved"])
    }

    /// The state of a job, as the stack is told; empty if it is not told of it.
    pub(crate) async fn state(&self, uuid: &str) -> String {
        let path = format!("stacks/{STACK}/jobs/get-states");
        let answer = self
            .post(&path, &json!({"job_uuids": [uuid]}))
            .await
            .expect(200);
        answer["states"][uuid]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Makes a task; answers the UUID of its job.
    pub(crate) async fn job(&self, wanted: Wanted) -> String {
        self.jobs(vec![wanted]).await.remove(0)
    }

    /// Makes tasks, all at the same moment; answers the UUIDs of their jobs.
    pub(crate) async fn jobs(&self, wanted: Vec<Wanted>) -> Vec<String> {
        let now = self.now();
        let tasks: Vec<NewTask> = wanted
            .into_iter()
            .map(|wanted| {
                let id = slugid::v4();
                NewTask {
                    group_id: wanted.group_id.unwrap_or_else(|| id.clone()),
                    id,
                    definition: wanted.definition.to_string(),
                    outline: Outline::of(&wanted.definition)
                        .to_text()
                        .expect("an outline"),
                    notice: String::new(),
                    promise: None,
                    notifies: false,
                    task_queue_id: wanted.task_queue.to_owned(),
                    scheduler_id: "-".to_owned(),
                    project_id: "none".to_owned(),
                    priority: wanted.priority,
                    dependencies: wanted.dependencies,
                    requires: Requires::AllCompleted,
                    retries: wanted.retries,
                    deadline: now.plus(wanted.lasting),
                    expires: now.plus(Duration::from_hours(48)),
                }
            })
            .collect();
        let uuids = tasks.iter().map(|task| uuid(&task.id)).collect();
        for portion in tasks.chunks(100) {
            let portion = portion.to_vec();
            self.write(move |tx| {
                portion
                    .iter()
                    .try_for_each(|new| task::create(tx, now, new)?.map(drop).map_err(refused))
            })
            .await;
        }
        uuids
    }

    pub(crate) async fn write<T, F>(&self, closure: F) -> T
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    {
        self.store
            .write(Key::of("test"), closure)
            .await
            .expect("the write succeeds")
    }

    /// The task behind a job.
    pub(crate) async fn task(&self, job: &str) -> Task {
        let id = task_id(job);
        let found = self.store.read(move |tx| task::load(tx, &id)).await;
        found
            .expect("the read succeeds")
            .expect("the task is there")
    }

    /// How the runs of a job's task stand: states, and why they are exceptions.
    pub(crate) async fn runs(&self, job: &str) -> Vec<(State, Option<&'static str>)> {
        let task = self.task(job).await;
        task.runs
            .iter()
            .map(|run| (run.state, run.reason_resolved()))
            .collect()
    }

    pub(crate) async fn cancel(&self, job: &str) {
        let (id, now) = (task_id(job), self.now());
        self.write(move |tx| task::cancel(tx, now, &id)?.map(drop).map_err(refused))
            .await;
    }

    /// The bytes that were kept of an artifact.
    pub(crate) fn kept(&self, job: &str, run_id: usize, name: &str) -> Option<Vec<u8>> {
        let folder = Folder(self.folder.path().to_owned());
        std::fs::read(folder.path(&task_id(job), run_id, name)).ok()
    }

    /// An artifact of a run, as it is recorded.
    pub(crate) async fn artifact(&self, job: &str, run_id: usize, name: &str) -> Option<Artifact> {
        let (id, name) = (task_id(job), name.to_owned());
        let found = self
            .store
            .read(move |tx| taskyard_engine::artifact::load(tx, &id, run_id, &name))
            .await;
        found.expect("the read succeeds")
    }
}

fn refused(refusal: task::Refusal) -> Error {
    Error::Statement(refusal.to_string())
}

/// The UUID of a task's job.
pub(crate) fn uuid(task_id: &str) -> String {
    let bytes = slugid::decode(task_id).expect("a slugid");
    uuid::Uuid::from_bytes(bytes).to_string()
}

/// The id of a job's task.
pub(crate) fn task_id(uuid: &str) -> String {
    slugid::encode(uuid::Uuid::parse_str(uuid).expect("a UUID").into_bytes())
}

/// A field of each item.
pub(crate) fn ids(items: &Value, field: &str) -> Vec<String> {
    let items = items.as_array().expect("a list");
    items
        .iter()
        .map(|item| item[field].as_str().expect("text").to_owned())
        .collect()
}

pub(crate) fn strings(items: &Value) -> Vec<String> {
    let items = items.as_array().expect("a list");
    items
        .iter()
        .map(|item| item.as_str().expect("text").to_owned())
        .collect()
}

/// Keeps the bytes of artifacts as files.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn path(&self, task_id: &str, run_id: usize, name: &str) -> PathBuf {
        let name = name.replace('/', "+");
        self.0.join(format!("{task_id}-{run_id}-{name}"))
    }
}

impl ArtifactStore for Folder {
    fn put<'a>(
        &'a self,
        at: Stored<'a>,
        mut bytes: BoxStream<'a, io::Result<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = io::Result<u64>> + Send + 'a>> {
        Box::pin(async move {
            let mut all = Vec::new();
            while let Some(part) = bytes.next().await {
                all.extend_from_slice(&part?);
            }
            std::fs::write(self.path(at.task_id, at.run_id, at.name), &all)?;
            Ok(all.len() as u64)
        })
    }

    fn download_url(
        &self,
        task_id: &str,
        run_id: usize,
        name: &str,
        _expires: Timestamp,
    ) -> io::Result<String> {
        let path = self.path(task_id, run_id, name);
        Ok(format!("file://{}", path.display()))
    }
}

struct NoBytes;

impl ArtifactBytes for NoBytes {
    fn remove<'a>(
        &'a self,
        _stored: &'a taskyard_engine::content::Stored,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        Box::pin(async { Ok(()) })
    }
}
