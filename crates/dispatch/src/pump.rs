//! The loop that claims the due tasks of one queue and has them sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use taskyard_engine::clock::Clock;
use taskyard_engine::cloud::Payload;
use taskyard_engine::cloud::dispatch::{self, Claim, Dispatch, Next};
use taskyard_engine::cloud::queue::{self, Queue};
use taskyard_engine::cloud::record::Report;
use taskyard_store::{Key, Store};
use tokio::sync::{Notify, mpsc, watch};

use crate::recorder::Ended;
use crate::room::{Place, Room};
use crate::send::Sender;

/// Tasks claimed at once.
const BATCH: usize = 64;
/// What is waited after an error of the database.
const PAUSE: Duration = Duration::from_secs(1);
/// After a claim that found a little, what comes right after it is gathered this long.
const GATHER: Duration = Duration::from_millis(2);
/// A claim of fewer tasks than this found a little.
const LITTLE: usize = 16;

/// What all pumps share.
pub(crate) struct Works {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) node: String,
    pub(crate) sender: Sender,
    pub(crate) room: Room,
    pub(crate) ended: mpsc::UnboundedSender<Ended>,
    /// Attempts that began and are not recorded yet.
    pub(crate) open: Arc<AtomicUsize>,
    pub(crate) recorded: Arc<Notify>,
    /// Turns true when nothing new may begin.
    pub(crate) stopping: watch::Sender<bool>,
    /// Cancels attempts that took too long to end when stopping.
    pub(crate) abandoned: watch::Sender<bool>,
}

impl Works {
    /// Begins an attempt that has been claimed, in a place of its own.
    pub(crate) fn begin(self: &Arc<Self>, mut dispatch: Dispatch, place: Place) {
        let Place {
            attempt,
            mut request,
        } = place;
        request.shrink(size(&dispatch));
        self.open.fetch_add(1, Ordering::SeqCst);
        let late = dispatch.dispatched_at.since(dispatch.schedule_time);
        metrics::histogram!("taskyard_cloud_lateness_seconds").record(late.as_secs_f64());
        let works = Arc::clone(self);
        tokio::spawn(async move {
            let mut abandoned = works.abandoned.subscribe();
            let report = tokio::select! {
                report = works.sender.attempt(&mut dispatch) => report,
                // Somebody else takes it up.
                _ = abandoned.wait_for(|abandoned| *abandoned) => {
                    works.open.fetch_sub(1, Ordering::SeqCst);
                    return;
                }
            };
            log(&dispatch, &report);
            drop((dispatch, request));
            // Fails only if the recorder is gone, and then the lease runs out.
            drop(works.ended.send((report, attempt)));
        });
    }

    /// Claims and sends the tasks of `queue` until that is gone or the server stops.
    pub(crate) async fn pump(self: Arc<Self>, queue: Queue) {
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            () = self.pump_on(&queue) => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    }

    async fn pump_on(self: &Arc<Self>, queue: &Queue) {
        let mut topic = queue.topic();
        let mut work = self.store.wait_for(topic);
        let mut changes = self.store.wait_for(queue::changes());
        let key = queue::key(&queue.name);
        loop {
            let Some(place) = self.room.place().await else {
                return;
            };
            let recorded = self.recorded.notified();
            let (claim, places) = match self.claim(queue.number, key, place).await {
                Ok(Some(found)) => found,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, queue = queue.name, "due tasks could not be claimed");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let found = claim.dispatches.len();
            for (dispatch, place) in claim.dispatches.into_iter().zip(places) {
                self.begin(dispatch, place);
            }
            if claim.topic != topic {
                topic = claim.topic;
                work = self.store.wait_for(topic);
                continue;
            }
            match claim.next {
                Next::Now => {}
                // New tasks do not bring it forward, a new rate does.
                Next::At(at) => tokio::select! {
                    () = self.clock.reaches(at) => {}
                    () = changes.woken() => {}
                },
                Next::WhenWoken => {
                    work.woken().await;
                    if found < LITTLE {
                        tokio::time::sleep(GATHER).await;
                    }
                }
                Next::WhenOneEnds => tokio::select! {
                    () = recorded => {}
                    () = work.woken() => {}
                },
            }
        }
    }

    /// Claims as many tasks as there is room for, with a place for each.
    async fn claim(
        &self,
        queue: i64,
        key: Key,
        first: Place,
    ) -> Result<Option<(Claim, Vec<Place>)>, taskyard_store::Error> {
        let mut places = vec![first];
        while places.len() < BATCH
            && let Some(place) = self.room.try_place()
        {
            places.push(place);
        }
        let (now, node, most) = (self.clock.now(), self.node.clone(), places.len());
        let claim = self
            .store
            .write(key, move |tx| dispatch::claim(tx, now, queue, &node, most))
            .await?;
        Ok(claim.map(|claim| (claim, places)))
    }
}

/// Bytes that the request of a task takes in memory.
fn size(dispatch: &Dispatch) -> usize {
    let payload = &dispatch.task.payload;
    let headers = match payload {
        Payload::Http(request) => &request.headers,
        Payload::AppEngine(request) => &request.headers,
        Payload::Pull(_) => return payload.body().len(),
    };
    let headers = headers.iter().map(|(name, value)| name.len() + value.len());
    payload.body().len() + headers.sum::<usize>()
}

/// Logs an attempt if its queue wants that of so many.
fn log(dispatch: &Dispatch, report: &Report) {
    let ratio = dispatch.queue.settings.log_sampling_ratio.unwrap_or(0.0);
    // The number of a task is as good as random, once it is stirred.
    let stirred = (report.task.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    if ratio > 0.0 && (stirred as f64) < ratio * u64::MAX as f64 {
        tracing::info!(
            queue = dispatch.queue.name,
            task = report.task_id,
            attempt = report.attempt,
            outcome = ?report.outcome,
            "an attempt ended"
        );
    }
}
