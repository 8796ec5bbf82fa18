//! The methods of tasks.

use std::sync::Arc;

use prost_reflect::Value;
use taskyard_engine::Timestamp;
use taskyard_engine::cloud::{self, Payload, Refusal, Task};
use taskyard_store::{Error, Tx};

use super::read::{self, Wanted};
use super::{View, render};
use crate::caller::Needs;
use crate::draft::Draft;
use crate::failure::Failure;
use crate::iam::Permission;
use crate::message::{Fields, Kept as _, Put as _};
use crate::name::{QueueName, TaskName};
use crate::page;
use crate::service::{Answer, Answered, Asked, CloudTasks};
use crate::target;

/// Tasks on a page.
const MOST: usize = 1000;
/// Tasks on a page with their bodies, each of which may be 1 MB.
const MOST_FULL: usize = 100;

pub(crate) async fn list_tasks(service: &CloudTasks, asked: Asked) -> Answer {
    let (message, version) = (&asked.message, asked.call.version);
    let queue = QueueName::parse(message.text("parent"))?;
    let view = View::of(message)?;
    let mut limit = page::size(message.int("page_size"), MOST)?;
    if view == View::Full {
        limit = limit.min(MOST_FULL);
    }
    let now = service.now();
    let after: Option<i64> = page::position(message.text("page_token"), queue.as_str(), now)?;
    let permissions = view.with(Permission::TasksList);
    let needs = asked.caller.needs(&queue, &permissions);
    let name = queue.clone();
    let found = service.store().read(move |tx| {
        if let Err(refused) = needs.check(tx)? {
            return Ok(Err(refused));
        }
        let with_body = view == View::Full;
        let page = cloud::lookup::list(tx, name.as_str(), after, limit, with_body)?;
        Ok(page.map_err(Failure::from))
    });
    let page = found.await??;
    let mut answer = asked.answer();
    if let Some(empty) = answer.empty_child("tasks") {
        let tasks = page.items.iter().map(|task| {
            let mut into = empty.clone();
            render(&mut into, task, queue.as_str(), version, view);
            Value::Message(into)
        });
        let tasks: Vec<Value> = tasks.collect();
        if !tasks.is_empty() {
            answer.put("tasks", Value::List(tasks));
        }
    }
    if let Some(next) = page.next {
        let token = page::token(&next, queue.as_str(), now);
        answer.put_text("next_page_token", &token);
    }
    Ok(answer.into())
}

pub(crate) async fn get_task(service: &CloudTasks, asked: Asked) -> Answer {
    let name = TaskName::parse(asked.message.text("name"))?;
    let view = View::of(&asked.message)?;
    let permissions = view.with(Permission::TasksGet);
    let needs = asked.caller.needs(&name.queue, &permissions);
    let now = service.now();
    let (queue, id) = (name.queue.clone(), name.id);
    let found = service.store().read(move |tx| {
        if let Err(refused) = needs.check(tx)? {
            return Ok(Err(refused));
        }
        let found = cloud::lookup::get(tx, now, queue.as_str(), &id)?;
        Ok(found.map_err(Failure::from))
    });
    let task = found.await??;
    Ok(shown(&asked, &task, &name.queue, view))
}

pub(crate) async fn create_task<M: Fields>(service: &CloudTasks, asked: Asked<M>) -> Answer {
    let message = &asked.message;
    let queue = QueueName::parse(message.text("parent"))?;
    let view = View::of(message)?;
    let creation = Creation::new(service, &asked, &queue, message.child("task"), view)?;
    let key = cloud::queue::key(queue.as_str());
    let created = service.store().write(key, move |tx| creation.create(tx));
    let task = created.await??;
    Ok(shown(&asked, &task, &queue, view))
}

/// A task that is to be created, once everything that can be checked without the queue is.
#[derive(Debug, Clone)]
pub(crate) struct Creation {
    queue: QueueName,
    wanted: Arc<Wanted>,
    needs: Needs,
    now: Timestamp,
}

impl Creation {
    pub(crate) fn new<M: Fields>(
        service: &CloudTasks,
        asked: &Asked<M>,
        queue: &QueueName,
        task: Option<&M>,
        view: View,
    ) -> Result<Self, Failure> {
        let rules = read::Rules {
            now: service.now(),
            tokens_need_https: service.parts().tokens_need_https,
        };
        let wanted = read::read(task, asked.call.version, queue, rules)?;
        Creation::of(service, asked, queue, wanted, view)
    }

    pub(crate) fn of<M>(
        service: &CloudTasks,
        asked: &Asked<M>,
        queue: &QueueName,
        wanted: Wanted,
        view: View,
    ) -> Result<Self, Failure> {
        let authorization = match &wanted.new.payload {
            Payload::Http(request) => request.authorization.as_ref(),
            Payload::AppEngine(_) | Payload::Pull(_) => None,
        };
        if let Some(authorization) = authorization {
            let email = target::email(authorization);
            asked.caller.require(Permission::ActAs, email)?;
        }
        let permissions = view.with(Permission::TasksCreate);
        Ok(Creation {
            queue: queue.clone(),
            wanted: Arc::new(wanted),
            needs: asked.caller.needs(queue, &permissions),
            now: service.now(),
        })
    }

    pub(crate) fn create(&self, tx: &mut Tx<'_>) -> Result<Result<Task, Failure>, Error> {
        if let Err(refused) = self.needs.check(tx)? {
            return Ok(Err(refused));
        }
        if self.wanted.is_without_url || self.wanted.is_too_large {
            match self.look_at_queue(tx)? {
                Ok(new) => return self.insert(tx, &new),
                Err(refused) => return Ok(Err(refused)),
            }
        }
        self.insert(tx, &self.wanted.new)
    }

    fn insert(
        &self,
        tx: &mut Tx<'_>,
        new: &cloud::create::NewTask,
    ) -> Result<Result<Task, Failure>, Error> {
        let created = cloud::create::create(tx, self.now, self.queue.as_str(), new)?;
        Ok(created.map_err(|refusal| match refusal {
            Refusal::NotPull => {
                Failure::invalid("Task.pull_message can only be set in a pull queue.")
            }
            Refusal::NotPush => {
                Failure::invalid("Only Task.pull_message can be set in a pull queue.")
            }
            refusal => refusal.into(),
        }))
    }

    /// What depends on the queue: whether it says where to send tasks that do not.
    fn look_at_queue(
        &self,
        tx: &mut Tx<'_>,
    ) -> Result<Result<cloud::create::NewTask, Failure>, Error> {
        let queue = match cloud::queue::get(tx, self.queue.as_str())? {
            Ok(queue) => queue,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        if self.wanted.is_too_large {
            return Ok(Err(Failure::invalid("Task size too large")));
        }
        let mut new = self.wanted.new.clone();
        if let Payload::Http(request) = &mut new.payload {
            match super::buffer::url_of(&queue) {
                Some(url) => request.url = url,
                None => return Ok(Err(Failure::invalid("HttpRequest.url is required."))),
            }
        }
        Ok(Ok(new))
    }
}

pub(crate) async fn delete_task(service: &CloudTasks, asked: Asked) -> Answer {
    let name = TaskName::parse(asked.message.text("name"))?;
    let needs = asked.caller.needs(&name.queue, &[Permission::TasksDelete]);
    let key = cloud::queue::key(name.queue.as_str());
    let now = service.now();
    let deleted = service.store().write(key, move |tx| {
        if let Err(refused) = needs.check(tx)? {
            return Ok(Err(refused));
        }
        delete(tx, now, &name)
    });
    deleted.await??;
    Ok(asked.answer().into())
}

/// Deletes one task.
pub(crate) fn delete(
    tx: &mut Tx<'_>,
    now: Timestamp,
    name: &TaskName,
) -> Result<Result<(), Failure>, Error> {
    let deleted = cloud::remove::delete(tx, now, name.queue.as_str(), &name.id)?;
    Ok(deleted.map_err(not_found))
}

/// Whatever is missing is just not found, even the queue.
fn not_found(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::QueueMissing | Refusal::TaskMissing | Refusal::TaskGone => {
            Failure::entity_not_found()
        }
        refusal => refusal.into(),
    }
}

pub(crate) async fn run_task(service: &CloudTasks, asked: Asked) -> Answer {
    let name = TaskName::parse(asked.message.text("name"))?;
    let view = View::of(&asked.message)?;
    let permissions = view.with(Permission::TasksRun);
    let needs = asked.caller.needs(&name.queue, &permissions);
    let key = cloud::queue::key(name.queue.as_str());
    let now = service.now();
    let runner = service.parts().runner.clone();
    let holder = runner.node.clone();
    let (queue, id) = (name.queue.clone(), name.id);
    let taken = service.store().write(key, move |tx| {
        if let Err(refused) = needs.check(tx)? {
            return Ok(Err(refused));
        }
        let taken = cloud::dispatch::run(tx, now, queue.as_str(), &id, &holder)?;
        Ok(taken.map_err(not_found))
    });
    let dispatch = taken.await??;
    let answer = shown(&asked, &dispatch.task, &name.queue, view);
    runner.send(dispatch);
    Ok(answer)
}

/// An answer that is a task.
pub(super) fn shown<M>(asked: &Asked<M>, task: &Task, queue: &QueueName, view: View) -> Answered {
    let mut answer = Draft::new(&asked.call.task);
    render(&mut answer, task, queue.as_str(), asked.call.version, view);
    answer.into()
}
