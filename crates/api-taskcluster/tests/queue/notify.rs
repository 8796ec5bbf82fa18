//! People and programs are told what they want to know, once.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{post, put};
use serde_json::{Value, json};
use taskyard_access::Secret;
use taskyard_api_taskcluster::notify::{self, Matrix, Observer, Sinks, Slack};
use taskyard_api_taskcluster::{hooks, translators};
use taskyard_store::on_both_databases;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::house::{House, SOON};
use crate::messages::Ear;

const TOKEN: &str = "syt-hunter2";

fn mail(subject: &str) -> Value {
    json!({"address": "a@example.com", "subject": subject, "content": "*content*"})
}

async fn send(house: &House, method: &str, body: Value) -> Answer {
    house.call(method, &[], Some(body)).await
}

/// What there is in the outbox, the oldest first.
async fn outbox(house: &House) -> Vec<Value> {
    let ask = Ask::new("GET", "/api/notify/v1/outbox").by(house.root());
    let page = house.ask(ask).await.granted();
    let mut all = page["notifications"]
        .as_array()
        .expect("notifications")
        .clone();
    all.reverse();
    all
}

/// Waits until the outbox has so many notifications in this state; all of them.
async fn waits_for(house: &House, state: &str, count: usize) -> Vec<Value> {
    let looking = async {
        loop {
            let all = outbox(house).await;
            if all.iter().filter(|it| it["state"] == state).count() >= count {
                return all;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, looking)
        .await
        .expect("it is there soon")
}

/// The status of an answer that never comes.
const NEVER: u16 = 0;

/// A chat service that answers what it is told to, and keeps what it hears.
struct Chat {
    url: String,
    heard: Arc<Mutex<Vec<Value>>>,
    answers: Arc<Mutex<Vec<(u16, Value)>>>,
    task: JoinHandle<()>,
}

type Shared = (Arc<Mutex<Vec<Value>>>, Arc<Mutex<Vec<(u16, Value)>>>);

async fn hears(
    State((heard, answers)): State<Shared>,
    path: Option<Path<(String, String)>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let token = format!("Bearer {TOKEN}");
    assert_eq!(headers["authorization"].to_str().expect("text"), token);
    let (room, transaction) = path.map(|Path(path)| path).unwrap_or_default();
    let body: Value = serde_json::from_str(&body).expect("JSON");
    heard
        .lock()
        .await
        .push(json!({"room": room, "transaction": transaction, "body": body}));
    let mut answers = answers.lock().await;
    let next = if answers.is_empty() {
        (200, json!({"ok": true}))
    } else {
        answers.remove(0)
    };
    drop(answers);
    if next.0 == NEVER {
        std::future::pending::<()>().await;
    }
    (
        StatusCode::from_u16(next.0).expect("a status"),
        next.1.to_string(),
    )
}

impl Chat {
    async fn start() -> Self {
        let shared: Shared = Shared::default();
        let (heard, answers) = shared.clone();
        let room = "/_matrix/client/v3/rooms/{room}/send/m.room.message/{transaction}";
        let router = Router::new()
            .route(room, put(hears))
            .route("/chat.postMessage", post(hears))
            .with_state(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let task =
            tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Chat {
            url,
            heard,
            answers,
            task,
        }
    }

    fn sinks(&self) -> Sinks {
        let token = || Secret::new(TOKEN);
        let matrix = Matrix {
            url: self.url.clone(),
            token: token(),
        };
        let slack = Slack {
            url: self.url.clone(),
            token: token(),
        };
        Sinks::new(None, Some(matrix), Some(slack))
    }

    async fn answers(&self, status: u16, body: Value) {
        self.answers.lock().await.push((status, body));
    }

    async fn heard(&self) -> Vec<Value> {
        std::mem::take(&mut *self.heard.lock().await)
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Watches tasks until it is told to end.
struct Watch {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Watch {
    fn start(house: &House, node: &str) -> Self {
        let observer = Observer::new(Arc::clone(&house.notifier), translators(), node.to_owned());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(observer.run(async move {
            let _ = stopped.await;
        }));
        Watch { stop, task }
    }

    async fn end(self) {
        self.stop.send(()).expect("it runs");
        self.task.await.expect("it ends");
    }
}

on_both_databases! {
    async fn what_is_said_twice_is_sent_once(kind) {
        let house = House::new(kind).await;
        for (subject, status) in [("one", 200), ("one", 204), ("two", 200), ("one", 204)] {
            let answer = send(&house, "email", mail(subject)).await;
            assert_eq!(answer.status, status, "{subject}: {answer:?}");
            assert_eq!(answer.body, if status == 200 { "OK" } else { "" });
        }
        let kept = outbox(&house).await;
        let subjects: Vec<&Value> = kept.iter().map(|it| &it["body"]["subject"]).collect();
        assert_eq!(subjects, ["one", "two"]);
        // There is no mail server to send them with.
        assert!(kept.iter().all(|it| it["state"] == "kept" && it["kind"] == "email"));
        assert_eq!(kept[0]["body"]["template"], "simple");
    }

    async fn an_address_gets_so_much_and_no_more(kind) {
        let house = House::new(kind).await;
        for number in 0..50 {
            assert_eq!(send(&house, "email", mail(&number.to_string())).await.status, 200);
        }
        assert_eq!(send(&house, "email", mail("one more")).await.status, 204);
        let mut other = mail("one more");
        other["address"] = "b@example.com".into();
        assert_eq!(send(&house, "email", other).await.status, 200);
        house.wait(Duration::from_mins(11));
        assert_eq!(send(&house, "email", mail("one more")).await.status, 200);
        // After a week they are forgotten.
        house.wait(Duration::from_hours(8 * 24));
        house.sweep().await;
        assert_eq!(outbox(&house).await, Vec::<Value>::new());
    }

    async fn nothing_is_sent_to_those_who_want_nothing(kind) {
        let house = House::new(kind).await;
        let address = |kind: &str, address: &str| {
            json!({"notificationType": kind, "notificationAddress": address})
        };
        let denied = [
            ("email", "a@example.com", "email", mail("x")),
            ("pulse", "a.b", "pulse", json!({"routingKey": "a.b", "message": {}})),
            ("matrix-room", "!r:x", "matrix", json!({"roomId": "!r:x", "body": "x"})),
            ("slack-channel", "C1", "slack", json!({"channelId": "C1", "text": "x"})),
            ("irc-user", "joe", "irc", json!({"user": "joe", "message": "x"})),
            ("irc-channel", "#c", "irc", json!({"channel": "#c", "message": "x"})),
        ];
        for (kind, to, _, _) in &denied {
            for _ in 0..2 {
                assert_eq!(send(&house, "addDenylistAddress", address(kind, to)).await.body, "OK");
            }
        }
        for (_, to, method, body) in &denied {
            let refused = send(&house, method, body.clone()).await;
            let text = refused.refused(400, "DenylistedAddress");
            assert!(text.contains(to) && text.ends_with("is denylisted"), "{text}");
        }
        let listed = house.get_with("listDenylist", &[], "limit=4").await.granted();
        let types = |page: &Value| -> Vec<String> {
            let all = page["addresses"].as_array().expect("addresses").iter();
            all.map(|it| it["notificationType"].as_str().expect("a type").to_owned()).collect()
        };
        assert_eq!(types(&listed), ["email", "irc-channel", "irc-user", "matrix-room"]);
        let token = listed["continuationToken"].as_str().expect("more");
        let rest = house.get_with("listDenylist", &[], &format!("continuationToken={token}")).await;
        assert_eq!(types(&rest.granted()), ["pulse", "slack-channel"]);
        for _ in 0..2 {
            let gone = send(&house, "deleteDenylistAddress", address("email", "a@example.com")).await;
            assert_eq!(gone.body, "OK");
        }
        assert_eq!(send(&house, "email", mail("x")).await.status, 200);
        assert_eq!(outbox(&house).await.len(), 1);
    }

    async fn each_way_has_a_scope_with_the_address(kind) {
        let house = House::new(kind).await;
        let calls = [
            ("email", mail("x"), "notify:email:a@example.com"),
            ("pulse", json!({"routingKey": "a.b", "message": {}}), "notify:pulse:a.b"),
            ("matrix", json!({"roomId": "!r:x", "body": "x"}), "notify:matrix-room:!r:x"),
            ("slack", json!({"channelId": "C1", "text": "x"}), "notify:slack-channel:C1"),
            ("irc", json!({"user": "joe", "message": "x"}), "notify:irc-user:joe"),
            ("irc", json!({"channel": "#c", "message": "x"}), "notify:irc-channel:#c"),
        ];
        for (method, body, scope) in calls {
            let others = house.with([format!("{scope}x"), "notify:manage-denylist".to_owned()]);
            let answer = house.call_as(&others, method, &[], Some(body.clone())).await;
            answer.refused(403, "InsufficientScopes");
            let answer = house.call_as(&house.with([scope]), method, &[], Some(body)).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        let nobody = house.with(["notify:email:*"]);
        for method in ["listDenylist"] {
            house.call_as(&nobody, method, &[], None).await.refused(403, "InsufficientScopes");
        }
        let ask = Ask::new("GET", "/api/notify/v1/outbox").by(nobody);
        assert_eq!(house.ask(ask).await.status, 403);
    }

    async fn messages_are_published(kind) {
        let house = House::new(kind).await;
        let mut ear = Ear::new(&house).await;
        ear.listen(&house).await;
        let message = json!({"x": [1, {"y": null}]});
        send(&house, "pulse", json!({"routingKey": "some.topic", "message": message})).await.granted();
        send(&house, "irc", json!({"user": "joe", "message": "hello"})).await.granted();
        let heard = ear.listen(&house).await;
        let [published, said] = heard.as_slice() else { panic!("{heard:?}") };
        assert_eq!((published.exchange.as_str(), published.key.as_str()), ("notification", "primary.some.topic"));
        assert_eq!(published.cc, ["route.some.topic"]);
        assert_eq!(published.payload, json!({"version": 1, "message": message}));
        assert_eq!((said.exchange.as_str(), said.key.as_str()), ("irc-request", "primary._"));
        assert_eq!(said.payload, json!({"user": "joe", "message": "hello"}));
        let long = json!({"routingKey": "x".repeat(101), "message": {}});
        send(&house, "pulse", long).await.refused(400, "InputError");
    }

    async fn rooms_and_channels_are_spoken_to(kind) {
        let chat = Chat::start().await;
        let house = House::sending(kind, chat.sinks()).await;
        let said = json!({"roomId": "!r:x.org", "body": "b", "formattedBody": "<b>b</b>", "format": "html"});
        assert_eq!(send(&house, "matrix", said).await.body, "OK");
        let heard = chat.heard().await;
        assert_eq!(heard[0]["room"], "!r:x.org");
        assert_eq!(heard[0]["body"], json!({
            "msgtype": "m.notice", "body": "b", "format": "html", "formatted_body": "<b>b</b>",
        }));
        assert_eq!(heard[0]["transaction"], format!("taskyard-{}", outbox(&house).await[0]["number"]));
        let said = json!({"channelId": "C1", "text": "t", "blocks": [{"type": "divider"}]});
        assert_eq!(send(&house, "slack", said).await.body, "OK");
        assert_eq!(chat.heard().await[0]["body"], json!({
            "channel": "C1", "text": "t", "blocks": [{"type": "divider"}],
            "unfurl_links": false, "unfurl_media": false,
        }));
        assert!(outbox(&house).await.iter().all(|it| it["state"] == "sent"));
        // What can never be sent is told to whoever asks for it.
        chat.answers(403, json!({"errcode": "M_FORBIDDEN", "error": "not in the room"})).await;
        let refused = send(&house, "matrix", json!({"roomId": "!s:x", "body": "b"})).await;
        assert!(refused.refused(400, "InputError").contains("M_FORBIDDEN"));
        chat.answers(200, json!({"ok": false, "error": "channel_not_found"})).await;
        let refused = send(&house, "slack", json!({"channelId": "C2", "text": "t"})).await;
        assert!(refused.refused(400, "InputError").contains("channel_not_found"));
        let all = outbox(&house).await;
        assert!(all[2..].iter().all(|it| it["state"] == "failed" && it["error"] != ""), "{all:?}");
        assert!(!format!("{all:?}").contains(TOKEN));
    }

    async fn what_cannot_be_sent_now_is_sent_later(kind) {
        let chat = Chat::start().await;
        let house = House::sending(kind, chat.sinks()).await;
        let courier = tokio::spawn(notify::deliver(Arc::clone(&house.notifier)));
        for status in [502, 503] {
            chat.answers(status, json!({})).await;
        }
        assert_eq!(send(&house, "slack", json!({"channelId": "C1", "text": "t"})).await.status, 200);
        let waiting = outbox(&house).await;
        assert_eq!((&waiting[0]["state"], &waiting[0]["attempts"]), (&json!("waiting"), &json!(1)));
        // The same is not said again meanwhile.
        assert_eq!(send(&house, "slack", json!({"channelId": "C1", "text": "t"})).await.status, 204);
        house.wait(Duration::from_secs(31));
        let looking = async {
            loop {
                let tried = outbox(&house).await.remove(0);
                // When it is tried next follows from when the failure was noted, not from when the
                // chat service heard of it.
                if tried["error"].as_str().expect("text").contains("503") {
                    return tried;
                }
                tokio::task::yield_now().await;
            }
        };
        let tried = tokio::time::timeout(SOON, looking).await.expect("it is tried again soon");
        assert_eq!((&tried["state"], &tried["attempts"]), (&json!("waiting"), &json!(2)));
        house.wait(Duration::from_mins(10));
        let sent = waits_for(&house, "sent", 1).await;
        assert_eq!((sent.len(), &sent[0]["attempts"]), (1, &json!(3)));
        // The chat service can tell that it is the same.
        let heard = chat.heard().await;
        assert_eq!(heard.len(), 3);
        courier.abort();
    }

    async fn what_is_slow_to_be_sent_keeps_nothing_else_waiting(kind) {
        let chat = Chat::start().await;
        let house = House::sending(kind, chat.sinks()).await;
        let courier = tokio::spawn(notify::deliver(Arc::clone(&house.notifier)));
        // Whoever asks tries first; the courier does when that has failed.
        for (text, again) in [("slow", NEVER), ("quick", 200)] {
            chat.answers(502, json!({})).await;
            chat.answers(again, json!({"ok": true})).await;
            let body = json!({"channelId": "C1", "text": text});
            assert_eq!(send(&house, "slack", body).await.status, 200);
            let before = chat.heard.lock().await.len();
            house.wait(Duration::from_secs(31));
            let looking = async {
                while chat.heard.lock().await.len() == before {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(SOON, looking).await.expect("it is tried again soon");
        }
        let all = waits_for(&house, "sent", 1).await;
        assert_eq!((&all[1]["body"]["text"], &all[1]["state"]), (&json!("quick"), &json!("sent")));
        // Nothing is known of this attempt yet.
        let slow = &all[0];
        assert_eq!((&slow["state"], &slow["attempts"]), (&json!("waiting"), &json!(2)));
        assert!(slow["error"].as_str().expect("text").contains("502"), "{slow}");
        courier.abort();
    }

    async fn routes_of_tasks_notify(kind) {
        let house = House::new(kind).await;
        let watch = Watch::start(&house, "one");
        let routes = json!([
            "notify.email.a@example.com.on-completed", "notify.pulse.a.b.on-transition",
            "notify.slack-channel.C1.on-failed", "notify.matrix-room.!r:x.org.on-resolved",
            "index.some.path",
        ]);
        let metadata = json!({
            "name": "build", "description": "d", "owner": "o@example.com",
            "source": "https://example.com",
        });
        let (id, _) = house.taken(json!({"routes": routes, "metadata": metadata})).await;
        house.call("reportCompleted", &[&id, "0"], None).await.status_of();
        // Defined, pending, running, completed; and three of its end.
        let all = waits_for(&house, "sent", 4).await;
        let all = if all.len() < 6 { waits_for(&house, "kept", 2).await } else { all };
        let of = |kind: &str| -> Vec<&Value> { all.iter().filter(|it| it["kind"] == kind).collect() };
        let states: Vec<&Value> = of("pulse").iter().map(|it| &it["body"]["message"]["state"]).collect();
        assert_eq!(states, ["unscheduled", "pending", "running", "completed"]);
        let mail = &of("email")[0]["body"];
        assert_eq!(mail["subject"], format!("Task completed: build - {id}"));
        assert_eq!(of("matrix-room")[0]["address"], "!r:x.org");
        assert_eq!((of("email").len(), of("matrix-room").len(), of("slack-channel").len()), (1, 1, 0));
        // Nobody hears of what was canceled; and another node says nothing again.
        watch.end().await;
        let canceled = house.create(json!({"routes": ["notify.email.a@example.com.on-resolved"]})).await;
        house.call("cancelTask", &[&canceled], None).await.status_of();
        let watch = Watch::start(&house, "another");
        let (last, _) = house.taken(json!({"routes": ["notify.email.a@example.com.on-resolved"]})).await;
        house.call("reportFailed", &[&last, "0"], None).await.status_of();
        let all = waits_for(&house, "kept", 3).await;
        assert_eq!(all.len(), 7, "{all:?}");
        assert!(all[6]["body"]["subject"].as_str().expect("text").ends_with(&last));
        watch.end().await;
    }

    async fn owners_hear_of_scheduled_hooks_that_fail(kind) {
        let house = House::new(kind).await;
        for (hook, tells) in [("loud", true), ("quiet", false)] {
            let metadata = json!({
                "name": "", "description": "", "owner": "owner@example.com", "emailOnError": tells,
            });
            let body = json!({"metadata": metadata, "task": {"$eval": "nothing"}, "schedule": ["@hourly"]});
            house.call("createHook", &["group", hook], Some(body)).await.granted();
        }
        let scheduler = tokio::spawn(hooks::schedule(Arc::clone(&house.firing)));
        house.wait(Duration::from_hours(1));
        let kept = waits_for(&house, "kept", 1).await;
        assert_eq!(kept[0]["address"], "owner@example.com");
        let subject = "[Taskcluster Hooks] Scheduled Hook failure: group/loud";
        assert_eq!(kept[0]["body"]["subject"], subject);
        assert!(kept[0]["body"]["content"].as_str().expect("text").contains("nothing"));
        let looking = async {
            while house.call("listLastFires", &["group", "quiet"], None).await.status != 200 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, looking).await.expect("it fires soon");
        assert_eq!(outbox(&house).await.len(), 1);
        scheduler.abort();
    }
}
