//! Wake-ups between nodes, over NOTIFY.
//!
//! NOTIFY takes a lock of the whole cluster at commit, so it never stands in a transaction that
//! does work: one connection of its own sends what has gathered, a few times a second at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use postgres::fallible_iterator::FallibleIterator;

use crate::error::Error;
use crate::postgres::connect;
use crate::tx::Effects;
use crate::wake::{Hub, Topic};

const CHANNEL: &str = "taskyard_wake";
/// Wake-ups gather for this long before they are sent together.
const GATHER: Duration = Duration::from_millis(20);
const RETRY: Duration = Duration::from_secs(1);
/// A NOTIFY payload must be shorter than 8000 bytes; a topic takes at most 28 of them.
const TOPICS_PER_NOTIFY: usize = 250;
/// Markers are asked for within seconds of a lost COMMIT.
const FORGET_MARKERS: &str =
    "DELETE FROM commit_markers WHERE marked_at < now() - interval '1 hour'";
const FORGET_EVERY: Duration = Duration::from_mins(1);

type Wakes = Vec<(Topic, Option<u32>)>;

pub(crate) struct Hints {
    sender: Mutex<Option<mpsc::Sender<Wakes>>>,
    stopped: Arc<AtomicBool>,
}

impl Hints {
    pub(crate) fn start(
        config: &postgres::Config,
        hub: Arc<Hub>,
        slow_poll: Duration,
    ) -> Result<(Self, JoinHandle<()>), Error> {
        let (sender, wakes) = mpsc::channel();
        let stopped = Arc::new(AtomicBool::new(false));
        // Tells our own messages from those of other nodes.
        let node = uuid::Uuid::new_v4().simple().to_string();
        let cannot = |error| Error::Open(format!("cannot start a database thread: {error}"));
        let sending = {
            let (config, node) = (config.clone(), node.clone());
            std::thread::Builder::new()
                .name("store-notify".to_owned())
                .spawn(move || send(&config, &node, &wakes))
                .map_err(cannot)?
        };
        // Not joined at the end: it notices within a second that it is no longer wanted.
        let listener = Listener {
            config: config.clone(),
            node,
            hub,
            stop: Arc::clone(&stopped),
            slow_poll,
        };
        let (listening, listens) = mpsc::channel();
        std::thread::Builder::new()
            .name("store-listen".to_owned())
            .spawn(move || listener.listen(listening))
            .map_err(cannot)?;
        // From the first waiter on no hint is missed. An error says that it could not connect:
        // then the slow poll must do for a while.
        if listens.recv().is_err() {
            tracing::debug!("wake-ups of other nodes do not arrive yet");
        }
        Ok((
            Hints {
                sender: Mutex::new(Some(sender)),
                stopped,
            },
            sending,
        ))
    }

    pub(crate) fn send(&self, wakes: &[(Topic, Option<u32>)]) {
        if !wakes.is_empty()
            && let Some(sender) = &*self.sender.lock()
        {
            // The other end only goes away when the store closes.
            drop(sender.send(wakes.to_vec()));
        }
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.sender.lock().take();
    }
}

fn send(config: &postgres::Config, node: &str, wakes: &mpsc::Receiver<Wakes>) {
    let mut client = None;
    let mut forgotten = Instant::now();
    loop {
        let mut gathered = Effects::default();
        match wakes.recv_timeout(FORGET_EVERY) {
            Ok(first) => gather(&mut gathered, first),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        if !gathered.wakes.is_empty() {
            std::thread::sleep(GATHER);
            while let Ok(more) = wakes.try_recv() {
                gather(&mut gathered, more);
            }
        }
        let forget = forgotten.elapsed() >= FORGET_EVERY;
        // A connection that died while it was idle is replaced at once.
        let tries = if client.is_some() { 2 } else { 1 };
        for _ in 0..tries {
            match notify(config, &mut client, node, &gathered.wakes, forget) {
                Ok(()) => break,
                Err(error) => {
                    tracing::debug!(%error, "wake-ups could not be sent to other nodes");
                    client = None;
                }
            }
        }
        if forget {
            forgotten = Instant::now();
        }
    }
}

fn gather(gathered: &mut Effects, wakes: Wakes) {
    for (topic, count) in wakes {
        gathered.wake(topic, count);
    }
}

fn notify(
    config: &postgres::Config,
    client: &mut Option<postgres::Client>,
    node: &str,
    wakes: &Wakes,
    forget: bool,
) -> Result<(), Error> {
    let client = match client {
        Some(client) => client,
        slot => slot.insert(connect(config)?),
    };
    for some in wakes.chunks(TOPICS_PER_NOTIFY) {
        let payload = encode(node, some);
        client
            .execute("SELECT pg_notify($1, $2)", &[&CHANNEL, &payload])
            .map_err(|error| Error::Lost(error.to_string()))?;
    }
    if forget {
        client
            .batch_execute(FORGET_MARKERS)
            .map_err(|error| Error::Lost(error.to_string()))?;
    }
    Ok(())
}

/// Hears what other nodes tell.
struct Listener {
    config: postgres::Config,
    node: String,
    hub: Arc<Hub>,
    stop: Arc<AtomicBool>,
    slow_poll: Duration,
}

impl Listener {
    /// Listens until it is stopped; `listening` ends when it does for the first time.
    fn listen(&self, listening: mpsc::Sender<()>) {
        let mut nudged = Instant::now();
        let mut listening = Some(listening);
        while !self.is_stopped() {
            if let Err(error) = self.listen_once(&mut listening, &mut nudged) {
                tracing::debug!(%error, "wake-ups of other nodes do not arrive; polling meanwhile");
                listening = None;
                self.hub.nudge();
                std::thread::sleep(RETRY);
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn listen_once(
        &self,
        listening: &mut Option<mpsc::Sender<()>>,
        nudged: &mut Instant,
    ) -> Result<(), Error> {
        let lost = |error: postgres::Error| Error::Lost(error.to_string());
        let mut client = connect(&self.config)?;
        client
            .batch_execute(&format!("LISTEN {CHANNEL}"))
            .map_err(lost)?;
        if listening.take().is_none() {
            // Whatever was committed while nobody listened.
            self.hub.nudge();
        }
        while !self.is_stopped() {
            {
                let mut notifications = client.notifications();
                let mut arriving = notifications.timeout_iter(Duration::from_millis(500));
                while let Some(notification) = arriving.next().map_err(lost)? {
                    for (topic, count) in decode(&self.node, notification.payload()) {
                        self.hub.wake(topic, count);
                    }
                    if self.is_stopped() || nudged.elapsed() >= self.slow_poll {
                        break;
                    }
                }
            }
            if client.is_closed() {
                return Err(Error::Lost(
                    "the listening connection was closed".to_owned(),
                ));
            }
            if nudged.elapsed() >= self.slow_poll {
                self.hub.nudge();
                *nudged = Instant::now();
            }
        }
        Ok(())
    }
}

/// `node topic:count topic:count …`, numbers in hexadecimal; no count means all.
fn encode(node: &str, wakes: &[(Topic, Option<u32>)]) -> String {
    let mut payload = node.to_owned();
    for (topic, count) in wakes {
        payload.push_str(&wake_text(*topic, *count));
    }
    payload
}

fn wake_text(topic: Topic, count: Option<u32>) -> String {
    let count = count.map(|count| format!("{count:x}")).unwrap_or_default();
    format!(" {:x}:{count}", topic.0)
}

fn decode(node: &str, payload: &str) -> Wakes {
    let mut words = payload.split(' ');
    if words.next() == Some(node) {
        return Vec::new();
    }
    words
        .filter_map(|word| {
            let (topic, count) = word.split_once(':')?;
            let topic = Topic(u64::from_str_radix(topic, 16).ok()?);
            Some((topic, u32::from_str_radix(count, 16).ok()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_of_other_nodes_arrive_and_our_own_do_not_come_back() {
        let wakes = vec![(Topic(7), Some(3)), (Topic(u64::MAX), None)];
        let payload = encode("here", &wakes);
        assert_eq!(decode("there", &payload), wakes);
        assert!(decode("here", &payload).is_empty());
    }

    #[test]
    fn a_full_payload_fits_into_a_notification() {
        let wakes = vec![(Topic(u64::MAX), Some(u32::MAX)); TOPICS_PER_NOTIFY];
        assert!(encode(&"f".repeat(32), &wakes).len() < 8000);
    }
}
