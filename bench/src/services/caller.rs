//! One connection's calls to the three services.

use super::targets::{FIND, FIND_MANY, INSERT, LIST, PURGES, SECRET};
use crate::clock;
use crate::connection::Connection;
use crate::identity::Identity;
use crate::latency::Samples;
use crate::load::Client;
use anyhow::{Result, ensure};
use bytes::Bytes;
use http::Method;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use taskyard_access::slugid;

/// Paths that are looked up at once.
const MANY: u64 = 1000;
/// Tasks in a namespace.
const NAMESPACE: u64 = 1000;
/// Caches that workers of the pool are asked to forget.
const CACHES: u64 = 5;
/// Where those workers ask.
const PURGE_TARGET: &str = "/api/purge-cache/v1/purge-cache/bench%2Fworker";
/// The secret that is read.
const SECRET_TARGET: &str = "/api/secrets/v1/secret/project%2Fbench";
/// Later than any run ends.
const EXPIRES: &str = "2099-01-01T00:00:00.000Z";

/// What a connection does in each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// What the phases need beside the index: a secret, and caches to forget.
    SetUp,
    /// insertTask at a path where nothing is.
    Fill,
    /// findTask.
    Find,
    /// findTasksAtIndex.
    FindMany,
    /// listTasks, of a whole namespace.
    List,
    /// insertTask at a path where something is.
    Insert,
    /// Reads a secret.
    Secret,
    /// purgeRequests.
    Purges,
}

/// Numbers the paths that have something.
#[derive(Debug, Default)]
pub(crate) struct Next(AtomicU64);

/// A caller of the services.
#[derive(Debug)]
pub(crate) struct Caller {
    step: Step,
    root: Arc<Identity>,
    next: Arc<Next>,
    /// Where the walk through the paths is.
    place: u64,
}

impl Next {
    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn path(number: u64) -> String {
    format!("bench.group-{}.task-{number}", number / NAMESPACE)
}

fn entry() -> Bytes {
    let task_id = slugid::nice();
    let entry = json!({"taskId": task_id, "rank": 1, "data": {}, "expires": EXPIRES});
    entry.to_string().into()
}

impl Caller {
    /// The `number`th caller.
    pub(crate) fn new(step: Step, number: usize, root: Arc<Identity>, next: Arc<Next>) -> Self {
        Self {
            step,
            root,
            next,
            place: number as u64 * 7919,
        }
    }

    /// The path of one of the tasks, here and there in the index.
    fn some_path(&mut self) -> String {
        // A large step that has no divisor in common with usual sizes comes everywhere.
        self.place = self.place.wrapping_add(611_953);
        path(self.place % self.next.count().max(1))
    }

    /// A namespace that is full.
    fn namespace(&mut self) -> String {
        self.place = self.place.wrapping_add(611_953);
        let full = (self.next.count() / NAMESPACE).max(1);
        format!("bench.group-{}", self.place % full)
    }

    async fn send(
        &self,
        connection: &mut Connection,
        method: Method,
        target: &str,
        body: Option<Bytes>,
    ) -> Result<crate::connection::Answer> {
        let now_ms = clock::now_ms();
        let authorization = self.root.sign(&method, target, body.as_ref(), now_ms);
        connection
            .send(method, target, Some(&authorization), body)
            .await
    }

    async fn set_up(&self, connection: &mut Connection) -> Result<()> {
        let secret = json!({"secret": {"token": "x".repeat(40)}, "expires": EXPIRES});
        let body = Some(secret.to_string().into());
        self.send(connection, Method::PUT, SECRET_TARGET, body)
            .await?;
        for number in 0..CACHES {
            let name = json!({"cacheName": format!("cache-{number}")});
            let body = Some(name.to_string().into());
            self.send(connection, Method::POST, PURGE_TARGET, body)
                .await?;
        }
        Ok(())
    }
}

impl Client for Caller {
    type Connection = Connection;

    async fn step(&mut self, connection: &mut Connection, samples: &mut Samples) -> Result<()> {
        let (name, method, target, body) = match self.step {
            Step::SetUp => return self.set_up(connection).await,
            Step::Fill => {
                let number = self.next.0.fetch_add(1, Ordering::Relaxed);
                let target = format!("/api/index/v1/task/{}", path(number));
                (INSERT, Method::PUT, target, Some(entry()))
            }
            Step::Find => {
                let target = format!("/api/index/v1/task/{}", self.some_path());
                (FIND, Method::GET, target, None)
            }
            Step::FindMany => {
                let paths: Vec<String> = (0..MANY).map(|_| self.some_path()).collect();
                let body = json!({"indexes": paths}).to_string().into();
                let target = "/api/index/v1/tasks/indexes".to_owned();
                (FIND_MANY, Method::POST, target, Some(body))
            }
            Step::List => {
                let target = format!("/api/index/v1/tasks/{}?limit={NAMESPACE}", self.namespace());
                (LIST, Method::GET, target, None)
            }
            Step::Insert => {
                let target = format!("/api/index/v1/task/{}", self.some_path());
                (INSERT, Method::PUT, target, Some(entry()))
            }
            Step::Secret => (SECRET, Method::GET, SECRET_TARGET.to_owned(), None),
            Step::Purges => (PURGES, Method::GET, PURGE_TARGET.to_owned(), None),
        };
        let answer = self.send(connection, method, &target, body).await?;
        ensure!(answer.body.len() > 2, "{target} was answered with nothing");
        samples.request(name, answer.elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_have_a_thousand_tasks() {
        assert_eq!(path(999), "bench.group-0.task-999");
        assert_eq!(path(1000), "bench.group-1.task-1000");
    }
}
