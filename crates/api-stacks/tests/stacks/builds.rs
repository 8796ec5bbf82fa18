//! What the jobs of a build tell each other, leave behind, and put up for people to read.

use serde_json::{Value, json};
use taskyard_access::slugid;
use taskyard_store::on_both_databases;

use crate::agents::Agent;
use crate::raw::Answer;
use crate::yard::{Wanted, Yard, uuid};

/// Two jobs of one build, each with an agent; and the UUID of the build.
async fn build(yard: &Yard) -> (Agent<'_>, Agent<'_>, String) {
    let group_id = slugid::v4();
    let wanted = |step: &str| Wanted {
        group_id: Some(group_id.clone()),
        definition: json!({"payload": {"command": "x"}, "metadata": {"name": step}}),
        ..Wanted::default()
    };
    let jobs = yard.jobs(vec![wanted("first"), wanted("second")]).await;
    let first = Agent::started(yard, &jobs[0]).await;
    let second = Agent::started(yard, &jobs[1]).await;
    (first, second, uuid(&group_id))
}

/// Uploads a file as the instructions say: fields first, the file last.
async fn upload(yard: &Yard, instructions: &Value, path: &str, bytes: &[u8]) -> Answer {
    let mut body = Vec::new();
    let data = instructions["data"].as_object().expect("fields");
    for (name, value) in data {
        let value = value
            .as_str()
            .expect("text")
            .replace("${artifact:path}", path);
        let field =
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(field.as_bytes());
    }
    let input = instructions["action"]["file_input"]
        .as_str()
        .expect("a name");
    let file = format!(
        "--b\r\nContent-Disposition: form-data; name=\"{input}\"; filename=\"{path}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    body.extend_from_slice(file.as_bytes());
    body.extend_from_slice(bytes);
    body.extend_from_slice(b"\r\n--b--\r\n");
    let to = instructions["action"]["path"].as_str().expect("a path");
    let line = format!("POST {to} HTTP/1.1");
    let length = format!("Content-Length: {}", body.len());
    let head = [
        line.as_str(),
        "Content-Type: multipart/form-data; boundary=b",
        length.as_str(),
    ];
    yard.raw(&head, &body).await
}

on_both_databases! {
    async fn jobs_of_a_build_share_their_meta_data(kind) {
        let yard = Yard::new(kind).await;
        let (first, second, build) = build(&yard).await;
        let set = async |body: Value| first.job_call("POST", "/data/set", &body).await;
        set(json!({"key": "a", "value": "1"})).await.expect(200);
        set(json!({"key": "a", "value": "2"})).await.expect(200);
        let batch = json!({"items": [{"key": "b", "value": ""}, {"key": "c", "value": "3"}]});
        first.job_call("POST", "/data/set-batch", &batch).await.expect(200);
        // All or nothing.
        let bad = json!({"items": [{"key": "d", "value": "1"}, {"key": "e"}]});
        first.job_call("POST", "/data/set-batch", &bad).await.refused(422);
        set(json!({"key": "", "value": "1"})).await.refused(422);
        set(json!({"key": "x", "value": "v".repeat(100 * 1024 + 1)})).await.refused(422);

        let get = json!({"key": "a"});
        let answer = second.job_call("POST", "/data/get", &get).await.expect(200);
        assert_eq!(answer, json!({"key": "a", "value": "2"}));
        second.job_call("POST", "/data/get", &json!({"key": "d"})).await.refused(404);
        let exists = second.job_call("POST", "/data/exists", &json!({"key": "d"})).await;
        assert_eq!(exists.expect(200), json!({"exists": false}));
        let keys = second.job_call("POST", "/data/keys", &json!({})).await.expect(200);
        assert_eq!(keys, json!(["a", "b", "c"]));
        let call = async |token: &str, path: &str, body: &Value| {
            yard.call(token, "POST", &format!("builds/{build}/{path}"), Some(body)).await
        };
        let answer = call(&second.token, "data/get", &get).await.expect(200);
        assert_eq!(answer["value"], "2");
        assert_eq!(call(&second.access, "data/keys", &json!({})).await.expect(200), keys);
        let exists = call(&second.token, "data/exists", &get).await.expect(200);
        assert_eq!(exists, json!({"exists": true}));

        let other = yard.job(Wanted::default()).await;
        let other = Agent::started(&yard, &other).await;
        call(&other.token, "data/get", &get).await.refused(404);
        other.job_call("POST", "/data/get", &get).await.refused(404);
    }

    async fn files_become_artifacts_of_the_task(kind) {
        let yard = Yard::new(kind).await;
        let (first, second, build) = build(&yard).await;
        let announced = json!({
            "id": "batch-1", "upload_destination": "", "multipart_supported": true,
            "artifacts": [
                {"path": "out/a.txt", "absolute_path": "/b/out/a.txt", "glob_path": "out/*",
                 "file_size": 5, "sha1sum": "1", "sha256sum": "2", "content_type": "text/plain"},
                {"path": "out/b.bin", "file_size": 3},
            ],
        });
        let answer = first.job_call("POST", "/artifacts", &announced).await.expect(201);
        assert_eq!(answer["id"], "batch-1");
        let ids = answer["artifact_ids"].clone();
        let again = first.job_call("POST", "/artifacts", &announced).await.expect(201);
        assert_eq!(again["artifact_ids"], ids, "the same batch has the same ids");

        let instructions = &answer["upload_instructions"];
        let state = |at: usize, state: &str| json!({"artifacts": [{"id": ids[at], "state": state}]});
        first.job_call("PUT", "/artifacts", &state(0, "finished")).await.refused(422);
        upload(&yard, instructions, "out/a.txt", b"hel").await.refused(422);
        upload(&yard, instructions, "out/a.txt", b"hello!").await.refused(413);
        upload(&yard, instructions, "out/c.txt", b"hello").await.refused(404);
        assert_eq!(upload(&yard, instructions, "out/a.txt", b"hello").await.status, 204);
        first.job_call("PUT", "/artifacts", &state(0, "finished")).await.expect(200);
        first.job_call("PUT", "/artifacts", &state(1, "error")).await.expect(200);
        second.job_call("PUT", "/artifacts", &state(0, "finished")).await.refused(404);
        let artifact = yard.artifact(&first.job, 0, "out/a.txt").await.expect("an artifact");
        assert_eq!((artifact.content_type.as_str(), artifact.content_length),
            ("text/plain", Some(5)));
        assert_eq!(yard.kept(&first.job, 0, "out/a.txt").as_deref(), Some(&b"hello"[..]));
        assert!(yard.artifact(&first.job, 0, "out/b.bin").await.is_none());

        let search = async |query: &str| {
            let path = format!("builds/{build}/artifacts/search?{query}");
            yard.call(&second.token, "GET", &path, None).await.expect(200)
        };
        let found = search("query=out%2F*.txt&state=finished").await;
        assert_eq!(found[0]["path"], "out/a.txt");
        assert_eq!((&found[0]["job_id"], &found[0]["sha1sum"]), (&json!(first.job), &json!("1")));
        assert!(found[0]["url"].is_string());
        for (query, count) in [
            ("query=**", 1),
            ("query=**&scope=first", 1),
            ("query=**&scope=second", 0),
            ("query=*.txt", 0),
            ("query=**&state=error", 1),
        ] {
            assert_eq!(search(query).await.as_array().map(Vec::len), Some(count), "{query}");
        }
        for bad in [
            json!({"artifacts": []}),
            json!({"id": "x"}),
            json!({"id": "x", "artifacts": [{"path": ""}]}),
            json!({"id": "x", "artifacts": [{"path": "p".repeat(1025)}]}),
        ] {
            first.job_call("POST", "/artifacts", &bad).await.refused(422);
        }
        let mut forged = instructions.clone();
        forged["data"]["token"] = json!("x");
        upload(&yard, &forged, "out/a.txt", b"hello").await.refused(403);
        yard.raw(&["POST /v3/uploads HTTP/1.1", "Content-Length: 0"], b"").await.refused(400);
        // Nothing is taken from who has shown no permit, nor much from who has.
        let endless = "x".repeat(100_000);
        let mut swollen = instructions.clone();
        swollen["data"] = json!({"padding": endless});
        upload(&yard, &swollen, "out/a.txt", b"hello").await.refused(413);
        upload(&yard, instructions, "out/a.txt", endless.as_bytes()).await.refused(413);
    }

    async fn annotations_stand_beside_the_build(kind) {
        let yard = Yard::new(kind).await;
        let (first, second, build) = build(&yard).await;
        let put = async |body: Value| first.job_call("POST", "/annotations", &body).await;
        put(json!({"body": "a", "context": "c", "style": "info"})).await.expect(201);
        put(json!({"body": "b", "context": "c", "append": true})).await.expect(201);
        put(json!({"body": "own", "context": "j", "scope": "job"})).await.expect(201);
        for bad in [
            json!({"body": "x", "style": "loud"}),
            json!({"body": "x", "priority": 11}),
            json!({"body": "x", "scope": "planet"}),
            json!({"body": "x", "context": "c".repeat(101)}),
            json!({"body": 1}),
        ] {
            put(bad).await.refused(422);
        }
        put(json!({"body": "x".repeat(1024 * 1024), "context": "c", "append": true}))
            .await
            .refused(413);
        let path = format!("builds/{build}/annotations");
        let listed = async || yard.call(&second.token, "GET", &path, None).await.expect(200);
        let found = listed().await;
        let expected = json!([{
            "context": "c", "style": "info", "priority": 3, "body": "ab",
            "updated_at": found[0]["updated_at"],
        }]);
        assert_eq!(found, expected);
        let remove = async |context: &str| {
            first.job_call("DELETE", &format!("/annotations/{context}"), &json!({})).await
        };
        assert_eq!(remove("c").await.status, 204);
        remove("c").await.refused(404);
        assert_eq!(remove("j?scope=job").await.status, 204);
        assert_eq!(listed().await, json!([]));
    }
}
