//! Queues are made, changed, listed, paused and deleted.

use taskyard_engine::MIGRATIONS;
use taskyard_engine::cloud::location;
use taskyard_engine::cloud::queue::{self, Page};
use taskyard_engine::cloud::{
    self, HttpTarget, Origin, Queue, Refusal, Settings, State, create, policy,
};
use taskyard_store::testing::Database;
use taskyard_store::{Key, Migration, on_both_databases, params};

use crate::yard::{QUEUE, START, Yard, after, limited, message, named, pull, secs, unnamed};

on_both_databases! {
    async fn a_queue_is_created_once_and_found_as_it_was_made(kind) {
        let yard = Yard::new(kind);
        let settings = limited(2.5, 7, 3);
        let made = yard.queue(QUEUE, settings.clone()).await.expect("created");
        assert_eq!(made.state, State::Running);
        assert_eq!(made.settings, settings);
        assert_eq!(yard.look().await, made);
        assert_eq!((made.project(), made.location(), made.id()), ("p", "l", "q"));
        assert_eq!(
            yard.queue(QUEUE, Settings::default()).await,
            Err(Refusal::QueueExists)
        );
    }

    async fn locations_are_known_by_their_queues(kind) {
        let yard = Yard::new(kind);
        let all = |most: usize| yard.read(move |tx| location::all(tx, most));
        assert!(all(9).await.is_empty());
        let names = ["b/locations/y/queues/q", "a/locations/x/queues/r", "a/locations/x/queues/q",
            "a/locations/x-1/queues/q", "b/locations/x/queues/q"];
        for name in names {
            let name = format!("projects/{name}");
            yard.queue(&name, Settings::default()).await.expect("created");
        }
        // As strings they stand in another order: `-` comes before `/`.
        let places = ["a/locations/x-1", "a/locations/x", "b/locations/x", "b/locations/y"];
        let places = places.map(|place| format!("projects/{place}"));
        assert_eq!(all(9).await, places);
        assert_eq!(all(2).await, places[..2]);
        let of_a = yard.read(|tx| location::in_use(tx, "projects/a")).await;
        assert_eq!(of_a, ["x-1", "x"]);
    }

    async fn a_queue_of_an_earlier_release_is_of_the_kind_it_was(kind) {
        let database = Database::new(kind);
        let cloud: Vec<Migration> = cloud::MIGRATIONS.iter().take(2).copied().collect();
        let store = database.open(&[MIGRATIONS, &cloud, taskyard_events::MIGRATIONS].concat());
        let other = "projects/p/locations/l/queues/other";
        // What a user says may look like the kind.
        let mut push = Settings::default();
        let target = HttpTarget {
            headers: vec![("X".to_owned(), "\"kind\":\"Pull\"".to_owned())],
            ..HttpTarget::default()
        };
        push.http_target = Some(target);
        for (number, name, settings) in [(1000, QUEUE, pull()), (1001, other, push)] {
            let settings = serde_json::to_string(&settings).expect("json");
            let inserted = store.write(Key::of("any"), move |tx| {
                let insert = "INSERT INTO cloud_queues \
                     (number, name, generation, state, origin, settings, created_at) \
                     VALUES ($1, $2, $1, 'running', 'api', $3, $4)";
                tx.execute(insert, params![number, name, &settings, START])
            });
            inserted.await.expect("inserted");
        }
        drop(store);
        let yard = Yard::over(database);
        yard.create(START, message("a", "")).await.expect("a pull queue");
        assert_eq!(yard.create(START, unnamed()).await, Err(Refusal::NotPush));
        let created = yard.write(move |tx| create::create(tx, START, other, &unnamed()));
        created.await.expect("a push queue");
    }

    async fn a_change_sees_what_there_is_and_makes_what_there_is_not(kind) {
        let yard = Yard::new(kind);
        let change = |rate: f64| {
            yard.write(move |tx| {
                queue::update(tx, START, QUEUE, Origin::Api, |known| {
                    let known = known.map(|queue| queue.settings.clone());
                    if rate < 0.0 {
                        return Err("negative");
                    }
                    let mut settings = known.unwrap_or_default();
                    settings.rate_limits.max_dispatches_per_second = rate;
                    Ok(settings)
                })
            })
        };
        let rate = |queue: Queue| queue.settings.rate_limits.max_dispatches_per_second;
        assert_eq!(change(3.0).await.map(|made| made.map(rate)), Ok(Ok(3.0)));
        assert_eq!(change(4.0).await.map(|made| made.map(rate)), Ok(Ok(4.0)));
        assert_eq!(change(-1.0).await, Err("negative"));
        assert!((rate(yard.look().await) - 4.0).abs() < f64::EPSILON);
        let refused = yard
            .write(|tx| queue::update(tx, START, QUEUE, Origin::Api, |_| Ok::<_, ()>(pull())))
            .await;
        assert_eq!(refused, Ok(Err(Refusal::KindChange)));
    }

    async fn a_list_continues_where_it_stopped_and_keeps_to_its_parent(kind) {
        let yard = Yard::new(kind);
        for id in ["b", "a", "c", "a-b"] {
            let name = format!("projects/p/locations/l/queues/{id}");
            yard.queue(&name, Settings::default()).await.expect("created");
        }
        yard.queue("projects/p/locations/l2/queues/z", Settings::default())
            .await
            .expect("created");
        let list = |after: Option<&str>, limit, keep: fn(&Queue) -> bool| {
            let after = after.map(str::to_owned);
            yard.read(move |tx| {
                queue::list(tx, "projects/p/locations/l", after.as_deref(), limit, &keep)
            })
        };
        let ids = |page: &Page<Queue, String>| -> Vec<String> {
            page.items.iter().map(|queue| queue.id().to_owned()).collect()
        };
        let first = list(None, 2, |_| true).await;
        assert_eq!(ids(&first), ["a", "a-b"]);
        let second = list(first.next.as_deref(), 2, |_| true).await;
        assert_eq!((ids(&second), second.next.clone()), (vec!["b".to_owned(), "c".to_owned()], None));
        let kept = list(None, 10, |queue| queue.id() == "c").await;
        assert_eq!((ids(&kept), kept.next), (vec!["c".to_owned()], None));
    }

    async fn a_deleted_queue_is_gone_with_its_tasks_and_its_name_may_be_reserved(kind) {
        let yard = Yard::with(kind, Settings::default()).await;
        yard.create(START, named("a")).await.expect("created");
        let delete = |now, reserve| yard.write(move |tx| queue::delete(tx, now, QUEUE, secs(reserve)));
        assert_eq!(delete(START, 60).await, Ok(()));
        assert_eq!(delete(START, 60).await, Err(Refusal::QueueMissing));
        assert_eq!(yard.get(START, "a").await, Err(Refusal::QueueMissing));
        assert_eq!(
            yard.queue(QUEUE, Settings::default()).await,
            Err(Refusal::QueueTombstoned)
        );
        let again = yard
            .write(|tx| queue::create(tx, after(60_000), QUEUE, &Settings::default(), Origin::Api))
            .await;
        assert!(again.is_ok(), "{again:?}");
        // A new queue knows nothing of the old one's tasks.
        assert_eq!(yard.get(after(60_000), "a").await, Err(Refusal::TaskMissing));
        assert!(yard.create(after(60_000), named("a")).await.is_ok());
    }

    async fn a_paused_queue_takes_tasks_and_sends_none_until_it_is_resumed(kind) {
        let yard = Yard::with(kind, Settings::default()).await;
        let paused = yard.write(|tx| queue::pause(tx, QUEUE)).await;
        assert_eq!(paused.map(|queue| queue.state), Ok(State::Paused));
        yard.create(START, unnamed()).await.expect("created");
        assert!(yard.claim(START, 10).await.dispatches.is_empty());
        yard.write(|tx| queue::resume(tx, QUEUE)).await.expect("resumed");
        assert_eq!(yard.claim(START, 10).await.dispatches.len(), 1);
    }

    async fn a_policy_is_replaced_only_by_who_has_read_it(kind) {
        let yard = Yard::with(kind, Settings::default()).await;
        let set = |expected: Option<Vec<u8>>, text: &'static str| {
            yard.write(move |tx| policy::set(tx, QUEUE, expected.as_deref(), text))
        };
        let get = || yard.read(|tx| policy::get(tx, QUEUE));
        assert_eq!(get().await, Ok(None));
        let first = set(Some(policy::EMPTY_ETAG.to_vec()), "one").await.expect("set");
        assert_eq!(
            set(Some(policy::EMPTY_ETAG.to_vec()), "two").await,
            Err(Refusal::EtagMismatch)
        );
        let second = set(Some(first.etag.clone()), "two").await.expect("set");
        assert_ne!(first.etag, second.etag);
        assert_eq!(get().await, Ok(Some(second)));
        assert_eq!(set(None, "three").await.expect("set").document, "three");
        let missing = yard.read(|tx| policy::get(tx, "projects/p/locations/l/queues/no")).await;
        assert_eq!(missing, Err(Refusal::QueueMissing));
    }
}
