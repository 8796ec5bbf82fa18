//! The official Rust client of Cloud Tasks: every method it has, a task that reaches its handler,
//! and refusals with what they carry. A method that no step called fails the test.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is one scenario, which ends at its first failure"
)]

mod handler;
mod recorder;

use std::sync::Arc;

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use google_cloud_auth::credentials::{
    CacheableResource, Credentials, CredentialsProvider, EntityTag, anonymous,
};
use google_cloud_auth::errors::CredentialsError;
use google_cloud_gax::error::Error;
use google_cloud_gax::error::rpc::{Code, Status, StatusDetails};
use google_cloud_gax::paginator::ItemPaginator as _;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_iam_v1::model::{Binding, Policy};
use google_cloud_lro::Poller as _;
use google_cloud_tasks_v2::client::CloudTasks;
use google_cloud_tasks_v2::model::{
    CmekConfig, CreateTaskRequest, HttpMethod, HttpRequest, Queue, RateLimits, RetryConfig, Task,
    queue, task,
};
use google_cloud_wkt::{FieldMask, Timestamp};
use taskyard_conformance::{Database, ROOT_ACCESS_TOKEN, ROOT_CLIENT_ID, Server};

use crate::handler::Handler;
use crate::recorder::{Called, METHODS, Recorder};

const PROJECT: &str = "projects/conformance";
const PARENT: &str = "projects/conformance/locations/us-central1";

/// One run of the scenario.
struct Scenario {
    client: CloudTasks,
    called: Called,
    handler: Handler,
}

impl Scenario {
    async fn new(server: &Server) -> Self {
        let called = Called::default();
        let recorder = Recorder {
            client: client(server, anonymous::Builder::new().build()).await,
            called: Arc::clone(&called),
        };
        Self {
            client: CloudTasks::from_stub::<Recorder>(recorder),
            called,
            handler: Handler::start().await,
        }
    }

    async fn makes_and_changes_queues(&self) {
        let (name, other) = (queue_name("main"), queue_name("other"));
        let created = self.create_queue("main", Queue::new()).await.unwrap();
        assert_eq!(
            (&created.name, &created.state),
            (&name, &queue::State::Running)
        );
        let limits = created.rate_limits.unwrap();
        assert_eq!(
            (limits.max_burst_size, limits.max_concurrent_dispatches),
            (100, 1000)
        );
        assert_eq!(created.retry_config.unwrap().max_doublings, 16);
        let again = self.create_queue("main", Queue::new()).await;
        refused(again, Code::AlreadyExists, 409, "Queue already exists");

        let slower = Queue::new()
            .set_name(&name)
            .set_rate_limits(RateLimits::new().set_max_dispatches_per_second(5))
            .set_retry_config(RetryConfig::new().set_max_attempts(3));
        let mask = FieldMask::default().set_paths(["rate_limits.max_dispatches_per_second"]);
        let update = self.client.update_queue().set_queue(slower);
        let slower = update.set_update_mask(mask).send().await.unwrap();
        assert_eq!(slower.rate_limits.unwrap().max_burst_size, 10);
        assert_eq!(slower.retry_config.unwrap().max_attempts, 100);
        // Of a queue that is not there, an update makes one.
        let missing = Queue::new().set_name(&other);
        let update = self.client.update_queue().set_queue(missing);
        assert_eq!(update.send().await.unwrap().name, other);
        eprintln!("ok create and update queues");

        let paused = self.client.pause_queue().set_name(&name);
        assert_eq!(paused.send().await.unwrap().state, queue::State::Paused);
        let list = self.client.list_queues().set_parent(PARENT);
        let found = list.set_filter("state=PAUSED").send().await.unwrap();
        assert_eq!(queue_names(&found.queues), [&*name]);
        let resumed = self.client.resume_queue().set_name(&name);
        assert_eq!(resumed.send().await.unwrap().state, queue::State::Running);
        let purged = self.client.purge_queue().set_name(&name);
        let purged = purged.send().await.unwrap();
        assert!(purged.purge_time.is_some());
        let got = self.client.get_queue().set_name(&name);
        assert_eq!(got.send().await.unwrap(), purged);
        eprintln!("ok pause, filter, resume, purge and get queues");

        let list = self.client.list_queues().set_parent(PARENT);
        let (mut pages, mut listed) = (list.set_page_size(1).by_item(), Vec::new());
        while let Some(queue) = pages.next().await {
            listed.push(queue.unwrap());
        }
        assert_eq!(queue_names(&listed), [name, other.clone()]);
        self.client
            .delete_queue()
            .set_name(&other)
            .send()
            .await
            .unwrap();
        let gone = self.client.get_queue().set_name(&other).send().await;
        refused(gone, Code::NotFound, 404, "Queue does not exist.");
        let gone = self.client.delete_queue().set_name(&other).send().await;
        refused(gone, Code::NotFound, 404, "Requested entity was not found.");
        eprintln!("ok list queues by pages, delete one");
    }

    async fn sets_policies(&self) {
        let resource = queue_name("main");
        let get = || self.client.get_iam_policy().set_resource(&resource).send();
        let empty = get().await.unwrap();
        assert_eq!(
            (&empty.etag[..], empty.bindings.len()),
            (&b"\x00 \x01"[..], 0)
        );
        let set = |policy| {
            let call = self.client.set_iam_policy().set_resource(&resource);
            call.set_policy(policy).send()
        };
        let viewers = Binding::new()
            .set_role("roles/cloudtasks.viewer")
            .set_members(["user:b", "user:a"]);
        let first = set(Policy::new().set_bindings([viewers])).await.unwrap();
        assert_eq!(first.bindings[0].members, ["user:a", "user:b"]);
        assert_eq!(get().await.unwrap(), first);
        let none = Policy::new().set_etag(first.etag);
        assert!(set(none.clone()).await.unwrap().bindings.is_empty());
        let message = "There were concurrent policy changes.";
        refused(set(none).await, Code::Aborted, 409, message);
        let asked = ["cloudtasks.tasks.create", "cloudtasks.queues.get"];
        let test = self.client.test_iam_permissions().set_resource(&resource);
        let held = test.set_permissions(asked).send().await.unwrap();
        assert_eq!(held.permissions, asked);
        eprintln!("ok get, set and test policies; a stale etag is refused (409)");
    }

    async fn keeps_tasks(&self) {
        let parent = queue_name("waiting");
        self.create_queue("waiting", Queue::new()).await.unwrap();
        self.client
            .pause_queue()
            .set_name(&parent)
            .send()
            .await
            .unwrap();
        let request = HttpRequest::new()
            .set_url(self.handler.url("/waiting"))
            .set_http_method(HttpMethod::Put)
            .set_headers([("X-Mine", "1"), ("User-Agent", "me")])
            .set_body(Bytes::from_static(b"hello"));
        let new = Task::new()
            .set_name(format!("{parent}/tasks/named"))
            .set_schedule_time(in_an_hour())
            .set_http_request(request);
        let create = self
            .client
            .create_task()
            .set_parent(&parent)
            .set_task(new.clone());
        let full = create
            .set_response_view(task::View::Full)
            .send()
            .await
            .unwrap();
        let sent = full.http_request().unwrap();
        assert_eq!(
            (&full.view, &sent.body[..]),
            (&task::View::Full, &b"hello"[..])
        );
        assert_eq!((sent.headers.len(), &sent.headers["X-Mine"][..]), (2, "1"));
        assert_eq!(sent.headers["User-Agent"], "Google-Cloud-Tasks");
        assert_eq!(full.schedule_time, new.schedule_time);
        let again = self.client.create_task().set_parent(&parent).set_task(new);
        let message = "Requested entity already exists";
        refused(again.send().await, Code::AlreadyExists, 409, message);

        let basic = self
            .client
            .get_task()
            .set_name(&full.name)
            .send()
            .await
            .unwrap();
        assert_eq!(
            (&basic.view, basic.http_request().unwrap().body.len()),
            (&task::View::Basic, 0)
        );
        let list = self.client.list_tasks().set_parent(&parent);
        let (mut tasks, mut listed) = (list.set_page_size(1).by_item(), Vec::new());
        while let Some(task) = tasks.next().await {
            listed.push(task.unwrap());
        }
        assert_eq!(listed, [basic]);
        self.client
            .delete_task()
            .set_name(&full.name)
            .send()
            .await
            .unwrap();
        let gone = self.client.get_task().set_name(&full.name).send().await;
        refused(gone, Code::NotFound, 404, "The task no longer exists");
        eprintln!("ok create, get, list and delete tasks");
    }

    async fn makes_and_deletes_many_tasks(&self) {
        let parent = queue_name("waiting");
        let request = |id: &str| {
            let url = self.handler.url("/waiting");
            let task = Task::new()
                .set_name(format!("{parent}/tasks/{id}"))
                .set_http_request(HttpRequest::new().set_url(url));
            CreateTaskRequest::new().set_parent(&parent).set_task(task)
        };
        let create = self.client.batch_create_tasks().set_parent(&parent);
        let create = create.set_requests([request("a"), request("b")]);
        let made = create.poller().until_done().await.unwrap();
        let names: Vec<String> = made.tasks.into_iter().map(|task| task.name).collect();
        assert_eq!(names, ["a", "b"].map(|id| format!("{parent}/tasks/{id}")));
        let delete = || {
            let call = self.client.batch_delete_tasks().set_parent(&parent);
            call.set_names(names.clone())
        };
        let operation = delete().send().await.unwrap();
        assert!(operation.done, "{operation:?}");
        let found = self.client.get_operation().set_name(&operation.name);
        assert_eq!(found.send().await.unwrap(), operation);
        let failed = delete().poller().until_done().await.unwrap_err();
        let status = failed.status().unwrap();
        assert_eq!(status.code, Code::Aborted);
        assert!(
            status.message.starts_with("None of the requests succeeded"),
            "{status:?}"
        );
        eprintln!("ok create and delete tasks in batches, get an operation");
    }

    async fn knows_locations_and_keys(&self) {
        let listed = self
            .client
            .list_locations()
            .set_name(PROJECT)
            .send()
            .await
            .unwrap();
        let ids: Vec<&str> = listed
            .locations
            .iter()
            .map(|it| &it.location_id[..])
            .collect();
        assert_eq!(ids, ["us-central1"]);
        let one = self
            .client
            .get_location()
            .set_name(PARENT)
            .send()
            .await
            .unwrap();
        assert_eq!(one, listed.locations[0]);
        assert_eq!(one.labels["cloud.googleapis.com/region"], "us-central1");

        let name = format!("{PARENT}/cmekConfig");
        let key = format!("{PARENT}/keyRings/r/cryptoKeys/k");
        let config = CmekConfig::new().set_name(&name).set_kms_key(&key);
        let update = self
            .client
            .update_cmek_config()
            .set_cmek_config(config.clone());
        let mask = FieldMask::default().set_paths(["kms_key"]);
        assert_eq!(update.set_update_mask(mask).send().await.unwrap(), config);
        let got = self.client.get_cmek_config().set_name(&name).send().await;
        assert_eq!(got.unwrap(), config);
        eprintln!("ok locations and keys");
    }

    async fn has_tasks_sent(&mut self) {
        let parent = queue_name("sent");
        self.create_queue("sent", Queue::new()).await.unwrap();
        let create = |url: String| {
            let request = HttpRequest::new()
                .set_url(url)
                .set_body(Bytes::from_static(b"work"));
            let call = self.client.create_task().set_parent(&parent);
            call.set_task(Task::new().set_http_request(request)).send()
        };
        let made = create(self.handler.url("/at-once")).await.unwrap();
        let seen = self.handler.next().await;
        assert!(seen.starts_with("POST /at-once HTTP/1.1\r\n"), "{seen}");
        let id = made.name.rsplit('/').next().unwrap();
        for line in [
            "x-cloudtasks-queuename: sent",
            &format!("x-cloudtasks-taskname: {id}"),
            "user-agent: Google-Cloud-Tasks",
        ] {
            assert!(
                seen.lines().any(|it| it.eq_ignore_ascii_case(line)),
                "{line}: {seen}"
            );
        }
        assert!(seen.ends_with("\r\n\r\nwork"), "{seen}");

        self.client
            .pause_queue()
            .set_name(&parent)
            .send()
            .await
            .unwrap();
        let stuck = create(self.handler.url("/forced")).await.unwrap();
        let ran = self
            .client
            .run_task()
            .set_name(&stuck.name)
            .send()
            .await
            .unwrap();
        assert_eq!(ran.dispatch_count, 1);
        assert!(ran.last_attempt.unwrap().response_time.is_none());
        let seen = self.handler.next().await;
        assert!(seen.starts_with("POST /forced HTTP/1.1\r\n"), "{seen}");
        eprintln!("ok tasks are sent, and run while their queue is paused");
    }

    async fn is_told_what_is_wrong(&self) {
        let doublings = RetryConfig::new().set_max_doublings(-1);
        let wrong = Queue::new().set_retry_config(doublings);
        let wrong = self.create_queue("wrong", wrong).await;
        let message = "RetryConfig.maxDoublings cannot be negative.";
        refused(wrong, Code::InvalidArgument, 400, message);

        let parent = queue_name("waiting");
        let odd = Task::new()
            .set_name(format!("{parent}/tasks/a.b"))
            .set_http_request(HttpRequest::new().set_url("https://a.test"));
        let odd = self.client.create_task().set_parent(&parent).set_task(odd);
        let status = refused(
            odd.send().await,
            Code::InvalidArgument,
            400,
            "Task ID \"a.b\"",
        );
        let [StatusDetails::Help(help)] = &status.details[..] else {
            panic!("{status:?}");
        };
        assert_eq!(help.links[0].description, "Definition of task ID");
        eprintln!("ok refusals have codes, texts and details");
    }

    async fn create_queue(&self, id: &str, queue: Queue) -> Result<Queue, Error> {
        let call = self.client.create_queue().set_parent(PARENT);
        call.set_queue(queue.set_name(queue_name(id))).send().await
    }
}

/// No retries: a server fault must show, not be mended by the second try.
async fn client(server: &Server, credentials: Credentials) -> CloudTasks {
    let builder = CloudTasks::builder()
        .with_endpoint(server.root_url())
        .with_credentials(credentials)
        .with_retry_policy(NeverRetry);
    builder.build().await.unwrap()
}

/// What an `Authorization` header of the root client's is made from.
#[derive(Debug)]
struct Token(String);

impl CredentialsProvider for Token {
    async fn headers(
        &self,
        _: http::Extensions,
    ) -> Result<CacheableResource<http::HeaderMap>, CredentialsError> {
        let bearer = format!("Bearer {ROOT_CLIENT_ID}:{}", self.0)
            .parse()
            .unwrap();
        Ok(CacheableResource::New {
            entity_tag: EntityTag::new(),
            data: http::HeaderMap::from_iter([(http::header::AUTHORIZATION, bearer)]),
        })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

/// The client's error must carry this code, HTTP status and text; returns all it carries.
fn refused<T: std::fmt::Debug>(
    outcome: Result<T, Error>,
    code: Code,
    http: u16,
    message: &str,
) -> Status {
    let error = outcome.unwrap_err();
    let status = error.status().unwrap();
    assert_eq!(
        (status.code, error.http_status_code()),
        (code, Some(http)),
        "{error:?}"
    );
    assert!(
        status.message.contains(message),
        "{message} is not in {}",
        status.message
    );
    status.clone()
}

fn queue_name(id: &str) -> String {
    format!("{PARENT}/queues/{id}")
}

fn queue_names(queues: &[Queue]) -> Vec<String> {
    queues.iter().map(|queue| queue.name.clone()).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client's clock is the machine's"
)]
fn in_an_hour() -> Timestamp {
    let time = Utc::now() + TimeDelta::hours(1);
    Timestamp::new(time.timestamp(), 0).unwrap()
}

/// The runtime is the scenario's alone: starting and stopping the server blocks.
fn run(database: Database) {
    let settings = "dev = true\noutgoing-loopback = true";
    let server = Server::start_with(database, settings, &[]).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut scenario = Scenario::new(&server).await;
        scenario.makes_and_changes_queues().await;
        scenario.sets_policies().await;
        scenario.keeps_tasks().await;
        scenario.makes_and_deletes_many_tasks().await;
        scenario.knows_locations_and_keys().await;
        scenario.has_tasks_sent().await;
        scenario.is_told_what_is_wrong().await;
        let called = scenario.called.lock().unwrap();
        assert_eq!(*called, METHODS.iter().copied().collect());
    });
    server.stop().unwrap();
}

/// What a server that is not for development tells those without valid credentials.
fn is_guarded(database: Database) {
    let server = Server::start(database).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let anonymous = anonymous::Builder::new().build();
        let liar = Credentials::from(Token("x".repeat(44)));
        for (credentials, reason) in [
            (anonymous, "CREDENTIALS_MISSING"),
            (liar, "ACCESS_TOKEN_INVALID"),
        ] {
            let stranger = client(&server, credentials).await;
            let list = stranger.list_queues().set_parent(PARENT).send().await;
            let status = refused(list, Code::Unauthenticated, 401, "credentials");
            let [StatusDetails::ErrorInfo(info)] = &status.details[..] else {
                panic!("{status:?}");
            };
            assert_eq!(
                (&info.reason[..], &info.domain[..]),
                (reason, "googleapis.com")
            );
            let method = "google.cloud.tasks.v2.CloudTasks.ListQueues";
            assert_eq!(info.metadata["method"], method);
        }
        let root = Credentials::from(Token(ROOT_ACCESS_TOKEN.to_owned()));
        let root = client(&server, root).await;
        root.list_queues().set_parent(PARENT).send().await.unwrap();
    });
    server.stop().unwrap();
}

#[test]
fn the_official_rust_client_of_cloud_tasks_works_on_sqlite() {
    run(Database::sqlite());
}

#[test]
fn the_official_rust_client_of_cloud_tasks_works_on_postgres() {
    run(Database::postgres().unwrap());
}

#[test]
fn the_official_rust_client_of_cloud_tasks_is_told_to_say_who_it_is_on_sqlite() {
    is_guarded(Database::sqlite());
}

#[test]
fn the_official_rust_client_of_cloud_tasks_is_told_to_say_who_it_is_on_postgres() {
    is_guarded(Database::postgres().unwrap());
}
