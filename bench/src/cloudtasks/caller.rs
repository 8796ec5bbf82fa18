//! One channel's calls.

use crate::channel::{Channel, Method, framed};
use crate::cloudtasks::handler::{Counter, Handler, Letter};
use crate::cloudtasks::message::CreateTaskRequest;
use crate::cloudtasks::queues;
use crate::latency::Samples;
use crate::load::Client;
use anyhow::Result;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What a channel does in each step.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// The method that does nothing: the ceiling of gRPC on this listener.
    Empty,
    /// `CreateTask` in the queue that is paused.
    Park,
    /// `CreateTask` when the plan says so, due at once.
    Planned(Arc<Plan>),
    /// `CreateTask`, due at once, and to wait until the handler has it.
    Cycle,
}

/// When tasks are to be created, by whichever channel is free. A task that is late for want of a
/// free channel is late all the same.
#[derive(Debug)]
pub(crate) struct Plan {
    per_second: u32,
    begin: OnceLock<Instant>,
    planned: AtomicU64,
}

/// What all channels to a server send alike.
#[derive(Debug)]
pub(crate) struct Shared {
    empty: Method,
    create: Method,
    url: String,
    parked: Bytes,
    counter: Arc<Counter>,
}

/// Somebody who creates tasks.
#[derive(Debug)]
pub(crate) struct Caller {
    step: Step,
    number: usize,
    queue: String,
    shared: Arc<Shared>,
}

impl Plan {
    /// So many tasks a second, evenly, from the first that is asked for.
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            per_second,
            begin: OnceLock::new(),
            planned: AtomicU64::new(0),
        }
    }

    /// When the next task is due.
    fn next(&self) -> Instant {
        let begin = *self.begin.get_or_init(Instant::now);
        let number = self.planned.fetch_add(1, Ordering::Relaxed);
        begin + Duration::from_nanos(number * 1_000_000_000 / u64::from(self.per_second))
    }
}

impl Shared {
    /// For tasks that are created at `address` and sent to `handler`.
    ///
    /// # Errors
    /// A method cannot be called.
    pub(crate) fn new(address: SocketAddr, handler: &Handler) -> Result<Self> {
        let url = handler.url();
        let parked = CreateTaskRequest::new(&queues::parked(), &url, Letter::Plain.write());
        let authorization = queues::authorization();
        let create = "/google.cloud.tasks.v2.CloudTasks/CreateTask";
        Ok(Self {
            empty: Method::new(address, "/taskyard.bench.v1.Bench/Empty", None)?,
            create: Method::new(address, create, Some(&authorization))?,
            parked: framed(&parked),
            url,
            counter: Arc::clone(handler.counter()),
        })
    }
}

impl Caller {
    /// The `number`th of those who create tasks; its queue follows from it.
    pub(crate) fn new(step: Step, number: usize, shared: &Arc<Shared>) -> Self {
        Self {
            step,
            number,
            queue: queues::busy(number),
            shared: Arc::clone(shared),
        }
    }

    /// Creates a task that should have been created `at`.
    async fn create(
        &self,
        at: Duration,
        channel: &mut Channel,
        samples: &mut Samples,
    ) -> Result<()> {
        let creator = self.number;
        let letter = Letter::Due { creator, at }.write();
        let request = CreateTaskRequest::new(&self.queue, &self.shared.url, letter);
        let answer = channel.call(&self.shared.create, framed(&request)).await?;
        samples.request("create", answer.elapsed)
    }
}

impl Client for Caller {
    type Connection = Channel;

    async fn step(&mut self, channel: &mut Channel, samples: &mut Samples) -> Result<()> {
        let shared = &self.shared;
        match &self.step {
            Step::Empty => {
                let answer = channel.call(&shared.empty, framed(&())).await?;
                samples.request("empty", answer.elapsed)
            }
            Step::Park => {
                let answer = channel.call(&shared.create, shared.parked.clone()).await?;
                samples.request("create", answer.elapsed)
            }
            Step::Planned(plan) => {
                let due = plan.next();
                tokio::time::sleep_until(due.into()).await;
                let at = due.saturating_duration_since(shared.counter.made());
                self.create(at, channel, samples).await
            }
            Step::Cycle => {
                let begin = shared.counter.now();
                self.create(begin, channel, samples).await?;
                shared.counter.heard(self.number, begin).await?;
                samples.cycle(shared.counter.now().saturating_sub(begin))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_even_and_does_not_wait_for_those_who_are_late() {
        let plan = Plan::new(500);
        let times: Vec<Instant> = (0..1001).map(|_| plan.next()).collect();
        assert_eq!(times[1] - times[0], Duration::from_millis(2));
        assert_eq!(times[1000] - times[0], Duration::from_secs(2));
    }
}
