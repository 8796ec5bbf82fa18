//! Events as streams: who may listen, what is heard, and what is missed by nobody who comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::body::BodyDataStream;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use taskyard_access::Signer;
use taskyard_access::sign::Destination;
use taskyard_api_taskcluster::events::{Events, Pace};
use taskyard_api_taskcluster::{Context, translators};
use taskyard_events::hub::Hub;
use taskyard_events::retention::{self, Retention};
use taskyard_store::testing::Kind;
use taskyard_store::{Key, on_both_databases};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::house::{House, SOON, escaped};
use crate::who::Who;

/// The events service of a house, and what delivers for it.
struct Station {
    events: Events,
    hub: Arc<Hub>,
    running: JoinHandle<()>,
}

impl Station {
    fn over(house: &House, pace: Pace) -> Self {
        let context = Context {
            clock: house.clock.clone(),
            directory: Arc::clone(&house.directory),
            schemas: Arc::clone(&house.schemas),
            trust_forwarded: false,
        };
        let hub = Hub::new(house.store.clone(), translators());
        let running = tokio::spawn(Arc::clone(&hub).run());
        Station {
            events: Events::new(
                context,
                Arc::clone(&hub),
                house.draining.clone(),
                pace,
                Vec::new(),
            ),
            hub,
            running,
        }
    }

    async fn connect(&self, house: &House, who: Who, query: &str, last: Option<&str>) -> Stream {
        let mut ask = Ask::new("GET", &format!("/api/events/v1/connect/?{query}")).by(who);
        if let Some(last) = last {
            ask = ask.header("last-event-id", last);
        }
        let response = self.events.answer(ask.sign(house.clock.now())).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        Stream {
            body: response.into_body().into_data_stream(),
            buffer: BytesMut::new(),
        }
    }

    /// A stream of `bindings` that has begun.
    async fn listen(&self, house: &House, bindings: &[(&str, &str)]) -> Stream {
        let query = query(bindings);
        let mut stream = self.connect(house, house.root(), &query, None).await;
        assert_eq!(stream.next().await.expect("it begins").event, "ready");
        stream
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// What a client reads.
struct Stream {
    body: BodyDataStream,
    buffer: BytesMut,
}

#[derive(Debug, Clone, Default)]
struct Frame {
    event: String,
    data: Value,
    id: Option<String>,
}

impl Stream {
    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let text = self.buffer.split_to(end + 2);
                let mut frame = Frame::default();
                for line in std::str::from_utf8(&text).expect("UTF-8").lines() {
                    match line.split_once(": ") {
                        Some(("event", value)) => value.clone_into(&mut frame.event),
                        Some(("data", value)) => {
                            frame.data = serde_json::from_str(value).expect("JSON");
                        }
                        Some(("id", value)) => frame.id = Some(value.to_owned()),
                        _ => assert_eq!(line, ""),
                    }
                }
                return Some(frame);
            }
            let chunk = timeout(SOON, self.body.next())
                .await
                .expect("something is heard soon");
            self.buffer.extend_from_slice(&chunk?.expect("a chunk"));
        }
    }

    /// The next message.
    async fn message(&mut self) -> Frame {
        loop {
            let frame = self.next().await.expect("it goes on");
            match frame.event.as_str() {
                "message" => return frame,
                "ping" => {}
                other => panic!("{other}: {frame:?}"),
            }
        }
    }
}

const PREFIX: &str = "exchange/taskcluster-queue/v1/";

fn query(bindings: &[(&str, &str)]) -> String {
    let bindings: Vec<Value> = bindings
        .iter()
        .map(|(exchange, pattern)| {
            json!({"exchange": format!("{PREFIX}{exchange}"), "routingKeyPattern": pattern})
        })
        .collect();
    format!(
        "bindings={}",
        escaped(&json!({"bindings": bindings}).to_string())
    )
}

fn place(id: &str) -> (i64, i64) {
    let (position, index) = id.split_once('.').unwrap_or((id, "9"));
    (
        position.parse().expect("a number"),
        index.parse().expect("a number"),
    )
}

on_both_databases! {
    async fn listeners_hear_what_they_bound_to(kind) {
        let house = House::new(kind).await;
        let station = Station::over(&house, Pace::default());
        let mut all = station.listen(&house, &[("task-pending", "#"), ("task-defined", "#")]).await;
        let mut routed = station.listen(&house, &[("task-pending", "route.index.*")]).await;
        house.create(json!({})).await;
        let id = house.create(json!({"routes": ["index.a"], "tags": {"a": "b"}})).await;
        for exchange in ["task-defined", "task-pending", "task-defined", "task-pending"] {
            let frame = all.message().await;
            assert_eq!(frame.data["exchange"], format!("{PREFIX}{exchange}"));
        }
        let frame = routed.message().await;
        assert_eq!(frame.data["routes"], json!(["index.a"]));
        assert_eq!(frame.data["redelivered"], false);
        assert_eq!(frame.data["payload"]["status"]["taskId"], id.as_str());
        assert_eq!(frame.data["routing"]["taskId"], id.as_str());
        assert_eq!(frame.data["routing"]["workerId"], "_");
        let key = frame.data["routingKey"].as_str().expect("a key");
        assert!(key.starts_with(&format!("primary.{id}.0._._.")), "{key}");
        assert!(frame.id.is_some());
        // A listener whose connection ends is forgotten.
        drop((all, routed));
        house.draining.cancel();
    }

    async fn one_who_comes_back_hears_what_was_missed_and_nothing_twice(kind) {
        const TASKS: usize = 40;
        let house = Arc::new(House::new(kind).await);
        let station = Station::over(&house, Pace::default());
        let exchanges =
            ["task-defined", "task-pending", "task-running", "task-completed"].map(|it| (it, "#"));
        let query = query(&exchanges);
        let mut stream = station.connect(&house, house.root(), &query, None).await;
        let ready = stream.next().await.expect("it begins");
        let mut last = ready.id.expect("an id");
        let working = tokio::spawn({
            let house = Arc::clone(&house);
            async move {
                for _ in 0..TASKS {
                    let (id, _) = house.claimed(json!({})).await;
                    house.call("reportCompleted", &[&id, "0"], None).await.status_of();
                }
            }
        });
        let mut heard: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        let mut random = 7_u64;
        while ids.len() < TASKS * 4 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if (random >> 60) == 0 {
                // Lost somewhere on the way; what was on its way is lost with it.
                stream = station.connect(&house, house.root(), &query, Some(&last)).await;
                assert_eq!(stream.next().await.expect("it begins").event, "ready");
            }
            let frame = stream.message().await;
            let id = frame.id.expect("an id");
            assert!(place(&id) > place(&last), "{id} behind {last}");
            assert!(ids.insert(id.clone()), "{id} twice");
            last = id;
            let task = frame.data["payload"]["status"]["taskId"].as_str().expect("a task");
            let exchange = frame.data["exchange"].as_str().expect("an exchange");
            let exchange = exchange.trim_start_matches(PREFIX).to_owned();
            heard.entry(task.to_owned()).or_default().push(exchange);
        }
        working.await.expect("the work is done");
        assert_eq!(heard.len(), TASKS);
        for (task, heard) in heard {
            assert_eq!(heard, exchanges.map(|(exchange, _)| exchange), "{task}");
        }
    }

    async fn whoever_was_away_for_too_long_is_told_so(kind) {
        let house = House::new(kind).await;
        let station = Station::over(&house, Pace::default());
        let mut stream = station.listen(&house, &[("task-defined", "#")]).await;
        house.create(json!({})).await;
        let seen = stream.message().await.id.expect("an id");
        house.create(json!({})).await;
        // Whoever comes back from now on is not told of it as of something new.
        stream.message().await;
        let late = house.clock.now().plus(Duration::from_hours(48)).0;
        house
            .store
            .write(Key::of("a test"), move |tx| {
                retention::sweep(tx, late, &Retention::default())
            })
            .await
            .expect("the database answers");
        let far = "999999999".to_owned();
        for last in [seen, far] {
            let query = format!("{}&after={last}", query(&[("task-defined", "#")]));
            let mut stream = station.connect(&house, house.root(), &query, None).await;
            let error = stream.next().await.expect("an error");
            assert_eq!((error.event.as_str(), &error.data), ("error", &json!("expired")));
            assert_eq!(stream.next().await.expect("it goes on").event, "ready");
            let id = house.create(json!({})).await;
            assert_eq!(stream.message().await.data["payload"]["status"]["taskId"], id.as_str());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listening_needs_a_scope() {
    let house = House::new(Kind::Sqlite).await;
    let station = Station::over(&house, Pace::default());
    let query = query(&[("task-defined", "#")]);
    let target = format!("/api/events/v1/connect/?{query}");
    let refused = async |who: Who| {
        let ask = Ask::new("GET", &target).by(who);
        let response = station.events.answer(ask.sign(house.clock.now())).await;
        let answer = Answer::read(response).await;
        (answer.status, answer.json["code"].clone())
    };
    let nothing = house.with(["queue:create-task:*"]);
    assert_eq!(refused(nothing).await, (403, json!("InsufficientScopes")));
    assert_eq!(
        refused(Who::Nobody).await,
        (403, json!("InsufficientScopes"))
    );
    let mut stranger = house.root();
    if let Who::Holder(credentials) = &mut stranger {
        credentials.client_id = "stranger".to_owned();
    }
    assert_eq!(
        refused(stranger).await,
        (401, json!("AuthenticationFailed"))
    );

    let enough = house.with(["web:read-pulse"]);
    let mut stream = station.connect(&house, enough, &query, None).await;
    assert_eq!(stream.next().await.expect("it begins").event, "ready");
    // A browser cannot set headers, so it has the signature in the address.
    let Who::Holder(credentials) = house.root() else {
        panic!("the root client has credentials")
    };
    let signer = Signer::new(&credentials, None).expect("usable credentials");
    let to = Destination {
        target: &target,
        host: "queue.test",
        port: 80,
    };
    let expires = house.clock.now().millis() / 1000 + 60;
    let bewit = signer.bewit(&to, expires);
    let signed = format!("{query}&bewit={bewit}");
    let mut stream = station.connect(&house, Who::Nobody, &signed, None).await;
    assert_eq!(stream.next().await.expect("it begins").event, "ready");
    // Everybody may, if the role of everybody says so.
    let now = house.clock.now().millis();
    let granted = house
        .directory
        .ensure_role(now, "anonymous", &["web:read-pulse"], "");
    granted.await.expect("the role is made");
    let mut stream = station.connect(&house, Who::Nobody, &query, None).await;
    assert_eq!(stream.next().await.expect("it begins").event, "ready");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_said_in_the_stream_and_ends_it() {
    let house = House::new(Kind::Sqlite).await;
    let station = Station::over(&house, Pace::default());
    for (query, says) in [
        (String::new(), "bindings is missing"),
        ("bindings=%7B".to_owned(), "cannot be read"),
        (query(&[]), "empty"),
        (
            query(&[("nowhere", "#")]),
            "no exchange exchange/taskcluster-queue/v1/nowhere",
        ),
        (query(&[("task-defined", &"x".repeat(256))]), "256 bytes"),
        (
            format!("{}&x=1", query(&[("task-defined", "#")])),
            "x is not known",
        ),
        (
            format!("{}&after=z", query(&[("task-defined", "#")])),
            "no id",
        ),
    ] {
        let mut stream = station.connect(&house, house.root(), &query, None).await;
        let frame = stream.next().await.expect("an error");
        assert_eq!(frame.event, "error");
        let text = frame.data.as_str().expect("text");
        assert!(text.contains(says), "{text}");
        assert!(stream.next().await.is_none(), "it ends");
    }
    for (verb, path) in [
        ("GET", "/api/events/v1/else"),
        ("POST", "/api/events/v1/connect/"),
    ] {
        let ask = Ask::new(verb, path).by(house.root());
        let response = station.events.answer(ask.sign(house.clock.now())).await;
        assert_eq!(response.status(), 404, "{verb} {path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_says_that_it_is_alive_and_how_far_it_is() {
    let house = House::new(Kind::Sqlite).await;
    let pace = Pace {
        ping: Duration::from_millis(5),
        ..Pace::default()
    };
    let station = Station::over(&house, pace);
    let mut stream = station.listen(&house, &[("task-completed", "#")]).await;
    let first = stream.next().await.expect("a ping");
    assert_eq!(first.event, "ping");
    assert!(first.data["time"].is_string());
    // What this stream does not want moves it on all the same.
    house.create(json!({})).await;
    let from = place(&first.id.expect("an id"));
    loop {
        let ping = stream.next().await.expect("a ping");
        assert_eq!(ping.event, "ping");
        if place(&ping.id.expect("an id")) > from {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_nobody_takes_it_and_when_the_server_does() {
    let house = House::new(Kind::Sqlite).await;
    let pace = Pace {
        ping: Duration::from_millis(1),
        patience: Duration::from_millis(20),
    };
    let station = Station::over(&house, pace);
    let mut slow = station.listen(&house, &[("task-completed", "#")]).await;
    // It is full of pings before long, and then nobody waits for it any more.
    while station.hub.subscribers() > 0 {
        tokio::task::yield_now().await;
    }
    while slow.next().await.is_some() {}

    let patient = Station::over(&house, Pace::default());
    let mut stream = patient.listen(&house, &[("task-completed", "#")]).await;
    house.draining.cancel();
    assert!(stream.next().await.is_none(), "it ends");
}
