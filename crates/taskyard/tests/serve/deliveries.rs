//! kill -9 while tasks of a cloud queue are being sent: every task that was acknowledged gets to
//! its handler.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use taskyard_client::cloudtasks::{
    CloudTasks, HttpRequest, Options, Queue, RateLimits, Task, View,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::postgres::Remote;
use crate::process::{Ground, PATIENCE, Server, soon};

const PLACE: &str = "projects/p/locations/l";
/// Callers that create tasks at the same time.
const CREATORS: usize = 3;
/// Requests that the handler holds when the server is killed.
const HELD: usize = 40;

/// What the handler was sent.
#[derive(Debug, Clone, Default)]
struct Received {
    /// The ids of tasks that were answered with success.
    done: BTreeSet<String>,
    /// Those whose requests are held, or were when the server was killed.
    held: BTreeSet<String>,
    /// How often a task had been sent before, as its last request says.
    retries: BTreeMap<String, u32>,
}

/// A handler that answers every other request, and holds the rest until its gate is open.
struct Handler {
    url: String,
    received: watch::Sender<Received>,
    gate: watch::Sender<bool>,
}

impl Handler {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (received, _) = watch::channel(Received::default());
        let (gate, _) = watch::channel(false);
        let (noting, opening) = (received.clone(), gate.clone());
        let router = Router::new().fallback(move |headers: HeaderMap| {
            let (received, gate) = (noting.clone(), opening.subscribe());
            answer(headers, received, gate)
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            url,
            received,
            gate,
        }
    }

    /// Waits until what was received is so.
    async fn until(&self, is_so: impl FnMut(&Received) -> bool) -> Received {
        let mut received = self.received.subscribe();
        soon(received.wait_for(is_so)).await.unwrap().clone()
    }
}

async fn answer(
    headers: HeaderMap,
    received: watch::Sender<Received>,
    mut gate: watch::Receiver<bool>,
) -> StatusCode {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let id = text("x-cloudtasks-taskname");
    let retries = text("x-cloudtasks-taskretrycount").parse().unwrap();
    let mut is_held = false;
    received.send_modify(|received| {
        received.retries.insert(id.clone(), retries);
        let is_open = *gate.borrow();
        is_held = !is_open && (received.done.len() + received.held.len()) % 2 == 0;
        if is_held {
            received.held.insert(id.clone());
        }
    });
    if is_held {
        // The server that asked may be gone by then, and this future with it.
        gate.wait_for(|is_open| *is_open).await.unwrap();
    }
    received.send_modify(|received| {
        received.done.insert(id);
    });
    StatusCode::OK
}

fn client(server: &Server) -> CloudTasks {
    CloudTasks::new(Options::at(&server.url)).unwrap()
}

/// Ids of tasks whose creation was acknowledged.
type Ledger = Arc<Mutex<BTreeSet<String>>>;

/// Creates tasks for `handler` until the server is gone.
fn create(load: &mut JoinSet<()>, server: &Server, round: usize, handler: &str, ledger: &Ledger) {
    for creator in 0..CREATORS {
        let (client, ledger) = (client(server), Arc::clone(ledger));
        let request = HttpRequest::post(handler, "work");
        load.spawn(async move {
            let queue = Queue::named(PLACE, "q").name;
            for number in 0.. {
                let id = format!("{round}-{creator}-{number}");
                let task = Task::http(request.clone()).named(&queue, &id);
                if client.create_task(&queue, &task).await.is_err() {
                    return;
                }
                ledger.lock().unwrap().insert(id);
            }
        });
    }
}

async fn check(ground: &Ground, rounds: usize) {
    let handler = Handler::start().await;
    let ledger = Ledger::default();
    let arguments = ["--dev", "--log-level", "warn"];
    let mut held = BTreeSet::new();
    for round in 0..rounds {
        let server = ground.serve(&arguments).await;
        if round == 0 {
            let mut queue = Queue::named(PLACE, "q");
            queue.rate_limits = Some(RateLimits {
                max_concurrent_dispatches: Some(5000),
                ..RateLimits::default()
            });
            client(&server).create_queue(PLACE, &queue).await.unwrap();
        }
        handler
            .received
            .send_modify(|received| received.held.clear());
        let mut load = JoinSet::new();
        create(&mut load, &server, round, &handler.url, &ledger);
        handler.until(|received| received.held.len() >= HELD).await;
        server.kill().await;
        while let Some(ended) = soon(load.join_next()).await {
            ended.unwrap();
        }
        let at_last = handler.received.borrow().clone();
        held.extend(at_last.held.difference(&at_last.done).cloned());
    }
    assert!(held.len() >= HELD, "requests were under way");

    handler.gate.send_replace(true);
    let server = ground.serve(&arguments).await;
    // Whoever has been silent until now is lost.
    server.advance(Duration::from_secs(20)).await;
    let acknowledged = ledger.lock().unwrap().clone();
    let all = handler
        .until(|received| received.done.is_superset(&acknowledged))
        .await;
    // What was under way is known to have been: handlers are told.
    for id in &held {
        assert!(all.done.contains(id), "{id} was lost");
        assert!(
            all.retries[id] > 0,
            "{id} was sent twice and said to be new"
        );
    }
    // A last answer may be on its way into the database.
    let emptied = async {
        let queue = Queue::named(PLACE, "q").name;
        loop {
            let mut left = client(&server).list_tasks(&queue, View::Basic, 1);
            if left.next().await.unwrap().is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, emptied)
        .await
        .expect("nothing is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_task_is_delivered_whatever_is_killed_on_sqlite() {
    check(&Ground::new(), 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_task_is_delivered_whatever_is_killed_on_postgres() {
    let remote = Remote::new().await;
    check(&Ground::on_postgres(&remote.url), 3).await;
    remote.end().await;
}
