//! Tasks, groups and queues, which change while somebody looks.

use taskyard_conformance::made::slug;

use crate::browser::Browser;
use crate::house::{House, TASK_QUEUE};
use crate::on_both_databases;
use crate::visitors::sign_in;

on_both_databases! {
    a_page_follows_its_task
    a_group_is_shown_as_it_was_written
    events_appear_as_they_happen
}

async fn a_page_follows_its_task(house: &House, browser: &Browser) {
    let task = house.task(&slug(), "build", &[]).await;
    browser.goes_to("/").await;
    sign_in(browser).await;
    browser.goes_to(&format!("/tasks/{task}")).await;
    browser.sees("h1 .state.pending").await;
    house.claim(&task).await;
    browser.sees("h1 .state.running").await;
    browser.reads("tbody", "group/worker").await;
    house.queue.reportCompleted(&task, "0").await.unwrap();
    browser.sees("h1 .state.completed").await;
    browser.presses("Run again").await;
    browser.sees("h1 .state.pending").await;
    assert_eq!(browser.count("table tbody tr").await, 2, "one row a run");

    // Its queue says the same.
    browser.presses(TASK_QUEUE).await;
    browser.reads("main", "1 pending, 0 claimed").await;
    browser.goes_to("/").await;
    browser.reads("tbody", TASK_QUEUE).await;
    browser.goes_to(&format!("/find?id={task}")).await;
    assert_eq!(browser.path().await, format!("/tasks/{task}"));
}

async fn a_group_is_shown_as_it_was_written(house: &House, browser: &Browser) {
    let group = slug();
    let name = "<script>window.ran = true</script>";
    let first = house.task(&group, name, &[]).await;
    let second = house.task(&group, "second", &[&first]).await;
    browser.goes_to("/").await;
    sign_in(browser).await;
    browser.goes_to(&format!("/find?id={group}")).await;
    assert_eq!(browser.path().await, format!("/tasks/groups/{group}"));
    browser.reads("tbody tr:first-child", name).await;
    browser.reads(".counts", "pending 1").await;
    browser.reads(".counts", "unscheduled 1").await;
    assert!(
        !browser.runs("window.ran = true").await,
        "nothing written into a page runs"
    );

    house.claim(&first).await;
    house.queue.reportCompleted(&first, "0").await.unwrap();
    browser.reads(".counts", "completed 1").await;
    browser.presses("second").await;
    browser.reads("h1", "second pending").await;
    browser.reads("main ul", &first).await;
    browser.goes_to(&format!("/tasks/groups/{group}")).await;
    browser.presses("Seal").await;
    browser.presses("Cancel all").await;
    browser.reads(".counts", "exception 1").await;
    assert_eq!(
        house.queue.status(&second).await.unwrap()["status"]["state"],
        "exception"
    );
}

async fn events_appear_as_they_happen(house: &House, browser: &Browser) {
    browser.goes_to("/events").await;
    browser.reads("[data-feed-state]", "Following.").await;
    let task = house.task(&slug(), "build", &[]).await;
    browser.reads("tbody", "task-pending").await;
    let link = format!("tbody a[href='/tasks/{task}']");
    assert_eq!(
        browser.sees(&link).await.split('.').nth(1),
        Some(task.as_str())
    );
}
