//! Queues.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::cloudtasks::call::Call;
use crate::cloudtasks::client::CloudTasks;
use crate::cloudtasks::error::Error;
use crate::cloudtasks::pages::Pages;
use crate::cloudtasks::queue::{Listing, Queue};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct QueuesPage {
    queues: Vec<Queue>,
    next_page_token: String,
}

impl CloudTasks {
    /// The queues below `parent` (`projects/P/locations/L`).
    pub fn list_queues(&self, parent: &str, listing: Listing) -> Pages<Queue> {
        let (client, parent) = (self.clone(), parent.to_owned());
        Pages::new(move |token| {
            let (client, parent, listing) = (client.clone(), parent.clone(), listing.clone());
            Box::pin(async move {
                let call = client
                    .get(&[&parent, "queues"])
                    .set("filter", listing.filter)
                    .number("pageSize", listing.page_size)
                    .set("pageToken", token)
                    .set("readMask", listing.read_mask);
                let settings = &client.calls().list_queues;
                let page: QueuesPage = client.call(settings, call).await?;
                Ok((page.queues, page.next_page_token))
            })
        })
    }

    /// One queue.
    ///
    /// # Errors
    /// `Status` with `NotFound` when there is none.
    pub async fn get_queue(&self, name: &str) -> Result<Queue, Error> {
        self.call(&self.calls().get_queue, self.get(&[name])).await
    }

    /// One queue with the fields that `read_mask` names, such as `*,stats`. v2beta2 and v2beta3.
    ///
    /// # Errors
    /// As [`CloudTasks::get_queue`].
    pub async fn get_queue_masked(&self, name: &str, read_mask: &str) -> Result<Queue, Error> {
        let call = self.get(&[name]).set("readMask", read_mask.to_owned());
        self.call(&self.calls().get_queue, call).await
    }

    /// Creates a queue below `parent`.
    ///
    /// # Errors
    /// `Status` with `AlreadyExists` when there is one of this name.
    pub async fn create_queue(&self, parent: &str, queue: &Queue) -> Result<Queue, Error> {
        let call = self.post(&[parent, "queues"]).json(queue)?;
        self.call(&self.calls().create_queue, call).await
    }

    /// Changes the fields of a queue that `update_mask` names, all if it is empty, and creates the
    /// queue if there is none.
    ///
    /// # Errors
    /// `Status` with `InvalidArgument` when a field is out of its bounds.
    pub async fn update_queue(&self, queue: &Queue, update_mask: &str) -> Result<Queue, Error> {
        let call = self
            .at(Method::PATCH, &[&queue.name])
            .set("updateMask", update_mask.to_owned())
            .json(queue)?;
        self.call(&self.calls().update_queue, call).await
    }

    /// Deletes a queue with all of its tasks.
    ///
    /// # Errors
    /// `Status` with `NotFound` when there is none, also if an earlier attempt has deleted it.
    pub async fn delete_queue(&self, name: &str) -> Result<(), Error> {
        let call = self.at(Method::DELETE, &[name]);
        self.told(&self.calls().delete_queue, call).await
    }

    /// Deletes all tasks of a queue.
    ///
    /// # Errors
    /// As [`CloudTasks::get_queue`].
    pub async fn purge_queue(&self, name: &str) -> Result<Queue, Error> {
        let call = self.verb(name, "purge").json(&json!({}))?;
        self.call(&self.calls().purge_queue, call).await
    }

    /// Sends no more tasks of a queue.
    ///
    /// # Errors
    /// As [`CloudTasks::get_queue`].
    pub async fn pause_queue(&self, name: &str) -> Result<Queue, Error> {
        let call = self.verb(name, "pause").json(&json!({}))?;
        self.call(&self.calls().pause_queue, call).await
    }

    /// Sends tasks of a queue again.
    ///
    /// # Errors
    /// As [`CloudTasks::get_queue`].
    pub async fn resume_queue(&self, name: &str) -> Result<Queue, Error> {
        let call = self.verb(name, "resume").json(&json!({}))?;
        self.call(&self.calls().resume_queue, call).await
    }

    /// Makes queues what a `queue.yaml` says they are. v2beta2.
    ///
    /// # Errors
    /// `Status` with `InvalidArgument` when the file is wrong.
    pub async fn upload_queue_yaml(&self, app_id: &str, yaml: &str) -> Result<(), Error> {
        let mut call = Call::new(Method::POST, "api/queue/update".to_owned());
        call = call.set("appId", app_id.to_owned());
        call.body = Some(("application/yaml", yaml.to_owned().into()));
        self.told(&self.calls().upload_queue_yaml, call).await
    }
}
