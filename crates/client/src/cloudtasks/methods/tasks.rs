//! Tasks.

use bytes::Bytes;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cloudtasks::client::CloudTasks;
use crate::cloudtasks::error::Error;
use crate::cloudtasks::operation::Operation;
use crate::cloudtasks::pages::Pages;
use crate::cloudtasks::task::{BufferedTask, Task, View};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TasksPage {
    tasks: Vec<Task>,
    next_page_token: String,
}

impl CloudTasks {
    /// The tasks of a queue, by the time they are due. Bodies are told in the full view only.
    pub fn list_tasks(&self, queue: &str, view: View, page_size: u32) -> Pages<Task> {
        let (client, queue) = (self.clone(), queue.to_owned());
        Pages::new(move |token| {
            let (client, queue) = (client.clone(), queue.clone());
            Box::pin(async move {
                let call = client
                    .get(&[&queue, "tasks"])
                    .view(view)
                    .number("pageSize", page_size)
                    .set("pageToken", token);
                let settings = &client.calls().list_tasks;
                let page: TasksPage = client.call(settings, call).await?;
                Ok((page.tasks, page.next_page_token))
            })
        })
    }

    /// One task.
    ///
    /// # Errors
    /// `Status` with `NotFound` when there is none, or it has succeeded.
    pub async fn get_task(&self, name: &str, view: View) -> Result<Task, Error> {
        let call = self.get(&[name]).view(view);
        self.call(&self.calls().get_task, call).await
    }

    /// Creates a task in a queue. A task with a name of its own is created once, however often
    /// this is called.
    ///
    /// # Errors
    /// `Status` with `AlreadyExists` when its name is taken, or was until lately.
    pub async fn create_task(&self, queue: &str, task: &Task) -> Result<Task, Error> {
        let call = self
            .post(&[queue, "tasks"])
            .json(&json!({ "task": task }))?;
        self.call(&self.calls().create_task, call).await
    }

    /// Deletes a task.
    ///
    /// # Errors
    /// `Status` with `NotFound` when there is none, also if an earlier attempt has deleted it.
    pub async fn delete_task(&self, name: &str) -> Result<(), Error> {
        let call = self.at(Method::DELETE, &[name]);
        self.told(&self.calls().delete_task, call).await
    }

    /// Sends a task now, whatever its schedule and its queue's limits say.
    ///
    /// # Errors
    /// As [`CloudTasks::get_task`].
    pub async fn run_task(&self, name: &str) -> Result<Task, Error> {
        let call = self.verb(name, "run").json(&json!({}))?;
        self.call(&self.calls().run_task, call).await
    }

    /// Makes a task of a body, in a queue that has a target of its own. The service makes up an id
    /// if `task_id` is empty.
    ///
    /// # Errors
    /// `Status` with `FailedPrecondition` when the queue has no target.
    pub async fn buffer_task(
        &self,
        queue: &str,
        task_id: &str,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Result<Task, Error> {
        let mut call = if task_id.is_empty() {
            self.verb(&format!("{queue}/tasks"), "buffer")
        } else {
            self.verb(&format!("{queue}/tasks/{task_id}"), "buffer")
        };
        call.body = Some((content_type, body.into()));
        let made: BufferedTask = self.call(&self.calls().buffer_task, call).await?;
        Ok(made.task)
    }

    /// Creates up to 100 tasks, each by itself. The same `request_id` (a UUID) is carried out once.
    ///
    /// # Errors
    /// `Status` with `InvalidArgument` when there are too many.
    pub async fn batch_create_tasks(
        &self,
        queue: &str,
        tasks: &[Task],
        request_id: &str,
    ) -> Result<Operation, Error> {
        let requests: Vec<Value> = tasks
            .iter()
            .map(|task| json!({"parent": queue, "task": task}))
            .collect();
        let body = with_request_id(json!({ "requests": requests }), request_id);
        let call = self
            .verb(&format!("{queue}/tasks"), "batchCreate")
            .json(&body)?;
        self.call(&self.calls().batch_create_tasks, call).await
    }

    /// Deletes up to 1000 tasks of a queue, each by itself. The same `request_id` (a UUID) is
    /// carried out once.
    ///
    /// # Errors
    /// `Status` with `InvalidArgument` when there are too many.
    pub async fn batch_delete_tasks(
        &self,
        queue: &str,
        names: &[String],
        request_id: &str,
    ) -> Result<Operation, Error> {
        let body = with_request_id(json!({ "names": names }), request_id);
        let call = self
            .verb(&format!("{queue}/tasks"), "batchDelete")
            .json(&body)?;
        self.call(&self.calls().batch_delete_tasks, call).await
    }

    /// How an operation is going.
    ///
    /// # Errors
    /// `Status` with `NotFound` when it is unknown, or long gone.
    pub async fn get_operation(&self, name: &str) -> Result<Operation, Error> {
        let call = self.get(&[name]);
        self.call(&self.calls().get_operation, call).await
    }
}

fn with_request_id(mut body: Value, request_id: &str) -> Value {
    if !request_id.is_empty() {
        body["requestId"] = request_id.into();
    }
    body
}
