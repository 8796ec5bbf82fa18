//! One stack's calls.

use crate::connection::Connection;
use crate::latency::Samples;
use crate::load::Client;
use crate::server;
use crate::stacks::targets::{LIST, RESERVE, STATES};
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Jobs of one call.
pub(crate) const JOBS: usize = 1000;

/// Key of the queue that jobs wait in.
const QUEUE: &str = "bench";

/// What a stack does in each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Lists one page of jobs, the one after the page before.
    List,
    /// Lists a page, which is not measured, and reserves all of its jobs for an hour.
    Reserve,
    /// Asks for the states of a page of jobs, which is listed once.
    States,
}

/// A stack.
#[derive(Debug)]
pub(crate) struct Caller {
    step: Step,
    key: String,
    authorization: Arc<str>,
    registered: bool,
    /// Where the page before ended; empty for the first.
    cursor: String,
    /// What states are asked for.
    states: Option<Bytes>,
}

/// A listing, as far as a stack needs it.
#[derive(Debug, Deserialize)]
struct Page {
    jobs: Vec<Job>,
    page_info: PageInfo,
}

#[derive(Debug, Deserialize)]
struct Job {
    id: String,
}

#[derive(Debug, Deserialize)]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Reserved {
    reserved: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct States {
    states: std::collections::HashMap<String, String>,
}

impl Caller {
    /// The `number`th of the stacks.
    pub(crate) fn new(step: Step, number: usize) -> Self {
        let pair = format!("{}:{}", server::ROOT_CLIENT_ID, server::ROOT_ACCESS_TOKEN);
        Self {
            step,
            key: format!("bench-{number}"),
            authorization: format!("Token {pair}").into(),
            registered: false,
            cursor: String::new(),
            states: None,
        }
    }

    async fn send(
        &self,
        connection: &mut Connection,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<(Bytes, Duration)> {
        let target = format!("/v3/stacks/{path}");
        let authorization = Some(&*self.authorization);
        let answer = connection
            .send(method, &target, authorization, body)
            .await?;
        Ok((answer.body, answer.elapsed))
    }

    async fn register(&mut self, connection: &mut Connection) -> Result<()> {
        if !self.registered {
            let body = format!(
                r#"{{"key":"{}","type":"custom","queue_key":"{QUEUE}","metadata":{{}}}}"#,
                self.key
            );
            self.send(connection, Method::POST, "register", Some(body.into()))
                .await?;
            self.registered = true;
        }
        Ok(())
    }

    /// The next page of jobs; after the last one comes the first.
    async fn page(&mut self, connection: &mut Connection) -> Result<(Vec<Job>, Duration)> {
        let after = if self.cursor.is_empty() {
            String::new()
        } else {
            format!("&after={}", escaped(&self.cursor))
        };
        let path = format!(
            "{}/scheduled-jobs?queue_key={QUEUE}&limit={JOBS}{after}",
            self.key
        );
        let (body, elapsed) = self.send(connection, Method::GET, &path, None).await?;
        let page: Page = serde_json::from_slice(&body).context("a listing is not understood")?;
        self.cursor = if page.page_info.has_next_page {
            page.page_info.end_cursor.unwrap_or_default()
        } else {
            String::new()
        };
        Ok((page.jobs, elapsed))
    }

    async fn list(&mut self, connection: &mut Connection, samples: &mut Samples) -> Result<()> {
        let (jobs, elapsed) = self.page(connection).await?;
        if jobs.len() < JOBS {
            samples.fruitless += 1;
            return Ok(());
        }
        samples.request(LIST, elapsed)
    }

    async fn reserve(&mut self, connection: &mut Connection, samples: &mut Samples) -> Result<()> {
        let (jobs, _) = self.page(connection).await?;
        if jobs.len() < JOBS {
            samples.fruitless += 1;
            return Ok(());
        }
        let body = format!(
            r#"{{"job_uuids":[{}],"reservation_expiry_seconds":3600}}"#,
            quoted(&jobs)
        );
        let path = format!("{}/scheduled-jobs/batch-reserve", self.key);
        let (body, elapsed) = self
            .send(connection, Method::PUT, &path, Some(body.into()))
            .await?;
        let answer: Reserved =
            serde_json::from_slice(&body).context("a reservation is not understood")?;
        if answer.reserved.len() < JOBS {
            // Another stack was faster.
            samples.fruitless += 1;
            return Ok(());
        }
        samples.request(RESERVE, elapsed)
    }

    async fn states(&mut self, connection: &mut Connection, samples: &mut Samples) -> Result<()> {
        let body = if let Some(body) = &self.states {
            body.clone()
        } else {
            let (jobs, _) = self.page(connection).await?;
            ensure!(jobs.len() == JOBS, "only {} jobs are left", jobs.len());
            let body = Bytes::from(format!(r#"{{"job_uuids":[{}]}}"#, quoted(&jobs)));
            self.states = Some(body.clone());
            body
        };
        let path = format!("{}/jobs/get-states", self.key);
        let (body, elapsed) = self
            .send(connection, Method::POST, &path, Some(body))
            .await?;
        let answer: States =
            serde_json::from_slice(&body).context("an answer with states is not understood")?;
        ensure!(
            answer.states.len() == JOBS,
            "only {} states were told",
            answer.states.len()
        );
        samples.request(STATES, elapsed)
    }
}

fn quoted(jobs: &[Job]) -> String {
    let ids: Vec<String> = jobs.iter().map(|job| format!("\"{}\"", job.id)).collect();
    ids.join(",")
}

/// A cursor within a query.
fn escaped(cursor: &str) -> String {
    let mut escaped = String::new();
    for byte in cursor.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

impl Client for Caller {
    type Connection = Connection;

    async fn step(&mut self, connection: &mut Connection, samples: &mut Samples) -> Result<()> {
        self.register(connection).await?;
        match self.step {
            Step::List => self.list(connection, samples).await,
            Step::Reserve => self.reserve(connection, samples).await,
            Step::States => self.states(connection, samples).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_escaped_and_ids_are_quoted() {
        assert_eq!(escaped("a=b/c"), "a%3Db%2Fc");
        let jobs = ["1", "2"].map(|id| Job { id: id.to_owned() });
        assert_eq!(quoted(&jobs), r#""1","2""#);
    }
}
