//! Task groups, and the tasks that depend on one.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_access::slugid;
use taskyard_store::on_both_databases;

use crate::house::{House, moment};

/// All items of a paged listing, read in pages of `limit`.
pub(crate) async fn pages(
    house: &House,
    method: &str,
    args: &[&str],
    limit: usize,
    items: &str,
) -> Vec<Value> {
    let mut all = Vec::new();
    let mut query = format!("limit={limit}");
    loop {
        let page = house.get_with(method, args, &query).await.granted();
        let found = page[items].as_array().expect("items").clone();
        assert!(found.len() <= limit, "{page}");
        all.extend(found);
        match page.get("continuationToken") {
            None => return all,
            Some(token) => {
                let token = crate::house::escaped(token.as_str().expect("a token"));
                query = format!("limit={limit}&continuationToken={token}");
            }
        }
    }
}

fn ids(tasks: &[Value]) -> Vec<String> {
    let id = |task: &Value| task["status"]["taskId"].as_str().expect("an id").to_owned();
    tasks.iter().map(id).collect()
}

/// Tokens that were never given out.
const BAD_TOKENS: [&str; 6] = [
    "x",
    "%20",
    "bm9uc2Vuc2U",
    "eyJhIjoxfQ",
    "MTIz",
    "Ilx1MDAwMCI",
];

on_both_databases! {
    async fn a_group_lists_its_tasks_page_by_page(kind) {
        let house = House::new(kind).await;
        let group = slugid::nice();
        let mut expected = Vec::new();
        for _ in 0..7 {
            expected.push(house.create(json!({"taskGroupId": group, "schedulerId": "s"})).await);
        }
        house.create(json!({})).await;
        // In the order of their creation.
        for limit in [1, 2, 3, 6, 7, 8, 1000] {
            let tasks = pages(&house, "listTaskGroup", &[&group], limit, "tasks").await;
            assert_eq!(ids(&tasks), expected, "pages of {limit}");
            for task in &tasks {
                let id = task["status"]["taskId"].as_str().unwrap();
                assert_eq!(task["status"], house.status(id).await);
                assert_eq!(task["task"], house.call("task", &[id], None).await.granted());
            }
        }
        let listed = house.call("listTaskGroup", &[&group], None).await.granted();
        let alone = house.call("getTaskGroup", &[&group], None).await.granted();
        for body in [&listed, &alone] {
            assert_eq!(body["taskGroupId"], group.as_str());
            assert_eq!(body["schedulerId"], "s");
            assert!(body.get("sealed").is_none() && body.get("continuationToken").is_none());
        }
        assert_eq!(house.get_with("listTaskGroup", &[&group], "limit=0").await.granted(), listed);
        assert_eq!(house.get_with("listTaskGroup", &[&group], "limit=5000").await.granted(), listed);
    }

    async fn a_token_that_was_never_given_out_is_refused(kind) {
        let house = House::new(kind).await;
        let (id, _) = house.claimed(json!({})).await;
        for token in BAD_TOKENS {
            let query = format!("continuationToken={token}");
            for (method, args) in [
                ("listTaskGroup", vec![id.as_str()]), ("listDependentTasks", vec![&id]),
                ("listArtifacts", vec![&id, "0"]), ("listLatestArtifacts", vec![&id]),
                ("listPendingTasks", vec!["prov/type"]), ("listClaimedTasks", vec!["prov/type"]),
                ("listTaskQueues", vec![]), ("listProvisioners", vec![]),
                ("listWorkerTypes", vec!["prov"]), ("listWorkers", vec!["prov", "type"]),
            ] {
                let answer = house.get_with(method, &args, &query).await;
                assert_eq!(answer.status, 400, "{method} {token} {answer:?}");
                answer.refused(400, "InputError");
            }
        }
    }

    async fn a_group_outlives_its_longest_task_by_an_hour(kind) {
        let house = House::new(kind).await;
        let (group, hours) = (slugid::nice(), Duration::from_hours);
        let expires = async |fields: Value| {
            let id = house.create(fields).await;
            let task = house.call("task", &[&id], None).await.granted();
            let group = house.call("getTaskGroup", &[&group], None).await.granted();
            (moment(&task["expires"]), moment(&group["expires"]))
        };
        let with = |expires: Duration| json!({"taskGroupId": group, "expires": house.later(expires)});
        let (task, first) = expires(with(hours(10))).await;
        assert_eq!(first, task.plus(hours(1)));
        let (_, same) = expires(with(hours(5))).await;
        assert_eq!(same, first);
        let (task, later) = expires(with(hours(20))).await;
        assert_eq!(later, task.plus(hours(1)));
    }

    async fn dependents_are_listed_whether_or_not_they_still_wait(kind) {
        let house = House::new(kind).await;
        let required = house.create(json!({})).await;
        let body = Some(json!({"workerGroup": "g", "workerId": "w"}));
        let none = house.call("listDependentTasks", &[&required], None).await.granted();
        assert_eq!(none, json!({"taskId": required, "tasks": []}));
        let mut expected = Vec::new();
        for _ in 0..5 {
            expected.push(house.create(json!({"dependencies": [required]})).await);
        }
        expected.sort();
        for _ in 0..2 {
            for limit in [2, 5, 1000] {
                let tasks = pages(&house, "listDependentTasks", &[&required], limit, "tasks").await;
                assert_eq!(ids(&tasks), expected);
            }
            house.call("claimTask", &[&required, "0"], body.clone()).await.granted();
            house.call("reportCompleted", &[&required, "0"], None).await.status_of();
            // Now none of them waits any more.
            if house.status(&expected[0]).await["state"] == "pending" {
                break;
            }
        }
    }

    async fn what_does_not_exist_has_no_listing(kind) {
        let house = House::new(kind).await;
        for method in ["listTaskGroup", "getTaskGroup", "listDependentTasks", "listLatestArtifacts"] {
            house.call(method, &[&slugid::nice()], None).await.refused(404, "ResourceNotFound");
        }
    }
}
