//! GetIamPolicy, SetIamPolicy and TestIamPermissions.

use std::sync::Arc;

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};
use taskyard_engine::cloud::{self, Refusal};
use taskyard_store::{Error, Tx};
use tonic::Code;

use super::{Permission, policy};
use crate::failure::Failure;
use crate::mask::Mask;
use crate::message::{Fields as _, Kept as _};
use crate::name::QueueName;
use crate::service::{Answer, Asked, CloudTasks};

pub(crate) async fn get_iam_policy(service: &CloudTasks, asked: Asked) -> Answer {
    let queue = QueueName::parse(asked.message.text("resource"))?;
    let options = asked.message.child("options");
    let version = options.map_or(0, |options| options.int("requested_policy_version"));
    if !matches!(version, 0 | 1 | 3) {
        let text = format!("Policy version {version} is not one of 0, 1 and 3.");
        return Err(Failure::invalid(text));
    }
    let needs = asked
        .caller
        .needs(&queue, &[Permission::QueuesGetIamPolicy]);
    let found = service.store().read(move |tx| {
        if let Err(refused) = needs.check(tx)? {
            return Ok(Err(refused));
        }
        let found = cloud::policy::get(tx, queue.as_str())?;
        Ok(found.map_err(|_| Failure::queue_not_found()))
    });
    render(asked.answer(), found.await??.as_ref())
}

pub(crate) async fn set_iam_policy(service: &CloudTasks, asked: Asked) -> Answer {
    let queue = QueueName::parse(asked.message.text("resource"))?;
    let mut given = asked
        .message
        .child("policy")
        .cloned()
        .ok_or_else(|| Failure::invalid("The policy is missing."))?;
    policy::normalize(&mut given)?;
    let mask = Mask::of(&asked.message, "update_mask", &given.descriptor())?;
    let needs = asked
        .caller
        .needs(&queue, &[Permission::QueuesSetIamPolicy]);
    let key = cloud::queue::key(queue.as_str());
    let (given, empty) = (Arc::new(given), asked.answer());
    let answer = empty.clone();
    let set = service.store().write(key, move |tx| {
        if let Err(refused) = needs.check(tx)? {
            return Ok(Err(refused));
        }
        replace(tx, &queue, &given, mask.as_ref(), &empty)
    });
    render(answer, Some(&set.await??))
}

/// Puts what is named of `given` into the policy of `queue`.
fn replace(
    tx: &mut Tx<'_>,
    queue: &QueueName,
    given: &DynamicMessage,
    mask: Option<&Mask>,
    empty: &DynamicMessage,
) -> Result<Result<cloud::policy::Policy, Failure>, Error> {
    let Ok(found) = cloud::policy::get(tx, queue.as_str())? else {
        return Ok(Err(Failure::queue_not_found()));
    };
    let broken = |error| Error::Statement(format!("reading a stored policy: {error}"));
    let mut policy = read(empty, found.as_ref()).map_err(broken)?;
    if let Some(mask) = mask {
        mask.update(given, &mut policy);
    } else {
        // Unless a mask says so, audit configurations are not touched.
        policy.put("bindings", Value::List(Vec::new()));
        for name in ["version", "bindings"] {
            if let Some(value) = given.get_field_by_name(name) {
                policy.put(name, value.into_owned());
            }
        }
    }
    if let Err(refused) = policy::normalize(&mut policy) {
        return Ok(Err(refused));
    }
    policy.clear_field_by_name("etag");
    let document = serde_json::to_string(&policy).map_err(broken)?;
    let asked_for = given.bytes("etag");
    let current = found.map_or(cloud::policy::EMPTY_ETAG.to_vec(), |found| found.etag);
    let expected: &[u8] = if asked_for.is_empty() {
        &current
    } else {
        &asked_for
    };
    match cloud::policy::set(tx, queue.as_str(), Some(expected), &document)? {
        Ok(set) => Ok(Ok(set)),
        Err(Refusal::EtagMismatch) if asked_for.is_empty() => {
            Err(tx.overtaken("the policy of a queue"))
        }
        Err(Refusal::EtagMismatch) => Ok(Err(Failure::new(
            Code::Aborted,
            "There were concurrent policy changes. Please retry the whole read-modify-write with \
             exponential backoff.",
        ))),
        Err(_) => Ok(Err(Failure::queue_not_found())),
    }
}

pub(crate) async fn test_iam_permissions(service: &CloudTasks, asked: Asked) -> Answer {
    let queue = QueueName::parse(asked.message.text("resource"))?;
    let names = asked.message.texts("permissions");
    if let Some(star) = names.iter().find(|name| name.contains('*')) {
        return Err(Failure::invalid(format!(
            "Permission {star} is not valid: wildcards are not allowed here."
        )));
    }
    let asked_for: Vec<Permission> = names.into_iter().filter_map(Permission::named).collect();
    let caller = asked.caller.clone();
    let held = service.store().read(move |tx| {
        if cloud::queue::get(tx, queue.as_str())?.is_err() {
            return Ok(Vec::new());
        }
        let policy = policy::of(tx, &queue)?;
        let holds = |permission: &Permission| {
            caller.has(*permission, queue.as_str()) || policy.grants(*permission, &caller)
        };
        Ok(asked_for.iter().copied().filter(holds).collect())
    });
    let held: Vec<Permission> = held.await?;
    let mut answer = asked.answer();
    let names = held.iter().map(|it| Value::String(it.as_str().to_owned()));
    answer.put("permissions", Value::List(names.collect()));
    Ok(answer.into())
}

/// The policy as the message `empty` is, without its etag.
fn read(
    empty: &DynamicMessage,
    policy: Option<&cloud::policy::Policy>,
) -> Result<DynamicMessage, serde_json::Error> {
    let Some(policy) = policy else {
        return Ok(empty.clone());
    };
    let mut json = serde_json::Deserializer::from_str(&policy.document);
    DynamicMessage::deserialize(empty.descriptor(), &mut json)
}

fn render(empty: DynamicMessage, policy: Option<&cloud::policy::Policy>) -> Answer {
    let mut answer = read(&empty, policy).map_err(|error| {
        let text = format!("reading a stored policy: {error}");
        Failure::from(Error::Statement(text))
    })?;
    let etag = policy.map_or(&cloud::policy::EMPTY_ETAG[..], |policy| &policy.etag);
    answer.put("etag", Value::Bytes(etag.to_vec().into()));
    Ok(answer.into())
}
