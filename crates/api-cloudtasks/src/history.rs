//! What became of tasks that are gone: the log of attempts, and tasks that were given up.

use prost_reflect::{DynamicMessage, Value};
use taskyard_engine::cloud::Outcome;
use taskyard_engine::cloud::attempt::{self, Logged};
use taskyard_engine::cloud::failure::{self, Failed};

use crate::failure::Failure;
use crate::iam::Permission;
use crate::message::{Fields as _, Kept as _, Put as _};
use crate::name::{QueueName, TaskName};
use crate::page;
use crate::service::{Answer, Asked, CloudTasks};
use crate::task::{self, View};
use crate::version::Version;

/// Entries on a page.
const MOST: usize = 1000;
/// Entries on a page with bodies, each of which may be 1 MB.
const MOST_FULL: usize = 100;

/// Whose attempts are asked for.
fn read_parent(name: &str) -> Result<(QueueName, Option<String>), Failure> {
    if name.contains("/tasks/") {
        let TaskName { queue, id } = TaskName::parse(name)?;
        return Ok((queue, Some(id)));
    }
    Ok((QueueName::parse(name)?, None))
}

pub(crate) async fn list_attempts(service: &CloudTasks, asked: Asked) -> Answer {
    let message = &asked.message;
    let parent = message.text("parent");
    let (queue, task) = read_parent(parent)?;
    let view = View::of(message)?;
    let limit = page::size(message.int("page_size"), MOST)?;
    let now = service.now();
    let after: Option<attempt::Place> = page::position(message.text("page_token"), parent, now)?;
    let permission = match task {
        Some(_) => Permission::TasksGet,
        None => Permission::TasksList,
    };
    let needs = asked.caller.needs(&queue, &view.with(permission));
    let name = queue.clone();
    let found = service.store().read(move |tx| {
        if let Err(refused) = needs.check(tx)? {
            return Ok(Err(refused));
        }
        let page = match &task {
            Some(task) => attempt::of_task(tx, name.as_str(), task, after, limit)?,
            None => attempt::of_queue(tx, name.as_str(), after, limit)?,
        };
        Ok(page.map_err(Failure::from))
    });
    let page = found.await??;
    let mut answer = asked.answer();
    if let Some(empty) = answer.empty_child("attempts")
        && !page.items.is_empty()
    {
        let attempts = page.items.iter().map(|logged| {
            let mut into = empty.clone();
            put_attempt(&mut into, logged, &queue, view);
            Value::Message(into)
        });
        answer.put("attempts", Value::List(attempts.collect()));
    }
    if let Some(next) = page.next {
        answer.put_text("next_page_token", &page::token(&next, parent, now));
    }
    Ok(answer.into())
}

fn put_attempt(into: &mut DynamicMessage, logged: &Logged, queue: &QueueName, view: View) {
    into.put_text(
        "task",
        &format!("{}/tasks/{}", queue.as_str(), logged.task_id),
    );
    into.put_int(
        "dispatch",
        i32::try_from(logged.dispatch).unwrap_or(i32::MAX),
    );
    into.put_span("schedule_time", logged.schedule_time.into());
    into.put_span("dispatch_time", logged.dispatched_at.into());
    task::put_outcome(into, logged.ended_at, logged.outcome);
    if let Outcome::Status(status) = logged.outcome {
        into.put_int("http_status", status.into());
    }
    if view == View::Full {
        into.put_text("excerpt", &logged.excerpt);
    }
}

pub(crate) async fn list_failures(service: &CloudTasks, asked: Asked) -> Answer {
    let message = &asked.message;
    let queue = QueueName::parse(message.text("parent"))?;
    let view = View::of(message)?;
    let most = match view {
        View::Basic => MOST,
        View::Full => MOST_FULL,
    };
    let limit = page::size(message.int("page_size"), most)?;
    let now = service.now();
    let after: Option<i64> = page::position(message.text("page_token"), queue.as_str(), now)?;
    let needs = asked
        .caller
        .needs(&queue, &view.with(Permission::TasksList));
    let name = queue.clone();
    let found = service.store().read(move |tx| {
        if let Err(refused) = needs.check(tx)? {
            return Ok(Err(refused));
        }
        let page = failure::list(tx, name.as_str(), after, limit, view == View::Full)?;
        Ok(page.map_err(Failure::from))
    });
    let page = found.await??;
    let mut answer = asked.answer();
    if let Some(empty) = answer.empty_child("failures")
        && !page.items.is_empty()
    {
        let failures = page.items.iter().map(|failed| {
            let mut into = empty.clone();
            put_failure(&mut into, failed, &queue, view);
            Value::Message(into)
        });
        answer.put("failures", Value::List(failures.collect()));
    }
    if let Some(next) = page.next {
        let token = page::token(&next, queue.as_str(), now);
        answer.put_text("next_page_token", &token);
    }
    Ok(answer.into())
}

fn put_failure(into: &mut DynamicMessage, failed: &Failed, queue: &QueueName, view: View) {
    into.put_child("task", |into| {
        task::render(into, &failed.task, queue.as_str(), Version::V2, view);
    });
    into.put_span("fail_time", failed.failed_at.into());
    into.put_span("expire_time", failed.expires.into());
}
