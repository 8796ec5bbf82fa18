//! `taskyard taskstore`.

use serde_json::Value;

use super::{start, start_alone};
use crate::ended::Ended;
use crate::server::{Server, taskyard};

async fn run(server: &Server, arguments: &[&str]) -> Ended {
    let mut command = taskyard();
    command
        .args(["taskstore", "--root-url", &server.url])
        .args(arguments);
    Ended::of(command).await
}

async fn output(server: &Server, arguments: &[&str]) -> String {
    run(server, arguments).await.printed()
}

#[tokio::test]
async fn tasks_are_added_claimed_updated_and_deleted_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    assert_eq!(
        output(&server, &["add", "map", "a", "b\tc"]).await,
        "1\tmap\ta\n2\tmap\tb\\tc\n"
    );
    assert_eq!(
        output(&server, &["groups"]).await,
        "map\t2 available\t0 claimed\t2 in all\n"
    );
    let claimed = output(
        &server,
        &["claim", "map", "--for", "1h", "--count", "2", "--json"],
    )
    .await;
    let ids: Vec<i64> = claimed
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["id"]
                .as_i64()
                .unwrap()
        })
        .collect();
    assert_eq!(ids, [3, 4]);
    let nothing = run(&server, &["claim", "map"]).await;
    assert_eq!((nothing.code, nothing.output.as_str()), (Some(1), ""));
    assert_eq!(output(&server, &["list", "map"]).await, "");
    assert_eq!(
        output(&server, &["list", "map", "--held"])
            .await
            .lines()
            .count(),
        2
    );
    let held = run(&server, &["delete", "3", "--id", "7"]).await;
    assert_eq!(held.code, Some(2));
    assert!(
        held.messages.contains("held by somebody else: [3]"),
        "{held:?}"
    );
    assert_eq!(
        output(&server, &["update", "4", "new", "--depends", "3"]).await,
        "5\tmap\tnew\n"
    );
    assert_eq!(output(&server, &["delete", "3"]).await, "");
    let watched = output(&server, &["watch", "map", "--looks", "2", "--every", "1ms"]).await;
    assert_eq!(watched, "map\t1 available\t0 claimed\t1 in all\n");
}

#[tokio::test]
async fn taskstore_is_alone_at_the_root_of_its_own_listener() {
    let folder = tempfile::tempdir().unwrap();
    let (server, alone) = start_alone(folder.path()).await;
    let there = ["--taskstore-url", &alone];
    output(&server, &[&there[..], &["add", "map", "a"]].concat()).await;
    for (url, status) in [
        (format!("{alone}/groups"), 200),
        (format!("{}/taskstore/groups", server.url), 200),
        (format!("{alone}/taskstore/groups"), 404),
        (format!("{}/groups", server.url), 404),
        (format!("{}/taskstore", server.url), 404),
        (format!("{}/taskstored/groups", server.url), 404),
    ] {
        let answer = reqwest::get(&url).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{url}");
        if status == 200 {
            assert_eq!(answer.text().await.unwrap(), "[\"map\"]");
        }
    }
}

#[tokio::test]
async fn without_a_value_taskstore_listens_at_its_usual_port_of_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    // If it is taken already, that does as well.
    let _taken = tokio::net::TcpListener::bind("127.0.0.1:8048").await;
    let mut command = taskyard();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path());
    command.arg("--taskstore-listen");
    let messages = Ended::of(command).await.messages;
    let expected = "cannot listen on 127.0.0.1:8048; choose another --taskstore-listen";
    assert!(messages.contains(expected), "{messages}");
}

#[tokio::test]
async fn a_server_for_everybody_is_not_offered_beyond_this_machine() {
    let mut command = taskyard();
    command.args([
        "serve",
        "--dev",
        "--listen",
        "127.0.0.1:0",
        "--taskstore-listen",
        "0.0.0.0",
    ]);
    let ended = Ended::of(command).await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.messages.contains("0.0.0.0:8048"), "{ended:?}");
}
