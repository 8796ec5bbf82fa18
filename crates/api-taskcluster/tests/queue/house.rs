//! A queue on a database of its own, asked the way clients ask it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use taskyard_access::directory::Directory;
use taskyard_access::secrets::Secrets as Kept;
use taskyard_access::{Sealer, slugid};
use taskyard_api_taskcluster::hooks::{Firing, Hooks};
use taskyard_api_taskcluster::index::Index;
use taskyard_api_taskcluster::notify::{Notifier, Notify, Sinks};
use taskyard_api_taskcluster::object::Objects;
use taskyard_api_taskcluster::purge_cache::PurgeCache;
use taskyard_api_taskcluster::queue::{self, Files, Queue, Transfers};
use taskyard_api_taskcluster::schema::Schemas;
use taskyard_api_taskcluster::secrets::Secrets;
use taskyard_api_taskcluster::{Context, Service};
use taskyard_engine::Timestamp;
use taskyard_engine::clock::Clock;
use taskyard_engine::timer::Timer;
use taskyard_http::Draining;
use taskyard_store::testing::{Database, Kind};
use taskyard_store::{Migration, Store};
use tempfile::TempDir;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::bucket;
use crate::who::Who;

/// The root URL that clients of the house use.
pub(crate) const ROOT_URL: &str = "http://queue.test";
/// The task queue of tests that need only one.
pub(crate) const QUEUE: &str = "prov/type";
/// How long a claim holds.
pub(crate) const CLAIM: Duration = Duration::from_mins(20);
/// How long anything that should happen at once is waited for.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// Where a house keeps its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Folder,
    Bucket,
}

pub(crate) struct House {
    pub(crate) service: Arc<Service<Queue>>,
    pub(crate) transfers: Arc<Transfers>,
    pub(crate) schemas: Arc<Schemas>,
    pub(crate) clock: Clock,
    pub(crate) draining: Draining,
    pub(crate) directory: Arc<Directory>,
    pub(crate) store: Store,
    pub(crate) files: Files,
    pub(crate) folder: TempDir,
    pub(crate) objects: Arc<Service<Objects>>,
    hooks: Arc<Service<Hooks>>,
    pub(crate) firing: Arc<Firing>,
    notify: Arc<Service<Notify>>,
    pub(crate) notifier: Arc<Notifier>,
    index: Arc<Service<Index>>,
    secrets: Arc<Service<Secrets>>,
    pub(crate) kept: Kept,
    purge_cache: Arc<Service<PurgeCache>>,
    references: [Value; 7],
    root: taskyard_access::Credentials,
    // Dropped last: the store lets go of the database before that is removed.
    pub(crate) database: Database,
}

/// The tables that a queue needs.
pub(crate) fn migrations() -> Vec<Migration> {
    [
        taskyard_events::MIGRATIONS,
        taskyard_engine::MIGRATIONS,
        taskyard_access::directory::MIGRATIONS,
        taskyard_access::secrets::MIGRATIONS,
    ]
    .concat()
}

impl House {
    pub(crate) async fn new(kind: Kind) -> Self {
        Self::at(kind, Place::Folder).await
    }

    /// A house that keeps its files in `place`.
    pub(crate) async fn at(kind: Kind, place: Place) -> Self {
        let database = Database::new(kind);
        let store = database.open(&migrations());
        Self::over(database, store, place, Sinks::default()).await
    }

    /// A house that sends notifications by `sinks`.
    pub(crate) async fn sending(kind: Kind, sinks: Sinks) -> Self {
        let database = Database::new(kind);
        let store = database.open(&migrations());
        Self::over(database, store, Place::Folder, sinks).await
    }

    async fn over(database: Database, store: Store, place: Place, sinks: Sinks) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::default();
        let sealer = Arc::new(Sealer::new(&[7; 32]));
        let directory = Directory::open(store.clone(), Arc::clone(&sealer), false).await;
        let directory = Arc::new(directory.expect("the directory opens"));
        let now = clock.now().millis();
        let mut tokens = Vec::new();
        for client in ["root", queue::ISSUER] {
            let made = directory.ensure_client(now, client, &["*"], "", None).await;
            tokens.push(made.expect("the client is made").0);
        }
        let schemas = Arc::new(Schemas::load(ROOT_URL).expect("the schemas are whole"));
        let context = Context {
            clock: clock.clone(),
            directory: Arc::clone(&directory),
            schemas: Arc::clone(&schemas),
            trust_forwarded: false,
        };
        let files = match place {
            Place::Folder => Files::open(folder.path().to_owned()).await,
            Place::Bucket => Files::bucket(bucket::new().await).await,
        };
        let files = files.expect("a place for files");
        let kept = Kept::new(store.clone(), Arc::clone(&sealer));
        let secrets = Arc::new(Secrets::service(kept.clone(), context.clone()));
        let transfers = queue::transfers(
            ROOT_URL,
            Arc::clone(&sealer),
            files.clone(),
            store.clone(),
            clock.clone(),
        );
        let transfers = Arc::new(transfers);
        let objects = Objects::service(store.clone(), Arc::clone(&transfers), context.clone());
        let draining = Draining::new();
        let parts = queue::Parts {
            store: store.clone(),
            claim_timeout: CLAIM,
            draining: draining.clone(),
            transfers: Arc::clone(&transfers),
        };
        let purge_cache = Arc::new(PurgeCache::service(store.clone(), context.clone()));
        let index = Arc::new(Index::service(store.clone(), ROOT_URL, context.clone()));
        let service = Arc::new(Queue::service(parts, context.clone()));
        let notifier = Notifier::new(store.clone(), clock.clone(), sinks, ROOT_URL);
        let notify = Notify::service(Arc::clone(&notifier), context.clone());
        let firing = Arc::new(Firing::new(
            Arc::clone(&directory),
            Arc::clone(&service),
            Arc::clone(&notifier),
        ));
        let hooks = Arc::new(Hooks::service(Arc::clone(&firing), sealer, context));
        let root = taskyard_access::Credentials {
            client_id: "root".to_owned(),
            access_token: tokens.remove(0),
            certificate: None,
        };
        House {
            references: [
                service.reference(),
                objects.reference(),
                index.reference(),
                secrets.reference(),
                purge_cache.reference(),
                hooks.reference(),
                notify.reference(),
            ],
            service,
            hooks,
            firing,
            notify: Arc::new(notify),
            notifier,
            index,
            secrets,
            kept,
            purge_cache,
            objects: Arc::new(objects),
            transfers,
            schemas,
            clock,
            draining,
            directory,
            store,
            files,
            folder,
            root,
            database,
        }
    }

    /// The client that may do everything.
    pub(crate) fn root(&self) -> Who {
        Who::Holder(self.root.clone())
    }

    /// A client that may do this much.
    pub(crate) fn with<S: Into<String>>(&self, scopes: impl IntoIterator<Item = S>) -> Who {
        Who::Restricted(
            self.root.clone(),
            scopes.into_iter().map(Into::into).collect(),
        )
    }

    /// Calls a method as the root client.
    pub(crate) async fn call(&self, method: &str, args: &[&str], body: Option<Value>) -> Answer {
        self.call_as(&self.root(), method, args, body).await
    }

    /// Calls a method. Whatever comes back has the shape that the reference promises.
    pub(crate) async fn call_as(
        &self,
        who: &Who,
        method: &str,
        args: &[&str],
        body: Option<Value>,
    ) -> Answer {
        let (service, entry) = self.entry_of(method);
        let mut ask = Ask::new(&verb(entry), &target(service, entry, args)).by(who.clone());
        if let Some(body) = body {
            ask = ask.json(&body);
        }
        let answer = self.ask(ask).await;
        self.check(method, args, &answer);
        answer
    }

    /// Calls a method with a query.
    pub(crate) async fn get_with(&self, method: &str, args: &[&str], query: &str) -> Answer {
        let (service, entry) = self.entry_of(method);
        let target = format!("{}?{query}", target(service, entry, args));
        let answer = self
            .ask(Ask::new(&verb(entry), &target).by(self.root()))
            .await;
        self.check(method, args, &answer);
        answer
    }

    /// The service that has a method, and what its reference says of it. The queue comes first.
    fn entry_of(&self, method: &str) -> (&str, &Value) {
        let found = self.references.iter().find_map(|reference| {
            let entries = reference["entries"].as_array().expect("entries");
            let entry = entries.iter().find(|entry| entry["name"] == method)?;
            Some((reference["serviceName"].as_str().expect("a name"), entry))
        });
        found.expect(method)
    }

    /// The queue's reference.
    pub(crate) fn reference(&self) -> &Value {
        &self.references[0]
    }

    /// Sends a request and reads all of its answer.
    pub(crate) async fn ask(&self, ask: Ask) -> Answer {
        let request = ask.sign(self.clock.now());
        Answer::read(self.answer(request).await).await
    }

    async fn answer(&self, request: Request<Body>) -> axum::response::Response {
        if request.uri().path().starts_with(self.transfers.prefix()) {
            self.transfers.answer(request).await
        } else if request.uri().path().starts_with("/api/object/") {
            self.objects.answer(request).await
        } else if request.uri().path().starts_with("/api/notify/") {
            self.notify.answer(request).await
        } else if request.uri().path().starts_with("/api/hooks/") {
            self.hooks.answer(request).await
        } else if request.uri().path().starts_with("/api/index/") {
            self.index.answer(request).await
        } else if request.uri().path().starts_with("/api/secrets/") {
            self.secrets.answer(request).await
        } else if request.uri().path().starts_with("/api/purge-cache/") {
            self.purge_cache.answer(request).await
        } else {
            self.service.answer(request).await
        }
    }

    fn check(&self, method: &str, args: &[&str], answer: &Answer) {
        let (service, entry) = self.entry_of(method);
        let told = |problem: &str| format!("{method} {args:?}: {problem} in {answer:?}");
        // 424 is the content of an artifact, and has neither schema nor error code.
        if answer.status == 424 {
            return;
        }
        if answer.status < 400 {
            if let Some(output) = entry["output"].as_str() {
                let mut body = answer.json.clone();
                let checked = self
                    .schemas
                    .validate(&format!("{service}/{output}"), &mut body);
                assert_eq!(checked, Ok(()), "{}", told("not the promised schema"));
                assert_eq!(body, answer.json, "{}", told("a default was left out"));
            }
            return;
        }
        let message = answer.json["message"].as_str().unwrap_or_default();
        let code = answer.json["code"].as_str().unwrap_or_default();
        let info = &answer.json["requestInfo"];
        let time = info["time"].as_str().unwrap_or_default();
        let trailer = format!(
            "\n\n---\n\n* method:     {method}\n* errorCode:  {code}\n* statusCode: {}\n\
             * time:       {time}",
            answer.status
        );
        assert!(message.ends_with(&trailer), "{}", told("another trailer"));
        assert!(
            time.ends_with('Z') && time.len() == 24,
            "{}",
            told("another time")
        );
        assert_eq!(info["method"], method, "{}", told("another method"));
        let names = entry["args"].as_array().expect("args").iter();
        let params: serde_json::Map<String, Value> = names
            .zip(args)
            .map(|(name, arg)| {
                let name = name.as_str().expect("a name");
                let arg = if name == "token" { "(OMITTED)" } else { arg };
                (name.to_owned(), json!(arg))
            })
            .collect();
        assert_eq!(
            info["params"],
            Value::Object(params),
            "{}",
            told("other params")
        );
        assert!(!info["payload"].is_null(), "{}", told("no payload"));
        let keys = answer.json.as_object().expect("an object").len();
        assert_eq!(keys, 3, "{}", told("more than there should be"));
    }

    /// A definition that createTask accepts now: one hour to its deadline.
    pub(crate) fn definition(&self) -> Value {
        let now = self.clock.now();
        json!({
            "taskQueueId": QUEUE,
            "created": now.to_iso(),
            "deadline": now.plus(Duration::from_hours(1)).to_iso(),
            "payload": {"command": ["true"]},
            "metadata": {
                "name": "a task",
                "description": "for a test",
                "owner": "somebody@example.com",
                "source": "https://example.com/source",
            },
        })
    }

    /// Creates a task with some fields of its own; its id.
    pub(crate) async fn create(&self, fields: Value) -> String {
        let id = slugid::nice();
        self.create_as(&id, fields).await;
        id
    }

    /// Creates a task of this id; its status.
    pub(crate) async fn create_as(&self, id: &str, fields: Value) -> Value {
        let body = merged(self.definition(), fields);
        self.call("createTask", &[id], Some(body)).await.status_of()
    }

    /// Claims up to `count` tasks of [`QUEUE`], which must be there.
    pub(crate) async fn claim(&self, count: usize) -> Vec<Value> {
        let body = json!({"workerGroup": "group", "workerId": "worker", "tasks": count});
        let answer = self.call("claimWork", &[QUEUE], Some(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json["tasks"].as_array().expect("tasks").clone()
    }

    /// Creates a task and claims it; its id and the claim.
    pub(crate) async fn claimed(&self, fields: Value) -> (String, Value) {
        let id = self.create(fields).await;
        let claims = self.claim(1).await;
        assert_eq!(claims[0]["status"]["taskId"], id.as_str());
        (id, claims[0].clone())
    }

    /// Creates a task and claims it by its name, whatever else waits; its id and the claim.
    pub(crate) async fn taken(&self, fields: Value) -> (String, Value) {
        let id = self.create(fields).await;
        let body = json!({"workerGroup": "group", "workerId": "worker"});
        let claim = self.call("claimTask", &[&id, "0"], Some(body)).await;
        (id, claim.granted())
    }

    /// The status of a task.
    pub(crate) async fn status(&self, id: &str) -> Value {
        self.call("status", &[id], None).await.status_of()
    }

    /// Moves the clock.
    pub(crate) fn wait(&self, time: Duration) {
        self.clock
            .move_by(i64::try_from(time.as_micros()).expect("not for ever"));
    }

    /// Does everything that has fallen due.
    pub(crate) async fn sweep(&self) {
        let files = Arc::new(self.files.clone());
        let mut timer = Timer::new(self.store.clone(), self.clock.clone(), files);
        loop {
            let now = self.clock.now();
            if timer.sweep(now).await.expect("the sweep succeeds") > now {
                return;
            }
        }
    }

    /// How many files or objects are stored, finished or not.
    pub(crate) async fn stored(&self) -> usize {
        use futures_util::TryStreamExt as _;
        let objects: Vec<_> = self.files.all().try_collect().await.expect("a list");
        objects.len()
    }

    /// So much later than now.
    pub(crate) fn later(&self, time: Duration) -> String {
        self.clock.now().plus(time).to_iso()
    }

    /// So much earlier than now.
    pub(crate) fn earlier(&self, time: Duration) -> String {
        self.clock.now().minus(time).to_iso()
    }
}

fn verb(entry: &Value) -> String {
    entry["method"].as_str().expect("a verb").to_uppercase()
}

/// The path of a method, with every argument escaped as clients do.
fn target(service: &str, entry: &Value, args: &[&str]) -> String {
    let mut path = entry["route"].as_str().expect("a route").to_owned();
    let names = entry["args"].as_array().expect("args");
    assert_eq!(names.len(), args.len(), "{path}");
    for (name, arg) in names.iter().zip(args) {
        let hole = format!("<{}>", name.as_str().expect("a name"));
        path = path.replace(&hole, &escaped(arg));
    }
    format!("/api/{service}/v1{path}")
}

/// Percent-encoded as a piece of a path.
pub(crate) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte);
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// `base` with the fields of `over`; those that are null there go.
pub(crate) fn merged(mut base: Value, over: Value) -> Value {
    let fields = base.as_object_mut().expect("an object");
    for (name, value) in over.as_object().expect("an object") {
        if value.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), value.clone());
        }
    }
    base
}

/// A moment of the wire.
pub(crate) fn moment(text: &Value) -> Timestamp {
    let text = text.as_str().expect("a time");
    let time = chrono::DateTime::parse_from_rfc3339(text).expect("a time");
    Timestamp::from(time.to_utc())
}
