use reqwest::{Method, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::page::{Listing, Page, list, list_all};
use crate::{Call, Error, Options, Result, Service, Timestamp, error::found};

/// The index: tasks by dot-separated paths. Clones share connections.
#[derive(Debug, Clone)]
pub struct Index {
    service: Service,
}

/// The task at a path.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexedTask {
    /// The path, such as `project.branch.latest`.
    pub namespace: String,
    /// The task.
    pub task_id: String,
    /// It gives way to tasks of the same or a higher rank.
    pub rank: f64,
    /// What its maker wants to be told with it.
    pub data: Value,
    /// From then on it is not found any more.
    pub expires: Timestamp,
}

/// A task that is to be put at a path.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewIndexedTask {
    /// The task.
    pub task_id: String,
    /// It replaces tasks of the same or a lower rank.
    pub rank: f64,
    /// What is to be told with it: an object of up to 32 KiB.
    pub data: Value,
    /// From then on it is not found any more.
    pub expires: Timestamp,
}

/// A part of the index with something in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Namespace {
    /// The whole path.
    pub namespace: String,
    /// The last piece of it.
    pub name: String,
    /// Later than everything in it.
    pub expires: Timestamp,
}

/// A page of indexed tasks.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexedTasksPage {
    /// The tasks, by name.
    pub tasks: Vec<IndexedTask>,
    /// Where to go on.
    pub continuation_token: Option<String>,
}

/// A page of namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespacesPage {
    /// The namespaces, by name.
    pub namespaces: Vec<Namespace>,
    /// Where to go on.
    pub continuation_token: Option<String>,
}

impl Listing for IndexedTasksPage {
    type Item = IndexedTask;

    fn into_parts(self) -> (Vec<IndexedTask>, Option<String>) {
        (self.tasks, self.continuation_token)
    }
}

impl Listing for NamespacesPage {
    type Item = Namespace;

    fn into_parts(self) -> (Vec<Namespace>, Option<String>) {
        (self.namespaces, self.continuation_token)
    }
}

// === impl Index ===

impl Index {
    /// A client of the index.
    ///
    /// # Errors
    /// `Usage` when an option is wrong.
    pub fn new(options: Options) -> Result<Self> {
        Ok(Self {
            service: Service::new("index", "v1", options)?,
        })
    }

    /// The service beneath, for addresses and methods that have no function here.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The task at a path; `None` if there is none.
    pub async fn find_task(&self, path: &str) -> Result<Option<IndexedTask>> {
        let answer = self.service.send(Call::get(&["task", path])).await;
        found(answer.and_then(|answer| answer.json()))
    }

    /// The tasks at up to a thousand paths, in their order; paths that lead nowhere are left out.
    pub async fn find_tasks(&self, paths: &[&str]) -> Result<Vec<IndexedTask>> {
        let call = Call::post(&["tasks", "indexes"]).json(&json!({"indexes": paths}))?;
        let page: IndexedTasksPage = self.service.send(call).await?.json()?;
        Ok(page.tasks)
    }

    /// A page of the tasks that stand directly in a namespace; the root has an empty name.
    pub async fn list_tasks(&self, namespace: &str, page: &Page) -> Result<IndexedTasksPage> {
        list(&self.service, &["tasks", namespace], page).await
    }

    /// All of them.
    pub async fn list_tasks_all(&self, namespace: &str) -> Result<Vec<IndexedTask>> {
        list_all::<IndexedTasksPage>(&self.service, &["tasks", namespace]).await
    }

    /// A page of the namespaces that stand directly in one; the root has an empty name.
    pub async fn list_namespaces(&self, namespace: &str, page: &Page) -> Result<NamespacesPage> {
        list(&self.service, &["namespaces", namespace], page).await
    }

    /// All of them.
    pub async fn list_namespaces_all(&self, namespace: &str) -> Result<Vec<Namespace>> {
        list_all::<NamespacesPage>(&self.service, &["namespaces", namespace]).await
    }

    /// Puts a task at a path unless one of a higher rank is there; returns what is there now.
    pub async fn insert_task(&self, path: &str, task: &NewIndexedTask) -> Result<IndexedTask> {
        let path = ["task", path];
        let call = Call::put(&path).json(task)?;
        self.service.send(call).await?.json()
    }

    /// Takes the task at a path away; none being there is fine.
    pub async fn delete_task(&self, path: &str) -> Result<()> {
        let path = ["task", path];
        let call = Call::new(Method::DELETE, &path);
        self.service.send(call).await.map(drop)
    }

    /// Where an artifact of the task at a path is to be had; `None` if no task is there. The address
    /// holds for some minutes if not everybody may have the artifact.
    pub async fn find_artifact(&self, path: &str, name: &str) -> Result<Option<String>> {
        let path = ["task", path, "artifacts", name];
        let Some(answer) = found(self.service.send(Call::get(&path)).await)? else {
            return Ok(None);
        };
        let location = answer.headers.get(header::LOCATION);
        match location.and_then(|location| location.to_str().ok()) {
            Some(location) => Ok(Some(location.to_owned())),
            None => Err(Error::Decode("no Location in a redirect".to_owned())),
        }
    }
}
