//! ListLocations and GetLocation.
//!
//! Unless the server is given a list, every location is one; those listed are the ones that have
//! queues, and one to begin with.

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, Value};
use taskyard_engine::cloud::location;

use crate::failure::Failure;
use crate::iam::Permission;
use crate::message::{Fields as _, Kept as _, Put as _};
use crate::name::{LocationName, ProjectName};
use crate::page;
use crate::service::{Answer, Asked, CloudTasks};

/// The location that is there before any queue is.
const DEFAULT: &str = "us-central1";
/// Locations on a page.
const MOST: usize = 1000;

impl CloudTasks {
    /// Makes sure that a location is one of those that the server is told, if it is told any.
    pub(crate) fn check_location(&self, location: &LocationName) -> Result<(), Failure> {
        let known = &self.parts().locations;
        if known.is_empty() || known.iter().any(|known| known == location.id()) {
            return Ok(());
        }
        Err(Failure::invalid(format!(
            "Location '{}' is not a valid location. Use ListLocations to list valid locations.",
            location.id()
        )))
    }
}

pub(crate) async fn list_locations(service: &CloudTasks, asked: Asked) -> Answer {
    let message = &asked.message;
    let project = ProjectName::parse(message.text("name"))?;
    let limit = page::size(message.int("page_size"), MOST)?;
    let now = service.now();
    let after: Option<String> = page::position(message.text("page_token"), project.as_str(), now)?;
    asked
        .caller
        .require(Permission::LocationsList, project.as_str())?;
    let mut ids = service.parts().locations.clone();
    if ids.is_empty() {
        let name = project.clone();
        let used = service
            .store()
            .read(move |tx| location::in_use(tx, name.as_str()));
        ids = used.await?;
        ids.push(DEFAULT.to_owned());
    }
    ids.sort_unstable();
    ids.dedup();
    if let Some(after) = after {
        ids.retain(|id| *id > after);
    }
    let mut answer = asked.answer();
    if ids.len() > limit {
        ids.truncate(limit);
        if let Some(last) = ids.last() {
            let token = page::token(last, project.as_str(), now);
            answer.put_text("next_page_token", &token);
        }
    }
    if let Some(empty) = answer.empty_child("locations") {
        let locations = ids.iter().map(|id| {
            let mut into = empty.clone();
            render(&mut into, project.as_str(), id);
            Value::Message(into)
        });
        let locations = locations.collect();
        answer.put("locations", Value::List(locations));
    }
    Ok(answer.into())
}

pub(crate) fn get_location(service: &CloudTasks, asked: Asked) -> Answer {
    let location = LocationName::parse(asked.message.text("name"))?;
    service.check_location(&location)?;
    asked
        .caller
        .require(Permission::LocationsGet, location.as_str())?;
    let mut answer = asked.answer();
    render(&mut answer, location.project(), location.id());
    Ok(answer.into())
}

fn render(into: &mut DynamicMessage, project: &str, id: &str) {
    into.put_text("name", &format!("{project}/locations/{id}"));
    into.put_text("location_id", id);
    // One command line takes the region from here.
    let label = ("cloud.googleapis.com/region", id);
    into.put_pairs("labels", &BTreeMap::from([label]));
}
