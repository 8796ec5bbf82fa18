//! A server, and what happens on it beside the browser.

use chrono::TimeDelta;
use serde_json::{Value, json};
use taskcluster::{Auth, ClientBuilder, Credentials, Hooks, Notify, Queue, Secrets};
use taskyard_conformance::made::{after, slug};
use taskyard_conformance::{ROOT_ACCESS_TOKEN, ROOT_CLIENT_ID};

/// The task queue of these tests.
pub(crate) const TASK_QUEUE: &str = "pages/browser";

pub(crate) struct House {
    pub(crate) root_url: String,
    pub(crate) queue: Queue,
}

impl House {
    /// Looks at a server as its root client.
    pub(crate) fn new(root_url: &str) -> Self {
        House {
            root_url: root_url.to_owned(),
            queue: Queue::new(root(root_url)).unwrap(),
        }
    }

    pub(crate) fn auth(&self) -> Auth {
        Auth::new(root(&self.root_url)).unwrap()
    }

    pub(crate) fn notify(&self) -> Notify {
        Notify::new(root(&self.root_url)).unwrap()
    }

    pub(crate) fn secrets(&self) -> Secrets {
        Secrets::new(root(&self.root_url)).unwrap()
    }

    pub(crate) fn hooks(&self) -> Hooks {
        Hooks::new(root(&self.root_url)).unwrap()
    }

    /// Creates a task; its id.
    pub(crate) async fn task(&self, group: &str, name: &str, dependencies: &[&str]) -> String {
        let id = slug();
        let task = json!({
            "taskQueueId": TASK_QUEUE,
            "schedulerId": "pages",
            "taskGroupId": group,
            "dependencies": dependencies,
            "created": after(TimeDelta::zero()),
            "deadline": after(TimeDelta::hours(2)),
            "payload": {"command": ["true"]},
            "metadata": metadata(name),
        });
        self.queue.createTask(&id, &task).await.unwrap();
        id
    }

    /// Claims a task, which must be this one.
    pub(crate) async fn claim(&self, expected: &str) {
        let worker = json!({"workerGroup": "group", "workerId": "worker", "tasks": 1});
        let answer = self.queue.claimWork(TASK_QUEUE, &worker).await.unwrap();
        assert_eq!(answer["tasks"][0]["status"]["taskId"], expected);
    }

    /// Sends a request of Cloud Tasks; the answer.
    pub(crate) async fn cloud(&self, method: reqwest::Method, path: &str, body: &Value) -> Value {
        let url = format!("{}/v2/{path}", self.root_url);
        let request = reqwest::Client::new()
            .request(method, url)
            .basic_auth(ROOT_CLIENT_ID, Some(ROOT_ACCESS_TOKEN))
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }
}

pub(crate) fn metadata(name: &str) -> Value {
    json!({
        "name": name,
        "description": "a task of <i>these</i> tests",
        "owner": "someone@example.com",
        "source": "https://example.com/source",
    })
}

fn root(root_url: &str) -> ClientBuilder {
    let credentials = Credentials::new(ROOT_CLIENT_ID, ROOT_ACCESS_TOKEN);
    ClientBuilder::new(root_url).credentials(credentials)
}
