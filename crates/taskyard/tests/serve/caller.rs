//! A client of the queue that tries once and says what came of it.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_client::taskcluster::Queue;
use taskyard_client::{Credentials, Error, Method, Options, Retry};
use taskyard_engine::clock::Clock;

use crate::process::{PATIENCE, ROOT, ROOT_TOKEN};

/// The task queue of these tests.
pub(crate) const QUEUE: &str = "prov/type";

/// A client that tries once.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Queue);

impl Caller {
    /// Without credentials.
    pub(crate) fn anonymous(url: &str) -> Self {
        Self::new(Options::new(url))
    }

    /// With those of the root client.
    pub(crate) fn root(url: &str) -> Self {
        Self::new(Options::new(url).with_credentials(Credentials::new(ROOT, ROOT_TOKEN)))
    }

    fn new(options: Options) -> Self {
        Self(Queue::new(once(options)).unwrap())
    }

    /// A call and the JSON it is answered with.
    pub(crate) async fn call(
        &self,
        verb: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        let answer = self.0.request(verb, path, &[], body).await?;
        Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// Creates a task with some fields of its own.
    pub(crate) async fn create(&self, id: &str, fields: Value) -> Result<Value, Error> {
        let mut definition = definition();
        for (name, value) in fields.as_object().unwrap() {
            definition[name] = value.clone();
        }
        self.call(Method::PUT, &["task", id], Some(&definition))
            .await
    }

    /// Claims up to `count` tasks as a worker.
    pub(crate) async fn claim(&self, worker: &str, count: usize) -> Result<Vec<Value>, Error> {
        let body = json!({"workerGroup": "group", "workerId": worker, "tasks": count});
        let answer = self
            .call(Method::POST, &["claim-work", QUEUE], Some(&body))
            .await?;
        Ok(answer["tasks"].as_array().unwrap().clone())
    }

    /// Reports a run as completed.
    pub(crate) async fn complete(&self, id: &str, run: u64) -> Result<Value, Error> {
        let run = run.to_string();
        self.call(Method::POST, &["task", id, "runs", &run, "completed"], None)
            .await
    }

    /// The status of a task.
    pub(crate) async fn status(&self, id: &str) -> Result<Value, Error> {
        let answer = self
            .call(Method::GET, &["task", id, "status"], None)
            .await?;
        Ok(answer["status"].clone())
    }

    /// Waits until the status of a task is what is wanted.
    pub(crate) async fn until(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let look = async {
            loop {
                let status = self.status(id).await.unwrap();
                if wanted(&status) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if let Ok(status) = tokio::time::timeout(PATIENCE, look).await {
            return status;
        }
        panic!("in the end: {}", self.status(id).await.unwrap())
    }
}

/// Options of a client that tries once.
pub(crate) fn once(options: Options) -> Options {
    options.with_retry(Retry {
        retries: 0,
        ..Retry::default()
    })
}

/// A definition with an hour to its deadline.
pub(crate) fn definition() -> Value {
    let now = Clock::default().now();
    json!({
        "taskQueueId": QUEUE,
        "created": now.to_iso(),
        "deadline": now.plus(Duration::from_hours(1)).to_iso(),
        "payload": {},
        "metadata": {
            "name": "a task",
            "description": "for a test",
            "owner": "somebody@example.com",
            "source": "https://example.com/source",
        },
    })
}
