//! What became of tasks.

use serde::Deserialize;

use crate::cloudtasks::client::CloudTasks;
use crate::cloudtasks::pages::Pages;
use crate::cloudtasks::task::{FailedTask, LoggedAttempt, View};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AttemptsPage {
    attempts: Vec<LoggedAttempt>,
    next_page_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FailuresPage {
    failures: Vec<FailedTask>,
    next_page_token: String,
}

impl CloudTasks {
    /// The attempts at tasks of a queue, or at one task, which may be gone; newest first. What
    /// handlers answered is told in the full view only. Taskyard has this, the real service not.
    pub fn list_attempts(&self, parent: &str, view: View, page_size: u32) -> Pages<LoggedAttempt> {
        let (client, parent) = (self.clone(), parent.to_owned());
        Pages::new(move |token| {
            let (client, parent) = (client.clone(), parent.clone());
            Box::pin(async move {
                let call = client
                    .get(&[&parent, "attempts"])
                    .view(view)
                    .number("pageSize", page_size)
                    .set("pageToken", token);
                let settings = &client.calls().list_attempts;
                let page: AttemptsPage = client.call(settings, call).await?;
                Ok((page.attempts, page.next_page_token))
            })
        })
    }

    /// Tasks of a queue that were given up of late, by the time they were created. Bodies are told
    /// in the full view only. Taskyard has this, the real service not.
    pub fn list_failures(&self, queue: &str, view: View, page_size: u32) -> Pages<FailedTask> {
        let (client, queue) = (self.clone(), queue.to_owned());
        Pages::new(move |token| {
            let (client, queue) = (client.clone(), queue.clone());
            Box::pin(async move {
                let call = client
                    .get(&[&queue, "failures"])
                    .view(view)
                    .number("pageSize", page_size)
                    .set("pageToken", token);
                let settings = &client.calls().list_failures;
                let page: FailuresPage = client.call(settings, call).await?;
                Ok((page.failures, page.next_page_token))
            })
        })
    }
}
