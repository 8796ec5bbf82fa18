//! Logs, while their tasks run and afterwards.

use chrono::TimeDelta;
use serde_json::{Value, json};
use taskyard_conformance::made::{after, slug};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::browser::Browser;
use crate::house::House;
use crate::on_both_databases;

on_both_databases! { a_log_grows_under_the_readers_eyes }

async fn a_log_grows_under_the_readers_eyes(house: &House, browser: &Browser) {
    let task = house.task(&slug(), "build", &[]).await;
    house.claim(&task).await;
    // Logs of running tasks are served by their workers, somewhere else.
    let worker = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let live = json!({
        "storageType": "reference",
        "expires": after(TimeDelta::hours(1)),
        "contentType": "text/plain; charset=utf-8",
        "url": format!("http://{}/log/secret", worker.local_addr().unwrap()),
    });
    let name = "public/logs/live.log";
    house
        .queue
        .createArtifact(&task, "0", name, &live)
        .await
        .unwrap();

    browser.goes_to(&format!("/tasks/{task}")).await;
    browser.presses("log").await;
    let (mut reader, _) = worker.accept().await.unwrap();
    let mut head = [0; 4096];
    assert!(reader.read(&mut head).await.unwrap() > 0);
    let begin = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\n\
        access-control-allow-origin: *\r\ntransfer-encoding: chunked\r\n\r\n";
    reader.write_all(begin.as_bytes()).await.unwrap();
    let mut writes = async |text: &str| {
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        reader.write_all(chunk.as_bytes()).await.unwrap();
    };
    writes("compiling\n\u{1b}[3").await;
    browser.reads("pre.log", "compiling").await;
    browser.reads("[data-log-state]", "following").await;
    writes("2mgrün\u{1b}[0m <b>done</b>\n").await;
    browser.reads("pre.log", "grün <b>done</b>").await;
    writes("").await;
    browser.reads("[data-log-state]", "complete").await;

    // Afterwards it is stored with the server.
    let stored = json!({
        "storageType": "s3",
        "expires": after(TimeDelta::hours(1)),
        "contentType": "text/plain; charset=utf-8",
    });
    let name = "public/logs/whole.log";
    let made: Value = house
        .queue
        .createArtifact(&task, "0", name, &stored)
        .await
        .unwrap();
    let put = reqwest::Client::new()
        .put(made["putUrl"].as_str().unwrap())
        .header("content-type", "text/plain; charset=utf-8")
        .body("all of it\n");
    assert_eq!(put.send().await.unwrap().status(), 200);
    browser.goes_to(&format!("/tasks/{task}")).await;
    browser.presses(name).await;
    browser.reads("body", "all of it").await;
    browser
        .goes_to(&format!("/tasks/{task}/runs/0/logs/{name}"))
        .await;
    browser.reads("pre.log", "all of it").await;
    browser
        .goes_to(&format!("/tasks/{task}/runs/0/logs/public/none.log"))
        .await;
    browser.reads("h1", "Not found").await;
}
