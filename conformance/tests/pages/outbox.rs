//! What is said to people, and what is never shown.

use chrono::TimeDelta;
use serde_json::json;
use taskyard_conformance::made::after;

use crate::browser::Browser;
use crate::house::House;
use crate::on_both_databases;
use crate::visitors::sign_in;

on_both_databases! {
    a_mail_without_a_server_can_be_read
    secrets_are_listed_and_not_shown
}

async fn a_mail_without_a_server_can_be_read(house: &House, browser: &Browser) {
    let mail = json!({
        "address": "you@example.com",
        "subject": "It is <done>",
        "content": "All of it",
    });
    house.notify().email(&mail).await.unwrap();
    browser.goes_to("/outbox").await;
    browser.reads("h1", "Not allowed").await;
    sign_in(browser).await;
    browser.reads("tbody", "you@example.com").await;
    browser.reads("tbody .state", "kept").await;
    browser.presses_summary("It is <done>").await;
    browser.reads("tbody pre", "All of it").await;
}

async fn secrets_are_listed_and_not_shown(house: &House, browser: &Browser) {
    let secret = json!({
        "secret": {"key": "never-to-be-shown"},
        "expires": after(TimeDelta::hours(1)),
    });
    house.secrets().set("project/key", &secret).await.unwrap();
    browser.goes_to("/").await;
    sign_in(browser).await;
    browser.presses("Access").await;
    browser.reads("main", "static/taskcluster/root").await;
    browser.presses("roles").await;
    browser.reads("main", "anonymous").await;
    browser.presses("secrets").await;
    browser.reads("main", "project/key").await;
    assert!(!browser.text("body").await.contains("never-to-be-shown"));
}
