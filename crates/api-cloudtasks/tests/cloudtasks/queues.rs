//! Queues: updates, filters, states, uploads.

use serde_json::{Value, json};
use taskyard_store::on_both_databases;

use crate::yard::{PARENT, Yard, queue, simple};

on_both_databases! {
    async fn an_update_changes_what_its_mask_names(kind) {
        let yard = Yard::new(kind).await;
        let made = yard.make_queue("q", json!({"rateLimits": {"maxDispatchesPerSecond": 1}})).await;
        assert_eq!(made["rateLimits"]["maxBurstSize"], 10);
        let path = format!("/v2beta3/{}", queue("q"));
        let rate = |answer: &Value| answer["rateLimits"].clone();

        // The burst follows the rate until somebody asks for one.
        let mask = format!("{path}?updateMask=rateLimits.maxDispatchesPerSecond");
        let faster = json!({"rateLimits": {"maxDispatchesPerSecond": 400}});
        let faster = yard.patch(&mask, faster).await.ok();
        assert_eq!(rate(&faster)["maxBurstSize"], 80);
        let burst = format!("{path}?update_mask=rate_limits.max_burst_size");
        let burst = yard.patch(&burst, json!({"rateLimits": {"maxBurstSize": 33}})).await.ok();
        assert_eq!(rate(&burst), json!({
            "maxBurstSize": 33, "maxConcurrentDispatches": 1000, "maxDispatchesPerSecond": 400.0,
        }));
        let slower = json!({"rateLimits": {"maxDispatchesPerSecond": 2}});
        assert_eq!(rate(&yard.patch(&mask, slower).await.ok())["maxBurstSize"], 33);

        // A message that is named is replaced as a whole; two masks are one.
        let both = format!("{path}?updateMask=retryConfig&updateMask=taskTtl");
        let given = json!({"retryConfig": {"maxAttempts": -1}, "taskTtl": "864000s"});
        let both = yard.patch(&both, given).await.ok();
        assert_eq!(both["retryConfig"], json!({
            "maxAttempts": -1, "maxBackoff": "3600s", "maxDoublings": 16, "minBackoff": "0.100s",
        }));
        assert_eq!(both["taskTtl"], "864000s");

        // Zero doublings can only be told by naming them, and stay until they are named again.
        let none = format!("{path}?updateMask=retryConfig.maxDoublings");
        let none = yard.patch(&none, json!({})).await.ok();
        assert_eq!(none["retryConfig"]["maxDoublings"], Value::Null);
        let attempts = format!("{path}?updateMask=retryConfig.maxAttempts");
        let kept = yard.patch(&attempts, json!({"retryConfig": {"maxAttempts": 2}})).await.ok();
        assert_eq!(kept["retryConfig"]["maxDoublings"], Value::Null);

        // Version 2 knows no ttl, so it leaves it alone; without a mask all else is as new.
        let whole = yard.patch(&format!("/v2/{}", queue("q")), json!({})).await.ok();
        assert_eq!(whole["retryConfig"]["maxDoublings"], 16);
        let seen = yard.get(&path).await.ok();
        assert_eq!((&seen["taskTtl"], &seen["type"]), (&json!("864000s"), &json!("PUSH")));

        let odd = yard.patch(&format!("{path}?updateMask=x"), json!({})).await;
        assert_eq!(odd.refusal(), (400, "INVALID_ARGUMENT", "Invalid mask for Queue: x"));
        assert_eq!(yard.get(&path).await.ok(), seen);
    }

    async fn a_refused_update_changes_nothing(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("q", json!({})).await;
        let path = format!("/v2beta3/{}", queue("q"));
        let before = yard.get(&path).await.ok();
        for body in [
            json!({"type": "PULL"}),
            json!({"type": 9}),
            json!({"rateLimits": {"maxDispatchesPerSecond": 501}}),
            json!({"retryConfig": {"minBackoff": "2s", "maxBackoff": "1s"}}),
            json!({"tombstoneTtl": "1s"}),
            json!({"stackdriverLoggingConfig": {"samplingRatio": 2}}),
            json!({"httpTarget": {"uriOverride": {"host": ""}}}),
            json!({"httpTarget": {"uriOverride": {"host": "a/b"}}}),
            json!({"httpTarget": {"uriOverride": {"port": -1}}}),
            json!({"httpTarget": {"oidcToken": {"serviceAccountEmail": "a@b"}}}),
            json!({"httpTarget": {"headerOverrides": [{"header": {"key": "a b"}}]}}),
        ] {
            let refused = yard.patch(&path, body.clone()).await;
            assert_eq!(refused.refusal().1, "INVALID_ARGUMENT", "{body}");
        }
        assert_eq!(yard.get(&path).await.ok(), before);
    }

    async fn an_update_of_no_queue_makes_one(kind) {
        let yard = Yard::new(kind).await;
        let path = format!("/v2/{}?updateMask=rateLimits", queue("new"));
        let made = yard.patch(&path, json!({"retryConfig": {"maxAttempts": 3}})).await.ok();
        assert_eq!((&made["state"], &made["retryConfig"]["maxAttempts"]), (&json!("RUNNING"), &json!(3)));
    }

    async fn lists_are_filtered_and_come_in_pages(kind) {
        let yard = Yard::new(kind).await;
        for id in ["b", "a", "c"] {
            yard.make_queue(id, json!({})).await;
        }
        yard.post(&format!("/v2/{}:pause", queue("c")), json!({})).await.ok();
        let list = format!("/v2beta3/{PARENT}/queues");
        let names = |answer: &Value| -> Vec<String> {
            let queues = answer["queues"].as_array().cloned().unwrap_or_default();
            queues.iter().map(|it| it["name"].as_str().expect("a name").to_owned()).collect()
        };
        assert_eq!(names(&yard.get(&list).await.ok()), [queue("a"), queue("b"), queue("c")]);

        let first = yard.get(&format!("{list}?pageSize=2&filter=state%3ARUNNING%20OR%20state:PAUSED")).await.ok();
        assert_eq!(names(&first), [queue("a"), queue("b")]);
        let token = first["nextPageToken"].as_str().expect("a token");
        let next = format!("{list}?pageToken={token}&page_size=2");
        let same = yard.get(&format!("{next}&filter=state%3ARUNNING%20OR%20state:PAUSED")).await.ok();
        assert_eq!(names(&same), [queue("c")]);
        assert_eq!(same["nextPageToken"], Value::Null);
        let other = yard.get(&next).await;
        assert_eq!(other.refusal(), (400, "INVALID_ARGUMENT", "The page token is invalid."));

        let paused = yard.get(&format!("{list}?filter=state=PAUSED&readMask=name")).await.ok();
        assert_eq!(paused, json!({"queues": [{"name": queue("c")}]}));
        assert_eq!(yard.get("/v2/projects/p/locations/elsewhere/queues").await.ok(), json!({}));
    }

    async fn figures_are_shown_when_they_are_asked_for(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("q", json!({})).await;
        yard.make_task("q", simple()).await.ok();
        let path = format!("/v2beta3/{}", queue("q"));
        assert_eq!(yard.get(&path).await.ok()["stats"], Value::Null);
        let shown = yard.get(&format!("{path}?readMask=stats.tasksCount,state")).await.ok();
        assert_eq!(shown, json!({"state": "RUNNING", "stats": {"tasksCount": "1"}}));
    }

    async fn a_deleted_queue_keeps_its_name_for_a_while(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("q", json!({})).await;
        let path = format!("/v2/{}", queue("q"));
        assert_eq!(yard.delete(&path).await.ok(), json!({}));
        let body = json!({"name": queue("q")});
        let again = yard.post(&format!("/v2/{PARENT}/queues"), body.clone()).await;
        assert_eq!(again.refusal(), (
            400,
            "FAILED_PRECONDITION",
            "The queue cannot be created because a queue with this name existed too recently.",
        ));
        let yaml = json!({"data": "cXVldWU6Ci0gbmFtZTogcQogIHJhdGU6IDEvcwo="});
        let upload = yard.request("POST", "/api/queue/update?appId=p")
            .header("content-type", "application/json")
            .body(yaml.to_string());
        assert_eq!(yard.send(upload).await.refusal().1, "FAILED_PRECONDITION");
        yard.clock.move_by(3_600_000_001);
        yard.post(&format!("/v2/{PARENT}/queues"), body).await.ok();
    }

    async fn a_file_declares_all_queues_of_an_application(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("api", json!({})).await;
        let upload = |text: &'static str| yard.request("POST", "/api/queue/update?app_id=s~p")
            .header("content-type", "text/yaml")
            .body(text);
        let state = async |id: &str| yard.get(&format!("/v2/{}", queue(id))).await.ok()["state"].clone();

        yard.send(upload("queue:\n- name: one\n  rate: 1/s\n- name: two\n  rate: 0\n")).await.ok();
        assert_eq!((state("one").await, state("two").await), (json!("RUNNING"), json!("PAUSED")));
        let two = yard.get(&format!("/v2beta3/{}", queue("two"))).await.ok();
        assert_eq!((&two["taskTtl"], &two["tombstoneTtl"]), (&json!("315360000s"), &json!("777600s")));

        // What a file no longer names takes tasks and sends none; what it never named is not its.
        yard.send(upload("queue:\n- name: two\n  rate: 5/s\n")).await.ok();
        assert_eq!((state("one").await, state("two").await), (json!("DISABLED"), json!("RUNNING")));
        assert_eq!(state("api").await, "RUNNING");

        // All of it, or nothing.
        let refused = yard.send(upload("queue:\n- name: three\n  rate: 1/s\n- name: one\n  mode: pull\n")).await;
        assert_eq!(refused.refusal().1, "INVALID_ARGUMENT");
        assert_eq!(yard.get(&format!("/v2/{}", queue("three"))).await.status, 404);
        assert_eq!(state("two").await, "RUNNING");
    }

    async fn every_version_shows_every_queue(kind) {
        let yard = Yard::new(kind).await;
        let made = json!({
            "name": queue("pull"), "pullTarget": {}, "retryConfig": {"unlimitedAttempts": true},
        });
        let made = yard.post(&format!("/v2beta2/{PARENT}/queues"), made).await.ok();
        assert_eq!(made["pullTarget"], json!({}));
        assert_eq!(made["rateLimits"]["maxConcurrentTasks"], -1);
        assert_eq!(made["retryConfig"]["unlimitedAttempts"], true);
        let beta3 = yard.get(&format!("/v2beta3/{}", queue("pull"))).await.ok();
        assert_eq!((&beta3["type"], &beta3["retryConfig"]["maxAttempts"]), (&json!("PULL"), &json!(-1)));
        let v2 = yard.get(&format!("/v2/{}?$alt=json;enum-encoding=int", queue("pull"))).await.ok();
        assert_eq!((&v2["state"], &v2["type"]), (&json!(1), &Value::Null));

        let routed = json!({"appEngineRoutingOverride": {"service": "s", "version": "v"}});
        let routed = yard.patch(&format!("/v2/{}", queue("routed")), routed).await.ok();
        let host = "v.s.p.us-central1.r.appspot.com";
        assert_eq!(routed["appEngineRoutingOverride"]["host"], host);
        let beta2 = yard.get(&format!("/v2beta2/{}", queue("routed"))).await.ok();
        assert_eq!(beta2["appEngineHttpTarget"]["appEngineRoutingOverride"]["host"], host);
        let beta3 = yard.get(&format!("/v2beta3/{}", queue("routed"))).await.ok();
        assert_eq!(beta3["appEngineHttpQueue"]["appEngineRoutingOverride"]["host"], host);
    }

    async fn keys_and_locations_belong_to_projects(kind) {
        let yard = Yard::new(kind).await;
        yard.patch("/v2/projects/p/locations/europe-west1/queues/q", json!({})).await.ok();
        let listed = yard.get("/v2/projects/p/locations").await.ok();
        let ids: Vec<&Value> = listed["locations"].as_array().expect("a list").iter()
            .map(|location| &location["locationId"]).collect();
        assert_eq!(ids, ["europe-west1", "us-central1"]);
        let page = yard.get("/v2/projects/p/locations?pageSize=1").await.ok();
        let token = page["nextPageToken"].as_str().expect("a token");
        let rest = yard.get(&format!("/v2/projects/p/locations?pageToken={token}")).await.ok();
        assert_eq!(rest["locations"][0]["name"], PARENT);

        let path = format!("/v2/{PARENT}/cmekConfig");
        assert_eq!(yard.get(&path).await.ok(), json!({"name": format!("{PARENT}/cmekConfig")}));
        let key = format!("{PARENT}/keyRings/r/cryptoKeys/k");
        yard.patch(&path, json!({"kmsKey": key})).await.ok();
        assert_eq!(yard.get(&path).await.ok()["kmsKey"], key);
        assert_eq!(yard.patch(&path, json!({"kmsKey": "x"})).await.status, 400);
    }
}
