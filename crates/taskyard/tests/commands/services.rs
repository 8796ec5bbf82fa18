//! The commands of the index, the secrets and the purge-cache service against a server.

use std::process::Stdio;

use serde_json::Value;
use taskyard_client::slugid;
use tokio::io::AsyncWriteExt as _;

use crate::ended::Ended;
use crate::house::House;

async fn run(house: &House, command: &str, arguments: &[&str]) -> Ended {
    Ended::of(house.command(command, arguments)).await
}

async fn done(house: &House, command: &str, arguments: &[&str]) -> String {
    run(house, command, arguments).await.printed()
}

#[tokio::test]
async fn tasks_are_put_at_paths_found_listed_and_taken_away() {
    let house = House::start().await;
    let (first, second) = (slugid::nice(), slugid::nice());
    let data = r#"{"revision":"abc"}"#;
    let insert = [
        "insert",
        "proj.main.latest",
        &first,
        "--rank",
        "-2.5",
        "--data",
        data,
    ];
    let line = done(&house, "index", &insert).await;
    assert!(
        line.starts_with(&format!("proj.main.latest\t{first}\trank -2.5\tuntil 20")),
        "{line}"
    );
    let lower = ["insert", "proj.main.latest", &second, "--rank", "-3"];
    assert!(done(&house, "index", &lower).await.contains(&first));
    done(&house, "index", &["insert", "proj.readme", &second]).await;
    let found = done(&house, "index", &["--json", "find", "proj.main.latest"]).await;
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(
        (&found["taskId"], &found["data"]["revision"]),
        (&first.into(), &"abc".into())
    );
    let listed = done(&house, "index", &["list", "proj"]).await;
    let starts: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split('\t').next())
        .collect();
    assert_eq!(starts, ["proj.main.", "proj.readme"]);
    done(&house, "index", &["delete", "proj.readme"]).await;
    let none = run(&house, "index", &["find", "proj.readme"]).await;
    assert!(
        none.code != Some(0) && none.messages.contains("no task at \"proj.readme\""),
        "{none:?}"
    );
    let wrong = run(&house, "index", &["insert", "a..b", &second]).await;
    assert!(wrong.messages.contains("does not match"), "{wrong:?}");
}

#[tokio::test]
async fn a_secret_comes_from_a_file_or_a_pipe_and_is_told_to_whoever_may() {
    let house = House::start().await;
    let name = "project/x:deploy key";
    let file = house.folder.path().join("secret.json");
    std::fs::write(&file, r#"{"token": "hunter2"}"#).unwrap();
    let set = [
        "set",
        name,
        "--file",
        file.to_str().unwrap(),
        "--expires",
        "1 hour",
    ];
    assert_eq!(done(&house, "secrets", &set).await, "");
    assert_eq!(
        done(&house, "secrets", &["get", name]).await,
        "{\"token\":\"hunter2\"}\n"
    );
    let mut command = house.command("secrets", &["set", "piped"]);
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(b"{\"n\": 1}").await.unwrap();
    drop(pipe);
    Ended::with(child.wait_with_output().await.unwrap()).printed();
    assert_eq!(
        done(&house, "secrets", &["list"]).await,
        format!("piped\n{name}\n")
    );
    // What is no object is not repeated.
    std::fs::write(&file, "hunter2").unwrap();
    let refused = run(&house, "secrets", &set).await;
    assert!(refused.messages.contains("no JSON object") && !refused.messages.contains("hunter2"));
    done(&house, "secrets", &["remove", "piped"]).await;
    let none = run(&house, "secrets", &["get", "piped"]).await;
    assert!(
        none.code != Some(0) && none.messages.contains("no secret \"piped\""),
        "{none:?}"
    );
}

#[tokio::test]
async fn workers_are_asked_to_forget_a_cache() {
    let house = House::start().await;
    done(
        &house,
        "purge-cache",
        &["request", "proj/linux", "checkouts"],
    )
    .await;
    done(&house, "purge-cache", &["request", "proj/mac", "checkouts"]).await;
    let all = done(&house, "purge-cache", &["list"]).await;
    assert_eq!(all.lines().count(), 2);
    let one = done(&house, "purge-cache", &["list", "proj/mac"]).await;
    assert!(one.starts_with("proj/mac\tcheckouts\tbefore 20"), "{one}");
    let wrong = run(&house, "purge-cache", &["request", "nowhere", "c"]).await;
    assert!(wrong.messages.contains("does not match"), "{wrong:?}");
}
