//! One connection's calls.

use crate::connection::Connection;
use crate::latency::Samples;
use crate::load::Client;
use crate::server;
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tasks that a large update adds.
pub(crate) const BULK: u64 = 10_000;

/// The group that is claimed from.
const GROUP: &str = "bench/waiting";

/// What a connection does in each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// An update that adds so many tasks to the group that is claimed from.
    Fill(u64),
    /// An update that changes one task, which this connection holds.
    Update,
    /// A claim of one task that ends at once, so that as many wait as before.
    Claim,
    /// An update that adds one task, a claim of another for a minute, an update that deletes it.
    Cycle,
    /// An update that adds [`BULK`] tasks. They are deleted again, which is not measured.
    Bulk,
}

/// What all connections send alike.
#[derive(Debug)]
pub(crate) struct Shared {
    authorization: String,
    add: Bytes,
    bulk: Bytes,
}

impl Shared {
    pub(crate) fn new() -> Self {
        let pair = format!("{}:{}", server::ROOT_CLIENT_ID, server::ROOT_ACCESS_TOKEN);
        Self {
            authorization: format!("Basic {}", STANDARD.encode(pair)),
            add: adds(GROUP, 1),
            bulk: adds("bench/bulk", BULK),
        }
    }
}

/// An update that adds `count` tasks.
fn adds(group: &str, count: u64) -> Bytes {
    let adds: Vec<String> = (0..count)
        .map(|n| format!(r#"{{"group":"{group}","data":"/path/to/file:{n}:2048"}}"#))
        .collect();
    format!(r#"{{"clientid":1,"adds":[{}]}}"#, adds.join(",")).into()
}

/// A task's client.
#[derive(Debug)]
pub(crate) struct Caller {
    step: Step,
    number: usize,
    shared: Arc<Shared>,
    fill: Bytes,
    claim: Bytes,
    /// The task that this connection holds.
    own: Option<i64>,
}

/// An answer, as far as a client needs it.
#[derive(Debug, Deserialize)]
struct Answer {
    tasks: Option<Vec<Task>>,
}

#[derive(Debug, Deserialize)]
struct Task {
    id: i64,
}

impl Answer {
    fn read(body: &[u8]) -> Result<Option<Vec<i64>>> {
        let answer: Self = serde_json::from_slice(body).context("an answer is not understood")?;
        Ok(answer
            .tasks
            .map(|tasks| tasks.into_iter().map(|task| task.id).collect()))
    }
}

impl Caller {
    /// The `number`th of the callers; the id it holds tasks under follows from it.
    pub(crate) fn new(step: Step, number: usize, shared: &Arc<Shared>) -> Self {
        let fill = match step {
            Step::Fill(count) => adds(GROUP, count),
            _ => Bytes::new(),
        };
        let duration: u64 = if step == Step::Claim {
            0
        } else {
            60_000_000_000
        };
        let claim = format!(r#"{{"clientid":{number},"group":"{GROUP}","duration":{duration}}}"#);
        Self {
            step,
            number,
            shared: Arc::clone(shared),
            fill,
            claim: claim.into(),
            own: None,
        }
    }

    async fn post(
        &self,
        connection: &mut Connection,
        target: &str,
        body: Bytes,
    ) -> Result<(Bytes, Duration)> {
        let authorization = Some(self.shared.authorization.as_str());
        let answer = connection
            .send(Method::POST, target, authorization, Some(body))
            .await?;
        Ok((answer.body, answer.elapsed))
    }

    async fn update(
        &self,
        connection: &mut Connection,
        body: Bytes,
    ) -> Result<(Vec<i64>, Duration)> {
        let (body, elapsed) = self.post(connection, "/taskstore/update", body).await?;
        let ids = Answer::read(&body)?;
        let refused = || format!("an update was refused: {}", String::from_utf8_lossy(&body));
        Ok((ids.with_context(refused)?, elapsed))
    }

    /// Claims one task, if one is found.
    async fn claim(
        &self,
        connection: &mut Connection,
        samples: &mut Samples,
    ) -> Result<Option<i64>> {
        let body = self.claim.clone();
        let (body, elapsed) = self.post(connection, "/taskstore/claim", body).await?;
        let Some(ids) = Answer::read(&body)? else {
            samples.fruitless += 1;
            return Ok(None);
        };
        samples.request("claim", elapsed)?;
        Ok(ids.first().copied())
    }

    async fn change_own(
        &mut self,
        connection: &mut Connection,
        samples: &mut Samples,
    ) -> Result<()> {
        let number = self.number;
        let Some(id) = self.own else {
            let (ids, _) = self.update(connection, adds("bench/own", 1)).await?;
            self.own = ids.first().copied();
            return Ok(());
        };
        let body = format!(
            r#"{{"clientid":{number},"updates":[{{"id":{id},"data":"step","duration":-60000000000}}]}}"#
        );
        let (ids, elapsed) = self.update(connection, body.into()).await?;
        self.own = ids.first().copied();
        samples.request("update", elapsed)
    }

    async fn cycle(&self, connection: &mut Connection, samples: &mut Samples) -> Result<()> {
        let begin = Instant::now();
        let (_, elapsed) = self.update(connection, self.shared.add.clone()).await?;
        samples.request("add", elapsed)?;
        let Some(id) = self.claim(connection, samples).await? else {
            return Ok(());
        };
        let body = format!(r#"{{"clientid":{},"deletes":[{id}]}}"#, self.number);
        let (_, elapsed) = self.update(connection, body.into()).await?;
        samples.request("delete", elapsed)?;
        samples.cycle(begin.elapsed())
    }

    async fn bulk(&self, connection: &mut Connection, samples: &mut Samples) -> Result<()> {
        let (ids, elapsed) = self.update(connection, self.shared.bulk.clone()).await?;
        ensure!(
            ids.len() as u64 == BULK,
            "an update added only {} tasks",
            ids.len()
        );
        samples.request("bulk", elapsed)?;
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let delete = format!(r#"{{"clientid":1,"deletes":[{}]}}"#, ids.join(","));
        self.update(connection, delete.into()).await.map(drop)
    }
}

impl Client for Caller {
    type Connection = Connection;

    async fn step(&mut self, connection: &mut Connection, samples: &mut Samples) -> Result<()> {
        match self.step {
            Step::Fill(_) => self.update(connection, self.fill.clone()).await.map(drop),
            Step::Update => self.change_own(connection, samples).await,
            Step::Claim => self.claim(connection, samples).await.map(drop),
            Step::Cycle => self.cycle(connection, samples).await,
            Step::Bulk => self.bulk(connection, samples).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_updates_have_as_many_tasks_as_they_should() {
        let update: serde_json::Value = serde_json::from_slice(&adds("g", 3)).unwrap();
        assert_eq!(update["adds"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn a_claim_that_found_nothing_and_a_refusal_have_no_tasks() {
        assert_eq!(
            Answer::read(br#"{"tasks":null,"Tasks":null,"error":null}"#).unwrap(),
            None
        );
        assert_eq!(
            Answer::read(br#"{"tasks":[{"id":7}],"error":null}"#).unwrap(),
            Some(vec![7])
        );
    }
}
