//! Tasks: what they become when they are created, buffered, run, leased.

use serde_json::{Value, json};
use taskyard_engine::cloud::Payload;
use taskyard_store::on_both_databases;

use crate::yard::{Yard, queue, simple};

/// When a task was created, and when it is due.
fn times(task: &Value) -> (&str, &str) {
    let time = |name: &str| task[name].as_str().expect("a time");
    (time("createTime"), time("scheduleTime"))
}

on_both_databases! {
    async fn a_task_is_kept_as_it_will_be_sent(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("q", json!({})).await;
        let task = json!({"httpRequest": {
            "url": "https://a.example.com/x y?é",
            "headers": {
                "X-Mine": "1", "Host": "b", "content-length": "7", "User-Agent": "me",
                "X-CloudTasks-TaskName": "t", "x-appengine-y": "z", "X-Google-A": "b",
            },
            "body": "aGVsbG8",
            "oauthToken": {"serviceAccountEmail": "s@example.com"},
        }});
        let made = yard.make_task("q", task).await.ok();
        let mut request = made["httpRequest"].clone();
        assert_eq!(request["headers"], json!({"User-Agent": "Google-Cloud-Tasks", "X-Mine": "1"}));
        request["headers"].take();
        assert_eq!(request, json!({
            "url": "https://a.example.com/x%20y?%C3%A9",
            "httpMethod": "POST",
            "headers": null,
            "oauthToken": {
                "serviceAccountEmail": "s@example.com",
                "scope": "https://www.googleapis.com/auth/cloud-platform",
            },
        }));
        assert_eq!((&made["view"], &made["dispatchDeadline"]), (&json!("BASIC"), &json!("600s")));
        // Whole seconds, and microseconds.
        let (created, scheduled) = times(&made);
        assert!(created.len() == 20 && created[..19] <= scheduled[..19], "{created} {scheduled}");
        let path = format!("/v2/{}", made["name"].as_str().expect("a name"));
        let full = yard.get(&format!("{path}?responseView=FULL")).await.ok();
        assert_eq!((&full["httpRequest"]["body"], &full["view"]), (&json!("aGVsbG8="), &json!("FULL")));
    }

    async fn tasks_are_listed_in_pages_that_miss_none(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("q", json!({})).await;
        let mut made = Vec::new();
        for _ in 0..5 {
            made.push(yard.make_task("q", simple()).await.ok()["name"].clone());
        }
        let list = format!("/v2/{}/tasks?pageSize=2", queue("q"));
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let page = yard.get(&format!("{list}&pageToken={token}")).await.ok();
            let tasks = page["tasks"].as_array().expect("tasks");
            found.extend(tasks.iter().map(|task| task["name"].clone()));
            match page["nextPageToken"].as_str() {
                Some(next) => next.clone_into(&mut token),
                None => break,
            }
        }
        found.sort_by_key(ToString::to_string);
        made.sort_by_key(ToString::to_string);
        assert_eq!(found, made);
        yard.clock.move_by(2 * 3_600_000_000 + 1_000_000);
        assert_eq!(yard.get(&format!("{list}&pageToken={token}")).await.status, 400);
    }

    async fn a_name_is_used_once(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("q", json!({})).await;
        let mut task = simple();
        task["name"] = json!(format!("{}/tasks/t", queue("q")));
        let path = format!("/v2/{}/tasks/t", queue("q"));
        yard.make_task("q", task.clone()).await.ok();
        let again = yard.make_task("q", task.clone()).await;
        assert_eq!(again.refusal(), (409, "ALREADY_EXISTS", "Requested entity already exists"));
        yard.delete(&path).await.ok();
        let gone = yard.get(&path).await;
        assert!(gone.refusal().2.starts_with("The task no longer exists"), "{gone:?}");
        let never = yard.get(&format!("{path}x")).await;
        assert_eq!(never.refusal(), (404, "NOT_FOUND", "Requested entity was not found."));
        let again = yard.make_task("q", task.clone()).await;
        assert!(again.refusal().2.starts_with("The task cannot be created because"), "{again:?}");
        // An hour later the name is free.
        yard.clock.move_by(3_600_000_001);
        yard.make_task("q", task).await.ok();
    }

    async fn running_a_task_does_not_wait_for_its_handler(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("q", json!({})).await;
        yard.post(&format!("/v2/{}:pause", queue("q")), json!({})).await.ok();
        let made = yard.make_task("q", simple()).await.ok();
        let path = format!("/v2/{}:run", made["name"].as_str().expect("a name"));
        let ran = yard.post(&path, json!({})).await.ok();
        assert_eq!((&ran["dispatchCount"], &ran["responseCount"]), (&json!(1), &Value::Null));
        assert_ne!(ran["lastAttempt"]["dispatchTime"], Value::Null);
        assert_eq!(ran["lastAttempt"]["responseTime"], Value::Null);
        assert_eq!(ran["firstAttempt"]["dispatchTime"], ran["lastAttempt"]["dispatchTime"]);
        let sent = yard.sent.lock();
        assert_eq!(sent.len(), 1);
        assert!(ran["name"].as_str().expect("a name").ends_with(&sent[0].task.id));
    }

    async fn any_request_can_be_buffered(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("plain", json!({})).await;
        yard.make_queue("q", json!({"httpTarget": {"uriOverride": {
            "host": "h.example.com", "pathOverride": {"path": "/p"},
        }}})).await;
        let buffer = format!("/v2/{}/tasks:buffer", queue("q"));
        let taken = async |request: reqwest::RequestBuilder| {
            let made = yard.send(request).await.ok()["task"].clone();
            let path = format!("/v2/{}:run", made["name"].as_str().expect("a name"));
            yard.post(&path, json!({})).await.ok();
            let Payload::Http(request) = yard.sent.lock().pop().expect("sent").task.payload else {
                panic!("it is no request");
            };
            let mut headers = request.headers;
            headers.retain(|(name, _)| name.starts_with("x-") || name.eq_ignore_ascii_case("content-type"));
            (request.method.as_str(), request.url, headers, String::from_utf8_lossy(&request.body).into_owned())
        };
        let owned = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let url = "https://h.example.com/p".to_owned();

        let raw = yard.request("PUT", &buffer).header("x-mine", "1").header("x-goog-y", "2").body("raw");
        let json_type = owned("Content-Type", "application/json");
        assert_eq!(taken(raw).await, ("PUT", url.clone(), vec![owned("x-mine", "1"), json_type.clone()], "raw".to_owned()));
        let get = yard.request("GET", &format!("{buffer}?x=1"));
        assert_eq!(taken(get).await, ("GET", url.clone(), vec![], String::new()));
        let wrapped = json!({"body": {"contentType": "text/plain", "data": "aGk="}});
        let wrapped = yard.request("POST", &buffer).header("content-type", "application/json").body(wrapped.to_string());
        assert_eq!(taken(wrapped).await, ("POST", url.clone(), vec![owned("Content-Type", "text/plain")], "hi".to_owned()));
        let own = json!({"body": 1, "more": 2}).to_string();
        let other = yard.request("POST", &buffer).header("content-type", "application/json").body(own.clone());
        assert_eq!(taken(other).await, ("POST", url, vec![json_type], own));

        let named = format!("/v2/{}/tasks/t1:buffer", queue("q"));
        let name = yard.post(&named, json!({})).await.ok()["task"]["name"].clone();
        assert_eq!(name, format!("{}/tasks/t1", queue("q")));
        assert_eq!(yard.post(&named, json!({})).await.refusal().1, "ALREADY_EXISTS");
        let nowhere = yard.post(&format!("/v2/{}/tasks:buffer", queue("plain")), json!({})).await;
        assert_eq!(nowhere.refusal().1, "INVALID_ARGUMENT");
    }

    async fn the_tools_of_functions_need_no_version(kind) {
        let mut yard = Yard::new(kind).await;
        yard.call_with(Some("Bearer owner"));
        let path = format!("/{}", queue("fn"));
        let registered = json!({
            "retryConfig": {"maxAttempts": 3, "minBackoffSeconds": 0.5, "maxRetrySeconds": null},
            "rateLimits": {"maxConcurrentDispatches": 7},
            "defaultUri": "http://127.0.0.1:5001/p/us-central1/fn",
            "timeoutSeconds": 60,
        });
        let made = yard.post(&path, registered).await.ok();
        assert_eq!(made["rateLimits"]["maxConcurrentDispatches"], 7);
        assert_eq!(made["retryConfig"]["minBackoff"], "0.500s");
        let task = json!({"task": {"httpRequest": {
            "url": "", "body": "e30=", "oidcToken": {"serviceAccountEmail": "e@example.com"},
        }}});
        let task = yard.post(&format!("{path}/tasks"), task).await.ok();
        assert_eq!(task["httpRequest"]["url"], "http://127.0.0.1:5001/p/us-central1/fn");
        let gone = format!("/{}", task["name"].as_str().expect("a name"));
        yard.delete(&gone).await.ok();
        assert_eq!(yard.delete(&gone).await.status, 404);
        assert_eq!(yard.get(&path).await.status, 404);
    }

    async fn leases_are_proved_by_their_time(kind) {
        let yard = Yard::new(kind).await;
        let made = json!({"name": queue("pull"), "pullTarget": {}});
        yard.post(&format!("/v2beta2/{}/queues", crate::yard::PARENT), made).await.ok();
        let tasks = format!("/v2beta2/{}/tasks", queue("pull"));
        for tag in ["a", "b"] {
            let task = json!({"task": {"pullMessage": {"payload": "eA==", "tag": tag}}});
            yard.post(&tasks, task).await.ok();
        }
        let lease = json!({"maxTasks": 1, "leaseDuration": "60s", "responseView": "FULL", "filter": "tag=b"});
        let leased = yard.post(&format!("{tasks}:lease"), lease).await.ok();
        let task = leased["tasks"][0].clone();
        assert_eq!(task["pullMessage"], json!({"payload": "eA==", "tag": "b"}));
        assert_eq!(task["status"], json!({"attemptDispatchCount": 1}));
        let path = format!("/v2beta2/{}", task["name"].as_str().expect("a name"));
        let wrong = json!({"scheduleTime": "2026-01-01T00:00:00Z"});
        let refused = yard.post(&format!("{path}:acknowledge"), wrong).await;
        assert_eq!(refused.refusal().1, "FAILED_PRECONDITION");
        // The lease ends by itself.
        yard.clock.move_by(60_000_001);
        let late = json!({"scheduleTime": task["scheduleTime"]});
        let late = yard.post(&format!("{path}:acknowledge"), late).await;
        assert_eq!(late.refusal().1, "FAILED_PRECONDITION");
        let seen = yard.get(&path.replace("v2beta2", "v2beta3")).await.ok();
        assert_eq!(seen["pullMessage"], json!({"tag": "b"}));
        let v2 = yard.get(&path.replace("v2beta2", "v2")).await.ok();
        assert_eq!(v2["dispatchCount"], 1);
    }
}
