//! Says that this server lives, and takes up what lost ones had under way.

use std::time::Duration;

use taskyard_engine::clock::Clock;
use taskyard_engine::cloud::node;
use taskyard_store::{Error, Key, Store};

/// How often a server says that it lives.
const BEAT: Duration = Duration::from_secs(4);
/// How long it is believed to.
const BELIEVED: Duration = Duration::from_secs(15);

#[derive(Debug, Clone)]
pub(crate) struct Heart {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) node: String,
    /// Whether no other server can be there.
    pub(crate) is_alone: bool,
}

impl Heart {
    fn key() -> Key {
        Key::of("cloud nodes")
    }

    /// Begins to live: to be awaited before anything is claimed.
    pub(crate) async fn start(&self) -> Result<(), Error> {
        let (node, is_alone) = (self.node.clone(), self.is_alone);
        let until = self.clock.now().plus(BELIEVED);
        self.store
            .write(Self::key(), move |tx| {
                node::beat(tx, &node, until)?;
                if is_alone {
                    node::stay_alone(tx, &node)?;
                }
                Ok(())
            })
            .await?;
        self.take_over().await
    }

    /// Beats for ever.
    pub(crate) async fn run(self) {
        loop {
            tokio::time::sleep(BEAT).await;
            if let Err(error) = self.beat().await {
                tracing::warn!(%error, "this server could not say that it lives");
            }
        }
    }

    async fn beat(&self) -> Result<(), Error> {
        let (node, now) = (self.node.clone(), self.clock.now());
        let until = now.plus(BELIEVED);
        self.store
            .write(Self::key(), move |tx| node::beat(tx, &node, until))
            .await?;
        if self
            .store
            .read(move |tx| node::is_any_dead(tx, now))
            .await?
        {
            self.take_over().await?;
        }
        Ok(())
    }

    async fn take_over(&self) -> Result<(), Error> {
        loop {
            let now = self.clock.now();
            let found = self
                .store
                .write(Self::key(), move |tx| node::take_over(tx, now))
                .await?;
            if found == 0 {
                return Ok(());
            }
            tracing::warn!(
                attempts = found,
                "took up attempts of a server that was lost"
            );
        }
    }

    /// Ends this life: what is still under way is anybody's.
    pub(crate) async fn stop(&self) -> Result<(), Error> {
        let (node, now) = (self.node.clone(), self.clock.now());
        self.store
            .write(Self::key(), move |tx| node::leave(tx, now, &node))
            .await
    }
}
