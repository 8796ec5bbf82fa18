//! What a lost server had under way reaches its handler again.

use std::time::Duration;

use taskyard_dispatch::Settings;
use taskyard_engine::clock::Clock;
use taskyard_engine::cloud::{self, Refusal};
use taskyard_store::on_both_databases;
use taskyard_store::testing::{Database, Kind};

use crate::handler::{Handler, Reply};
use crate::house::{House, QUEUE, dispatcher, named, open, timer};

on_both_databases! {
    async fn a_task_under_way_when_its_server_is_lost_is_delivered_again(kind) {
        let database = Database::new(kind);
        let hangs = Reply { after: Duration::from_hours(1), ..Reply::status(200) };
        let mut handler = Handler::start(vec![hangs]).await;
        let clock = Clock::default();
        // A server on threads of its own, which end without a word.
        let lost = {
            let store = open(&database);
            let clock = clock.clone();
            let url = handler.url.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()
                    .expect("a runtime");
                let task = runtime.block_on(async {
                    dispatcher(&store, &clock, Settings::default()).await;
                    let now = clock.now();
                    store
                        .write(taskyard_store::Key::of(1), move |tx| {
                            cloud::queue::create(
                                tx, now, QUEUE, &cloud::Settings::default(), cloud::Origin::Api,
                            )?
                            .expect("created");
                            cloud::create::create(tx, now, QUEUE, &named("a", &url))
                        })
                        .await
                        .expect("written")
                        .expect("created")
                });
                (runtime, store, task)
            })
            .join()
            .expect("it starts")
        };
        let first = handler.next().await;
        assert_eq!(first.header("x-cloudtasks-taskretrycount"), Some("0"));
        let (runtime, store, task) = lost;
        runtime.shutdown_background();
        drop(store);

        // An embedded database has one process at a time: what it finds under way is lost.
        let store = loop {
            match database.try_open(
                &[taskyard_engine::MIGRATIONS, cloud::MIGRATIONS, taskyard_events::MIGRATIONS].concat(),
            ) {
                Ok(store) => break store,
                // The lost server's threads still let go of the file.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        timer(&store, &clock);
        let settings = Settings { is_alone: kind == Kind::Sqlite, ..Settings::default() };
        let dispatcher = dispatcher(&store, &clock, settings).await;
        if kind == Kind::Postgres {
            // The other is believed to live for a while.
            clock.move_by(16_000_000);
        }
        let house = House { dispatcher, clock, store, database };
        let again = handler.next().await;
        assert_eq!(again.header("x-cloudtasks-taskname"), Some("a"));
        assert_eq!(again.header("x-cloudtasks-taskretrycount"), Some("1"));
        assert_eq!(again.header("x-cloudtasks-taskpreviousresponse"), Some("504"));
        house.attempts(&task, 1).await;
        assert_eq!(house.get("a").await, Err(Refusal::TaskGone));
    }
}
