//! Rate and concurrency as handlers see them, also with two servers on one database.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use taskyard_dispatch::request::Rules;
use taskyard_dispatch::{AppEngine, Settings};
use taskyard_engine::cloud::{self, AppEngineRequest, NewTask, Payload};
use taskyard_store::on_both_databases;
use taskyard_store::testing::Kind;

use crate::handler::{Handler, Reply};
use crate::house::{House, QUEUE, dispatcher, open, timer, to};

/// Settings of a server that calls `handler` by the name `host`, by which that knows it.
fn calling(host: &str, handler: &Handler) -> Settings {
    let (_, port) = handler.url.rsplit_once(':').expect("a port");
    let app_engine = AppEngine {
        base: Some(format!("http://{host}:{port}")),
        ..AppEngine::default()
    };
    Settings {
        rules: Rules {
            app_engine,
            ..Rules::default()
        },
        ..Settings::default()
    }
}

const RATE: f64 = 50.0;
const BURST: i32 = 5;
const CONCURRENT: i32 = 4;
const TASKS: usize = 60;

/// When each of as many tasks came to the handler; by whose hands is added to `servers`.
async fn times(
    house: &House,
    handler: &mut Handler,
    servers: &mut BTreeSet<String>,
) -> Vec<Instant> {
    for _ in 0..TASKS {
        let payload = Payload::AppEngine(AppEngineRequest::default());
        house.create(NewTask::of(payload)).await;
    }
    let mut times = Vec::new();
    for _ in 0..TASKS {
        let got = handler.next().await;
        servers.insert(got.header("host").expect("a host").to_owned());
        times.push(got.at);
    }
    times
}

/// In no window more than the burst and what the rate brings in it. Requests may take unequally
/// long from the claim to the handler, so a window may seem shorter than it was.
fn check_rate(times: &[Instant]) {
    let jitter = Duration::from_millis(150);
    for (at, first) in times.iter().enumerate() {
        for (count, last) in times.iter().enumerate().skip(at) {
            let seen = (count - at + 1) as f64;
            let window = (last.duration_since(*first) + jitter).as_secs_f64();
            assert!(
                seen <= f64::from(BURST) + RATE * window + 1.0,
                "{seen} in {window} s"
            );
        }
    }
    let took = times[times.len() - 1].duration_since(times[0]);
    let least = (times.len() as f64 - f64::from(BURST)) / RATE;
    assert!(
        (took + jitter).as_secs_f64() >= least,
        "{took:?}, not less than {least} s"
    );
}

on_both_databases! {
    async fn however_many_servers_a_handler_sees_no_more_than_the_rate_and_the_concurrency(kind) {
        let slow = Reply { after: Duration::from_millis(15), ..Reply::status(200) };
        let mut handler = Handler::always(vec![], slow).await;
        let house = House::with(kind, calling("127.0.0.1", &handler)).await;
        let second = (kind == Kind::Postgres).then(|| open(&house.database));
        if let Some(store) = &second {
            timer(store, &house.clock);
            dispatcher(store, &house.clock, calling("localhost", &handler)).await;
        }
        let mut settings = cloud::Settings::default();
        settings.rate_limits.max_dispatches_per_second = RATE;
        settings.rate_limits.max_burst_size = BURST;
        settings.rate_limits.max_concurrent_dispatches = CONCURRENT;
        house.queue(settings).await;
        let wanted = if second.is_some() { 2 } else { 1 };
        let mut servers = BTreeSet::new();
        // Until each server has taken part: one may be done before the other has begun.
        for _ in 0..60 {
            let times = times(&house, &mut handler, &mut servers).await;
            let most = handler.most.load(Ordering::SeqCst);
            assert!(most <= CONCURRENT as usize, "{most} at once");
            check_rate(&times);
            if servers.len() == wanted {
                break;
            }
        }
        assert_eq!(servers.len(), wanted, "{servers:?}");
    }

    async fn no_more_is_under_way_than_there_is_memory_for(kind) {
        const LARGE: usize = 1_000_000;
        let settings = Settings { room_bytes: 3 * LARGE, ..Settings::default() };
        let house = House::with(kind, settings).await;
        house.queue(cloud::Settings::default()).await;
        let slow = Reply { after: Duration::from_millis(30), ..Reply::status(200) };
        let mut handler = Handler::always(vec![], slow).await;
        for _ in 0..12 {
            let mut large = to(&handler.url);
            if let cloud::Payload::Http(request) = &mut large.payload {
                request.body = vec![7; LARGE];
            }
            house.create(large).await;
        }
        for _ in 0..12 {
            assert_eq!(handler.next().await.body.len(), LARGE);
        }
        let most = handler.most.load(Ordering::SeqCst);
        assert!(most <= 3, "{most} of 1 MB at once, with room for 3 MB");
    }

    async fn a_new_rate_holds_at_once_for_tasks_that_wait_for_the_old_one(kind) {
        let house = House::new(kind).await;
        let mut settings = cloud::Settings::default();
        settings.rate_limits.max_dispatches_per_second = 0.001;
        settings.rate_limits.max_burst_size = 1;
        house.queue(settings.clone()).await;
        let mut handler = Handler::start(vec![]).await;
        for _ in 0..3 {
            house.create(to(&handler.url)).await;
        }
        handler.next().await;
        let now = house.clock.now();
        settings.rate_limits.max_dispatches_per_second = 100.0;
        house
            .write(move |tx| {
                cloud::queue::update(tx, now, QUEUE, cloud::Origin::Api, |_| Ok::<_, ()>(settings.clone()))
            })
            .await
            .expect("asked")
            .expect("changed");
        handler.next().await;
        handler.next().await;
    }

    async fn a_queue_that_is_paused_costs_the_others_nothing(kind) {
        let house = House::new(kind).await;
        let mut handler = Handler::start(vec![]).await;
        house.queue(cloud::Settings::default()).await;
        let now = house.clock.now();
        let other = "projects/p/locations/l/queues/paused";
        house.write(move |tx| {
            cloud::queue::create(tx, now, other, &cloud::Settings::default(), cloud::Origin::Api)
        }).await.expect("created");
        house.write(move |tx| cloud::queue::pause(tx, other)).await.expect("paused");
        let url = handler.url.clone();
        for _ in 0..4 {
            let url = url.clone();
            house.write(move |tx| {
                for _ in 0..50 {
                    cloud::create::create(tx, now, other, &to(&url))?.expect("created");
                }
                Ok(())
            }).await;
        }
        let commits = house.store.commits();
        for _ in 0..20 {
            house.create(to(&handler.url)).await;
            let got = handler.next().await;
            assert_eq!(got.header("x-cloudtasks-queuename"), Some("q"));
        }
        // A create, a claim and a record each, and now and then a heartbeat or an empty claim.
        let commits = house.store.commits() - commits;
        assert!(commits <= 100, "{commits} commits for 20 tasks");
        assert!(handler.rest().is_empty());
    }
}
