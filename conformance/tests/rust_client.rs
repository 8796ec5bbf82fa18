//! The official Rust client: a task graph from its creation to its end, and refusals.

#![expect(
    clippy::unwrap_used,
    reason = "the whole file is one test, which ends at its first failure"
)]

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};
use taskcluster::{ClientBuilder, Credentials, Queue, Retry, err_status_code};
use taskyard_conformance::made::{after, slug};
use taskyard_conformance::{Database, ROOT_ACCESS_TOKEN, ROOT_CLIENT_ID, Server};

/// One run of the scenario.
struct Scenario {
    root_url: String,
    queue: Queue,
    /// Where all tasks go; the server is fresh, so nobody else claims from it.
    queue_id: &'static str,
    http: reqwest::Client,
}

impl Scenario {
    fn new(server: &Server) -> Self {
        let root_url = server.root_url().to_owned();
        let queue = queue_of(
            &root_url,
            Some(Credentials::new(ROOT_CLIENT_ID, ROOT_ACCESS_TOKEN)),
        );
        let http = reqwest::Client::new();
        Self {
            root_url,
            queue,
            queue_id: "conformance/rust",
            http,
        }
    }

    fn anonymous(&self) -> Queue {
        queue_of(&self.root_url, None)
    }

    fn definition(&self, group: &str, name: &str, dependencies: &[&str]) -> Value {
        json!({
            "taskQueueId": self.queue_id,
            "schedulerId": "conformance",
            "taskGroupId": group,
            "dependencies": dependencies,
            "created": after(TimeDelta::zero()),
            "deadline": after(TimeDelta::hours(2)),
            "expires": after(TimeDelta::days(1)),
            "payload": {"command": ["true"], "text": "Grüße 😀"},
            "metadata": {
                "name": name,
                "description": "one task of the conformance graph",
                "owner": "someone@example.com",
                "source": "https://example.com/source",
            },
        })
    }

    async fn state(&self, task: &str) -> Value {
        self.queue.status(task).await.unwrap()["status"]["state"].clone()
    }

    /// Claims one task, which must be this one. Returns the claim and a client with its
    /// credentials.
    async fn claim(&self, expected: &str) -> (Value, Queue) {
        let worker = json!({"workerGroup": "group", "workerId": "worker", "tasks": 1});
        let mut answer = self.queue.claimWork(self.queue_id, &worker).await.unwrap();
        let claimed = answer["tasks"][0].take();
        assert_eq!(claimed["status"]["taskId"], expected);
        let worker = self.worker(&claimed);
        (claimed, worker)
    }

    fn worker(&self, claimed: &Value) -> Queue {
        let text = |key: &str| claimed["credentials"][key].as_str().unwrap().to_owned();
        let credentials = Credentials::new_with_certificate(
            text("clientId"),
            text("accessToken"),
            text("certificate"),
        );
        queue_of(&self.root_url, Some(credentials))
    }

    async fn creates_a_graph(&self) -> [String; 3] {
        let [build, test, deploy] = [slug(), slug(), slug()];
        let plan: [(&str, &str, &[&str]); 3] = [
            (&build, "build", &[]),
            (&test, "test", &[&build]),
            (&deploy, "deploy", &[&build, &test]),
        ];
        for (task, name, needs) in plan {
            let definition = self.definition(&build, name, needs);
            let made = self.queue.createTask(task, &definition).await.unwrap();
            let state = if needs.is_empty() {
                "pending"
            } else {
                "unscheduled"
            };
            assert_eq!(made["status"]["state"], state);
            // The same once more is no error.
            let again = self.queue.createTask(task, &definition).await.unwrap();
            assert_eq!(again["status"]["runs"], made["status"]["runs"]);
            let found = self.queue.task(task).await.unwrap();
            assert_eq!(found["payload"], definition["payload"]);
        }
        let other = self.definition(&build, "another", &[]);
        refused(409, self.queue.createTask(&build, &other).await);
        let dependents = self
            .queue
            .listDependentTasks(&build, None, None)
            .await
            .unwrap();
        assert_eq!(ids(&dependents), sorted(&[&test, &deploy]));
        let pending = self.queue.pendingTasks(self.queue_id).await.unwrap();
        assert_eq!(pending["pendingTasks"], 1);
        eprintln!("ok create a graph; another definition under a used id is refused (409)");
        [build, test, deploy]
    }

    async fn works_on(&self, task: &str) {
        let (claimed, worker) = self.claim(task).await;
        let reclaimed = worker.reclaimTask(task, "0").await.unwrap();
        let until = |it: &Value| it["takenUntil"].as_str().unwrap().to_owned();
        assert!(
            until(&reclaimed) >= until(&claimed),
            "a reclaim never shortens the claim"
        );
        let worker = self.worker(&reclaimed);
        refused(403, worker.cancelTask(task).await);
        eprintln!("ok claim, reclaim; the claim's credentials cannot cancel (403)");

        self.leaves_artifacts(&worker, task).await;

        let done = worker.reportCompleted(task, "0").await.unwrap();
        assert_eq!(done["status"]["state"], "completed");
        worker.reportCompleted(task, "0").await.unwrap();
        refused(409, worker.reportFailed(task, "0").await);
        refused(409, worker.reclaimTask(task, "0").await);
        eprintln!("ok complete; again is fine, anything else is refused (409)");
    }

    async fn leaves_artifacts(&self, worker: &Queue, task: &str) {
        let (public, private) = ("public/logs/live log.txt", "private/secret.txt");
        for name in [public, private] {
            let payload = json!({
                "storageType": "s3",
                "contentType": "text/plain",
                "expires": after(TimeDelta::hours(1)),
            });
            let made = worker
                .createArtifact(task, "0", name, &payload)
                .await
                .unwrap();
            let url = made["putUrl"].as_str().unwrap();
            let put = self.http.put(url).header("Content-Type", "text/plain");
            let answer = put
                .body(format!("the text of {name}"))
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 200);
        }
        let listed = self
            .queue
            .listArtifacts(task, "0", None, None)
            .await
            .unwrap();
        let names = listed["artifacts"].as_array().unwrap().iter();
        let names: Vec<&str> = names.map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(names, [private, public]);

        let minute = Duration::from_mins(1);
        let signed = self
            .queue
            .getArtifact_signed_url(task, "0", private, minute)
            .unwrap();
        assert_eq!(self.fetch(&signed).await, format!("the text of {private}"));
        let place = self
            .anonymous()
            .getLatestArtifact(task, public)
            .await
            .unwrap();
        let fetched = self.fetch(place["url"].as_str().unwrap()).await;
        assert_eq!(fetched, format!("the text of {public}"));
        let content = self.queue.latestArtifact(task, private).await.unwrap();
        assert_eq!(content["storageType"], "s3");
        let fetched = self.fetch(content["url"].as_str().unwrap()).await;
        assert_eq!(fetched, format!("the text of {private}"));
        refused(403, self.anonymous().getLatestArtifact(task, private).await);
        refused(404, self.queue.getLatestArtifact(task, "public/none").await);
        eprintln!("ok upload, list and download artifacts; refusals 403 and 404");
    }

    async fn fetch(&self, url: &str) -> String {
        let answer = self.http.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    }

    async fn fails_and_reruns(&self, test: &str, deploy: &str) {
        assert_eq!(self.state(test).await, "pending");
        let (_, worker) = self.claim(test).await;
        worker.reportFailed(test, "0").await.unwrap();
        assert_eq!(self.state(deploy).await, "unscheduled");
        let rerun = self.queue.rerunTask(test).await.unwrap();
        assert_eq!(rerun["status"]["runs"][1]["reasonCreated"], "rerun");
        let (_, worker) = self.claim(test).await;
        worker.reportCompleted(test, "1").await.unwrap();
        assert_eq!(self.state(deploy).await, "pending");
        eprintln!("ok fail, rerun, complete: the dependents are released");
    }

    async fn cancels(&self, deploy: &str) {
        let (_, worker) = self.claim(deploy).await;
        let cancelled = self.queue.cancelTask(deploy).await.unwrap();
        assert_eq!(cancelled["status"]["runs"][0]["reasonResolved"], "canceled");
        refused(409, worker.reportCompleted(deploy, "0").await);
        eprintln!("ok cancel a running task; its worker is refused (409)");
    }

    async fn lists_the_group(&self, group: &str, tasks: &[&str]) {
        let whole = self.queue.listTaskGroup(group, None, None).await.unwrap();
        assert_eq!(ids(&whole), sorted(tasks));
        // This client leaves the query out of its signature, so pages are asked for anonymously.
        let (anonymous, mut found, mut token) = (self.anonymous(), Vec::new(), None::<String>);
        loop {
            let page = anonymous
                .listTaskGroup(group, token.as_deref(), Some("2"))
                .await
                .unwrap();
            found.extend(ids(&page));
            match page["continuationToken"].as_str() {
                Some(next) => token = Some(next.to_owned()),
                None => break,
            }
        }
        found.sort();
        assert_eq!(found, sorted(tasks));
        eprintln!("ok list the group, whole and by pages");
    }

    async fn is_refused(&self) {
        let unknown = slug();
        refused(404, self.queue.status(&unknown).await);
        refused(404, self.queue.task(&unknown).await);
        refused(404, self.queue.cancelTask(&unknown).await);
        let definition = self.definition(&unknown, "refused", &[]);
        let wrong = Credentials::new(ROOT_CLIENT_ID, "x".repeat(44));
        let wrong = queue_of(&self.root_url, Some(wrong));
        refused(401, wrong.createTask(&unknown, &definition).await);
        refused(
            403,
            self.anonymous().createTask(&unknown, &definition).await,
        );

        let root = Credentials::new(ROOT_CLIENT_ID, ROOT_ACCESS_TOKEN);
        let hour = Duration::from_hours(1);
        let temporary = root.create_named_temp_creds("conformance/x", hour, ["queue:status:*"]);
        let temporary = queue_of(&self.root_url, Some(temporary.unwrap()));
        refused(403, temporary.createTask(&unknown, &definition).await);
        refused(404, temporary.status(&unknown).await);

        let mut spoiled = definition.clone();
        spoiled["priority"] = json!("urgent");
        refused(400, self.queue.createTask(&unknown, &spoiled).await);
        refused(404, self.queue.status(&unknown).await);
        eprintln!("ok refusals: 404, 401, 403, 400");
    }
}

/// No retries: a server fault must show, not be mended by the second try.
fn queue_of(root_url: &str, credentials: Option<Credentials>) -> Queue {
    let mut builder = ClientBuilder::new(root_url).retry(Retry {
        retries: 0,
        ..Retry::default()
    });
    if let Some(credentials) = credentials {
        builder = builder.credentials(credentials);
    }
    Queue::new(builder).unwrap()
}

/// The client's error must carry this HTTP status and the server's message.
fn refused<T: std::fmt::Debug>(status: u16, outcome: Result<T, anyhow::Error>) {
    let error = outcome.unwrap_err();
    let found = err_status_code(&error).map(|status| status.as_u16());
    assert_eq!(found, Some(status), "{error:#}");
    // The client puts the body's message in front of its own words.
    assert!(
        error.to_string().contains("errorCode"),
        "no message of the server: {error:#}"
    );
}

fn ids(answer: &Value) -> Vec<String> {
    let tasks = answer["tasks"].as_array().unwrap().iter();
    let mut ids: Vec<String> = tasks
        .map(|it| it["status"]["taskId"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

fn sorted(ids: &[&str]) -> Vec<String> {
    let mut ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
    ids.sort();
    ids
}

/// The runtime is the scenario's alone: starting and stopping the server blocks.
fn run(database: Database) {
    let server = Server::start(database).unwrap();
    let scenario = Scenario::new(&server);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        scenario.queue.ping().await.unwrap();
        let [build, test, deploy] = scenario.creates_a_graph().await;
        scenario.works_on(&build).await;
        scenario.fails_and_reruns(&test, &deploy).await;
        scenario.cancels(&deploy).await;
        scenario
            .lists_the_group(&build, &[&build, &test, &deploy])
            .await;
        scenario.is_refused().await;
    });
    server.stop().unwrap();
}

#[test]
fn the_official_rust_client_works_on_sqlite() {
    run(Database::sqlite());
}

#[test]
fn the_official_rust_client_works_on_postgres() {
    run(Database::postgres().unwrap());
}
