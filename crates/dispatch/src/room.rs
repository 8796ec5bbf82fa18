//! Room for attempts: so many may be under way here, with so many bytes of requests in memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in units of so many.
const UNIT: usize = 1024;
/// Units that the largest task takes: 1 MB with its headers, and what it is wrapped in.
const LARGEST: u32 = 1280;

/// How much may be under way at once.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    attempts: Arc<Semaphore>,
    units: Arc<Semaphore>,
}

/// A place for one attempt.
#[derive(Debug)]
pub(crate) struct Place {
    /// Until the attempt is recorded.
    pub(crate) attempt: OwnedSemaphorePermit,
    /// As long as its request is in memory.
    pub(crate) request: Bytes,
}

/// Memory for a request. Until that is known it is enough for the largest.
#[derive(Debug)]
pub(crate) struct Bytes(OwnedSemaphorePermit);

impl Room {
    /// Room for `attempts` whose requests together have up to `bytes`, but at least for one.
    pub(crate) fn new(attempts: usize, bytes: usize) -> Self {
        let units = (bytes / UNIT).clamp(LARGEST as usize, Semaphore::MAX_PERMITS);
        Room {
            attempts: Arc::new(Semaphore::new(attempts.clamp(1, Semaphore::MAX_PERMITS))),
            units: Arc::new(Semaphore::new(units)),
        }
    }

    /// A place for a task of any size, once there is one.
    pub(crate) async fn place(&self) -> Option<Place> {
        let attempt = Arc::clone(&self.attempts).acquire_owned().await.ok()?;
        let units = Arc::clone(&self.units).acquire_many_owned(LARGEST);
        Some(Place {
            attempt,
            request: Bytes(units.await.ok()?),
        })
    }

    /// The same, if there is one now.
    pub(crate) fn try_place(&self) -> Option<Place> {
        let attempt = Arc::clone(&self.attempts).try_acquire_owned().ok()?;
        let units = Arc::clone(&self.units).try_acquire_many_owned(LARGEST);
        Some(Place {
            attempt,
            request: Bytes(units.ok()?),
        })
    }

    /// A place beyond all limits.
    pub(crate) fn beyond() -> Option<Place> {
        Room::new(1, 0).try_place()
    }
}

impl Bytes {
    /// Gives back what a request of so many bytes does not need.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let needed = bytes.div_ceil(UNIT).max(1);
        let spare = self.0.num_permits().saturating_sub(needed);
        drop(self.0.split(spare));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn small_requests_leave_room_for_others() {
        let room = Room::new(10, 2 * LARGEST as usize * UNIT);
        let mut first = room.place().await.expect("a place");
        let mut second = room.try_place().expect("another");
        assert!(room.try_place().is_none(), "both may become large");
        first.request.shrink(0);
        second.request.shrink(UNIT + 1);
        assert!(room.try_place().is_some());
        let mut large = room.try_place().expect("a place");
        large.request.shrink(usize::MAX);
        assert!(room.try_place().is_none(), "it is large indeed");
        drop((first, second));
        assert!(room.try_place().is_some());
    }

    #[tokio::test]
    async fn there_is_always_room_for_one() {
        let room = Room::new(0, 0);
        let place = room.place().await.expect("a place");
        assert!(room.try_place().is_none());
        assert!(Room::beyond().is_some());
        drop(place);
        assert!(room.try_place().is_some());
    }

    #[tokio::test]
    async fn attempts_are_counted_however_small() {
        let room = Room::new(1, usize::MAX);
        let mut place = room.place().await.expect("a place");
        place.request.shrink(1);
        assert!(room.try_place().is_none());
    }
}
