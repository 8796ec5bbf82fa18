//! Stacks list jobs, reserve them, and look at them.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_api_stacks::QueueMap;
use taskyard_engine::task::{self, Priority, Worker};
use taskyard_store::on_both_databases;

use crate::yard::{Options, STACK, Wanted, Yard, ids, strings, task_id, uuid};

const UNKNOWN: &str = "01234567-89ab-4def-8123-456789abcdef";

on_both_databases! {
    async fn a_listed_job_says_what_its_task_says(kind) {
        let yard = Yard::new(kind).await;
        let id = yard.job(Wanted {
            priority: Priority::Highest,
            definition: json!({
                "payload": {"command": "make", "agents": {"os": "linux"}},
                "metadata": {"name": "build"},
                "tags": {"branch": "topic"},
                "extra": {"stacks": {"step": "compile", "pipeline": "demo", "buildNumber": 7}},
            }),
            ..Wanted::default()
        }).await;
        let since = yard.task(&id).await.runs[0].scheduled.to_iso();
        let page = yard.get(&format!("stacks/{STACK}/scheduled-jobs?queue_key=default")).await;
        let page = page.expect(200);
        let pipeline_uuid = page["jobs"][0]["pipeline"]["uuid"].clone();
        let expected = json!({
            "jobs": [{
                "id": id, "priority": 6, "agent_query_rules": ["queue=default", "os=linux"],
                "scheduled_at": since, "runnable_at": since,
                "pipeline": {"slug": "demo", "uuid": pipeline_uuid},
                "build": {"uuid": id, "number": 7, "branch": "topic"},
                "step": {"key": "compile"},
            }],
            "cluster_queue": {
                "id": page["cluster_queue"]["id"], "paused": false, "dispatch_paused": false,
            },
            "page_info": {"has_next_page": false, "end_cursor": page["page_info"]["end_cursor"]},
        });
        assert_eq!(page, expected);
        // Again, now that the server remembers the job.
        let path = format!("stacks/{STACK}/scheduled_jobs?queue_key=_default");
        assert_eq!(yard.get(&path).await.expect(200), expected);
    }

    async fn jobs_are_listed_by_age_whatever_their_priority(kind) {
        let yard = Yard::new(kind).await;
        let mut expected = Vec::new();
        for at in 0..40 {
            let priority = Priority::ALL[at * 5 % 7];
            expected.push(yard.job(Wanted { priority, ..Wanted::default() }).await);
            yard.advance(Duration::from_millis(7));
        }
        assert_eq!(yard.listed().await, expected);
        let mut paged = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!(
                "stacks/{STACK}/scheduled-jobs?queue_key=default&limit=7&after={after}"
            );
            let page = yard.get(&path).await.expect(200);
            paged.extend(ids(&page["jobs"], "id"));
            let cursor = page["page_info"]["end_cursor"].as_str();
            cursor.expect("a cursor").clone_into(&mut after);
            if page["page_info"]["has_next_page"] == false {
                break;
            }
        }
        assert_eq!(paged, expected);
        // Behind the end is nothing, and the way back to it.
        let path = format!("stacks/{STACK}/scheduled-jobs?queue_key=default&after={after}");
        let page = yard.get(&path).await.expect(200);
        let end = json!({"has_next_page": false, "end_cursor": after});
        assert_eq!((&page["jobs"], &page["page_info"]), (&json!([]), &end));
    }

    async fn a_listing_is_asked_for_as_it_should_be(kind) {
        let yard = Yard::new(kind).await;
        let path = |query: &str| format!("stacks/{STACK}/scheduled-jobs?{query}");
        for (query, status) in [
            ("", 400),
            ("queue_key=", 400),
            ("queue_key=default&limit=0", 400),
            ("queue_key=default&limit=-1", 400),
            ("queue_key=default&limit=x", 400),
            ("queue_key=default&after=x", 400),
            ("queue_key=a+b%2Fc%26d", 404),
        ] {
            yard.get(&path(query)).await.refused(status);
        }
        yard.get(&path("queue_key=default&limit=100000")).await.expect(200);
        let empty = yard.get(&path("queue_key=nobody-ever-used")).await.expect(200);
        assert_eq!(empty["jobs"], json!([]));
        assert_eq!(empty["page_info"], json!({"has_next_page": false, "end_cursor": null}));
        yard.get("stacks/other/scheduled-jobs?queue_key=default").await.refused(404);
    }

    async fn queues_of_jobs_stand_for_task_queues(kind) {
        let queues = QueueMap::parse("gpu=prov/gpu-1").expect("a map");
        let yard = Yard::with(kind, Options { queues, ..Options::default() }).await;
        yard.register(STACK).await;
        for (task_queue, key, escaped) in [
            ("stacks/default", "default", "default"),
            ("prov/gpu-1", "gpu", "gpu"),
            ("other/type", "other/type", "other%2Ftype"),
        ] {
            let id = yard.job(Wanted { task_queue, ..Wanted::default() }).await;
            let path = format!("stacks/{STACK}/scheduled-jobs?queue_key={escaped}");
            let page = yard.get(&path).await.expect(200);
            assert_eq!(ids(&page["jobs"], "id"), [id]);
            assert_eq!(page["jobs"][0]["agent_query_rules"], json!([format!("queue={key}")]));
        }
    }

    async fn a_reserved_job_is_hidden_until_its_time(kind) {
        let yard = Yard::new(kind).await;
        yard.register("other").await;
        let jobs = yard.jobs(vec![Wanted::default(); 3]).await;
        let asked = json!({
            "job_uuids": [jobs[1], "no-uuid", jobs[0], UNKNOWN, jobs[1]],
            "reservation_expiry_seconds": 60,
        });
        let path = format!("stacks/{STACK}/scheduled-jobs/batch-reserve");
        let answer = yard.put(&path, &asked).await.expect(200);
        let expected = json!({
            "reserved": [jobs[1], jobs[0]],
            "not_reserved": ["no-uuid", UNKNOWN],
        });
        assert_eq!(answer, expected);
        assert_eq!(yard.listed().await, [jobs[2].clone()]);
        assert_eq!(yard.state(&jobs[0]).await, "reserved");
        // Nobody else gets it, neither a stack nor a worker.
        assert_eq!(yard.reserve("other", &jobs).await, [jobs[2].clone()]);
        let worker = Worker { group: "g".to_owned(), id: "w".to_owned() };
        let (now, until) = (yard.now(), yard.now().plus(Duration::from_mins(20)));
        let claimed = yard.write(move |tx| {
            task::claim_work(tx, now, "stacks/default", &worker, 10, until)
        }).await.expect("the worker is not quarantined");
        assert!(claimed.is_empty());
        // Asking again makes it last longer.
        yard.advance(Duration::from_secs(50));
        assert_eq!(yard.reserve(STACK, &jobs[..1]).await, jobs[..1]);
        yard.advance(Duration::from_secs(11));
        yard.sweep().await;
        assert_eq!(yard.listed().await, [jobs[1].clone()]);
        assert_eq!(yard.state(&jobs[0]).await, "reserved");
        // 900 seconds unless something else is said.
        yard.advance(Duration::from_secs(700));
        yard.sweep().await;
        assert_eq!(yard.state(&jobs[0]).await, "reserved");
        yard.advance(Duration::from_secs(190));
        yard.sweep().await;
        assert_eq!(yard.state(&jobs[0]).await, "scheduled");
        assert_eq!(yard.listed().await, jobs);
    }

    async fn a_reservation_is_asked_for_as_it_should_be(kind) {
        let yard = Yard::new(kind).await;
        let path = format!("stacks/{STACK}/scheduled_jobs/batch_reserve");
        for (body, status) in [
            (json!({}), 400),
            (json!({"job_uuids": "a"}), 400),
            (json!({"job_uuids": [1]}), 400),
            (json!({"job_uuids": vec![UNKNOWN; 1001]}), 400),
            (json!({"job_uuids": [], "reservation_expiry_seconds": 3601}), 422),
            (json!({"job_uuids": [], "reservation_expiry_seconds": -1}), 422),
            (json!({"job_uuids": [], "reservation_expiry_seconds": "60"}), 422),
        ] {
            yard.put(&path, &body).await.refused(status);
        }
        let nothing = json!({"reserved": [], "not_reserved": []});
        for uuids in [json!([]), Value::Null] {
            let body = json!({"job_uuids": uuids, "reservation_expiry_seconds": 0});
            assert_eq!(yard.post(&path, &body).await.expect(200), nothing);
        }
        yard.put("stacks/other/scheduled-jobs/batch-reserve", &json!({"job_uuids": []}))
            .await
            .refused(404);
    }

    async fn a_paused_queue_is_listed_and_hands_nothing_out(kind) {
        let yard = Yard::new(kind).await;
        let id = yard.job(Wanted::default()).await;
        let root = yard.call(&yard.token, "POST", "queues/default/pause", None).await;
        root.refused(403);
        let operator = yard.client("operator", &["stacks:pause-queue:default"]).await;
        yard.call(&operator, "POST", "queues/default/pause", None).await.expect(200);
        let path = format!("stacks/{STACK}/scheduled-jobs?queue_key=default");
        let page = yard.get(&path).await.expect(200);
        assert_eq!(page["cluster_queue"]["paused"], true);
        assert_eq!(page["cluster_queue"]["dispatch_paused"], true);
        assert_eq!(ids(&page["jobs"], "id"), std::slice::from_ref(&id));
        let reserve = format!("stacks/{STACK}/scheduled-jobs/batch-reserve");
        let answer = yard.put(&reserve, &json!({"job_uuids": [id]})).await.expect(200);
        assert_eq!(strings(&answer["not_reserved"]), std::slice::from_ref(&id));
        yard.call(&operator, "POST", "queues/default/resume", None).await.expect(200);
        assert_eq!(yard.reserve(STACK, std::slice::from_ref(&id)).await, [id]);
    }

    async fn a_job_that_can_be_started_is_told_with_all_it_needs(kind) {
        let yard = Yard::new(kind).await;
        let id = yard.job(Wanted {
            definition: json!({
                "payload": {
                    "command": [["echo", "a b"], ["true"]], "env": {"A": "1"}, "maxRunTime": 90,
                },
                "metadata": {"name": "n", "description": "why"},
                "extra": {"stacks": {"plugins": [{"docker#v1": {"image": "x"}}]}},
            }),
            ..Wanted::default()
        }).await;
        let path = format!("stacks/{STACK}/jobs/{id}");
        let job = yard.get(&path).await.expect(200);
        assert_eq!(job["id"], json!(id));
        assert_eq!(job["command"], "echo 'a b' && true");
        let env = &job["env"];
        for (name, value) in [
            ("A", "1"),
            ("BUILDKITE_COMMAND", "echo 'a b' && true"),
            ("BUILDKITE_JOB_ID", id.as_str()),
            ("BUILDKITE_BUILD_ID", id.as_str()),
            ("BUILDKITE_PLUGINS", r#"[{"docker#v1":{"image":"x"}}]"#),
            ("BUILDKITE_TIMEOUT", "2"),
            ("BUILDKITE_MESSAGE", "why"),
            ("BUILDKITE_BRANCH", "main"),
            ("BUILDKITE_SKIP_CHECKOUT", "true"),
            ("BUILDKITE_AGENT_META_DATA_QUEUE", "default"),
        ] {
            assert_eq!(env[name], value, "{name}");
        }
        assert!(env.as_object().expect("an object").values().all(Value::is_string));
        yard.reserve(STACK, std::slice::from_ref(&id)).await;
        yard.get(&path).await.expect(200);
        yard.get(&path.to_uppercase().replace("STACKS", "stacks").replace("MY-STACK", STACK)
            .replace("JOBS", "jobs")).await.expect(200);
        yard.cancel(&id).await;
        yard.get(&path).await.refused(404);
        yard.get(&format!("stacks/{STACK}/jobs/{UNKNOWN}")).await.refused(404);
        yard.get(&format!("stacks/{STACK}/jobs/no-uuid")).await.refused(404);
    }

    async fn states_are_told_under_the_names_that_were_sent(kind) {
        let yard = Yard::new(kind).await;
        let first = yard.job(Wanted::default()).await;
        let waits = yard.job(Wanted {
            dependencies: vec![task_id(&first)],
            ..Wanted::default()
        }).await;
        let canceled = yard.job(Wanted::default()).await;
        yard.cancel(&canceled).await;
        let late = yard.job(Wanted { lasting: Duration::from_mins(1), ..Wanted::default() }).await;
        yard.advance(Duration::from_mins(3));
        yard.sweep().await;
        let upper = first.to_uppercase();
        let asked = json!({"job_uuids": [upper, waits, canceled, late, UNKNOWN, "x"]});
        let answer = yard.post(&format!("stacks/{STACK}/jobs/get-states"), &asked).await;
        let expected = json!({"states": {
            upper: "scheduled", waits: "waiting", canceled: "canceled", late: "expired",
        }});
        assert_eq!(answer.expect(200), expected);
        let nothing = yard.post(&format!("stacks/{STACK}/jobs/get-states"),
            &json!({"job_uuids": null})).await;
        assert_eq!(nothing.expect(200), json!({"states": {}}));
        let many = json!({"job_uuids": vec![UNKNOWN; 1001]});
        yard.post(&format!("stacks/{STACK}/jobs/get-states"), &many).await.refused(400);
    }

    async fn a_worker_of_another_kind_may_run_a_job_too(kind) {
        let yard = Yard::new(kind).await;
        let id = yard.job(Wanted::default()).await;
        let worker = Worker { group: "g".to_owned(), id: "w".to_owned() };
        let (now, until) = (yard.now(), yard.now().plus(Duration::from_mins(20)));
        let claimed = yard.write(move |tx| {
            task::claim_work(tx, now, "stacks/default", &worker, 1, until)
        }).await.expect("the worker is not quarantined");
        assert_eq!(uuid(&claimed[0].task.id), id);
        assert_eq!(yard.state(&id).await, "running");
        assert!(yard.reserve(STACK, std::slice::from_ref(&id)).await.is_empty());
        let (now, task) = (yard.now(), task_id(&id));
        yard.write(move |tx| {
            let done = task::report(tx, now, &task, 0, task::Resolved::Completed)?;
            Ok(done.is_ok())
        }).await;
        assert_eq!(yard.state(&id).await, "finished");
    }
}
