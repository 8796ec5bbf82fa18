//! A disk without room: changes are refused for now, questions are answered, nothing is lost.

use std::path::PathBuf;

use serde_json::{Value, json};
use taskyard_client::{Error, Method, slugid};
use tokio::process::Command;

use crate::caller::Caller;
use crate::process::{Ground, Server, soon};

/// A server whose data folder is a small file system in memory that only it can see.
async fn on_small_disk(ground: &Ground) -> (Server, PathBuf) {
    let data = ground.data();
    std::fs::create_dir(&data).unwrap();
    let plain = ground.command(&["--log-level", "error"]);
    let plain = plain.as_std();
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "sh", "-c"])
        .arg(
            r#"mount -t tmpfs -o size=12m tmpfs "$0" && head -c 6000000 /dev/zero > "$0/ballast" \
               && exec "$@""#,
        )
        .arg(&data)
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(ground.path())
        .kill_on_drop(true);
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // This fails, and tells the reason, where no file system can be mounted.
    let server = Server::spawn(command).await;
    let id = server.process.id().expect("it runs");
    let ballast = PathBuf::from(format!("/proc/{id}/root{}/ballast", data.display()));
    assert!(ballast.exists(), "{}", ballast.display());
    (server, ballast)
}

fn unavailable(error: &Error) {
    assert_eq!(error.status(), Some(503), "{error}");
    assert_eq!(error.code(), Some("ServiceUnavailable"), "{error}");
}

/// Sends `size` bytes to an upload URL; the status. A server that refuses them may close the
/// connection before it has read them all, and then its answer can be lost: that is tried again.
async fn upload(url: &Value, size: usize) -> u16 {
    let (client, url) = (reqwest::Client::new(), url.as_str().unwrap());
    let mut attempts = 1;
    loop {
        let put = client.put(url).body(vec![7; size]).send();
        match soon(put).await {
            Ok(answer) => return answer.status().as_u16(),
            Err(error) => assert!(attempts < 20, "{error:?}"),
        }
        attempts += 1;
    }
}

#[tokio::test]
async fn changes_are_refused_until_there_is_room_again() {
    let ground = Ground::new();
    let (server, ballast) = on_small_disk(&ground).await;
    let caller = Caller::root(&server.url);
    let first = slugid::nice();
    caller.create(&first, json!({})).await.unwrap();
    let claim = caller.claim("worker", 1).await.unwrap().remove(0);
    let artifact =
        json!({"storageType": "s3", "contentType": "a/b", "expires": claim["task"]["deadline"]});
    let path = ["task", &first, "runs", "0", "artifacts", "a"];
    let made = caller
        .call(Method::POST, &path, Some(&artifact))
        .await
        .unwrap();
    assert_eq!(upload(&made["putUrl"], 1000).await, 200);

    let fill = json!({"payload": {"fill": "x".repeat(50_000)}});
    let mut created = vec![first.clone()];
    let refusal = loop {
        let id = slugid::nice();
        match caller.create(&id, fill.clone()).await {
            Ok(_) => created.push(id),
            Err(error) => break error,
        }
        assert!(created.len() < 1000, "the disk does not get full");
    };
    unavailable(&refusal);
    for _ in 0..3 {
        let new = slugid::nice();
        unavailable(&caller.create(&new, fill.clone()).await.unwrap_err());
        assert_eq!(caller.status(&new).await.unwrap_err().status(), Some(404));
        assert_eq!(upload(&made["putUrl"], 3_000_000).await, 503);
        for id in &created {
            caller.status(id).await.expect("questions are answered");
        }
        let found = caller.call(Method::GET, &path, None).await.unwrap();
        let bytes = soon(reqwest::get(found["url"].as_str().unwrap()))
            .await
            .unwrap();
        assert_eq!(
            soon(bytes.bytes()).await.unwrap().len(),
            1000,
            "the upload before is whole"
        );
        assert_eq!(server.get("/healthz").await.0, 200);
    }

    std::fs::remove_file(&ballast).unwrap();
    let later = slugid::nice();
    caller
        .create(&later, fill)
        .await
        .expect("there is room again");
    caller
        .complete(&first, 0)
        .await
        .expect("there is room again");
    assert_eq!(caller.status(&first).await.unwrap()["state"], "completed");
    for id in &created {
        caller.status(id).await.expect("nothing is lost");
    }
}
