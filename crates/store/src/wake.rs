//! Wake-ups: hints that something changed, given after the commit.
//!
//! A waiter registers first, then looks, then waits; so what is committed after its look wakes it.
//! Between nodes the hints travel by NOTIFY and may be lost; there, waiters are also woken by a
//! slow poll.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// Something that can be waited for, such as "work in queue q". Two topics may share a number; a
/// waiter then merely looks in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(pub(crate) u64);

impl Topic {
    /// The topic of `name` within `kind`. The number is the same on every node and in every
    /// release, as nodes tell it to each other.
    pub fn new(kind: &str, name: &str) -> Self {
        // FNV-1a, 64 bits.
        let hash = kind
            .bytes()
            .chain(std::iter::once(0))
            .chain(name.bytes())
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        Topic(hash)
    }
}

/// Who waits for what, in this process.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    topics: Mutex<HashMap<Topic, Waited>>,
}

/// A topic that somebody waits for.
#[derive(Debug, Default, Clone)]
struct Waited {
    notify: Arc<Notify>,
    waiters: usize,
}

impl Hub {
    pub(crate) fn wake(&self, topic: Topic, count: Option<u32>) {
        // The lock is released first: what a waker runs is not ours to know.
        let Some(Waited { notify, waiters }) = self.topics.lock().get(&topic).cloned() else {
            return;
        };
        match count {
            None => notify.notify_waiters(),
            Some(count) => {
                // More than the waiters there are makes no difference.
                for _ in 0..(count as usize).min(waiters) {
                    notify.notify_one();
                }
            }
        }
    }

    /// Wakes one waiter of each topic: the slow poll.
    pub(crate) fn nudge(&self) {
        let topics: Vec<_> = self.topics.lock().values().cloned().collect();
        for waited in topics {
            waited.notify.notify_one();
        }
    }

    #[cfg(feature = "testing")]
    pub(crate) fn waiters(&self, topic: Topic) -> usize {
        let topics = self.topics.lock();
        topics.get(&topic).map_or(0, |waited| waited.waiters)
    }

    fn join(&self, topic: Topic) -> Arc<Notify> {
        let mut topics = self.topics.lock();
        let waited = topics.entry(topic).or_default();
        waited.waiters += 1;
        Arc::clone(&waited.notify)
    }

    fn leave(&self, topic: Topic) {
        let mut topics = self.topics.lock();
        if let Entry::Occupied(mut waited) = topics.entry(topic) {
            waited.get_mut().waiters -= 1;
            if waited.get().waiters == 0 {
                waited.remove();
            }
        }
    }
}

/// Waits for a topic. Waiters of one topic are woken in the order in which they came.
pub struct Waiter {
    hub: Arc<Hub>,
    topic: Topic,
    notify: Arc<Notify>,
    registered: Pin<Box<OwnedNotified>>,
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiter")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

impl Waiter {
    pub(crate) fn new(hub: Arc<Hub>, topic: Topic) -> Self {
        let notify = hub.join(topic);
        let mut registered = Box::pin(Arc::clone(&notify).notified_owned());
        registered.as_mut().enable();
        Waiter {
            hub,
            topic,
            notify,
            registered,
        }
    }

    /// Returns at the first wake-up since the waiter was made or this last returned. It may return
    /// in vain: look again, and wait again.
    pub async fn woken(&mut self) {
        self.registered.as_mut().await;
        self.registered
            .set(Arc::clone(&self.notify).notified_owned());
        self.registered.as_mut().enable();
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // A wake-up that reached this waiter but was not taken passes on to the next when
        // `registered` is dropped.
        self.hub.leave(self.topic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wake_up_between_look_and_wait_is_not_lost() {
        let hub = Arc::new(Hub::default());
        let topic = Topic::new("queue", "a");
        let mut waiter = Waiter::new(Arc::clone(&hub), topic);
        hub.wake(topic, Some(1));
        waiter.woken().await;
    }

    #[tokio::test]
    async fn a_wake_up_of_a_dropped_waiter_passes_to_the_next() {
        let hub = Arc::new(Hub::default());
        let topic = Topic::new("queue", "a");
        let first = Waiter::new(Arc::clone(&hub), topic);
        let mut second = Waiter::new(Arc::clone(&hub), topic);
        hub.wake(topic, Some(1));
        drop(first);
        second.woken().await;
    }

    #[test]
    fn a_topic_nobody_waits_for_is_forgotten() {
        let hub = Arc::new(Hub::default());
        let topic = Topic::new("queue", "a");
        let waiters = [
            Waiter::new(Arc::clone(&hub), topic),
            Waiter::new(Arc::clone(&hub), topic),
        ];
        assert_eq!(hub.topics.lock().len(), 1);
        drop(waiters);
        assert!(hub.topics.lock().is_empty());
    }

    #[test]
    fn topics_keep_their_numbers_between_releases() {
        assert_eq!(Topic::new("queue", "a/b"), Topic(0xd642_1dec_fd17_556a));
    }
}
