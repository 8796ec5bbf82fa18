//! `taskyard cloudtasks queues`.

use std::time::Duration;

use anyhow::bail;
use clap::Subcommand;
use taskyard_client::cloudtasks::{Listing, Queue, QueueState, RateLimits, RetryConfig};

use super::shown::{self, queue_json, seconds};
use super::{Explain as _, Session};
use crate::commands::lines::print;
use crate::config::any_duration as duration;

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Make a queue and print it
    #[command(after_help = "\
Example:
  taskyard cloudtasks queues create mail --max-dispatches-per-second 5 --min-backoff 10s")]
    Create {
        /// Id of the queue, or its full name
        queue: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// List the queues of a location
    List {
        /// Only those it is true of, such as "state: PAUSED"
        #[arg(long, value_name = "FILTER", default_value = "")]
        filter: String,
        /// List at most so many; 0 means all
        #[arg(long, value_name = "COUNT", default_value_t = 0)]
        limit: usize,
    },
    /// Print everything about a queue, and how it is going
    Describe {
        /// Id of the queue, or its full name
        queue: String,
    },
    /// Change what is given of a queue, and print it
    Update {
        /// Id of the queue, or its full name
        queue: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Send no more tasks of a queue; those under way go on
    Pause {
        /// Id of the queue, or its full name
        queue: String,
    },
    /// Send tasks of a queue again
    Resume {
        /// Id of the queue, or its full name
        queue: String,
    },
    /// Delete all tasks of a queue
    Purge {
        /// Id of the queue, or its full name
        queue: String,
    },
    /// Delete a queue with all of its tasks
    Delete {
        /// Id of the queue, or its full name
        queue: String,
    },
}

/// What may be said of a queue.
#[derive(Debug, clap::Args)]
pub(super) struct Settings {
    /// Tasks that are sent in a second, up to 500
    #[arg(long, value_name = "RATE")]
    max_dispatches_per_second: Option<f64>,
    /// Tasks that are under way at once, up to 5000
    #[arg(long, value_name = "COUNT")]
    max_concurrent_dispatches: Option<i32>,
    /// How often a task is tried; -1 means without end
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    max_attempts: Option<i32>,
    /// How long a task is tried again; 0s means without end
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    max_retry_duration: Option<Duration>,
    /// The first pause after a failure
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    min_backoff: Option<Duration>,
    /// The longest pause after a failure
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    max_backoff: Option<Duration>,
    /// How often the pause is doubled before it grows evenly
    #[arg(long, value_name = "COUNT")]
    max_doublings: Option<i32>,
    /// How long a task is kept at most, 240h to ten years
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    task_ttl: Option<Duration>,
    /// How long the name of a task that is gone stays taken, 1h to 216h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    tombstone_ttl: Option<Duration>,
}

impl Settings {
    /// The queue called `name` with what was given of it.
    fn queue(&self, name: String) -> Queue {
        let limits = RateLimits {
            max_dispatches_per_second: self.max_dispatches_per_second,
            max_concurrent_dispatches: self.max_concurrent_dispatches,
            ..RateLimits::default()
        };
        let retry = RetryConfig {
            max_attempts: self.max_attempts,
            max_retry_duration: self.max_retry_duration.map(seconds),
            min_backoff: self.min_backoff.map(seconds),
            max_backoff: self.max_backoff.map(seconds),
            max_doublings: self.max_doublings,
            ..RetryConfig::default()
        };
        Queue {
            name,
            rate_limits: Some(limits).filter(|it| *it != RateLimits::default()),
            retry_config: Some(retry).filter(|it| *it != RetryConfig::default()),
            task_ttl: self.task_ttl.map(seconds),
            tombstone_ttl: self.tombstone_ttl.map(seconds),
            ..Queue::default()
        }
    }

    /// The fields that were given.
    fn mask(&self) -> String {
        let given = [
            (
                self.max_dispatches_per_second.is_some(),
                "rateLimits.maxDispatchesPerSecond",
            ),
            (
                self.max_concurrent_dispatches.is_some(),
                "rateLimits.maxConcurrentDispatches",
            ),
            (self.max_attempts.is_some(), "retryConfig.maxAttempts"),
            (
                self.max_retry_duration.is_some(),
                "retryConfig.maxRetryDuration",
            ),
            (self.min_backoff.is_some(), "retryConfig.minBackoff"),
            (self.max_backoff.is_some(), "retryConfig.maxBackoff"),
            (self.max_doublings.is_some(), "retryConfig.maxDoublings"),
            (self.task_ttl.is_some(), "taskTtl"),
            (self.tombstone_ttl.is_some(), "tombstoneTtl"),
        ];
        let fields = given.iter().filter(|(is_given, _)| *is_given);
        let fields: Vec<&str> = fields.map(|(_, field)| *field).collect();
        fields.join(",")
    }
}

/// Does one action.
pub(super) async fn execute(session: &Session, action: Action) -> anyhow::Result<()> {
    let Session { client, place, .. } = session;
    let queue = match action {
        Action::List { filter, limit } => return list(session, filter, limit).await,
        Action::Describe { queue } => {
            let name = place.queue(&queue)?;
            let found = client.get_queue_masked(&name, "*,stats").await;
            let found = found.or_explain(|| format!("cannot describe {name}"))?;
            return print(shown::whole(&queue_json(&found)?, session.json));
        }
        Action::Delete { queue } => {
            let name = place.queue(&queue)?;
            let deleted = client.delete_queue(&name).await;
            return deleted.or_explain(|| format!("cannot delete {name}"));
        }
        Action::Create { queue, settings } => {
            let name = place.queue(&queue)?;
            let parent = name.split("/queues/").next().unwrap_or_default();
            let queue = settings.queue(name.clone());
            let created = client.create_queue(parent, &queue).await;
            created.or_explain(|| format!("cannot create {name}"))?
        }
        Action::Update { queue, settings } => {
            let (name, mask) = (place.queue(&queue)?, settings.mask());
            if mask.is_empty() {
                bail!("nothing is to be changed: give a setting, such as --max-attempts 5");
            }
            let cannot = || format!("cannot update {name}");
            // An update makes a queue that is missing, which nobody means who asks for a change.
            client.get_queue(&name).await.or_explain(cannot)?;
            let queue = settings.queue(name.clone());
            let updated = client.update_queue(&queue, &mask).await;
            updated.or_explain(cannot)?
        }
        Action::Pause { queue } => {
            let name = place.queue(&queue)?;
            let paused = client.pause_queue(&name).await;
            paused.or_explain(|| format!("cannot pause {name}"))?
        }
        Action::Resume { queue } => {
            let name = place.queue(&queue)?;
            let resumed = client.resume_queue(&name).await;
            resumed.or_explain(|| format!("cannot resume {name}"))?
        }
        Action::Purge { queue } => {
            let name = place.queue(&queue)?;
            let purged = client.purge_queue(&name).await;
            purged.or_explain(|| format!("cannot purge {name}"))?
        }
    };
    print([line(session, &queue)?])
}

async fn list(session: &Session, filter: String, limit: usize) -> anyhow::Result<()> {
    let parent = session.place.name();
    let listing = Listing {
        filter,
        page_size: shown::page_size(limit),
        ..Listing::default()
    };
    let mut queues = session.client.list_queues(&parent, listing);
    let mut left = shown::count(limit);
    while left > 0
        && let Some(queue) = queues
            .next()
            .await
            .or_explain(|| format!("cannot list the queues of {parent}"))?
    {
        print([line(session, &queue)?])?;
        left -= 1;
    }
    Ok(())
}

fn line(session: &Session, queue: &Queue) -> anyhow::Result<String> {
    if session.json {
        return Ok(queue_json(queue)?.to_string());
    }
    let state = match queue.state {
        Some(QueueState::Running) => "running",
        Some(QueueState::Paused) => "paused",
        Some(QueueState::Disabled) => "disabled",
        Some(QueueState::Unspecified) | None => "unknown",
    };
    let mut columns = vec![session.place.short(&queue.name), state.to_owned()];
    if let Some(limits) = &queue.rate_limits {
        let rate = limits.max_dispatches_per_second;
        columns.extend(rate.map(|rate| format!("{rate}/s")));
        let count = limits.max_concurrent_dispatches;
        columns.extend(count.map(|count| format!("{count} at once")));
    }
    let attempts = queue.retry_config.as_ref().and_then(|it| it.max_attempts);
    columns.extend(attempts.map(|attempts| match attempts {
        -1 => "any number of attempts".to_owned(),
        1 => "1 attempt".to_owned(),
        count => format!("{count} attempts"),
    }));
    Ok(columns.join("\t"))
}
