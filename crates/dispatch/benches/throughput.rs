//! Tasks from their creation to their handler, in one process: how many a second, and how late.
//!
//! `cargo bench -p taskyard-dispatch --bench throughput -- [seconds] [creators] [queues]`; with
//! `TASKYARD_TEST_DATABASE_URL` and a fourth argument `postgres` on PostgreSQL.
#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use taskyard_dispatch::{Dispatcher, Settings, Tokens};
use taskyard_engine::clock::Clock;
use taskyard_engine::cloud::create::{self, NewTask};
use taskyard_engine::cloud::{self, HttpRequest, Origin, Payload, queue};
use taskyard_engine::{MIGRATIONS, Timestamp};
use taskyard_outbound::{Client, Rules};
use taskyard_store::Key;
use taskyard_store::testing::{Database, Kind};
use tokio::net::TcpListener;

fn main() {
    let given: Vec<String> = std::env::args()
        .filter(|given| given != "--bench")
        .collect();
    let number = |at: usize, default: usize| {
        given
            .get(at)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (seconds, creators, queues) = (number(1, 5), number(2, 64), number(3, 10));
    let kind = match given.get(4).map(String::as_str) {
        Some("postgres") => Kind::Postgres,
        _ => Kind::Sqlite,
    };
    tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(run(
            kind,
            Duration::from_secs(seconds as u64),
            creators,
            queues,
        ));
}

async fn run(kind: Kind, time: Duration, creators: usize, queues: usize) {
    let database = Database::new(kind);
    let migrations = [MIGRATIONS, cloud::MIGRATIONS, taskyard_events::MIGRATIONS];
    let store = database.open(&migrations.concat());
    let clock = Clock::default();
    let client = Client::new(&taskyard_outbound::Settings {
        rules: Rules::with_loopback(),
        ..taskyard_outbound::Settings::default()
    });
    let key = include_bytes!("../tests/dispatch/signing-key.der");
    let tokens = Arc::new(Tokens::from_pkcs8(key, "https://bench.test").expect("a key"));
    let client = client.expect("a client");
    let settings = Settings::default();
    Dispatcher::start(store.clone(), clock.clone(), client, tokens, settings)
        .await
        .expect("it starts");

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let delays: Arc<parking_lot::Mutex<Vec<u64>>> = Arc::default();
    let (seen, now) = (Arc::clone(&delays), clock.clone());
    let router = Router::new().fallback(move |body: String| {
        let created = Timestamp(body.parse().expect("a time"));
        let late = now.now().since(created);
        seen.lock().push(late.as_micros() as u64);
        async { StatusCode::NO_CONTENT }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });

    let names: Vec<String> = (0..queues)
        .map(|at| format!("projects/p/locations/l/queues/q{at}"))
        .collect();
    for name in &names {
        let (name, now) = (name.clone(), clock.now());
        let mut settings = cloud::Settings::default();
        // Beyond what an API allows: the point is to find the limit of the machine.
        settings.rate_limits.max_dispatches_per_second = 100_000.0;
        settings.rate_limits.max_burst_size = 1000;
        store
            .write(Key::of(0), move |tx| {
                queue::create(tx, now, &name, &settings, Origin::Api)
            })
            .await
            .expect("written")
            .expect("created");
    }
    tokio::time::sleep(Duration::from_millis(200)).await;

    let created = Arc::new(AtomicUsize::new(0));
    let (commits, started) = (store.commits(), Instant::now());
    let mut running = tokio::task::JoinSet::new();
    for at in 0..creators {
        let (store, clock, url) = (store.clone(), clock.clone(), url.clone());
        let (name, created) = (names[at % queues].clone(), Arc::clone(&created));
        running.spawn(async move {
            while started.elapsed() < time {
                let (now, name, url) = (clock.now(), name.clone(), url.clone());
                let key = queue::key(&name);
                let new = NewTask::of(Payload::Http(HttpRequest {
                    url,
                    body: now.0.to_string().into_bytes(),
                    ..HttpRequest::default()
                }));
                store
                    .write(key, move |tx| create::create(tx, now, &name, &new))
                    .await
                    .expect("written")
                    .expect("created");
                created.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    running.join_all().await;
    let created = created.load(Ordering::Relaxed);
    let creating = started.elapsed();
    while delays.lock().len() < created {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let delivering = started.elapsed();
    let mut delays = std::mem::take(&mut *delays.lock());
    delays.sort_unstable();
    let part = |percent: usize| delays[(delays.len() - 1) * percent / 100] as f64 / 1000.0;
    println!(
        "{kind:?}: {created} tasks; created {:.0}/s, delivered {:.0}/s; delay p50 {:.1} ms, p99 \
         {:.1} ms, most {:.1} ms; {} commits",
        created as f64 / creating.as_secs_f64(),
        created as f64 / delivering.as_secs_f64(),
        part(50),
        part(99),
        part(100),
        store.commits() - commits,
    );
}
