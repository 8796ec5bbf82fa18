//! Who signs in, and who does not.

use taskyard_conformance::made::slug;
use taskyard_conformance::{ROOT_ACCESS_TOKEN, ROOT_CLIENT_ID};

use crate::browser::Browser;
use crate::house::House;
use crate::on_both_databases;

on_both_databases! { a_visitor_signs_in_acts_and_signs_out }

/// Signs in as the root client, on the page that is open.
pub(crate) async fn sign_in(browser: &Browser) {
    browser.presses("Sign in").await;
    browser.writes("clientId", ROOT_CLIENT_ID).await;
    browser.writes("accessToken", ROOT_ACCESS_TOKEN).await;
    browser.presses_in_form("Sign in").await;
    browser.reads("header .visitor", ROOT_CLIENT_ID).await;
}

async fn a_visitor_signs_in_acts_and_signs_out(house: &House, browser: &Browser) {
    let task = house.task(&slug(), "build", &[]).await;
    let page = format!("/tasks/{task}");
    browser.goes_to(&page).await;
    browser.reads("h1", "build").await;

    // Everybody may look, and nobody may do anything.
    browser.presses("Cancel").await;
    browser.reads("h1", "Not allowed").await;
    browser.reads(".reason", "queue:cancel-task:").await;
    assert_eq!(
        house.queue.status(&task).await.unwrap()["status"]["state"],
        "pending"
    );

    browser.goes_to(&page).await;
    browser.presses("Sign in").await;
    browser.writes("clientId", ROOT_CLIENT_ID).await;
    browser
        .writes(
            "accessToken",
            "a-token-that-is-not-the-right-one-at-all-0000",
        )
        .await;
    browser.presses_in_form("Sign in").await;
    browser.reads(".reason", "Bad mac").await;
    browser.writes("accessToken", ROOT_ACCESS_TOKEN).await;
    browser.presses_in_form("Sign in").await;
    browser.reads("header .visitor", ROOT_CLIENT_ID).await;
    assert_eq!(
        browser.path().await,
        page,
        "one comes back to where one was"
    );

    browser.presses("Cancel").await;
    browser.reads("h1", "exception").await;
    let status = house.queue.status(&task).await.unwrap();
    assert_eq!(status["status"]["runs"][0]["reasonResolved"], "canceled");

    browser.presses("Sign out").await;
    browser.reads("header .visitor", "Sign in").await;
    browser.goes_to(&page).await;
    browser.presses("Run again").await;
    browser.reads("h1", "Not allowed").await;
}
