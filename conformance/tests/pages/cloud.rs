//! Cloud queues, paused and resumed by buttons.

use reqwest::Method;
use serde_json::json;

use crate::browser::Browser;
use crate::house::House;
use crate::on_both_databases;
use crate::visitors::sign_in;

on_both_databases! { a_queue_is_paused_and_its_task_is_seen }

async fn a_queue_is_paused_and_its_task_is_seen(house: &House, browser: &Browser) {
    const PLACE: &str = "projects/p/locations/here";
    let queue = format!("{PLACE}/queues/mail");
    house
        .cloud(
            Method::POST,
            &format!("{PLACE}/queues"),
            &json!({"name": queue}),
        )
        .await;
    browser.goes_to("/cloudtasks").await;
    browser.reads("h1", "Not signed in").await;
    sign_in(browser).await;
    browser.goes_to("/").await;
    browser.reads("main", PLACE).await;
    browser.presses("mail").await;
    browser.reads("h1", "mail running").await;
    browser.presses("Pause").await;
    browser.reads("h1", "mail paused").await;
    let state = house.cloud(Method::GET, &queue, &json!({})).await;
    assert_eq!(state["state"], "PAUSED");

    let task = format!("{queue}/tasks/first");
    let made = json!({"task": {"name": task, "httpRequest": {"url": "https://example.com/x"}}});
    house
        .cloud(Method::POST, &format!("{queue}/tasks"), &made)
        .await;
    browser.reads("main", "https://example.com/x").await;
    browser.presses("first").await;
    browser.reads("main", "No attempt was made").await;
    browser.presses("Delete").await;
    browser.reads("h1", "mail paused").await;
    browser.reads("main", "Nothing waits.").await;
    browser.presses("Resume").await;
    browser.reads("h1", "mail running").await;
}
