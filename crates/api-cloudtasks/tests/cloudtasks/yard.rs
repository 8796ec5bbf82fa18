//! Cloud Tasks on loopback, and short ways to call it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use taskyard_access::directory::{self, ClientDefinition};
use taskyard_access::{Deed, Directory, Sealer};
use taskyard_api_cloudtasks::{CloudTasks, Identity, Parts, Runner};
use taskyard_engine::clock::Clock;
use taskyard_engine::cloud;
use taskyard_engine::cloud::Outcome;
use taskyard_engine::cloud::dispatch::Dispatch;
use taskyard_engine::cloud::record::{self, Conduct, Report};
use taskyard_http::{Draining, Limits};
use taskyard_store::Key;
use taskyard_store::testing::{Database, Kind};

/// Nothing in these tests takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where the tests' queues are.
pub(crate) const PARENT: &str = "projects/p/locations/us-central1";

pub(crate) struct Yard {
    pub(crate) url: String,
    http: reqwest::Client,
    pub(crate) clock: Clock,
    directory: Arc<Directory>,
    /// Who calls, as an `Authorization` header.
    caller: Option<String>,
    /// Tasks that were run by a call.
    pub(crate) sent: Arc<Mutex<Vec<Dispatch>>>,
    _draining: Draining,
    // Dropped in this order: the store lets go of the database before that is removed.
    store: taskyard_store::Store,
    _database: Database,
    _folder: tempfile::TempDir,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) json: Value,
}

impl Answer {
    /// The JSON of a good answer.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.json);
        self.json
    }

    /// HTTP status, name of the code, and text of a refusal.
    pub(crate) fn refusal(&self) -> (u16, &str, &str) {
        let error = &self.json["error"];
        assert_eq!(error["code"], self.status, "{}", self.json);
        let text = |name: &str| error[name].as_str().expect("a text");
        (self.status, text("status"), text("message"))
    }
}

/// The name of a queue of the tests.
pub(crate) fn queue(id: &str) -> String {
    format!("{PARENT}/queues/{id}")
}

impl Yard {
    /// Cloud Tasks on which everybody may do everything.
    pub(crate) async fn new(kind: Kind) -> Self {
        Self::open(kind, true).await
    }

    /// Cloud Tasks on which everybody may do everything, or nobody anything.
    pub(crate) async fn open(kind: Kind, dev: bool) -> Self {
        Self::start(kind, dev, &[], false).await
    }

    /// Cloud Tasks on which everybody may do everything in these locations, if tokens are sent to
    /// `https://` addresses.
    pub(crate) async fn strict(kind: Kind, locations: &[&str]) -> Self {
        Self::start(kind, true, locations, true).await
    }

    async fn start(kind: Kind, dev: bool, locations: &[&str], tokens_need_https: bool) -> Self {
        let database = Database::new(kind);
        let migrations = [
            taskyard_events::MIGRATIONS,
            taskyard_engine::MIGRATIONS,
            cloud::MIGRATIONS,
            cloud::operation::MIGRATIONS,
            cloud::cmek::MIGRATIONS,
            directory::MIGRATIONS,
        ]
        .concat();
        let store = database.open(&migrations);
        let folder = tempfile::tempdir().expect("a folder");
        let (clock, draining) = (Clock::default(), Draining::new());
        let sealer = Sealer::from_key_file(&folder.path().join("secret.key")).expect("a key");
        let directory = Directory::open(store.clone(), Arc::new(sealer), dev);
        let directory = Arc::new(directory.await.expect("a directory"));
        let sent: Arc<Mutex<Vec<Dispatch>>> = Arc::default();
        let sending = Arc::clone(&sent);
        let parts = Parts {
            store: store.clone(),
            clock: clock.clone(),
            directory: Arc::clone(&directory),
            dev,
            queue_name_reserve: Duration::from_hours(1),
            locations: locations.iter().map(|it| (*it).to_owned()).collect(),
            tokens_need_https,
            identity: Identity {
                discovery: json!({"issuer": "https://tasks.example.com"}),
                keys: json!({"keys": []}),
            },
            runner: Runner::new("tests", move |dispatch| sending.lock().push(dispatch)),
        };
        let service = CloudTasks::new(parts).expect("a service");
        let router = axum::Router::new().fallback(move |request| {
            let service = service.clone();
            async move { service.answer(request).await }
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
            draining.clone(),
        ));
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        Yard {
            url,
            http: http.build().expect("a client"),
            clock,
            directory,
            caller: None,
            sent,
            _draining: draining,
            store,
            _database: database,
            _folder: folder,
        }
    }

    /// From here on, calls are made by a new client with these scopes.
    pub(crate) async fn call_as(&mut self, client_id: &str, scopes: &[&str]) {
        let definition = ClientDefinition {
            description: "a caller of a test".to_owned(),
            expires_ms: self.clock.now().plus(Duration::from_hours(1)).millis(),
            scopes: Some(scopes.iter().map(|scope| (*scope).to_owned()).collect()),
            delete_on_expiration: false,
        };
        let deed = Deed {
            actor: "tests",
            now_ms: self.clock.now().millis(),
        };
        let made = self.directory.create_client(deed, client_id, definition);
        let made = made.await.expect("the database").expect("a client");
        let token = self.directory.access_token(&made).expect("a token");
        self.caller = Some(format!("Bearer {client_id}:{}", token.expose()));
    }

    /// Says how the handler of a task that was run answered.
    pub(crate) async fn end(&self, sent: &Dispatch, outcome: Outcome, excerpt: &str) {
        let now = self.clock.now();
        let mut report = Report::new(sent, now, outcome);
        report.excerpt = excerpt.to_owned();
        let recorded = self.store.write(Key::of("tests"), move |tx| {
            record::record(tx, now, &Conduct::default(), std::slice::from_ref(&report))
        });
        recorded.await.expect("it is recorded");
    }

    /// From here on, calls are made with this header, or without.
    pub(crate) fn call_with(&mut self, authorization: Option<&str>) {
        self.caller = authorization.map(str::to_owned);
    }

    pub(crate) fn caller(&self) -> Option<String> {
        self.caller.clone()
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.caller {
            Some(caller) => request.header("authorization", caller),
            None => request,
        }
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let kind = response.headers().get("content-type").cloned();
        let body = response.text().await.expect("text");
        let kind = kind.expect("a type");
        assert!(kind.to_str().expect("text").starts_with("application/json"));
        let json = serde_json::from_str(&body).expect(&body);
        Answer { status, json }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request("DELETE", path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request("POST", path).body(body.to_string()))
            .await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(self.request("PATCH", path).body(body.to_string()))
            .await
    }

    /// Makes a queue, as version 2 has it, and answers with it.
    pub(crate) async fn make_queue(&self, id: &str, mut settings: Value) -> Value {
        settings["name"] = json!(queue(id));
        let path = format!("/v2beta3/{PARENT}/queues");
        self.post(&path, settings).await.ok()
    }

    /// Creates a task that is never sent, and answers with it.
    pub(crate) async fn make_task(&self, id: &str, task: Value) -> Answer {
        let path = format!("/v2/{}/tasks", queue(id));
        self.post(&path, json!({ "task": task })).await
    }
}

/// The simplest task.
pub(crate) fn simple() -> Value {
    json!({"httpRequest": {"url": "https://handler.example.com/"}})
}
