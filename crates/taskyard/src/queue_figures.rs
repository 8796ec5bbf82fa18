//! How full the queues are, for `/metrics`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::{HeaderName, header};
use taskyard_engine::clock::Clock;
use taskyard_engine::{group, lease};
use taskyard_store::Store;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::figures::Figures;

/// Queues that get figures of their own; more would swamp whoever collects them.
const MOST_QUEUES: usize = 1000;
/// Counting walks over every entry, so it is not done for each scrape.
const FRESH: Duration = Duration::from_secs(10);

/// What was last told about the queues.
#[derive(Default)]
struct Told {
    at: Option<Instant>,
    /// A queue that has emptied is told once more, as empty.
    queues: BTreeSet<String>,
}

/// `GET /metrics`, with the queues counted anew when the last count is older than 10 seconds.
pub(crate) fn routes(figures: &Figures, store: Store, clock: Clock) -> Router {
    const TEXT: [(HeaderName, &str); 1] = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    let figures = figures.clone();
    let told: Arc<Mutex<Told>> = Arc::default();
    let scrape = async move || {
        let mut told = told.lock().await;
        if told.at.is_none_or(|at| at.elapsed() >= FRESH) {
            count(&store, &clock, &mut told.queues).await;
            told.at = Some(Instant::now());
        }
        (TEXT, figures.render())
    };
    Router::new().route("/metrics", get(scrape))
}

async fn count(store: &Store, clock: &Clock, told: &mut BTreeSet<String>) {
    let now = clock.now();
    let counted = store.read(move |tx| {
        let mut queues = lease::overview(tx, MOST_QUEUES)?;
        queues.extend(group::overview(tx, now, MOST_QUEUES)?);
        Ok(queues)
    });
    let queues = match counted.await {
        Ok(queues) => queues,
        Err(error) => return tracing::warn!(%error, "the queues could not be counted"),
    };
    for name in std::mem::take(told) {
        tell(name, 0, 0, 0.0);
    }
    for line in queues {
        let name = line.queue.as_str().to_owned();
        let age = line
            .oldest
            .map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
        tell(name.clone(), line.depth.ready, line.depth.held, age);
        told.insert(name);
    }
}

fn tell(name: String, waiting: i64, claimed: i64, oldest_seconds: f64) {
    metrics::gauge!("taskyard_queue_waiting", "queue" => name.clone()).set(waiting as f64);
    metrics::gauge!("taskyard_queue_claimed", "queue" => name.clone()).set(claimed as f64);
    metrics::gauge!("taskyard_queue_oldest_seconds", "queue" => name).set(oldest_seconds);
}
