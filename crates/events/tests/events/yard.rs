//! A database with an event log, and a translator of events that are made for tests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use taskyard_events::{Event, MIGRATIONS, Message, Translate, Translators, outbox};
use taskyard_store::testing::{Database, Kind};
use taskyard_store::{Error, Key, Store, Tx};

/// How long anything that should happen soon is waited for.
pub(crate) const SOON: Duration = Duration::from_mins(2);

pub(crate) struct Yard {
    // Dropped in this order: the store lets go of the database before that is removed.
    pub(crate) store: Store,
    pub(crate) database: Database,
}

impl Yard {
    pub(crate) fn new(kind: Kind) -> Self {
        let database = Database::new(kind);
        let store = database.open(MIGRATIONS);
        Yard { store, database }
    }

    /// Appends one event about `subject` at `now`.
    pub(crate) async fn append(&self, now: i64, subject: &str) {
        let (key, subject) = (Key::of(subject), subject.to_owned());
        let append = move |tx: &mut Tx<'_>| outbox::append(tx, now, "said", &subject, "{}");
        self.store.write(key, append).await.expect("it is appended");
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        closure: impl Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> T {
        let written = self.store.write(Key::of("yard"), closure).await;
        written.expect("the database answers")
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        closure: impl Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> T {
        self.store
            .read(closure)
            .await
            .expect("the database answers")
    }
}

/// Two messages for every event: its subject as the routing key, to exchanges `first` and `second`.
struct Twice;

impl Translate for Twice {
    fn kinds(&self) -> &'static [&'static str] {
        &["said"]
    }

    fn translate(&self, _: &mut Tx<'_>, event: &Event) -> Result<Vec<Message>, Error> {
        if event.subject == "nonsense" {
            return Err(Error::Statement("it makes no sense".to_owned()));
        }
        let message = |exchange: &str| Message {
            exchange: exchange.into(),
            routing_key: event.subject.clone(),
            cc: vec![format!("route.{}", event.subject)],
            payload: Bytes::from_static(b"{}"),
        };
        Ok(vec![message("first"), message("second")])
    }
}

pub(crate) fn translators() -> Translators {
    Translators::new([Arc::new(Twice) as Arc<dyn Translate>])
}
