//! A taskstore that listens on loopback, and short ways to call it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use taskyard_access::{Directory, Sealer, directory};
use taskyard_api_taskstore::{Parts, Taskstore};
use taskyard_engine::clock::Clock;
use taskyard_engine::content::Stored;
use taskyard_engine::lease::Queue;
use taskyard_engine::timer::{ArtifactBytes, Timer};
use taskyard_engine::{MIGRATIONS, Timestamp, group};
use taskyard_http::{Draining, Limits};
use taskyard_store::Store;
use taskyard_store::testing::{Database, Kind};
use tokio::sync::Notify;

/// Nothing in these tests takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Yard {
    /// The nodes, which are asked in turn.
    urls: Vec<String>,
    requests: AtomicUsize,
    http: reqwest::Client,
    pub(crate) clock: Clock,
    pub(crate) directory: Arc<Directory>,
    pub(crate) draining: Draining,
    // Dropped in this order: the store lets go of the database before that is removed.
    pub(crate) store: Store,
    _database: Database,
    _folder: tempfile::TempDir,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).expect("JSON")
    }
}

impl Yard {
    /// A taskstore on which everybody may do everything.
    pub(crate) async fn new(kind: Kind) -> Self {
        Self::open(kind, true).await
    }

    /// As [`Yard::new`], by two nodes in turn if the database lets more than one in.
    pub(crate) async fn with_peer(kind: Kind) -> Self {
        Self::build(kind, true, true).await
    }

    /// A taskstore on which everybody may do everything, or nobody anything.
    pub(crate) async fn open(kind: Kind, open_to_all: bool) -> Self {
        Self::build(kind, open_to_all, false).await
    }

    async fn build(kind: Kind, open_to_all: bool, with_peer: bool) -> Self {
        let database = Database::new(kind);
        let migrations = [
            taskyard_events::MIGRATIONS,
            MIGRATIONS,
            group::MIGRATIONS,
            directory::MIGRATIONS,
        ]
        .concat();
        let store = database.open(&migrations);
        let folder = tempfile::tempdir().expect("a folder");
        let (clock, draining) = (Clock::default(), Draining::new());
        let sealer = Sealer::from_key_file(&folder.path().join("secret.key")).expect("a key");
        let directory = Directory::open(store.clone(), Arc::new(sealer), open_to_all);
        let directory = Arc::new(directory.await.expect("a directory"));
        let parts = Parts {
            store: store.clone(),
            clock: clock.clone(),
            directory: Arc::clone(&directory),
            draining: draining.clone(),
            trust_forwarded: false,
        };
        let mut urls = vec![serve(parts.clone()).await];
        // SQLite knows one node only.
        if with_peer && kind == Kind::Postgres {
            let store = database.open(&migrations);
            urls.push(serve(Parts { store, ..parts }).await);
        }
        let timer = Timer::new(store.clone(), clock.clone(), Arc::new(NoBytes));
        tokio::spawn(timer.run(Arc::new(Notify::new())));
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .expect("a client");
        Yard {
            urls,
            requests: AtomicUsize::new(0),
            http,
            clock,
            directory,
            draining,
            store,
            _database: database,
            _folder: folder,
        }
    }

    /// Returns once so many claims wait for tasks of `group`.
    pub(crate) async fn until_waiting(&self, claims: usize, group: &str) {
        let topic = Queue::group(group).topic();
        let waiting = async {
            while self.store.waiters(topic) < claims {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("the claims wait");
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.move_by(by.as_micros() as i64);
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let node = self.requests.fetch_add(1, Ordering::Relaxed) % self.urls.len();
        self.http
            .request(method, format!("{}{path}", self.urls[node]))
    }

    /// Sends a request; each answer must say how long it is.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let length = response.headers().get("content-length").cloned();
        let status = response.status().as_u16();
        let content_type = response.headers().get("content-type").cloned();
        let body = response.text().await.expect("text");
        let length = length
            .expect("every answer has its length")
            .to_str()
            .map(str::to_owned);
        assert_eq!(length.ok(), Some(body.len().to_string()));
        let expected = if status == 200 {
            "application/json"
        } else {
            "text/plain; charset=utf-8"
        };
        assert_eq!(content_type.expect("a type"), expected, "{body}");
        Answer { status, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.send(self.request("POST", path).body(body)).await
    }

    /// An update, as the JSON of its answer.
    pub(crate) async fn update(&self, body: &Value) -> Value {
        self.post("/update", body.to_string()).await.json()
    }

    /// A claim, as the JSON of its answer.
    pub(crate) async fn claim(&self, body: &Value) -> Value {
        self.post("/claim", body.to_string()).await.json()
    }

    /// Adds tasks without data to a group; answers their ids.
    pub(crate) async fn add(&self, group: &str, count: usize) -> Vec<i64> {
        let adds = vec![json!({ "group": group }); count];
        let answer = self.update(&json!({ "clientid": 1, "adds": adds })).await;
        ids(&answer)
    }
}

/// The ids of the tasks in an answer.
pub(crate) fn ids(answer: &Value) -> Vec<i64> {
    let tasks = answer["tasks"].as_array().expect("tasks");
    tasks
        .iter()
        .map(|task| task["id"].as_i64().expect("an id"))
        .collect()
}

/// Serves a node; answers its address.
async fn serve(parts: Parts) -> String {
    let draining = parts.draining.clone();
    let taskstore = Taskstore::new(parts);
    let router = axum::Router::new().fallback(move |request| {
        let taskstore = taskstore.clone();
        async move { taskstore.answer("", request).await }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
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
    url
}

struct NoBytes;

impl ArtifactBytes for NoBytes {
    fn remove<'a>(
        &'a self,
        _stored: &'a Stored,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        Box::pin(async { Ok(()) })
    }
}
