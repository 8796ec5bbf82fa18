//! One stream, from its first event to its last.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use taskyard_events::hub::Subscription;
use taskyard_events::index::Index;
use taskyard_events::translate::{Delivery, Place};
use taskyard_store::Error;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::binding::Asked;
use super::{Shared, frame};

/// Events that are read at once by a stream that has missed some.
const PORTION: usize = 200;
/// Messages that are written together if they are there.
const TOGETHER: usize = 64;

/// What sends one stream's events.
pub(super) struct Feed {
    shared: Arc<Shared>,
    asked: Asked,
    /// Its own bindings, for what it reads from the log by itself.
    index: Index<()>,
    chunks: mpsc::Sender<Bytes>,
}

/// Why a stream ends.
enum End {
    /// Nobody reads it, or too slowly, or the server shuts down.
    Over,
    /// The store could not be read.
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        End::Failed(error)
    }
}

impl Feed {
    pub(super) fn new(shared: Arc<Shared>, asked: Asked, chunks: mpsc::Sender<Bytes>) -> Self {
        let mut index = Index::default();
        for binding in &asked.bindings {
            index.bind(&binding.exchange, &binding.pattern, ());
        }
        Feed {
            shared,
            asked,
            index,
            chunks,
        }
    }

    /// Sends until nobody reads any more.
    pub(super) async fn run(self) {
        let draining = self.shared.draining.clone();
        let gone = self.chunks.clone();
        tokio::select! {
            ended = self.follow() => {
                if let Err(End::Failed(error)) = ended {
                    tracing::warn!(%error, "a stream of events ends because the log cannot be read");
                }
            }
            () = gone.closed() => {}
            // The client comes back, to another node or after the restart.
            () = draining.cancelled() => {}
        }
    }

    async fn follow(&self) -> Result<(), End> {
        let mut subscription = self.subscribe();
        let start = subscription.begun().await?;
        let mut place = self.first_place(start).await?;
        place = self.catch_up(place, start).await?;
        loop {
            place = self.live(&mut subscription, place).await?;
            // It was too slow, so it reads by itself until it is close enough again.
            subscription = self.subscribe();
            let start = subscription.begun().await?;
            place = self.catch_up(place, start).await?;
        }
    }

    fn subscribe(&self) -> Subscription {
        self.shared.hub.subscribe(self.asked.bindings.clone())
    }

    /// Where to begin: behind what the client has seen if that can still be told.
    async fn first_place(&self, start: i64) -> Result<Place, End> {
        let now = Place::end_of(start);
        let Some(after) = self.asked.after else {
            self.send(frame::ready(now)).await?;
            return Ok(now);
        };
        let hub = &self.shared.hub;
        let is_known = after.position <= hub.newest().await?
            && hub.read_back(after, after.position, 1).await?.is_some();
        if is_known {
            self.send(frame::ready(after)).await?;
            return Ok(after);
        }
        self.send(frame::error("expired")).await?;
        self.send(frame::ready(now)).await?;
        Ok(now)
    }

    /// Sends what stands in the log behind `place` up to `start`.
    async fn catch_up(&self, mut place: Place, start: i64) -> Result<Place, End> {
        while place < Place::end_of(start) {
            let read = self.shared.hub.read_back(place, start, PORTION).await?;
            let Some(read) = read else {
                // It was too slow for the log as well.
                self.send(frame::error("expired")).await?;
                place = Place::end_of(start);
                self.send(frame::ready(place)).await?;
                return Ok(place);
            };
            let wanted = read.deliveries.iter().filter(|delivery| {
                let message = &delivery.message;
                let matching = self.index.matching(&message.exchange, message.keys());
                !matching.is_empty()
            });
            let mut chunk = BytesMut::new();
            for delivery in wanted {
                chunk.extend_from_slice(&self.frame(delivery));
            }
            if !chunk.is_empty() {
                self.send(chunk.freeze()).await?;
            }
            place = Place::end_of(read.portion.frontier.position);
        }
        Ok(place)
    }

    /// Sends what is delivered, until the subscription ends. Returns where it was then.
    async fn live(&self, subscription: &mut Subscription, from: Place) -> Result<Place, End> {
        let mut place = from;
        let mut pings = interval(self.shared.pace.ping);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.tick().await;
        loop {
            tokio::select! {
                delivery = subscription.next() => {
                    let Some(delivery) = delivery else { return Ok(place) };
                    self.send_all(delivery, subscription, &mut place).await?;
                }
                _ = pings.tick() => {
                    // What was delivered before is sent before.
                    let reached = self.shared.hub.live();
                    while let Some(delivery) = subscription.try_next() {
                        self.send_all(delivery, subscription, &mut place).await?;
                    }
                    if subscription.is_live() && let Some(reached) = reached {
                        place = place.max(Place::end_of(reached));
                    }
                    let time = self.shared.context.clock.now().to_iso();
                    self.send(frame::ping(place, &time)).await?;
                }
            }
        }
    }

    /// Sends a delivery, and those that wait behind it.
    async fn send_all(
        &self,
        first: Arc<Delivery>,
        subscription: &mut Subscription,
        place: &mut Place,
    ) -> Result<(), End> {
        let mut chunk: Option<BytesMut> = None;
        let mut only: Option<Bytes> = None;
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(delivery) = next.take() {
            // Another node may have been ahead of this one when the client was there.
            if delivery.place > *place {
                *place = delivery.place;
                let frame = self.frame(&delivery);
                match (&mut chunk, only.take()) {
                    (Some(chunk), _) => chunk.extend_from_slice(&frame),
                    (None, None) => only = Some(frame),
                    (None, Some(before)) => {
                        let mut both = BytesMut::from(&before[..]);
                        both.extend_from_slice(&frame);
                        chunk = Some(both);
                    }
                }
            }
            taken += 1;
            if taken < TOGETHER {
                next = subscription.try_next();
            }
        }
        match (chunk, only) {
            (Some(chunk), _) => self.send(chunk.freeze()).await,
            (None, Some(frame)) => self.send(frame).await,
            (None, None) => Ok(()),
        }
    }

    fn frame(&self, delivery: &Delivery) -> Bytes {
        delivery.frame(|delivery| frame::message(delivery, &self.shared.exchanges))
    }

    async fn send(&self, chunk: Bytes) -> Result<(), End> {
        let patience = self.shared.pace.patience;
        let sent = self.chunks.send_timeout(chunk, patience).await;
        sent.map_err(|_| End::Over)
    }
}
