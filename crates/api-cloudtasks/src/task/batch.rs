//! BatchCreateTasks and BatchDeleteTasks: each member succeeds or fails by itself, and the outcome
//! is an operation that is done at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost_reflect::DynamicMessage;
use taskyard_engine::Timestamp;
use taskyard_engine::cloud::operation::{self, Kind};
use taskyard_engine::cloud::{self, Task};
use taskyard_store::{Error, Tx};

use super::View;
use super::methods::{Creation, delete};
use crate::caller::Needs;
use crate::failure::Failure;
use crate::iam::Permission;
use crate::message::{Fields as _, Kept as _};
use crate::name::{QueueName, TaskName};
use crate::operation::{Outcome, render};
use crate::service::{Answer, Asked, CloudTasks};
use crate::version::Version;

/// Most tasks that are created at once.
const MOST_CREATED: usize = 100;
/// Most tasks that are deleted at once.
const MOST_DELETED: usize = 1000;

/// A batch, whatever it does to its members.
struct Batch {
    queue: QueueName,
    /// The id of the operation.
    id: String,
    kind: Kind,
    version: Version,
    needs: Needs,
    now: Timestamp,
}

pub(crate) async fn batch_create_tasks(service: &CloudTasks, asked: Asked) -> Answer {
    let message = &asked.message;
    let queue = QueueName::parse(message.text("parent"))?;
    let requests = message.children("requests");
    check_size(requests.len(), MOST_CREATED, "requests")?;
    if let Some(other) = requests
        .iter()
        .find(|it| it.text("parent") != queue.as_str())
    {
        return Err(Failure::invalid(format!(
            "The parent of each request must be the batch's, '{queue}'; it is '{}'.",
            other.text("parent")
        )));
    }
    let views: Result<Vec<View>, Failure> = requests.iter().map(|it| View::of(*it)).collect();
    let views = views?;
    let widest = if views.contains(&View::Full) {
        View::Full
    } else {
        View::Basic
    };
    let batch = Batch {
        id: operation_id(message)?,
        kind: Kind::Create,
        version: asked.call.version,
        needs: asked
            .caller
            .needs(&queue, &widest.with(Permission::TasksCreate)),
        now: service.now(),
        queue: queue.clone(),
    };
    let members = requests.iter().zip(&views).map(|(request, view)| {
        Creation::new(service, &asked, &queue, request.child("task"), *view)
    });
    let members: Vec<Result<Creation, Failure>> = members.collect();
    let key = cloud::queue::key(queue.as_str());
    let done = service.store().write(key, move |tx| {
        batch.run(tx, &members, |tx, member| match member {
            Ok(creation) => Ok(creation.create(tx)?.map(Some)),
            Err(failure) => Ok(Err(failure.clone())),
        })
    });
    let (operation, outcome) = done.await??;
    render(service, asked.answer(), &operation, &outcome, &views)
}

pub(crate) async fn batch_delete_tasks(service: &CloudTasks, asked: Asked) -> Answer {
    let message = &asked.message;
    let queue = QueueName::parse(message.text("parent"))?;
    let names = message.texts("names");
    check_size(names.len(), MOST_DELETED, "names")?;
    let mut members = Vec::with_capacity(names.len());
    for name in names {
        let name = TaskName::parse(name)?;
        if name.queue != queue {
            return Err(Failure::invalid(format!(
                "Each task must be of the batch's queue, '{queue}'; '{name}' is not."
            )));
        }
        members.push(name);
    }
    let batch = Batch {
        id: operation_id(message)?,
        kind: Kind::Delete,
        version: asked.call.version,
        needs: asked.caller.needs(&queue, &[Permission::TasksDelete]),
        now: service.now(),
        queue: queue.clone(),
    };
    let key = cloud::queue::key(queue.as_str());
    let now = batch.now;
    let done = service.store().write(key, move |tx| {
        batch.run(tx, &members, |tx, name| {
            Ok(delete(tx, now, name)?.map(|()| None))
        })
    });
    let (operation, outcome) = done.await??;
    render(service, asked.answer(), &operation, &outcome, &[])
}

type Done = (Arc<operation::Operation>, Arc<Outcome>);

impl Batch {
    /// Does what is asked to each member, unless the same batch was done before.
    fn run<M>(
        &self,
        tx: &mut Tx<'_>,
        members: &[M],
        each: impl Fn(&mut Tx<'_>, &M) -> Result<Result<Option<Task>, Failure>, Error>,
    ) -> Result<Result<Done, Failure>, Error> {
        if let Err(refused) = self.needs.check(tx)? {
            return Ok(Err(refused));
        }
        let parent = self.queue.parent();
        if let Some(before) = operation::get(tx, self.now, parent, &self.id)? {
            return self.replay(before);
        }
        if let Err(refusal) = cloud::queue::get(tx, self.queue.as_str())? {
            return Ok(Err(refusal.into()));
        }
        let mut outcome = Outcome {
            version: self.version.as_str().to_owned(),
            requests: members.len(),
            tasks: BTreeMap::new(),
            failures: BTreeMap::new(),
        };
        for (index, member) in members.iter().enumerate() {
            match each(tx, member)? {
                Ok(Some(task)) => drop(outcome.tasks.insert(index, task)),
                Ok(None) => {}
                Err(failure) => {
                    let failure = (i32::from(failure.code), failure.message);
                    outcome.failures.insert(index, failure);
                }
            }
        }
        let operation = operation::Operation {
            parent: parent.to_owned(),
            id: self.id.clone(),
            queue: self.queue.as_str().to_owned(),
            kind: self.kind,
            started_at: self.now,
            document: outcome.write()?,
        };
        operation::keep(tx, self.now, &operation)?;
        Ok(Ok((Arc::new(operation), Arc::new(outcome))))
    }

    /// What the same batch came to before.
    fn replay(&self, before: operation::Operation) -> Result<Result<Done, Failure>, Error> {
        if before.kind != self.kind || before.queue != self.queue.as_str() {
            return Ok(Err(Failure::invalid(format!(
                "The request id {} was used for another batch.",
                self.id
            ))));
        }
        let outcome = Outcome::read(&before)?;
        Ok(Ok((Arc::new(before), Arc::new(outcome))))
    }
}

fn check_size(size: usize, most: usize, name: &str) -> Result<(), Failure> {
    if size == 0 || size > most {
        return Err(Failure::invalid(format!(
            "A batch must have between 1 and {most} {name}; this one has {size}."
        )));
    }
    Ok(())
}

/// The id that a client gives a batch, or a new one.
fn operation_id(message: &DynamicMessage) -> Result<String, Failure> {
    let given = message.text("request_id");
    if given.is_empty() {
        return Ok(uuid::Uuid::new_v4().to_string());
    }
    match uuid::Uuid::try_parse(given) {
        Ok(id) if id.get_version_num() == 4 && !id.is_nil() => Ok(id.to_string()),
        _ => Err(Failure::invalid(format!(
            "The request id \"{given}\" is not a UUID of version 4."
        ))),
    }
}
