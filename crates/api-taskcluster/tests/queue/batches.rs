//! Many tasks in one call.

use serde_json::{Value, json};
use taskyard_access::slugid;
use taskyard_store::on_both_databases;

use crate::ask::Ask;
use crate::house::{House, escaped};

/// One page of a batch; its items and the next page's token.
async fn page(house: &House, method: &str, ids: &[String], query: &str) -> (Vec<Value>, String) {
    let path = if method == "tasks" {
        "tasks"
    } else {
        "tasks/status"
    };
    let target = format!("/api/queue/v1/{path}?{query}");
    let ask = Ask::new("POST", &target).json(&json!({"taskIds": ids}));
    let body = house.ask(ask.by(house.root())).await.granted();
    let token = body["continuationToken"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    (body[method].as_array().expect("items").clone(), token)
}

on_both_databases! {
    async fn many_tasks_are_told_at_once_and_unknown_ones_left_out(kind) {
        let house = House::new(kind).await;
        let mut ids = Vec::new();
        for _ in 0..70 {
            ids.push(house.create(json!({})).await);
        }
        let mut wanted = ids.clone();
        wanted.extend([slugid::nice(), "no id at all".to_owned(), ids[3].clone()]);
        let body = Some(json!({"taskIds": wanted}));
        let tasks = house.call("tasks", &[], body.clone()).await.granted();
        let statuses = house.call("statuses", &[], body).await.granted();
        ids.sort();
        for (all, items, item, method) in
            [(&tasks, "tasks", "task", "task"), (&statuses, "statuses", "status", "status")]
        {
            assert!(all.get("continuationToken").is_none());
            let all = all[items].as_array().unwrap();
            let found: Vec<&str> = all.iter().map(|one| one["taskId"].as_str().unwrap()).collect();
            assert_eq!(found, ids);
            let alone = house.call(method, &[&ids[0]], None).await.granted();
            let alone = if method == "status" { &alone["status"] } else { &alone };
            assert_eq!(&all[0][item], alone);
        }
        let none = house.call("tasks", &[], Some(json!({}))).await.granted();
        assert_eq!(none, json!({"tasks": []}));
        let none = house.call("statuses", &[], Some(json!({"taskIds": []}))).await.granted();
        assert_eq!(none, json!({"statuses": []}));
    }

    async fn a_batch_is_told_page_by_page(kind) {
        let house = House::new(kind).await;
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.push(house.create(json!({})).await);
        }
        // A page may be short, as ids of no task count.
        ids.push(slugid::nice());
        for method in ["tasks", "statuses"] {
            for limit in [1, 2, 6, 1000] {
                let (mut found, mut query) = (Vec::new(), format!("limit={limit}"));
                loop {
                    let (items, token) = page(&house, method, &ids, &query).await;
                    assert!(items.len() <= limit);
                    found.extend(items);
                    if token.is_empty() {
                        break;
                    }
                    query = format!("limit={limit}&continuationToken={}", escaped(&token));
                }
                assert_eq!(found.len(), 5, "{method} in pages of {limit}");
            }
            let bad = Ask::new("POST", "/api/queue/v1/tasks?continuationToken=x")
                .json(&json!({"taskIds": ids}));
            house.ask(bad.by(house.root())).await.refused(400, "InputError");
        }
    }

    async fn a_batch_that_is_no_list_of_texts_is_refused(kind) {
        let house = House::new(kind).await;
        for body in [json!({"taskIds": "x"}), json!({"taskIds": [1]}), json!({"other": []})] {
            for method in ["tasks", "statuses"] {
                let answer = house.call(method, &[], Some(body.clone())).await;
                answer.refused(400, "InputValidationError");
            }
        }
    }
}
