//! Removes what has had its time, a portion at a time.

use std::time::Duration;

use taskyard_engine::Timestamp;
use taskyard_engine::clock::Clock;
use taskyard_engine::cloud::sweep::{self, Retention};
use taskyard_engine::cloud::{Queue, queue};
use taskyard_store::{Error, Key, Store};

/// Rows that one step removes.
const PORTION: usize = 500;
/// How often names, logs and given-up tasks are looked through.
const FORGET_EVERY: Duration = Duration::from_mins(1);
/// How often tasks that outlived their time are looked for.
const EXPIRE_EVERY: Duration = Duration::from_mins(10);
/// What purges left behind is looked for at least this often.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Between two steps, so that they do not take the database from others.
const BREATH: Duration = Duration::from_millis(5);

#[derive(Debug, Clone)]
pub(crate) struct Sweeper {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) retention: Retention,
}

impl Sweeper {
    /// Sweeps for ever.
    pub(crate) async fn run(self) {
        let mut graves = self.store.wait_for(sweep::graves());
        let (mut forgotten, mut expired) = (Timestamp(i64::MIN), Timestamp(i64::MIN));
        loop {
            let now = self.clock.now();
            let swept = self.sweep(now, &mut forgotten, &mut expired).await;
            if let Err(error) = swept {
                tracing::warn!(%error, "cloud queues could not be swept");
            }
            tokio::select! {
                () = graves.woken() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn sweep(
        &self,
        now: Timestamp,
        forgotten: &mut Timestamp,
        expired: &mut Timestamp,
    ) -> Result<(), Error> {
        let key = Key::of("cloud sweep");
        let bury = || {
            self.store
                .write(key, move |tx| sweep::bury(tx, now, PORTION))
        };
        while bury().await? {
            tokio::time::sleep(BREATH).await;
        }
        if now >= forgotten.plus(FORGET_EVERY) {
            let retention = self.retention;
            let forget = || {
                self.store
                    .write(key, move |tx| sweep::forget(tx, now, &retention, PORTION))
            };
            while forget().await? {
                tokio::time::sleep(BREATH).await;
            }
            *forgotten = now;
        }
        if now >= expired.plus(EXPIRE_EVERY) {
            self.expire(now).await?;
            *expired = now;
        }
        Ok(())
    }

    async fn expire(&self, now: Timestamp) -> Result<(), Error> {
        let mut after = i64::MIN;
        loop {
            let queues: Vec<Queue> = self
                .store
                .read(move |tx| queue::all(tx, after, PORTION))
                .await?;
            let Some(last) = queues.last() else {
                return Ok(());
            };
            after = last.number;
            for queue in queues {
                let key = queue::key(&queue.name);
                let expire = || {
                    let name = queue.name.clone();
                    self.store
                        .write(key, move |tx| sweep::expire(tx, now, &name, PORTION))
                };
                while expire().await? {
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
}
