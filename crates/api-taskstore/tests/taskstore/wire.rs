//! What goes over the wire, byte for byte.

use std::time::Duration;

use serde_json::json;
use taskyard_store::on_both_databases;

use crate::yard::{Yard, ids};

/// A task as it is written, at a time long past.
fn task(id: i64, group: &str, data: &str, millis: i64, owner: i32) -> String {
    format!(
        "{{\"id\":{id},\"group\":\"{group}\",\"data\":\"{data}\",\"timespec\":{millis},\
         \"duration\":{millis}000000,\"at\":{millis}000000,\"ownerid\":{owner}}}"
    )
}

fn success(tasks: &str) -> String {
    format!("{{\"tasks\":{tasks},\"Tasks\":{tasks},\"error\":null,\"Error\":null}}")
}

const NOTHING: &str = "{\"tasks\":null,\"Tasks\":null,\"error\":null,\"Error\":null}";
const MILLIS: i64 = 1_388_552_400_000;

on_both_databases! {
    async fn tasks_are_answered_in_the_bytes_that_every_client_reads(kind) {
        let yard = Yard::new(kind).await;
        for path in ["/groups", "/group", "/group/", "/groups/", "/tasks/", "/group/none"] {
            assert_eq!(yard.get(path).await.body, "[]", "{path}");
        }
        let add = r#"{"clientid":2624,"adds":[
            {"group":"map","data":"/path/to/file:1024:2048","timespec":1388552400000},
            {"id":0,"group":"a/b é","data":"<\"&\u0001","duration":1388552400000000000,"ownerid":0}
        ]}"#;
        let first = task(1, "map", "/path/to/file:1024:2048", MILLIS, 2624);
        let second = task(2, "a/b é", "<\\\"&\\u0001", MILLIS, 2624);
        assert_eq!(yard.post("/update", add).await.body, success(&format!("[{first},{second}]")));
        assert_eq!(yard.get("/group").await.body, "[\"a/b é\",\"map\"]");
        assert_eq!(yard.get("/task/1").await.body, first);
        assert_eq!(yard.get("/task/9").await.body, "null");
        assert_eq!(yard.get("/task/-1").await.body, "null");
        assert_eq!(yard.get("/tasks/1,9,1").await.body, format!("[{first},null,{first}]"));
        assert_eq!(yard.get("/group/map?limit=1&owned=1").await.body, format!("[{first}]"));
        // The Go client escapes little, and loses what follows a question mark.
        for path in ["/group/a/b%20%C3%A9", "/group/a%2Fb%20%C3%A9?b?limit=0&owned=0"] {
            assert_eq!(yard.get(path).await.body, format!("[{second}]"), "{path}");
        }
    }

    async fn refusals_name_what_stood_in_the_way(kind) {
        let yard = Yard::new(kind).await;
        assert_eq!(yard.add("map", 1).await, [1]);
        let held = yard.claim(&json!({"clientid": 7, "group": "map", "duration": 60e9 as i64})).await;
        assert_eq!(ids(&held), [2]);
        let body = r#"{"clientid":8,"updates":[{"id":14},{"id":2}],"deletes":[2,2,18],
            "depends":[12,2,12]}"#;
        assert_eq!(
            yard.post("/update", body).await.body,
            "{\"tasks\":null,\"Tasks\":null,\"error\":{\"changes\":[14],\"deletes\":[18],\
             \"depends\":[12,12],\"owned\":[2,2,2],\"bugs\":[],\"messages\":[]},\
             \"Error\":{\"Changes\":[14],\"Deletes\":[18],\"Depends\":[12,12],\
             \"Owned\":[2,2,2],\"Bugs\":[]}}"
        );
        let empty = "{\"tasks\":null,\"Tasks\":null,\"error\":{\"changes\":[],\"deletes\":[],\
             \"depends\":[],\"owned\":[],\"bugs\":[null],\"messages\":[\"empty update requested\"]},\
             \"Error\":{\"Changes\":[],\"Deletes\":[],\"Depends\":[],\"Owned\":[],\
             \"Bugs\":[null]}}";
        for body in ["{}", r#"{"clientid":1,"depends":[99]}"#] {
            assert_eq!(yard.post("/update", body).await.body, empty);
        }
        let claim = json!({"clientid": 1, "group": "nowhere", "depends": [14, 2, 10]});
        let answer = yard.claim(&claim).await;
        assert_eq!(answer["error"]["depends"], json!([14, 10]));
        // Nothing of all that used up an id.
        assert_eq!(yard.add("map", 1).await, [3]);
    }

    async fn a_claim_gives_the_task_a_new_id_and_its_time(kind) {
        let yard = Yard::new(kind).await;
        assert_eq!(yard.post("/claim", r#"{"clientid":1,"group":"map"}"#).await.body, NOTHING);
        yard.add("map", 1).await;
        let before = yard.now().0 * 1000;
        let claim = r#"{"clientid":1532,"group":"map","duration":60000000000,"depends":[1]}"#;
        let answer = yard.post("/claim", claim).await.json();
        assert_eq!(answer["tasks"], answer["Tasks"]);
        let task = &answer["tasks"][0];
        assert_eq!((task["id"].as_i64(), task["ownerid"].as_i64()), (Some(2), Some(1532)));
        let at = task["at"].as_i64().expect("a time");
        let expected = before + 60_000_000_000..=yard.now().0 * 1000 + 60_000_000_000;
        assert!(expected.contains(&at));
        assert_eq!(task["timespec"].as_i64(), Some(at / 1_000_000));
        assert_eq!(yard.get("/task/1").await.body, "null");
        assert_eq!(yard.get("/group/map").await.body, "[]");
        assert_eq!(yard.get("/group/map?owned=yes").await.json().as_array().map(Vec::len), Some(1));
        assert_eq!(yard.post("/claim", r#"{"clientid":1,"group":"map"}"#).await.body, NOTHING);
        yard.advance(Duration::from_secs(61));
        // Without a duration it stays available, under yet another id.
        for id in [3, 4] {
            assert_eq!(ids(&yard.claim(&json!({"clientid": 1, "group": "map"})).await), [id]);
        }
    }

    async fn every_way_of_sending_a_claim_is_understood(kind) {
        let yard = Yard::new(kind).await;
        yard.add("a+b%20c", 1).await;
        let json = r#"{"clientid":5,"group":"a+b%20c","duration":0}"#;
        let form = "application/x-www-form-urlencoded";
        let escaped = format!("claim={}", json.replace('%', "%25").replace('+', "%2B"));
        let in_address = format!("/claim?{escaped}").replace(['{', '}', '"'], "%22");
        assert!(in_address.starts_with("/claim?claim=%22"));
        let in_address = format!("/claim?{}", escaped.replace('{', "%7B").replace('}', "%7D")
            .replace('"', "%22"));
        let post = |path: &str| yard.request("POST", path);
        let multipart = format!(
            "--x\r\nContent-Disposition: form-data; name=\"claim\"\r\n\r\n{json}\r\n--x--\r\n"
        );
        let requests = [
            post("/claim").body(json),
            post("/claim").header("content-type", form).body(format!("\r\n\t {json}")),
            post("/claim").header("content-type", "application/json").body(json),
            post("/claim").header("content-type", form).body(escaped),
            post(&in_address),
            post(&in_address).header("content-type", form).body("x=1"),
            post("/claim").header("content-type", "multipart/form-data; boundary=x").body(multipart),
            post("/claim").body(json.replace("clientid", "ClientID").replace("group", "GROUP")),
        ];
        for (at, request) in requests.into_iter().enumerate() {
            let answer = yard.send(request).await.json();
            assert_eq!(ids(&answer), [at as i64 + 2], "request {at}");
        }
    }

    async fn times_come_in_both_units_and_with_their_sign(kind) {
        let yard = Yard::new(kind).await;
        let update = json!({"clientid": 3, "adds": [
            {"group": "g", "duration": 5_000_123},
            {"group": "g", "at": 5_000_123},
            {"group": "g", "timespec": 5},
            {"group": "g", "duration": -60_000_000_000_i64},
            {"group": "g", "timespec": -60_000},
            {"group": "g", "timespec": i64::MIN},
            {"group": "g"},
        ]});
        let before = yard.now().0 * 1000;
        let answer = yard.update(&update).await;
        let after = yard.now().0 * 1000;
        let at = |index: usize| answer["tasks"][index]["at"].as_i64().expect("a time");
        assert_eq!([at(0), at(1), at(2), at(5)], [5_000_123, 5_000_123, 5_000_000, i64::MAX]);
        let minute = 60_000_000_000;
        assert!((before + minute..=after + minute).contains(&at(3)));
        assert!((before + minute..=after + minute).contains(&at(4)));
        assert!((before..=after).contains(&at(6)));
    }

    async fn duplicates_within_an_update_do_what_the_original_does(kind) {
        let yard = Yard::new(kind).await;
        assert_eq!(yard.add("g", 4).await, [1, 2, 3, 4]);
        // Twice in changes: two tasks. In changes and deletes: the change. Twice in deletes: gone.
        let update = json!({"clientid": 1, "depends": [4, 1], "deletes": [2, 3, 3], "updates": [
            {"id": 1, "data": "a"}, {"id": 1, "data": "b"}, {"id": 2, "data": "c"},
            {"id": 0, "group": "h", "data": "d"},
        ], "adds": [{"group": "g", "data": "e"}]});
        let answer = yard.update(&update).await;
        let data: Vec<_> = answer["tasks"].as_array().expect("tasks").iter()
            .map(|task| (task["group"].as_str().unwrap(), task["data"].as_str().unwrap())).collect();
        assert_eq!(data, [("g", "e"), ("g", "a"), ("g", "b"), ("g", "c"), ("h", "d")]);
        let listed = yard.get("/group/g?owned=1").await.json();
        assert_eq!(listed.as_array().map(Vec::len), Some(5));
        assert_eq!(yard.get("/tasks/1,2,3").await.body, "[null,null,null]");
        let only_deletes = yard.post("/update", r#"{"clientid":1,"deletes":[4]}"#).await;
        assert_eq!(only_deletes.body, success("[]"));
    }

    async fn the_scripted_example_of_the_original_tests_comes_out_the_same(kind) {
        let yard = Yard::new(kind).await;
        let adds: Vec<_> = ["g1", "g1", "g2", "g2", "g3", "g3"].map(|g| json!({"group": g})).into();
        assert_eq!(ids(&yard.update(&json!({"clientid": 1, "adds": adds})).await), [1, 2, 3, 4, 5, 6]);
        let base = yard.now().0 * 1000 + 60_000_000_000;
        let change = |id: i64, at: i64| json!({"clientid": 1, "updates": [{"id": id, "at": at}]});
        let one = yard.update(&change(1, base)).await;
        let two = yard.update(&change(7, base + 1_000_000_001)).await;
        assert_eq!((ids(&one), ids(&two)), (vec![7], vec![8]));
        let at = |answer: &serde_json::Value| answer["tasks"][0]["at"].as_i64().unwrap();
        assert_eq!(at(&two) - at(&one), 1_000_000_001);
        let other = json!({"clientid": 2, "updates": [{"id": 8}]});
        assert_eq!(yard.update(&other).await["error"]["owned"], json!([8]));
        let depending = json!({"clientid": 1, "deletes": [3], "depends": [0]});
        assert_eq!(yard.update(&depending).await["error"]["depends"], json!([0]));
        assert_eq!(yard.update(&change(7, 0)).await["error"]["changes"], json!([7]));
        assert_eq!(ids(&yard.update(&json!({"clientid": 1, "deletes": [3]})).await), [0_i64; 0]);
        let mut left = Vec::new();
        for group in ["g1", "g2", "g3"] {
            let tasks = yard.get(&format!("/group/{group}?owned=true")).await.json();
            left.extend(tasks.as_array().unwrap().iter().map(|task| task["id"].as_i64().unwrap()));
        }
        left.sort_unstable();
        assert_eq!(left, [2, 4, 5, 6, 8]);
    }

    async fn listings_are_sorted_by_time_and_id(kind) {
        let yard = Yard::new(kind).await;
        let adds: Vec<_> = [3, 1, 2, 1].map(|at| json!({"group": "g", "at": at})).into();
        yard.update(&json!({"clientid": 1, "adds": adds})).await;
        for (query, expected) in [("", vec![2, 4, 3, 1]), ("?limit=2", vec![2, 4]),
            ("?limit=-1", vec![2, 4, 3, 1]), ("?limit=0&junk", vec![2, 4, 3, 1])] {
            let listed = json!({"tasks": yard.get(&format!("/group/g{query}")).await.json()});
            assert_eq!(ids(&listed), expected, "{query}");
        }
    }
}
