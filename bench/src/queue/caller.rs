//! One connection's calls: what a task creator and a worker send, signed as they sign.

use crate::clock;
use crate::connection::Connection;
use crate::identity::Identity;
use crate::latency::Samples;
use crate::load::Client;
use crate::queue::definition::Definitions;
use crate::queue::listing::Listing;
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use taskyard_access::sign::Credentials;
use taskyard_access::slugid;

/// What a connection does in each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// createTask.
    Create,
    /// claimWork for one task, then reportCompleted with that claim's credentials.
    Work,
    /// createTask, of a task that is only listed.
    Member,
    /// listTaskGroup, one page.
    List,
    /// Create, then work. The task that is worked on is the queue's oldest, not the one created.
    Cycle,
}

/// A task creator and worker in one.
#[derive(Debug)]
pub(crate) struct Caller {
    step: Step,
    root: Arc<Identity>,
    definitions: Definitions,
    listing: Option<Listing>,
    claim_body: Bytes,
    claim_target: String,
    /// Time from the beginning of a step to that of the next, at least.
    pace: Option<Duration>,
}

/// claimWork's answer, as far as a worker needs it to resolve the task.
#[derive(Debug, Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    tasks: Vec<Claim<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claim<'a> {
    #[serde(borrow)]
    status: ClaimedTask<'a>,
    run_id: u32,
    #[serde(borrow)]
    credentials: ClaimCredentials<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimedTask<'a> {
    #[serde(borrow)]
    task_id: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimCredentials<'a> {
    #[serde(borrow)]
    client_id: Cow<'a, str>,
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    /// JSON within JSON.
    #[serde(borrow)]
    certificate: Cow<'a, str>,
}

impl Caller {
    /// The `number`th of the callers of a queue; its worker id follows from it.
    pub(crate) fn new(
        step: Step,
        number: usize,
        root: Arc<Identity>,
        task_queue_id: &'static str,
    ) -> Self {
        let claim = format!(r#"{{"workerGroup":"bench","workerId":"worker-{number}","tasks":1}}"#);
        Self {
            step,
            root,
            definitions: Definitions::new(task_queue_id),
            listing: None,
            claim_body: claim.into(),
            // A task queue's id is one path segment.
            claim_target: format!(
                "/api/queue/v1/claim-work/{}",
                task_queue_id.replace('/', "%2F")
            ),
            pace: None,
        }
    }

    /// The same, with `pace` from the beginning of a step to that of the next.
    pub(crate) fn every(mut self, pace: Duration) -> Self {
        self.pace = Some(pace);
        self
    }

    /// Puts the tasks it creates into one group of so many tasks, or lists that.
    pub(crate) fn in_group(mut self, task_group_id: &str, size: u64) -> Self {
        self.definitions = Definitions::in_group(task_group_id);
        self.listing = Some(Listing::new(task_group_id, size));
        self
    }

    /// Reads the next page of the group.
    async fn list(&mut self, connection: &mut Connection, samples: &mut Samples) -> Result<()> {
        let listing = self.listing.as_mut().context("there is no group to list")?;
        let target = listing.target();
        let authorization = self.root.sign(&Method::GET, &target, None, clock::now_ms());
        let answer = connection
            .send(Method::GET, &target, Some(&authorization), None)
            .await?;
        listing.turn(&answer.body)?;
        samples.request("page", answer.elapsed)
    }

    async fn create(
        &mut self,
        operation: &'static str,
        connection: &mut Connection,
        samples: &mut Samples,
    ) -> Result<()> {
        let now_ms = clock::now_ms();
        let body = self.definitions.next_body(now_ms)?;
        let target = format!("/api/queue/v1/task/{}", slugid::nice());
        let authorization = self.root.sign(&Method::PUT, &target, Some(&body), now_ms);
        let answer = connection
            .send(Method::PUT, &target, Some(&authorization), Some(body))
            .await?;
        samples.request(operation, answer.elapsed)
    }

    /// Claims and completes one task, if one is found.
    async fn work(&self, connection: &mut Connection, samples: &mut Samples) -> Result<()> {
        let authorization = self.root.sign(
            &Method::POST,
            &self.claim_target,
            Some(&self.claim_body),
            clock::now_ms(),
        );
        let body = Some(self.claim_body.clone());
        let answer = connection
            .send(Method::POST, &self.claim_target, Some(&authorization), body)
            .await?;
        let claims: Claims<'_> =
            serde_json::from_slice(&answer.body).context("claimWork's answer is not understood")?;
        let Some(claim) = claims.tasks.into_iter().next() else {
            samples.fruitless += 1;
            return Ok(());
        };
        samples.request("claim", answer.elapsed)?;

        let holder = self.root.with(&Credentials {
            client_id: claim.credentials.client_id.into_owned(),
            access_token: claim.credentials.access_token.into_owned().into(),
            certificate: Some(claim.credentials.certificate.into_owned()),
        })?;
        let target = format!(
            "/api/queue/v1/task/{}/runs/{}/completed",
            claim.status.task_id, claim.run_id
        );
        let authorization = holder.sign(&Method::POST, &target, None, clock::now_ms());
        let answer = connection
            .send(Method::POST, &target, Some(&authorization), None)
            .await?;
        ensure!(
            !answer.body.is_empty(),
            "reportCompleted answered without a status"
        );
        samples.request("complete", answer.elapsed)
    }
}

impl Client for Caller {
    type Connection = Connection;

    async fn step(&mut self, connection: &mut Connection, samples: &mut Samples) -> Result<()> {
        let begin = Instant::now();
        match self.step {
            Step::Create => {
                self.create("create", connection, samples).await?;
                if let Some(pace) = self.pace {
                    tokio::time::sleep(pace.saturating_sub(begin.elapsed())).await;
                }
                return Ok(());
            }
            Step::Member => return self.create("member", connection, samples).await,
            Step::List => return self.list(connection, samples).await,
            Step::Work => self.work(connection, samples).await?,
            Step::Cycle => {
                self.create("create", connection, samples).await?;
                self.work(connection, samples).await?;
            }
        }
        samples.cycle(begin.elapsed())
    }
}
