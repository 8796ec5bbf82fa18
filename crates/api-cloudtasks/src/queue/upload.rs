//! UploadQueueYaml: all queues of an application at once.

use std::collections::HashSet;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use prost_reflect::ReflectMessage as _;
use taskyard_engine::Timestamp;
use taskyard_engine::cloud::{self, Origin, Queue, Refusal, State};
use taskyard_store::{Error, Tx};
use tonic::Code;

use super::yaml::{self, Declaration, Declared};
use crate::failure::Failure;
use crate::iam::Permission;
use crate::message::Fields as _;
use crate::name::LocationName;
use crate::rest::json;
use crate::service::{Answer, Asked, CloudTasks};

/// The location of applications that do not say one.
const DEFAULT: &str = "us-central1";
/// Queues that are looked at for being no longer declared.
const PAGE: usize = 500;

pub(crate) async fn upload_queue_yaml(service: &CloudTasks, asked: Asked) -> Answer {
    let (application, text) = given(service, &asked)?;
    // Applications outside the United States have a letter before a tilde.
    let project = application.rsplit('~').next().unwrap_or_default();
    let location = service.parts().locations.first();
    let location = location.map_or(DEFAULT, String::as_str);
    let parent = LocationName::parse(&format!("projects/{project}/locations/{location}"))
        .map_err(|_| Failure::invalid("appId is not a valid application."))?;
    let declaration = yaml::read(&text, parent.as_str())?;
    for permission in [Permission::QueuesCreate, Permission::QueuesUpdate] {
        asked.caller.require(permission, parent.as_str())?;
    }
    let declaration = Arc::new(declaration);
    let key = cloud::queue::key(parent.as_str());
    let now = service.now();
    let applied = service
        .store()
        .write(key, move |tx| apply(tx, now, &parent, &declaration));
    applied.await??;
    Ok(asked.answer().into())
}

/// The application, and the file. Over REST the body is the file itself, or a message around it.
fn given(service: &CloudTasks, asked: &Asked) -> Result<(String, String), Failure> {
    let message = &asked.message;
    let data = match &asked.raw {
        None => message.child("http_body").map(|body| body.bytes("data")),
        Some(raw) => {
            let kind = raw.headers.get(CONTENT_TYPE);
            let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            if kind.to_ascii_lowercase().starts_with("application/json") {
                let missing = || Failure::new(Code::Internal, "A message type is missing.");
                let body = service.schema().message("google.api.HttpBody");
                let body = body.ok_or_else(missing)?;
                Some(json::read(&raw.body, body.descriptor())?.bytes("data"))
            } else {
                Some(raw.body.clone())
            }
        }
    };
    let text = String::from_utf8(data.unwrap_or_default().to_vec())
        .map_err(|_| Failure::invalid("queue.yaml is not UTF-8."))?;
    Ok((message.text("app_id").to_owned(), text))
}

/// Makes the queues what the file says. Those that came from such a file and are no longer in it
/// take tasks and send none.
fn apply(
    tx: &mut Tx<'_>,
    now: Timestamp,
    parent: &LocationName,
    declaration: &Declaration,
) -> Result<Result<(), Failure>, Error> {
    // Refusals come before the first change: what would be refused is looked for first.
    for declared in &declaration.queues {
        if let Err(refused) = examine(tx, now, declared)? {
            return Ok(Err(refused));
        }
    }
    for declared in &declaration.queues {
        let revise = |_: Option<&Queue>| Ok::<_, Failure>(declared.settings.clone());
        let name = declared.name.as_str();
        let updated = cloud::queue::update(tx, now, name, Origin::Yaml, revise)?;
        let Ok(Ok(queue)) = updated else {
            return Err(tx.overtaken("a declared queue changed"));
        };
        let state = match queue.state {
            _ if declared.is_paused => State::Paused,
            State::Paused | State::Disabled if declaration.resumes => State::Running,
            State::Disabled => State::Running,
            state => state,
        };
        if state != queue.state
            && cloud::queue::set_state(tx, declared.name.as_str(), state)?.is_err()
        {
            return Err(tx.overtaken("a declared queue changed"));
        }
    }
    disable_others(tx, parent, declaration)?;
    Ok(Ok(()))
}

/// Whether a declared queue can be what it is to be.
fn examine(
    tx: &mut Tx<'_>,
    now: Timestamp,
    declared: &Declared,
) -> Result<Result<(), Failure>, Error> {
    let name = declared.name.as_str();
    Ok(match cloud::queue::get(tx, name)? {
        Ok(queue) if queue.settings.kind != declared.settings.kind => {
            Err(Refusal::KindChange.into())
        }
        Err(_) if cloud::queue::is_reserved(tx, now, name)? => Err(Refusal::QueueTombstoned.into()),
        Ok(_) | Err(_) => Ok(()),
    })
}

fn disable_others(
    tx: &mut Tx<'_>,
    parent: &LocationName,
    declaration: &Declaration,
) -> Result<(), Error> {
    let declared: HashSet<&str> = declaration
        .queues
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    let is_left_out = |queue: &Queue| {
        queue.origin == Origin::Yaml
            && queue.state != State::Disabled
            && !declared.contains(queue.name.as_str())
    };
    let mut after = None;
    loop {
        let page = cloud::queue::list(tx, parent.as_str(), after.as_deref(), PAGE, &is_left_out)?;
        for queue in page.items {
            // One that is gone by now needs nothing.
            let _ = cloud::queue::set_state(tx, &queue.name, State::Disabled)?;
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}
