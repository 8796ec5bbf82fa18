//! The dispatcher of one server.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use taskyard_engine::clock::Clock;
use taskyard_engine::cloud::dispatch::Dispatch;
use taskyard_engine::cloud::record::Conduct;
use taskyard_engine::cloud::sweep::Retention;
use taskyard_engine::cloud::{Kind, queue};
use taskyard_outbound::Client;
use taskyard_store::{Error, Store};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use crate::heart::Heart;
use crate::pump::Works;
use crate::recorder::Recorder;
use crate::request::Rules;
use crate::room::Room;
use crate::send::Sender;
use crate::sweeper::Sweeper;
use crate::token::Tokens;

/// How a dispatcher works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the requests of tasks depend on beside the tasks.
    pub rules: Rules,
    /// What is done beyond the law of retries.
    pub conduct: Conduct,
    /// How much is kept of what only serves inspection.
    pub retention: Retention,
    /// Attempts that may be under way here at once, of all queues together.
    pub room: usize,
    /// Bytes that their requests may have together.
    pub room_bytes: usize,
    /// Whether no other server can use the database, as is so with an embedded one: what was under
    /// way when the last one ended is then taken up at once.
    pub is_alone: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            rules: Rules::default(),
            conduct: Conduct::default(),
            retention: Retention::default(),
            room: 2000,
            room_bytes: 512 << 20,
            is_alone: false,
        }
    }
}

/// Sends the tasks of all cloud queues. Clones share it.
#[derive(Clone)]
pub struct Dispatcher {
    works: Arc<Works>,
    heart: Heart,
    loops: Arc<parking_lot::Mutex<Vec<JoinHandle<()>>>>,
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher")
            .field("node", &self.works.node)
            .finish_non_exhaustive()
    }
}

/// Queues that are looked at in one read.
const PORTION: usize = 500;
/// Queues that came without this server hearing of them are found after this long.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Changes that come right after each other share a look.
const GATHER: Duration = Duration::from_millis(20);

impl Dispatcher {
    /// Starts sending.
    ///
    /// # Errors
    /// If the database cannot be reached.
    pub async fn start(
        store: Store,
        clock: Clock,
        client: Client,
        tokens: Arc<Tokens>,
        settings: Settings,
    ) -> Result<Self, Error> {
        let node = uuid::Uuid::new_v4().simple().to_string();
        let heart = Heart {
            store: store.clone(),
            clock: clock.clone(),
            node: node.clone(),
            is_alone: settings.is_alone,
        };
        heart.start().await?;
        let (ended, reports) = mpsc::unbounded_channel();
        let open: Arc<AtomicUsize> = Arc::default();
        let recorded: Arc<Notify> = Arc::default();
        let recorder = Recorder {
            store: store.clone(),
            clock: clock.clone(),
            conduct: settings.conduct,
            ended: reports,
            open: Arc::clone(&open),
            recorded: Arc::clone(&recorded),
        };
        let sweeper = Sweeper {
            store: store.clone(),
            clock: clock.clone(),
            retention: settings.retention,
        };
        let works = Arc::new(Works {
            store,
            node,
            sender: Sender {
                client,
                rules: settings.rules,
                tokens,
                clock: clock.clone(),
            },
            clock,
            room: Room::new(settings.room, settings.room_bytes),
            ended,
            open,
            recorded,
            stopping: watch::Sender::new(false),
            abandoned: watch::Sender::new(false),
        });
        let loops = vec![
            tokio::spawn(recorder.run()),
            tokio::spawn(heart.clone().run()),
            tokio::spawn(sweeper.run()),
            tokio::spawn(follow(Arc::clone(&works))),
        ];
        Ok(Dispatcher {
            works,
            heart,
            loops: Arc::new(parking_lot::Mutex::new(loops)),
        })
    }

    /// The name under which this server holds what it has under way.
    pub fn node(&self) -> &str {
        &self.works.node
    }

    /// Makes the tokens of tasks; their public key is to be served.
    pub fn tokens(&self) -> &Tokens {
        &self.works.sender.tokens
    }

    /// Sends a task that was taken by [`run`](taskyard_engine::cloud::dispatch::run). It does not
    /// wait for room, as such a task is beyond all limits.
    pub fn send(&self, dispatch: Dispatch) {
        let place = self.works.room.try_place().or_else(Room::beyond);
        if let Some(place) = place {
            self.works.begin(dispatch, place);
        }
    }

    /// Attempts that began and are not recorded yet.
    pub fn under_way(&self) -> usize {
        self.works.open.load(Ordering::SeqCst)
    }

    /// Begins nothing more, waits up to `limit` for what is under way, and leaves the rest to
    /// others.
    ///
    /// # Errors
    /// If the database cannot be reached; others then take the rest up a little later.
    pub async fn stop(&self, limit: Duration) -> Result<(), Error> {
        self.works.stopping.send_replace(true);
        let all_recorded = async {
            loop {
                let recorded = self.works.recorded.notified();
                if self.under_way() == 0 {
                    return;
                }
                recorded.await;
            }
        };
        if tokio::time::timeout(limit, all_recorded).await.is_err() {
            tracing::warn!(attempts = self.under_way(), "attempts are left to others");
        }
        self.works.abandoned.send_replace(true);
        for task in self.loops.lock().drain(..) {
            task.abort();
        }
        self.heart.stop().await
    }
}

/// Keeps a pump running for each push queue there is.
async fn follow(works: Arc<Works>) {
    let mut pumps: HashMap<i64, JoinHandle<()>> = HashMap::new();
    let mut changes = works.store.wait_for(queue::changes());
    let mut stopping = works.stopping.subscribe();
    loop {
        if let Err(error) = look(&works, &mut pumps).await {
            tracing::warn!(%error, "queues could not be looked up");
        }
        pumps.retain(|_, pump| !pump.is_finished());
        tokio::select! {
            () = changes.woken() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stopping.changed() => return,
        }
        tokio::time::sleep(GATHER).await;
    }
}

async fn look(works: &Arc<Works>, pumps: &mut HashMap<i64, JoinHandle<()>>) -> Result<(), Error> {
    let mut after = i64::MIN;
    loop {
        let queues = works
            .store
            .read(move |tx| queue::all(tx, after, PORTION))
            .await?;
        let Some(last) = queues.last() else {
            return Ok(());
        };
        after = last.number;
        for queue in queues {
            if queue.settings.kind == Kind::Push {
                pumps
                    .entry(queue.number)
                    .or_insert_with(|| tokio::spawn(Arc::clone(works).pump(queue)));
            }
        }
    }
}
