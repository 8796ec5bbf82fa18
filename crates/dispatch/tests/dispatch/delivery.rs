//! Tasks reach their handlers, and what these answer counts.

use std::time::Duration;

use taskyard_engine::cloud::dispatch;
use taskyard_engine::cloud::{
    self, Authorization, HttpRequest, HttpTarget, NewTask, Outcome, Payload, Refusal, UriOverride,
    queue,
};
use taskyard_store::on_both_databases;

use crate::handler::{Handler, Reply};
use crate::house::{House, ISSUER, QUEUE, SOON, eager, named, to};

on_both_databases! {
    async fn a_task_reaches_its_handler_with_what_it_was_created_with_and_what_tells_about_it(kind) {
        let house = House::new(kind).await;
        house.queue(cloud::Settings::default()).await;
        let mut handler = Handler::start(vec![]).await;
        let request = HttpRequest {
            url: format!("{}/path?x=%zz", handler.url),
            headers: vec![
                ("X-Mine".to_owned(), "yes".to_owned()),
                ("X-AppEngine-QueueName".to_owned(), "forged".to_owned()),
                ("X-CloudTasks-TaskRetryCount".to_owned(), "77".to_owned()),
            ],
            body: b"{\"a\":1}".to_vec(),
            ..HttpRequest::default()
        };
        let task = house
            .create(NewTask { id: Some("a".to_owned()), ..NewTask::of(Payload::Http(request)) })
            .await;
        let got = handler.next().await;
        assert_eq!((got.method.as_str(), got.uri.as_str()), ("POST", "/path?x=%zz"));
        assert_eq!(&got.body[..], b"{\"a\":1}");
        let eta = format!("{}.{:06}", task.schedule_time.0 / 1_000_000, task.schedule_time.0 % 1_000_000);
        for (name, value) in [
            ("x-mine", "yes"),
            ("user-agent", "Google-Cloud-Tasks"),
            ("content-length", "7"),
            ("host", handler.url.trim_start_matches("http://")),
            ("x-cloudtasks-queuename", "q"),
            ("x-cloudtasks-taskname", "a"),
            ("x-cloudtasks-taskretrycount", "0"),
            ("x-cloudtasks-taskexecutioncount", "0"),
            ("x-cloudtasks-tasketa", eta.as_str()),
        ] {
            assert_eq!(got.header(name), Some(value), "{name}");
        }
        for name in ["content-type", "authorization", "x-appengine-queuename",
            "x-cloudtasks-taskpreviousresponse", "x-cloudtasks-taskretryreason"] {
            assert_eq!(got.header(name), None, "{name}");
        }
        assert_eq!(got.headers.get_all("x-cloudtasks-taskretrycount").iter().count(), 1);
        house.attempts(&task, 1).await;
        assert_eq!(house.get("a").await, Err(Refusal::TaskGone));
    }

    async fn retries_tell_what_came_before(kind) {
        let house = House::new(kind).await;
        house.queue(eager(100)).await;
        let replies = [503, 404, 429, 500, 302].map(Reply::status).to_vec();
        let mut handler = Handler::start(replies).await;
        let task = house.create(to(&handler.url)).await;
        let expected = [
            ("0", "0", None),
            ("1", "0", Some("503")),
            ("2", "1", Some("404")),
            ("3", "2", Some("429")),
            ("4", "2", Some("500")),
            ("5", "3", Some("302")),
        ];
        for (retries, executions, previous) in expected {
            let got = handler.next().await;
            assert_eq!(got.header("x-cloudtasks-taskretrycount"), Some(retries));
            assert_eq!(got.header("x-cloudtasks-taskexecutioncount"), Some(executions));
            assert_eq!(got.header("x-cloudtasks-taskpreviousresponse"), previous);
            assert_eq!(got.header("x-cloudtasks-taskretryreason"), previous.map(|_| ""));
        }
        let log = house.attempts(&task, 6).await;
        let statuses: Vec<Outcome> = log.iter().map(|attempt| attempt.outcome).collect();
        let expected = [503, 404, 429, 500, 302, 200].map(Outcome::Status);
        assert_eq!(statuses, expected);
    }

    async fn a_redirect_is_an_answer_and_nobody_is_sent_there(kind) {
        let house = House::new(kind).await;
        house.queue(eager(1)).await;
        let mut elsewhere = Handler::start(vec![]).await;
        let location = elsewhere.url.parse().expect("a header");
        let redirect = Reply { header: Some(("location", location)), ..Reply::status(307) };
        let handler = Handler::start(vec![redirect]).await;
        let task = house.create(to(&handler.url)).await;
        let log = house.attempts(&task, 1).await;
        assert_eq!(log[0].outcome, Outcome::Status(307));
        assert_eq!(elsewhere.rest().len(), 0);
    }

    async fn a_queues_overrides_hold_for_tasks_that_wait(kind) {
        let house = House::new(kind).await;
        let mut handler = Handler::start(vec![]).await;
        house.queue(cloud::Settings::default()).await;
        house.write(|tx| queue::pause(tx, QUEUE)).await.expect("paused");
        let mut new = to("http://nowhere.invalid/own?x=1");
        if let Payload::Http(request) = &mut new.payload {
            request.headers = vec![
                ("X-Both".to_owned(), "task".to_owned()),
                ("Authorization".to_owned(), "Basic mine".to_owned()),
            ];
        }
        house.create(new).await;
        let (host, port) = handler.url.trim_start_matches("http://").rsplit_once(':').expect("a port");
        let (host, port) = (host.to_owned(), port.parse::<i64>().expect("a port"));
        let now = house.clock.now();
        house
            .write(move |tx| {
                queue::update(tx, now, QUEUE, cloud::Origin::Api, |known| {
                    let known = known.ok_or(())?;
                    Ok::<_, ()>(cloud::Settings {
                        http_target: Some(HttpTarget {
                            uri_override: Some(UriOverride {
                                scheme: Some(cloud::Scheme::Http),
                                host: Some(host.clone()),
                                port: Some(port),
                                ..UriOverride::default()
                            }),
                            method: Some(cloud::Method::Get),
                            headers: vec![
                                ("x-both".to_owned(), "queue".to_owned()),
                                ("User-Agent".to_owned(), "mine".to_owned()),
                                ("X-CloudTasks-TaskName".to_owned(), "mine".to_owned()),
                            ],
                            authorization: Some(Authorization::Oidc {
                                email: "a@b.test".to_owned(),
                                audience: String::new(),
                            }),
                        }),
                        ..known.settings.clone()
                    })
                })
            })
            .await
            .expect("asked")
            .expect("changed");
        house.write(|tx| queue::resume(tx, QUEUE)).await.expect("resumed");
        let got = handler.next().await;
        assert_eq!((got.method.as_str(), got.uri.as_str()), ("GET", "/own?x=1"));
        assert!(got.body.is_empty());
        assert_eq!(got.headers.get_all("x-both").iter().collect::<Vec<_>>(), ["queue"]);
        assert_eq!(got.header("user-agent"), Some("Google-Cloud-Tasks"));
        assert_ne!(got.header("x-cloudtasks-taskname"), Some("mine"));
        let bearer = got.header("authorization").expect("a token");
        let (_, claims) = bearer.split_once('.').expect("a token");
        let (claims, _) = claims.split_once('.').expect("a token");
        let claims = base64_url(claims);
        let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
        assert_eq!(claims["aud"], format!("{}/own?x=1", handler.url));
        assert_eq!(claims["iss"], ISSUER);
    }

    async fn running_a_paused_queues_task_sends_it_once(kind) {
        let house = House::new(kind).await;
        house.queue(cloud::Settings::default()).await;
        house.write(|tx| queue::pause(tx, QUEUE)).await.expect("paused");
        let mut handler = Handler::start(vec![]).await;
        let task = house.create(named("a", &handler.url)).await;
        let (now, node) = (house.clock.now(), house.dispatcher.node().to_owned());
        let taken = house.write(move |tx| dispatch::run(tx, now, QUEUE, "a", &node)).await;
        let taken = taken.expect("taken");
        assert_eq!(taken.task.dispatch_count, 1);
        house.dispatcher.send(taken);
        handler.next().await;
        house.attempts(&task, 1).await;
        house.write(|tx| queue::resume(tx, QUEUE)).await.expect("resumed");
        house.create(named("b", &handler.url)).await;
        assert_eq!(handler.next().await.header("x-cloudtasks-taskname"), Some("b"));
        assert!(handler.rest().is_empty());
    }

    async fn a_scheduled_task_comes_at_its_time_and_not_before(kind) {
        let house = House::new(kind).await;
        house.queue(cloud::Settings::default()).await;
        let mut handler = Handler::start(vec![]).await;
        let hour = Duration::from_hours(1);
        let due = house.clock.now().plus(hour);
        house.create(NewTask { schedule_time: Some(due), ..named("later", &handler.url) }).await;
        let now = house.create(named("now", &handler.url)).await;
        assert_eq!(handler.next().await.header("x-cloudtasks-taskname"), Some("now"));
        // An attempt that is not recorded would be lost in the hour that passes next.
        house.attempts(&now, 1).await;
        assert!(handler.rest().is_empty());
        house.clock.move_by(3_600_000_000);
        assert_eq!(handler.next().await.header("x-cloudtasks-taskname"), Some("later"));
    }

    async fn a_server_that_stops_ends_what_it_began_and_begins_nothing(kind) {
        let house = House::new(kind).await;
        house.queue(cloud::Settings::default()).await;
        let slow = Reply { after: Duration::from_millis(300), ..Reply::status(200) };
        let mut handler = Handler::start(vec![slow]).await;
        let task = house.create(to(&handler.url)).await;
        handler.next().await;
        house.dispatcher.stop(SOON).await.expect("it stops");
        assert_eq!(house.attempts(&task, 1).await[0].outcome, Outcome::Status(200));
        house.create(to(&handler.url)).await;
        assert_eq!(house.dispatcher.under_way(), 0);
        assert!(handler.rest().is_empty());
    }
}

fn base64_url(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text)
        .expect("base64")
}
