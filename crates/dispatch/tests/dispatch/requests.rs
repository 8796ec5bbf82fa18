//! App Engine tasks, which have addresses and headers of their own.

use taskyard_access::Sealer;
use taskyard_dispatch::request::Rules;
use taskyard_dispatch::{AppEngine, Settings, Tokens, TokensError};
use taskyard_engine::cloud::{
    AppEngineRequest, AppEngineRouting, Method, NewTask, Outcome, Payload, signing_key,
};
use taskyard_store::on_both_databases;

use crate::handler::{Handler, Reply, raw};
use crate::house::{House, eager};

fn app_engine(service: &str, uri: &str) -> NewTask {
    NewTask {
        id: Some(format!("to-{service}")),
        ..NewTask::of(Payload::AppEngine(AppEngineRequest {
            method: Method::Put,
            routing: AppEngineRouting {
                service: service.to_owned(),
                ..AppEngineRouting::default()
            },
            relative_uri: uri.to_owned(),
            headers: vec![
                (
                    "Content-Type".to_owned(),
                    "application/octet-stream".to_owned(),
                ),
                ("Content-Length".to_owned(), "99".to_owned()),
            ],
            body: b"body".to_vec(),
        }))
    }
}

on_both_databases! {
    async fn all_servers_on_a_database_sign_with_one_key_that_only_they_can_read(kind) {
        let house = House::new(kind).await;
        let now = house.clock.now();
        let open = |seed| {
            let store = house.store.clone();
            async move { Tokens::open(&store, &Sealer::new(&[seed; 32]), now, "https://a.test").await }
        };
        let (one, two) = tokio::join!(open(7), open(7));
        let (one, two) = (one.expect("a key"), two.expect("a key"));
        assert_eq!(one.jwks(), two.jwks());
        assert_eq!(open(7).await.expect("a key").jwks(), one.jwks());
        assert!(matches!(open(8).await, Err(TokensError::Seal(_))));
        let stored = house.read(signing_key::get).await.expect("a key");
        assert!(stored.sealed.starts_with("s1:"));
    }

    async fn an_app_engine_task_goes_to_the_address_of_its_service(kind) {
        let mut handler = Handler::start([500, 404].map(Reply::status).to_vec()).await;
        let resets = raw(|connection| async move { drop(connection) }).await;
        let services = [("worker".to_owned(), handler.url.clone()), ("broken".to_owned(), resets)];
        let rules = Rules {
            app_engine: AppEngine { services: services.into(), base: None },
            ..Rules::default()
        };
        let house = House::with(kind, Settings { rules, ..Settings::default() }).await;
        house.queue(eager(3)).await;
        house.create(app_engine("worker", "/job?x=1")).await;
        for (retries, previous, reason) in [
            ("0", None, None),
            ("1", Some("500"), Some("App Error")),
            ("2", Some("404"), Some("App Error")),
        ] {
            let got = handler.next().await;
            assert_eq!((got.method.as_str(), got.uri.as_str()), ("PUT", "/job?x=1"));
            assert_eq!(&got.body[..], b"body");
            for (name, value) in [
                ("content-length", Some("4")),
                ("content-type", Some("application/octet-stream")),
                ("user-agent", Some("AppEngine-Google; (+http://code.google.com/appengine)")),
                ("x-appengine-queuename", Some("q")),
                ("x-appengine-taskname", Some("to-worker")),
                ("x-appengine-taskretrycount", Some(retries)),
                // Here every answer counts.
                ("x-appengine-taskexecutioncount", Some(retries)),
                ("x-appengine-taskpreviousresponse", previous),
                ("x-appengine-taskretryreason", reason),
                ("x-cloudtasks-queuename", None),
            ] {
                assert_eq!(got.header(name), value, "{name}");
            }
        }
        let broken = house.create(app_engine("broken", "")).await;
        let log = house.attempts(&broken, 3).await;
        assert!(log.iter().all(|attempt| attempt.outcome == Outcome::Unreachable));
        let nowhere = house.create(app_engine("other", "/")).await;
        let log = house.attempts(&nowhere, 3).await;
        assert_eq!(log[0].outcome, Outcome::Refused);
        assert!(log[0].excerpt.contains("no address for the App Engine service other"));
    }
}
