//! GetCmekConfig and UpdateCmekConfig.

use prost_reflect::{DynamicMessage, ReflectMessage as _};
use taskyard_engine::cloud::cmek;

use crate::failure::Failure;
use crate::iam::Permission;
use crate::mask::Mask;
use crate::message::{Fields as _, Put as _};
use crate::name::LocationName;
use crate::service::{Answer, Asked, CloudTasks};

/// What the name of such a configuration ends with.
const SUFFIX: &str = "/cmekConfig";

pub(crate) async fn get_cmek_config(service: &CloudTasks, asked: Asked) -> Answer {
    let location = LocationName::parse_parent_of(asked.message.text("name"), SUFFIX)?;
    service.check_location(&location)?;
    asked
        .caller
        .require(Permission::CmekConfigGet, location.as_str())?;
    let name = location.clone();
    let found = service.store().read(move |tx| cmek::get(tx, name.as_str()));
    Ok(render(asked.answer(), &location, &found.await?).into())
}

pub(crate) async fn update_cmek_config(service: &CloudTasks, asked: Asked) -> Answer {
    let given = asked.message.child("cmek_config");
    let given = given.ok_or_else(|| Failure::invalid("The cmekConfig is missing."))?;
    let location = LocationName::parse_parent_of(given.text("name"), SUFFIX)?;
    service.check_location(&location)?;
    let mask = Mask::of(&asked.message, "update_mask", &given.descriptor())?;
    let key = given.text("kms_key").to_owned();
    if !key.is_empty() && !is_key(&key) {
        return Err(Failure::invalid(
            "CmekConfig.kmsKey must be formatted: \"projects/<PROJECT_ID>/locations/\
             <LOCATION_ID>/keyRings/<KEY_RING>/cryptoKeys/<KEY>\".",
        ));
    }
    asked
        .caller
        .require(Permission::CmekConfigUpdate, location.as_str())?;
    let is_named = mask.is_none_or(|mask| mask.names("kms_key"));
    let (name, new) = (location.clone(), key);
    let set = service
        .store()
        .write(cmek::key(location.as_str()), move |tx| {
            if is_named {
                cmek::set(tx, name.as_str(), &new)?;
            }
            cmek::get(tx, name.as_str())
        });
    Ok(render(asked.answer(), &location, &set.await?).into())
}

fn is_key(key: &str) -> bool {
    let parts: Vec<&str> = key.split('/').collect();
    match parts.as_slice() {
        [
            "projects",
            p,
            "locations",
            l,
            "keyRings",
            ring,
            "cryptoKeys",
            key,
        ] => [p, l, ring, key].iter().all(|part| !part.is_empty()),
        _ => false,
    }
}

fn render(mut answer: DynamicMessage, location: &LocationName, key: &str) -> DynamicMessage {
    answer.put_text("name", &format!("{}{SUFFIX}", location.as_str()));
    answer.put_text("kms_key", key);
    answer
}
