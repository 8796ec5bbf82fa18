//! Workers within the server.

use serde_json::json;
use taskyard_api_taskcluster::queue::BuiltIn;
use taskyard_store::on_both_databases;

use crate::house::{House, SOON};

on_both_databases! {
    async fn built_in_workers_do_what_their_queues_are_called(kind) {
        let house = House::new(kind).await;
        let (store, clock) = (house.store.clone(), house.clock.clone());
        let mut created = Vec::new();
        let create = async |queue: &str, payload, state, reason| {
            let id = house.create(json!({"taskQueueId": queue, "payload": payload})).await;
            (id, queue.rsplit('/').next().unwrap().to_owned(), state, reason)
        };
        // Some wait before there is anybody, some come later.
        created.push(create("built-in/succeed", json!({}), "completed", "completed").await);
        created.push(create("built-in/fail", json!({}), "failed", "failed").await);
        let workers = [
            tokio::spawn(BuiltIn::succeed(store.clone(), clock.clone()).run()),
            tokio::spawn(BuiltIn::fail(store, clock).run()),
        ];
        for queue in ["built-in/succeed", "built-in/fail"] {
            created.push(create(queue, json!({"command": []}), "exception", "malformed-payload").await);
        }
        for _ in 0..40 {
            created.push(create("built-in/succeed", json!({}), "completed", "completed").await);
        }
        for (id, worker, state, reason) in created {
            let status = tokio::time::timeout(SOON, async {
                loop {
                    let status = house.status(&id).await;
                    if !["pending", "running"].contains(&status["state"].as_str().unwrap()) {
                        return status;
                    }
                    tokio::task::yield_now().await;
                }
            })
            .await
            .expect("it is done soon");
            assert_eq!(status["state"], state);
            let run = &status["runs"][0];
            assert_eq!(run["reasonResolved"], reason);
            assert_eq!((&run["workerGroup"], &run["workerId"]), (&json!("built-in"), &json!(worker)));
            assert_eq!(status["runs"].as_array().unwrap().len(), 1);
        }
        for worker in workers {
            worker.abort();
        }
        let args = ["built-in", "succeed", "built-in", "succeed"];
        let known = house.call("getWorker", &args, None).await.granted();
        assert_eq!(known["recentTasks"].as_array().unwrap().len(), 20);
    }
}
