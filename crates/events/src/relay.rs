//! The relay to a message broker (AMQP 0-9-1, as RabbitMQ speaks it): publishes every message of
//! the log at least once, in the order of the log.
//!
//! A stored cursor says how far it has come: it stands before the first message that the broker
//! has not confirmed. Of several nodes one publishes; another takes over when that one ends, or is
//! not heard of for [`LEASE`]. While the broker is away, events stay in the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
};
use taskyard_store::{Error as StoreError, Key, Store};
use thiserror::Error;

use crate::cursor::Cursor;
use crate::log::{self, Frontier};
use crate::outbox;
use crate::retention::Now;
use crate::translate::{Delivery, Translators};

/// The name of the relay's cursor.
const READER: &str = "amqp";
/// How long a node that is not heard of keeps the relay.
pub const LEASE: Duration = Duration::from_secs(15);
/// How often the cursor is stored while messages go out.
const STORE_EVERY: Duration = Duration::from_millis(500);
/// How often the node that publishes is heard of at least.
const HEARD_EVERY: Duration = Duration::from_secs(4);
/// How often a node that does not publish looks whether it should.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Messages that may wait for the broker's word at once.
const WINDOW: usize = 1024;
/// After so many messages it is asked what the broker has taken: it answers for many at once.
const ASK_AFTER: usize = 32;
/// Events that are read at once.
const PORTION: usize = 500;
/// How long events are gathered while they come one after the other: to look for the few of each
/// commit costs more than to send them. The first one after a silence goes out at once.
const GATHER: Duration = Duration::from_millis(5);
const GAP_PAUSE: Duration = Duration::from_millis(10);
const SLOW_POLL: Duration = Duration::from_secs(1);
/// First and longest pause before the broker is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(30);

/// Where a relay publishes to, and as whom it reads.
#[derive(Clone)]
pub struct Broker {
    /// `amqp://user:password@host:port/vhost`, or `amqps://`. Never shown.
    pub url: String,
    /// Full names of the exchanges that are declared before anything is published.
    pub exchanges: Vec<String>,
    /// The name of this node, which no other node has at the same time.
    pub node: String,
    /// How many events may wait for the broker before somebody should be alarmed.
    pub alarming: u64,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// Publishes the log to a broker.
pub struct Relay {
    store: Store,
    translators: Translators,
    broker: Broker,
    cursor: Cursor,
    now: Now,
    /// Up to here the broker has confirmed everything.
    confirmed: AtomicI64,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").finish_non_exhaustive()
    }
}

/// Why publishing has to begin anew.
#[derive(Debug, Error)]
enum Broken {
    /// Without the URL, which has a password.
    #[error("the broker cannot be used: {0}")]
    Broker(String),
    #[error("the broker does not answer within {CONNECT:?}")]
    Slow,
    #[error("the broker has refused a message")]
    Refused,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<lapin::Error> for Broken {
    fn from(error: lapin::Error) -> Self {
        Broken::Broker(error.to_string())
    }
}

/// What stands in the order in which it went out.
enum Sent<'a> {
    /// A message on its way to the broker, until that confirms it.
    Message(Publishing<'a>),
    /// Everything up to this position was sent before.
    Upto(i64),
}

/// Ends when the broker has taken, or refused, a message.
type Publishing<'a> = BoxFuture<'a, Result<Confirmation, lapin::Error>>;

fn key() -> Key {
    Key::of("events-relay")
}

impl Relay {
    /// A relay of what `translators` make of the log in `store`. Events from now on are kept until
    /// it has published them.
    ///
    /// # Errors
    /// The store could not be written.
    pub async fn new(
        store: Store,
        translators: Translators,
        broker: Broker,
        now: Now,
    ) -> Result<Self, StoreError> {
        let cursor = Cursor {
            reader: READER,
            node: broker.node.clone(),
        };
        let relay = Relay {
            store,
            translators,
            broker,
            cursor,
            now,
            confirmed: AtomicI64::new(0),
        };
        let (cursor, until) = (relay.cursor.clone(), relay.until());
        relay
            .store
            .write(key(), move |tx| {
                let newest = log::newest(tx)?;
                cursor.register(tx, newest, until)
            })
            .await?;
        Ok(relay)
    }

    fn until(&self) -> i64 {
        (self.now)().saturating_add(LEASE.as_micros() as i64)
    }

    /// Publishes whenever it is this node's turn, until `stop`; then another node need not wait to
    /// take over.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            match self.take().await {
                Ok(Some(position)) => {
                    tracing::info!(position, "this node publishes events to the broker");
                    self.confirmed.store(position, Ordering::SeqCst);
                    tokio::select! {
                        () = self.keep() => {}
                        () = self.publish() => {}
                        () = &mut stop => return self.leave().await,
                    }
                    tracing::info!("another node publishes events to the broker");
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "the relay cannot reach the database"),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = &mut stop => return,
            }
        }
    }

    /// Stores how far it has come, and leaves the rest to whoever comes first.
    async fn leave(&self) {
        let (cursor, until) = (self.cursor.clone(), self.until());
        let confirmed = self.confirmed.load(Ordering::SeqCst);
        let left = self.store.write(key(), move |tx| {
            if cursor.advance(tx, confirmed, until)? {
                cursor.release(tx)?;
            }
            Ok(())
        });
        if let Err(error) = left.await {
            tracing::warn!(%error, "the relay is left as if this node still published");
        }
    }

    async fn take(&self) -> Result<Option<i64>, StoreError> {
        let (cursor, now, until) = (self.cursor.clone(), (self.now)(), self.until());
        self.store
            .write(key(), move |tx| cursor.take(tx, now, until))
            .await
    }

    /// Stores how far it has come, until another node has the cursor.
    async fn keep(&self) {
        let mut stored = self.confirmed.load(Ordering::SeqCst);
        let mut heard = tokio::time::Instant::now();
        let mut alarmed = None;
        loop {
            tokio::time::sleep(STORE_EVERY).await;
            let confirmed = self.confirmed.load(Ordering::SeqCst);
            if confirmed == stored && heard.elapsed() < HEARD_EVERY {
                continue;
            }
            let (cursor, until) = (self.cursor.clone(), self.until());
            let kept = self
                .store
                .write(key(), move |tx| {
                    let newest = log::newest(tx)?;
                    Ok(cursor.advance(tx, confirmed, until)?.then_some(newest))
                })
                .await;
            match kept {
                Ok(Some(newest)) => {
                    stored = confirmed;
                    heard = tokio::time::Instant::now();
                    self.tell(newest - confirmed, &mut alarmed);
                }
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, "the relay cannot store how far it is"),
            }
        }
    }

    fn tell(&self, backlog: i64, alarmed: &mut Option<tokio::time::Instant>) {
        /// How often the same alarm is given.
        const AGAIN: Duration = Duration::from_mins(1);
        metrics::gauge!("taskyard_events_backlog").set(backlog as f64);
        let is_alarming = u64::try_from(backlog).unwrap_or(0) > self.broker.alarming;
        if is_alarming && alarmed.is_none_or(|at| at.elapsed() > AGAIN) {
            *alarmed = Some(tokio::time::Instant::now());
            tracing::error!(
                backlog,
                "many events wait for the broker; when there are too many the oldest are given up"
            );
        }
    }

    /// Publishes, and begins anew when something breaks.
    async fn publish(&self) {
        let mut pause = BACKOFF.0;
        loop {
            let before = self.confirmed.load(Ordering::SeqCst);
            let Err(broken) = self.session().await;
            metrics::counter!("taskyard_events_broker_failures_total").increment(1);
            if self.confirmed.load(Ordering::SeqCst) > before {
                pause = BACKOFF.0;
            }
            tracing::warn!(error = %broken, ?pause, "events wait for the broker");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// One connection to the broker, for as long as it lasts.
    async fn session(&self) -> Result<std::convert::Infallible, Broken> {
        let properties =
            ConnectionProperties::default().with_connection_name("taskyard events".into());
        let connecting = Connection::connect(&self.broker.url, properties);
        let connection = tokio::time::timeout(CONNECT, connecting)
            .await
            .map_err(|_| Broken::Slow)??;
        let channel = connection.create_channel().await?;
        for exchange in &self.broker.exchanges {
            // A publish to one that is not there would end the channel.
            let durable = ExchangeDeclareOptions {
                durable: true,
                ..ExchangeDeclareOptions::default()
            };
            let (name, arguments) = (exchange.as_str().into(), FieldTable::default());
            channel
                .exchange_declare(name, ExchangeKind::Topic, durable, arguments)
                .await?;
        }
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        tracing::info!("connected to the broker");
        self.stream(&channel).await
    }

    async fn stream(&self, channel: &Channel) -> Result<std::convert::Infallible, Broken> {
        let mut changes = self.store.wait_for(outbox::topic());
        let begin = self.confirmed.load(Ordering::SeqCst);
        let floor = self.store.read(log::floor).await?;
        if floor > begin {
            tracing::error!(
                begin,
                floor,
                "events were given up before they were published"
            );
        }
        let mut frontier = Frontier::after(begin.max(floor));
        let mut sent = VecDeque::new();
        loop {
            let translators = self.translators.clone();
            let (deliveries, portion) = self
                .store
                .read(move |tx| {
                    let portion = frontier.read(tx, PORTION)?;
                    let deliveries = translators.translate(tx, &portion.events)?;
                    Ok((deliveries, portion))
                })
                .await?;
            frontier = portion.frontier;
            let mut last = None;
            let published = deliveries.len() as u64;
            for delivery in deliveries {
                let position = delivery.place.position;
                if let Some(before) = last.replace(position)
                    && before != position
                {
                    sent.push_back(Sent::Upto(before));
                }
                while sent.len() >= WINDOW {
                    self.confirm_next(&mut sent).await?;
                }
                let mut publishing = publish(channel, delivery);
                // Hands it over. Whoever waited for each to be written would have the broker's
                // thread wake for it, write it alone, and wake us.
                match (&mut publishing).now_or_never() {
                    Some(outcome) => is_taken(outcome?)?,
                    None => sent.push_back(Sent::Message(publishing)),
                }
                if sent.len().is_multiple_of(ASK_AFTER) {
                    self.confirm_ready(&mut sent)?;
                }
            }
            sent.push_back(Sent::Upto(frontier.position));
            metrics::counter!("taskyard_events_published_total").increment(published);
            if portion.more {
                continue;
            }
            let look = tokio::time::Instant::now()
                + if portion.waiting {
                    GAP_PAUSE
                } else {
                    SLOW_POLL
                };
            while !sent.is_empty() {
                self.confirm_next(&mut sent).await?;
            }
            if published > 0 {
                tokio::time::sleep(GATHER).await;
            }
            tokio::select! {
                () = changes.woken() => {}
                () = tokio::time::sleep_until(look) => {}
            }
            if !channel.status().connected() {
                return Err(Broken::Broker("the channel was closed".to_owned()));
            }
        }
    }

    /// Waits until the broker has taken what went out first.
    async fn confirm_next(&self, sent: &mut VecDeque<Sent<'_>>) -> Result<(), Broken> {
        match sent.pop_front() {
            Some(Sent::Message(publishing)) => is_taken(publishing.await?),
            Some(Sent::Upto(position)) => {
                self.confirmed.store(position, Ordering::SeqCst);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Takes note of what the broker has taken, without waiting.
    fn confirm_ready(&self, sent: &mut VecDeque<Sent<'_>>) -> Result<(), Broken> {
        while let Some(first) = sent.front_mut() {
            match first {
                Sent::Message(publishing) => match publishing.now_or_never() {
                    Some(confirmation) => is_taken(confirmation?)?,
                    None => return Ok(()),
                },
                Sent::Upto(position) => self.confirmed.store(*position, Ordering::SeqCst),
            }
            sent.pop_front();
        }
        Ok(())
    }
}

fn is_taken(confirmation: Confirmation) -> Result<(), Broken> {
    match confirmation {
        Confirmation::Ack(_) => Ok(()),
        Confirmation::Nack(_) | Confirmation::NotRequested => Err(Broken::Refused),
    }
}

/// One message as consumers expect it: persistent, JSON, with its further keys. It goes out in the
/// order in which these are first polled.
fn publish(channel: &Channel, delivery: Arc<Delivery>) -> Publishing<'_> {
    async move {
        let message = &delivery.message;
        let keys = message.cc.iter().map(String::as_str);
        let cc: Vec<AMQPValue> = keys.map(|key| AMQPValue::LongString(key.into())).collect();
        let mut headers = FieldTable::default();
        headers.insert("CC".into(), AMQPValue::FieldArray(FieldArray::from(cc)));
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_content_encoding("utf-8".into())
            .with_delivery_mode(2)
            .with_headers(headers);
        let written = channel.basic_publish(
            (&*message.exchange).into(),
            message.routing_key.as_str().into(),
            BasicPublishOptions::default(),
            &message.payload,
            properties,
        );
        written.await?.await
    }
    .boxed()
}
