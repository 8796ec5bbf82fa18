//! Queues, provisioners, and what waits and runs in a queue.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_store::on_both_databases;

use crate::ask::Ask;
use crate::groups::pages;
use crate::house::{House, QUEUE, moment};

const DAY: Duration = Duration::from_hours(24);

async fn poll(house: &House, queue: &str, worker: &str) {
    let body = json!({"workerGroup": "g", "workerId": worker});
    house
        .call("claimWork", &[queue], Some(body))
        .await
        .granted();
}

fn names(items: &[Value], name: &str) -> Vec<String> {
    items
        .iter()
        .map(|item| item[name].as_str().expect("a name").to_owned())
        .collect()
}

on_both_databases! {
    async fn a_queue_is_known_once_a_worker_asked_it_for_work(kind) {
        let house = House::new(kind).await;
        // An empty claim would be waited for; this one is answered at once.
        house.draining.cancel();
        house.create(json!({})).await;
        house.call("getTaskQueue", &[QUEUE], None).await.refused(404, "ResourceNotFound");
        house.call("getWorkerType", &["prov", "type"], None).await.refused(404, "ResourceNotFound");
        house.call("getProvisioner", &["prov"], None).await.refused(404, "ResourceNotFound");
        let all = house.call("listTaskQueues", &[], None).await.granted();
        assert_eq!(all, json!({"taskQueues": []}));
        for queue in [QUEUE, "prov/a", "other/b"] {
            poll(&house, queue, "w").await;
        }
        let queue = house.call("getTaskQueue", &[QUEUE], None).await.granted();
        let seen = moment(&queue["lastDateActive"]);
        assert_eq!(queue, json!({"taskQueueId": QUEUE, "stability": "experimental",
            "description": "", "expires": seen.plus(DAY).to_iso(),
            "lastDateActive": queue["lastDateActive"]}));
        let worker_type = house.call("getWorkerType", &["prov", "type"], None).await.granted();
        assert_eq!(worker_type, crate::house::merged(queue.clone(), json!({
            "provisionerId": "prov", "workerType": "type", "actions": []})));
        for limit in [1, 2, 3, 1000] {
            let all = pages(&house, "listTaskQueues", &[], limit, "taskQueues").await;
            assert_eq!(names(&all, "taskQueueId"), ["other/b", "prov/a", QUEUE]);
            assert_eq!(all[2], queue);
            let of = pages(&house, "listWorkerTypes", &["prov"], limit, "workerTypes").await;
            assert_eq!(names(&of, "workerType"), ["a", "type"]);
            let all = pages(&house, "listProvisioners", &[], limit, "provisioners").await;
            assert_eq!(names(&all, "provisionerId"), ["other", "prov"]);
        }
        let provisioner = house.call("getProvisioner", &["prov"], None).await.granted();
        assert_eq!(provisioner["actions"], json!([]));
        assert!(moment(&provisioner["expires"]) >= moment(&queue["expires"]));
        house.wait(DAY + Duration::from_secs(1));
        house.call("getTaskQueue", &[QUEUE], None).await.refused(404, "ResourceNotFound");
        let all = house.call("listProvisioners", &[], None).await.granted();
        assert_eq!(all, json!({"provisioners": []}));
    }

    async fn a_queue_may_be_spelled_in_two_ways(kind) {
        let house = House::new(kind).await;
        house.draining.cancel();
        poll(&house, QUEUE, "w").await;
        for (verb, path) in [
            ("GET", "/task-queues/prov%2Ftype"), ("GET", "/task-queues/prov/type"),
            ("GET", "/task-queues/prov%2Ftype/pending"), ("GET", "/task-queues/prov/type/claimed"),
            ("GET", "/task-queues/prov/type/counts"), ("GET", "/pending/prov/type"),
        ] {
            let ask = Ask::new(verb, &format!("/api/queue/v1{path}")).by(house.root());
            house.ask(ask).await.granted();
        }
        let ask = Ask::new("POST", "/api/queue/v1/claim-work/prov/type")
            .json(&json!({"workerGroup": "g", "workerId": "w"}));
        assert_eq!(house.ask(ask.by(house.root())).await.granted(), json!({"tasks": []}));
    }

    async fn a_queue_and_a_provisioner_are_declared(kind) {
        let house = House::new(kind).await;
        let of_type = ["prov", "type"];
        let body = json!({"description": "for tests", "stability": "stable"});
        let declared =
            house.call("declareWorkerType", &of_type, Some(body.clone())).await.granted();
        assert_eq!((&declared["description"], &declared["stability"]),
            (&json!("for tests"), &json!("stable")));
        assert!(moment(&declared["expires"]) > house.clock.now().plus(DAY * 4));
        assert_eq!(house.call("getWorkerType", &of_type, None).await.granted(), declared);
        // What is not given stays, and nothing is forgotten earlier.
        let sooner = json!({"expires": house.later(DAY), "stability": "deprecated"});
        let again = house.call("declareWorkerType", &of_type, Some(sooner)).await.granted();
        assert_eq!(again, crate::house::merged(declared, json!({"stability": "deprecated"})));
        house.call("declareWorkerType", &of_type, Some(json!({}))).await.granted();
        let provisioner = house.call("getProvisioner", &["prov"], None).await.granted();
        assert_eq!(provisioner["description"], "");
        let body = json!({"description": "ours", "actions": []});
        let declared = house.call("declareProvisioner", &["prov"], Some(body)).await.granted();
        assert_eq!(declared["description"], "ours");
        assert_eq!(house.call("getProvisioner", &["prov"], None).await.granted(), declared);
        let alone = house.call("declareProvisioner", &["alone"], Some(json!({}))).await.granted();
        let all = house.call("listProvisioners", &[], None).await.granted();
        assert_eq!(all["provisioners"], json!([alone, declared]));
        for (method, args) in [("declareProvisioner", &["prov"][..]), ("declareWorkerType", &of_type)] {
            for bad in [json!({"stability": "great"}), json!({"expires": "soon"}), json!({"x": 1}),
                json!({"description": 1})] {
                house.call(method, args, Some(bad)).await.refused(400, "InputValidationError");
            }
        }
        let never = ["prov", "UPPER"];
        house.call("declareWorkerType", &never, Some(json!({}))).await.refused(400, "InputError");
        assert_eq!(house.call("getProvisioner", &["prov"], None).await.granted(), declared);
    }

    async fn what_waits_and_what_runs_is_listed_in_its_order(kind) {
        let house = House::new(kind).await;
        let mut ids = Vec::new();
        for priority in ["low", "highest", "lowest", "low", "medium", "highest"] {
            ids.push(house.create(json!({"priority": priority})).await);
            house.wait(Duration::from_millis(5));
        }
        for limit in [1, 2, 4, 6, 1000] {
            let pending = pages(&house, "listPendingTasks", &[QUEUE], limit, "tasks").await;
            assert_eq!(names(&pending, "taskId"), ids, "pages of {limit}");
            assert!(pending.iter().all(|item| item["runId"] == 0));
            assert_eq!(pending[1]["task"], house.call("task", &[&ids[1]], None).await.granted());
            let since: Vec<_> = pending.iter().map(|item| moment(&item["inserted"])).collect();
            assert!(since.is_sorted());
        }
        // By priority: 1, 5, 4, 0.
        for _ in 0..4 {
            house.claim(1).await;
            house.wait(Duration::from_secs(1));
        }
        // A renewal changes when the claim ends, not when it was made.
        house.call("reclaimTask", &[&ids[1], "0"], None).await.granted();
        let expected = [1, 5, 4, 0].map(|at: usize| ids[at].clone());
        for limit in [1, 3, 4, 1000] {
            let claimed = pages(&house, "listClaimedTasks", &[QUEUE], limit, "tasks").await;
            assert_eq!(names(&claimed, "taskId"), expected, "pages of {limit}");
            let run = &house.status(&ids[5]).await["runs"][0];
            let item = &claimed[1];
            assert_eq!(item["claimed"], run["started"]);
            assert_eq!((&item["workerGroup"], &item["workerId"]), (&json!("group"), &json!("worker")));
        }
        let pending = house.call("listPendingTasks", &[QUEUE], None).await.granted();
        assert_eq!(names(pending["tasks"].as_array().unwrap(), "taskId"), [ids[2].clone(), ids[3].clone()]);
        let none = house.call("listPendingTasks", &["prov/none"], None).await.granted();
        assert_eq!(none, json!({"tasks": []}));
        // A retry waits anew; what is past its deadline waits no more.
        let reason = Some(json!({"reason": "worker-shutdown"}));
        house.call("reportException", &[&ids[1], "0"], reason).await.status_of();
        let pending = house.call("listPendingTasks", &[QUEUE], None).await.granted();
        assert_eq!(pending["tasks"][2]["taskId"], ids[1].as_str());
        assert_eq!(pending["tasks"][2]["runId"], 1);
        house.wait(Duration::from_mins(61));
        let pending = house.call("listPendingTasks", &[QUEUE], None).await.granted();
        assert_eq!(pending, json!({"tasks": []}));
    }

    async fn many_queues_are_counted_at_once(kind) {
        let house = House::new(kind).await;
        for _ in 0..3 {
            house.create(json!({})).await;
        }
        house.claim(1).await;
        let body = json!({"taskQueueIds": ["prov/none", QUEUE]});
        let told = house.call("taskQueueCountsBatch", &[], Some(body)).await.granted();
        let one = house.call("taskQueueCounts", &[QUEUE], None).await.granted();
        assert_eq!((&one["pendingTasks"], &one["claimedTasks"]), (&json!(2), &json!(1)));
        assert_eq!(told["taskQueueCounts"][1], one);
        assert_eq!(told["taskQueueCounts"][0]["pendingTasks"], 0);
        for bad in [json!({}), json!({"taskQueueIds": ["x"]}),
            json!({"taskQueueIds": [QUEUE, QUEUE]})] {
            house.call("taskQueueCountsBatch", &[], Some(bad)).await
                .refused(400, "InputValidationError");
        }
    }
}
