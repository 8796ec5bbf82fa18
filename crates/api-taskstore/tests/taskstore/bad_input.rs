//! What cannot be understood is refused in plain words, and changes nothing.

use serde_json::{Value, json};
use taskyard_store::on_both_databases;

use crate::yard::{Yard, ids};

/// 16 MiB.
const LIMIT: usize = 16 * 1024 * 1024;

on_both_databases! {
    async fn what_cannot_be_read_is_answered_with_400_and_changes_nothing(kind) {
        let yard = Yard::new(kind).await;
        let long = "g".repeat(1025);
        let bodies = [
            "", "[]", "null", "x", "{", "{]", "{}{}", "update=", "claim=", "\"{}\"",
            r#"{"clientid":2147483648,"adds":[{"group":"g"}]}"#,
            r#"{"clientid":-2147483649,"adds":[{"group":"g"}]}"#,
            r#"{"clientid":1.0,"adds":[{"group":"g"}]}"#,
            r#"{"clientid":true,"adds":[{"group":"g"}]}"#,
            r#"{"adds":[{"group":"g"},{"group":7}]}"#,
            r#"{"adds":[{"group":"g"},7]}"#,
            r#"{"adds":[{"group":"g","at":9223372036854775808}]}"#,
            r#"{"adds":[{"group":"g","timespec":1e3}]}"#,
            r#"{"adds":[{"group":"g","data":7}]}"#,
            r#"{"adds":[{"group":"g","data":"\ud800"}]}"#,
            r#"{"adds":[{"group":"g","data64":"*"}]}"#,
            r#"{"adds":[{"group":"g\u0000"}]}"#,
            r#"{"adds":[{"group":"g"}],"deletes":[18446744073709551616]}"#,
            r#"{"adds":[{"group":"g"}],"deletes":"1"}"#,
            &format!(r#"{{"adds":[{{"group":"g"}},{{"group":"{long}"}}]}}"#),
            &format!(r#"{{"adds":[{{"group":"g"}}],"x":{}}}"#, "[".repeat(200_000)),
        ];
        for body in bodies {
            let answer = yard.post("/update", body.to_owned()).await;
            assert_eq!(answer.status, 400, "{body:.100}: {}", answer.body);
        }
        let not_text = b"{\"adds\":[{\"group\":\"g\",\"data\":\"\xff\"}]}".to_vec();
        assert_eq!(yard.post("/update", not_text).await.status, 400);
        for body in [
            "", "[]", r#"{"group":7}"#, r#"{"duration":"1"}"#, r#"{"depends":{}}"#,
            r#"{"group":"g","count":0}"#, r#"{"group":"g","count":1001}"#,
            r#"{"group":"g","max_attempts":1}"#, r#"{"group":"g","error_group":"e"}"#,
            r#"{"group":"g","max_attempts":0,"error_group":"e"}"#,
            r#"{"group":"g","max_attempts":1,"error_group":"g"}"#,
        ] {
            let answer = yard.post("/claim", body).await;
            assert_eq!(answer.status, 400, "{body}: {}", answer.body);
        }
        let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
        let answer = yard.post("/claim", json!({"groups": many}).to_string()).await;
        assert_eq!(answer.status, 400);
        for path in [
            "/task/", "/task/x", "/task/1.0", "/task/1/", "/task/9223372036854775808", "/tasks/1,",
            "/tasks/,", "/tasks/1;2", "/group/%ff", "/group/g?limit=x", "/group/g?limit=1.5",
            "/group/g?owned=2", "/group/g?after=1", "/group/g?encoding=hex",
        ] {
            let answer = yard.get(path).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.body);
        }
        assert_eq!(yard.post("/claim?unit=s", "{}").await.status, 400);
        assert_eq!(yard.get("/groups").await.body, "[]");
        assert_eq!(yard.add("g", 1).await, [1]);
    }

    async fn other_paths_and_methods_are_refused_by_name(kind) {
        let yard = Yard::new(kind).await;
        for path in ["/", "/x", "/claim/x", "/groups/x", "/test/x"] {
            assert_eq!(yard.get(path).await.status, 404, "{path}");
        }
        for (method, path, allowed) in [
            ("POST", "/groups", "GET"), ("DELETE", "/task/1", "GET"), ("PUT", "/group/g", "GET"),
            ("GET", "/update", "POST"), ("OPTIONS", "/claim", "POST"), ("HEAD", "/groups", "GET"),
        ] {
            let response = yard.request(method, path).send().await.expect("an answer");
            assert_eq!(response.status().as_u16(), 405, "{method} {path}");
            assert_eq!(response.headers()["allow"], allowed);
        }
    }

    async fn ids_that_no_task_can_have_are_merely_absent(kind) {
        let yard = Yard::new(kind).await;
        yard.add("g", 1).await;
        let odd = [0, -1, i64::MIN, i64::MAX];
        let answer = yard.update(&json!({"deletes": odd, "depends": odd})).await;
        assert_eq!(answer["error"]["deletes"], json!(odd));
        assert_eq!(answer["error"]["depends"], json!(odd));
        let path = odd.map(|id| id.to_string()).join(",");
        assert_eq!(yard.get(&format!("/tasks/{path}")).await.body, "[null,null,null,null]");
        let nameless = yard.update(&json!({"adds": [{"data": "x"}], "updates": [{"id": 0}]})).await;
        assert_eq!(nameless["error"]["bugs"], json!([null, null]));
        assert_eq!(nameless["error"]["messages"].as_array().map(Vec::len), Some(2));
    }

    async fn a_body_may_have_16_mebibytes_and_not_a_byte_more(kind) {
        let yard = Yard::new(kind).await;
        let (start, end) = (r#"{"clientid":1,"adds":[{"group":"g","data":""#, r#""}]}"#);
        let body = |length: usize| {
            format!("{start}{}{end}", "d".repeat(length - start.len() - end.len()))
        };
        assert_eq!(yard.post("/update", body(LIMIT + 1)).await.status, 413);
        assert_eq!(yard.get("/groups").await.body, "[]");
        assert_eq!(yard.post("/update", body(LIMIT)).await.status, 200);
        assert_eq!(yard.get("/groups").await.body, "[\"g\"]");
    }

    async fn an_update_may_name_100_000_tasks_and_not_one_more(kind) {
        let yard = Yard::new(kind).await;
        let adds = |count: usize| vec![json!({"group": "g"}); count];
        let too_many = json!({"clientid": 1, "adds": adds(100_000), "depends": [1]});
        let answer = yard.post("/update", too_many.to_string()).await;
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("100000") && answer.body.contains("100001"), "{}", answer.body);
        assert_eq!(yard.get("/groups").await.body, "[]");
        let most = json!({"clientid": 1, "adds": adds(100_000)});
        let answer = yard.update(&most).await;
        let expected: Vec<i64> = (1..=100_000).collect();
        assert_eq!(ids(&answer), expected);
        let stats: Value = yard.get("/stats/g").await.json();
        assert_eq!(stats["total"], 100_000);
    }
}
