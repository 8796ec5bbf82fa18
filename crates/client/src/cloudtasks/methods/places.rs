//! Locations.

use reqwest::Method;
use serde::Deserialize;

use crate::cloudtasks::client::CloudTasks;
use crate::cloudtasks::error::Error;
use crate::cloudtasks::pages::Pages;
use crate::cloudtasks::place::{CmekConfig, Location};
use crate::cloudtasks::queue::Listing;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LocationsPage {
    locations: Vec<Location>,
    next_page_token: String,
}

impl CloudTasks {
    /// Where a project (`projects/P`) can have queues.
    pub fn list_locations(&self, project: &str, listing: Listing) -> Pages<Location> {
        let (client, project) = (self.clone(), project.to_owned());
        Pages::new(move |token| {
            let (client, project, listing) = (client.clone(), project.clone(), listing.clone());
            Box::pin(async move {
                let call = client
                    .get(&[&project, "locations"])
                    .set("filter", listing.filter)
                    .number("pageSize", listing.page_size)
                    .set("pageToken", token);
                let settings = &client.calls().list_locations;
                let page: LocationsPage = client.call(settings, call).await?;
                Ok((page.locations, page.next_page_token))
            })
        })
    }

    /// One place.
    ///
    /// # Errors
    /// `Status` with `NotFound` when there is none.
    pub async fn get_location(&self, name: &str) -> Result<Location, Error> {
        self.call(&self.calls().get_location, self.get(&[name]))
            .await
    }

    /// The key that the queues of a place (`projects/P/locations/L`) are encrypted with.
    ///
    /// # Errors
    /// As every call.
    pub async fn get_cmek_config(&self, location: &str) -> Result<CmekConfig, Error> {
        let call = self.get(&[location, "cmekConfig"]);
        self.call(&self.calls().get_cmek_config, call).await
    }

    /// Changes it.
    ///
    /// # Errors
    /// `Status` with `InvalidArgument` when the key is no name of one.
    pub async fn update_cmek_config(&self, config: &CmekConfig) -> Result<CmekConfig, Error> {
        let call = self
            .at(Method::PATCH, &[&config.name])
            .set("updateMask", "kmsKey".to_owned())
            .json(config)?;
        self.call(&self.calls().update_cmek_config, call).await
    }
}
