//! The figures of this process, in the form Prometheus reads.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Bounds of every histogram, in seconds: from what a cached read takes to a long poll.
const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// Bounds of the histogram of closures that one commit makes durable: up to the largest batch.
const CLOSURES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// What kind of figure it is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

use Kind::{Counter, Gauge, Histogram};

/// Every figure, and what it means to whoever collects them.
const MEANINGS: [(&str, Kind, &str); 25] = [
    (
        "taskyard_http_requests_total",
        Counter,
        "Requests answered, by API and class of status",
    ),
    (
        "taskyard_http_request_seconds",
        Histogram,
        "Time from the head of a request to the head of its response",
    ),
    (
        "taskyard_http_connections",
        Gauge,
        "Connections that are open",
    ),
    (
        "taskyard_queue_waiting",
        Gauge,
        "Entries of a queue that may be claimed",
    ),
    (
        "taskyard_queue_claimed",
        Gauge,
        "Entries of a queue that are held",
    ),
    (
        "taskyard_queue_oldest_seconds",
        Gauge,
        "How long the oldest entry of a queue has waited",
    ),
    (
        "taskyard_store_commits_total",
        Counter,
        "Transactions that were made durable",
    ),
    (
        "taskyard_store_commit_seconds",
        Histogram,
        "Time of a transaction, from its first change to its COMMIT",
    ),
    (
        "taskyard_store_commit_closures",
        Histogram,
        "Changes that one commit made durable together",
    ),
    (
        "taskyard_store_batches_undone_total",
        Counter,
        "Batches of changes that were undone and made again one by one",
    ),
    (
        "taskyard_events_subscribers",
        Gauge,
        "Streams of events that are open",
    ),
    (
        "taskyard_events_slow_subscribers_total",
        Counter,
        "Streams of events that were ended because their clients took too little",
    ),
    (
        "taskyard_events_backlog",
        Gauge,
        "Events that the broker has yet to confirm",
    ),
    (
        "taskyard_events_published_total",
        Counter,
        "Messages that were handed to the broker",
    ),
    (
        "taskyard_events_broker_failures_total",
        Counter,
        "Connections to the broker that failed or were lost",
    ),
    (
        "taskyard_events_given_up_total",
        Counter,
        "Events that were forgotten before the broker had them",
    ),
    (
        "taskyard_events_unreadable_total",
        Counter,
        "Events of the log that no message could be made of",
    ),
    (
        "taskyard_cloud_attempts_total",
        Counter,
        "Cloud tasks that were sent, by what came of it",
    ),
    (
        "taskyard_cloud_attempt_seconds",
        Histogram,
        "Time from sending a cloud task to the end of its handler's answer",
    ),
    (
        "taskyard_cloud_lateness_seconds",
        Histogram,
        "How much later than its time a cloud task was sent",
    ),
    (
        "taskyard_cloud_tasks_given_up_total",
        Counter,
        "Cloud tasks that were tried as often or as long as their queue allows",
    ),
    (
        "taskyard_hooks_fired_total",
        Counter,
        "Tasks that hooks made",
    ),
    (
        "taskyard_hooks_messages_discarded_total",
        Counter,
        "Messages that no task was made of, since they did not fit the hook's schema",
    ),
    (
        "taskyard_notifications_sent_total",
        Counter,
        "Notifications that were sent, by way",
    ),
    (
        "taskyard_notifications_failed_total",
        Counter,
        "Attempts to send a notification that failed, by way",
    ),
];

/// How often recorded values are folded into their histograms, which bounds what they take.
const UPKEEP: Duration = Duration::from_secs(5);

/// What was counted and measured since the process started.
#[derive(Debug, Clone)]
pub(crate) struct Figures(PrometheusHandle);

impl Figures {
    /// Starts counting, once for the whole process: later calls return the same figures.
    ///
    /// # Errors
    /// When something else counts already.
    pub(crate) fn install() -> anyhow::Result<Self> {
        static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();
        if let Some(handle) = INSTALLED.get() {
            return Ok(Self(handle.clone()));
        }
        let handle = PrometheusBuilder::new()
            .set_buckets(&BUCKETS)
            .context("the bounds of the histograms")?
            .set_buckets_for_metric(
                Matcher::Full("taskyard_store_commit_closures".to_owned()),
                &CLOSURES,
            )
            .context("the bounds of the histogram of closures")?
            .install_recorder()
            .context("cannot start counting")?;
        for (name, kind, meaning) in MEANINGS {
            match kind {
                Counter => metrics::describe_counter!(name, meaning),
                Gauge => metrics::describe_gauge!(name, meaning),
                Histogram => metrics::describe_histogram!(name, meaning),
            }
        }
        Ok(Self(INSTALLED.get_or_init(|| handle).clone()))
    }

    /// Everything counted so far, as text.
    pub(crate) fn render(&self) -> String {
        self.0.render()
    }

    /// Keeps the memory of the figures bounded, for ever.
    pub(crate) async fn keep_up(self) {
        let mut due = tokio::time::interval(UPKEEP);
        loop {
            due.tick().await;
            self.0.run_upkeep();
        }
    }
}
