//! The log of attempts, also at tasks that are gone, and tasks that were given up.

use serde_json::{Value, json};
use taskyard_engine::cloud::Outcome;
use taskyard_store::on_both_databases;

use crate::yard::{Yard, queue, simple};

/// Creates a task and lets attempts at it end so, in order. Its name.
async fn attempted(yard: &Yard, task: Value, ends: &[Outcome]) -> String {
    let made = yard.make_task("q", task).await.ok();
    let name = made["name"].as_str().expect("a name").to_owned();
    for outcome in ends {
        yard.post(&format!("/v2/{name}:run"), json!({})).await.ok();
        let sent = yard.sent.lock().pop().expect("it was sent");
        yard.end(&sent, *outcome, "what was said").await;
    }
    name
}

fn named(id: &str) -> Value {
    let mut task = simple();
    task["name"] = json!(format!("{}/tasks/{id}", queue("q")));
    task
}

/// Which attempt each was, and what was answered.
fn brief(page: &Value) -> Vec<(i64, Option<i64>)> {
    let attempts = page["attempts"].as_array().map_or(&[][..], Vec::as_slice);
    let each = attempts.iter();
    each.map(|it| {
        (
            it["dispatch"].as_i64().expect("a number"),
            it["httpStatus"].as_i64(),
        )
    })
    .collect()
}

on_both_databases! {
    async fn attempts_are_told_newest_first_even_when_the_task_is_gone(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("q", json!({})).await;
        let ends = [Outcome::Status(503), Outcome::TimedOut, Outcome::Status(200)];
        for task in [simple(), named("mine"), named("12345678901234567890")] {
            let name = attempted(&yard, task, &ends).await;
            assert_eq!(yard.get(&format!("/v2/{name}")).await.status, 404, "it is done");
            let page = yard.get(&format!("/v2beta3/{name}/attempts")).await.ok();
            assert_eq!(brief(&page), [(3, Some(200)), (2, None), (1, Some(503))]);
            let first = &page["attempts"][2];
            assert_eq!(first["task"], name);
            assert_eq!(first["responseStatus"]["code"], 14);
            assert_eq!(
                page["attempts"][1]["responseStatus"]["message"],
                "DEADLINE_EXCEEDED(4): HTTP status code 504"
            );
            for time in ["scheduleTime", "dispatchTime", "responseTime"] {
                assert!(first[time].is_string(), "{first}");
            }
        }
        let page = yard.get(&format!("/v2/{}/attempts", queue("q"))).await.ok();
        assert_eq!(brief(&page).len(), 9);
        let never = yard.get(&format!("/v2/{}/tasks/never/attempts", queue("q"))).await.ok();
        assert_eq!(never, json!({}));
        let nowhere = yard.get(&format!("/v2/{}/attempts", queue("none"))).await;
        assert_eq!(nowhere.refusal().1, "NOT_FOUND");
    }

    async fn attempts_come_in_pages(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("q", json!({})).await;
        let busy = [Outcome::Status(429); 5];
        let name = attempted(&yard, named("a"), &busy).await;
        attempted(&yard, named("other"), &[Outcome::Status(200)]).await;
        for (parent, count) in [(name, 5), (queue("q"), 6)] {
            let (mut seen, mut token) = (Vec::new(), String::new());
            loop {
                let path = format!("/v2/{parent}/attempts?pageSize=2&pageToken={token}");
                let page = yard.get(&path).await.ok();
                assert!(brief(&page).len() <= 2);
                seen.extend(brief(&page));
                match page["nextPageToken"].as_str() {
                    Some(next) => next.clone_into(&mut token),
                    None => break,
                }
            }
            assert_eq!(seen.len(), count);
            let of_first: Vec<i64> = seen.iter().rev().map(|(number, _)| *number).collect();
            assert_eq!(of_first[..5], [1, 2, 3, 4, 5]);
        }
    }

    async fn what_handlers_said_is_told_to_those_who_may_see_bodies(kind) {
        let mut yard = Yard::open(kind, false).await;
        yard.call_as("root", &["cloudtasks:*"]).await;
        yard.make_queue("q", json!({})).await;
        let name = attempted(&yard, named("a"), &[Outcome::Status(500)]).await;
        let path = format!("/v2/{name}/attempts?responseView=FULL");
        let full = yard.get(&path).await.ok();
        assert_eq!(full["attempts"][0]["excerpt"], "what was said");
        yard.call_as("reader", &["cloudtasks:tasks.get:*"]).await;
        let basic = yard.get(&format!("/v2/{name}/attempts")).await.ok();
        assert_eq!(brief(&basic), [(1, Some(500))]);
        assert_eq!(basic["attempts"][0]["excerpt"], Value::Null);
        assert!(yard.get(&path).await.refusal().2.contains("cloudtasks.tasks.fullView"));
        let of_queue = yard.get(&format!("/v2/{}/attempts", queue("q"))).await;
        assert!(of_queue.refusal().2.contains("cloudtasks.tasks.list"));
    }
    async fn a_task_that_was_given_up_can_be_looked_at_for_a_week(kind) {
        let mut yard = Yard::open(kind, false).await;
        yard.call_as("root", &["cloudtasks:*"]).await;
        yard.make_queue("q", json!({"retryConfig": {"maxAttempts": 1}})).await;
        for id in ["a", "b", "c"] {
            let mut task = named(id);
            task["httpRequest"]["body"] = json!("aGk=");
            attempted(&yard, task, &[Outcome::Status(500)]).await;
        }
        let list = format!("/v2/{}/failures", queue("q"));
        let page = yard.get(&format!("{list}?pageSize=2&responseView=FULL")).await.ok();
        let failures = page["failures"].as_array().expect("a list");
        assert_eq!(failures.len(), 2);
        let task = &failures[0]["task"];
        assert_eq!(task["name"], named("a")["name"]);
        assert_eq!(task["httpRequest"]["body"], "aGk=");
        assert_eq!(task["lastAttempt"]["responseStatus"]["code"], 13);
        let next = page["nextPageToken"].as_str().expect("more");
        let page = yard.get(&format!("{list}?pageToken={next}")).await.ok();
        assert_eq!(page["failures"].as_array().expect("a list").len(), 1);
        let last = &page["failures"][0];
        assert_eq!(last["task"]["httpRequest"]["body"], Value::Null);
        assert!(last["failTime"].is_string() && last["expireTime"].is_string(), "{last}");
        assert_eq!(page["nextPageToken"], Value::Null);

        yard.call_as("reader", &["cloudtasks:tasks.list:*"]).await;
        yard.get(&list).await.ok();
        let full = yard.get(&format!("{list}?responseView=FULL")).await;
        assert!(full.refusal().2.contains("cloudtasks.tasks.fullView"));
    }
}
