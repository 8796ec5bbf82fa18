//! Operations: what batches came to.

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, MapKey, Value};
use serde::{Deserialize, Serialize};
use taskyard_engine::cloud::Task;
use taskyard_engine::cloud::operation::{self, Kind, Operation};
use taskyard_store::Error;
use tonic::Code;

use crate::failure::{Failure, pack};
use crate::iam::Permission;
use crate::message::{Fields as _, Kept as _, Put as _};
use crate::name::{LocationName, QueueName};
use crate::rpc::Service;
use crate::service::{Answer, Asked, CloudTasks};
use crate::task::{self, View};
use crate::version::Version;

/// What became of each member of a batch, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// In which the batch was asked for.
    pub(crate) version: String,
    /// How many members there were.
    pub(crate) requests: usize,
    /// The tasks that were created, without their bodies once they are read again.
    pub(crate) tasks: BTreeMap<usize, Task>,
    /// The members that failed, with code and text.
    pub(crate) failures: BTreeMap<usize, (i32, String)>,
}

impl Outcome {
    pub(crate) fn write(&self) -> Result<String, Error> {
        serde_json::to_string(self)
            .map_err(|error| Error::Statement(format!("writing an operation: {error}")))
    }

    pub(crate) fn read(operation: &Operation) -> Result<Self, Error> {
        serde_json::from_str(&operation.document)
            .map_err(|error| Error::Statement(format!("reading an operation: {error}")))
    }

    fn version(&self) -> Version {
        let known = Version::ALL.into_iter();
        let mut found = known.filter(|version| version.as_str() == self.version);
        found.next().unwrap_or(Version::V2)
    }
}

pub(crate) async fn get_operation(service: &CloudTasks, asked: Asked) -> Answer {
    let name = asked.message.text("name");
    let (parent, id) = name
        .rsplit_once("/operations/")
        .ok_or_else(Failure::invalid_resource)?;
    let parent = LocationName::parse(parent)?;
    let (id, now) = (id.to_owned(), service.now());
    let caller = asked.caller.clone();
    let found = service.store().read(move |tx| {
        let Some(operation) = operation::get(tx, now, parent.as_str(), &id)? else {
            return Ok(Err(Failure::entity_not_found()));
        };
        // Who may ask for such a batch may see what it came to.
        let permission = match operation.kind {
            Kind::Create => Permission::TasksCreate,
            Kind::Delete => Permission::TasksDelete,
        };
        let Ok(queue) = QueueName::parse(&operation.queue) else {
            return Ok(Err(Failure::entity_not_found()));
        };
        if let Err(refused) = caller.needs(&queue, &[permission]).check(tx)? {
            return Ok(Err(refused));
        }
        let outcome = Outcome::read(&operation)?;
        Ok(Ok((operation, outcome)))
    });
    let (operation, mut outcome) = found.await??;
    if asked.by_rest || asked.call.row.service == Service::CloudTasks {
        asked.call.version.as_str().clone_into(&mut outcome.version);
    }
    render(service, asked.answer(), &operation, &outcome, &[])
}

/// Completes `into`, an empty operation, with what a batch came to. `views` say how much is shown
/// of each task; where they do not say it, the least.
pub(crate) fn render(
    service: &CloudTasks,
    mut into: DynamicMessage,
    operation: &Operation,
    outcome: &Outcome,
    views: &[View],
) -> Answer {
    let missing = || Failure::new(Code::Internal, "A message type is missing.");
    let schema = service.schema();
    let version = outcome.version();
    let what = match operation.kind {
        Kind::Create => "BatchCreateTasks",
        Kind::Delete => "BatchDeleteTasks",
    };
    let name = format!("{}/operations/{}", operation.parent, operation.id);
    into.put_text("name", &name);
    into.put("done", Value::Bool(true));

    let metadata = schema.of(version, &format!("{what}Metadata"));
    let mut metadata = metadata.ok_or_else(missing)?;
    metadata.put_span("start_time", operation.started_at.into());
    metadata.put_span("end_time", operation.started_at.into());
    let state = match (outcome.failures.is_empty(), operation.kind) {
        (true, _) => 2,
        (false, Kind::Create) => 5,
        (false, Kind::Delete) => 3,
    };
    metadata.put("state", Value::EnumNumber(state));
    let mut failed = std::collections::HashMap::new();
    for (index, (code, text)) in &outcome.failures {
        let mut status = schema.message("google.rpc.Status").ok_or_else(missing)?;
        status.put_int("code", *code);
        status.put_text("message", text);
        let index = MapKey::I32(i32::try_from(*index).unwrap_or(i32::MAX));
        failed.insert(index, Value::Message(status));
    }
    if !failed.is_empty() {
        metadata.put("failed_requests", Value::Map(failed));
    }
    let metadata = pack(schema, &metadata).ok_or_else(missing)?;
    into.put("metadata", Value::Message(metadata));

    if outcome.failures.len() == outcome.requests {
        let text = format!(
            "None of the requests succeeded, refer to {what}Metadata.failed_requests for \
             individual error details"
        );
        into.put_child("error", |error| {
            error.put_int("code", i32::from(Code::Aborted));
            error.put_text("message", &text);
        });
        return Ok(into.into());
    }
    let response = match operation.kind {
        Kind::Delete => schema.message("google.protobuf.Empty"),
        Kind::Create => schema.of(version, "BatchCreateTasksResponse"),
    };
    let mut response = response.ok_or_else(missing)?;
    if let Some(empty) = response.empty_child("tasks") {
        let tasks = outcome.tasks.iter().map(|(index, task)| {
            let view = views.get(*index).copied().unwrap_or(View::Basic);
            let mut into = empty.clone();
            task::render(&mut into, task, &operation.queue, version, view);
            Value::Message(into)
        });
        let tasks = tasks.collect();
        response.put("tasks", Value::List(tasks));
    }
    let response = pack(schema, &response).ok_or_else(missing)?;
    into.put("response", Value::Message(response));
    Ok(into.into())
}
