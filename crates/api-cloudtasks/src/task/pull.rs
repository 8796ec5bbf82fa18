//! Pull queues: tasks are leased, and acknowledged, renewed or given back.

use std::time::Duration;

use prost_reflect::Value;
use taskyard_engine::Timestamp;
use taskyard_engine::cloud::pull::TagFilter;
use taskyard_engine::cloud::{self, Task};
use taskyard_store::{Error, Tx};

use super::methods::shown;
use super::{View, render};
use crate::failure::Failure;
use crate::iam::Permission;
use crate::message::{Fields as _, Kept as _};
use crate::name::{QueueName, TaskName};
use crate::service::{Answer, Asked, CloudTasks};
use crate::time;

/// Most tasks of one call.
const MOST: i32 = 1000;
/// Bytes of all tasks of one call: 32 MB.
const MOST_BYTES: usize = 32_000_000;
/// Tasks that are leased before their sizes are known: of the largest, this many are 32 MB.
const FIRST: usize = 30;
/// The longest lease: a week.
const LONGEST: Duration = Duration::from_hours(7 * 24);
/// A tag is shorter than this, in characters.
const TAG: usize = 500;

pub(crate) async fn lease_tasks(service: &CloudTasks, asked: Asked) -> Answer {
    let message = &asked.message;
    let queue = QueueName::parse(message.text("parent"))?;
    let count = message.int("max_tasks");
    if !(1..=MOST).contains(&count) {
        let text = format!("LeaseTasksRequest.maxTasks must be between 1 and {MOST}.");
        return Err(Failure::invalid(text));
    }
    let count = count.unsigned_abs() as usize;
    let duration = lease_duration(&asked)?;
    let view = View::of(message)?;
    let filter = tag_filter(message.text("filter"))?;
    let mut permissions = view.with(Permission::TasksRun);
    permissions.push(Permission::TasksGet);
    let needs = asked.caller.needs(&queue, &permissions);
    let key = cloud::queue::key(queue.as_str());
    let now = service.now();
    let name = queue.clone();
    let leased = service.store().write(key, move |tx| {
        if let Err(refused) = needs.check(tx)? {
            return Ok(Err(refused));
        }
        lease(tx, now, &name, count, duration, &filter)
    });
    let tasks = leased.await??;
    let mut answer = asked.answer();
    if let Some(empty) = answer.empty_child("tasks") {
        let tasks = tasks.iter().map(|task| {
            let mut into = empty.clone();
            render(&mut into, task, queue.as_str(), asked.call.version, view);
            Value::Message(into)
        });
        let tasks: Vec<Value> = tasks.collect();
        if !tasks.is_empty() {
            answer.put("tasks", Value::List(tasks));
        }
    }
    Ok(answer.into())
}

/// Leases as many tasks as are asked for and fit into one answer.
fn lease(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &QueueName,
    count: usize,
    duration: Duration,
    filter: &TagFilter,
) -> Result<Result<Vec<Task>, Failure>, Error> {
    let mut leased: Vec<Task> = Vec::new();
    let (mut bytes, mut portion) = (0, FIRST.min(count));
    let mut filter = filter.clone();
    loop {
        let more = cloud::pull::lease(tx, now, queue.as_str(), portion, duration, &filter)?;
        let more = match more {
            Ok(more) => more,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let is_all = more.len() < portion;
        bytes += more
            .iter()
            .map(|task| task.payload.body().len())
            .sum::<usize>();
        leased.extend(more);
        if is_all || leased.len() >= count || bytes >= MOST_BYTES {
            return Ok(Ok(leased));
        }
        if filter == TagFilter::Oldest
            && let Some(cloud::Payload::Pull(first)) = leased.first().map(|task| &task.payload)
        {
            // The tag is chosen once.
            filter = TagFilter::Tag(first.tag.clone());
        }
        // As many more as fit if they are like those so far.
        let fitting = leased.len() * (MOST_BYTES - bytes) / bytes.max(1);
        portion = fitting.clamp(1, count - leased.len());
    }
}

pub(crate) async fn acknowledge_task(service: &CloudTasks, asked: Asked) -> Answer {
    let name = TaskName::parse(asked.message.text("name"))?;
    let until = schedule_time(&asked)?;
    let needs = asked.caller.needs(&name.queue, &[Permission::TasksDelete]);
    let key = cloud::queue::key(name.queue.as_str());
    let now = service.now();
    let acknowledged = service.store().write(key, move |tx| {
        if let Err(refused) = needs.check(tx)? {
            return Ok(Err(refused));
        }
        let queue = name.queue.as_str();
        let acknowledged = cloud::pull::acknowledge(tx, now, queue, &name.id, until)?;
        Ok(acknowledged.map_err(Failure::from))
    });
    acknowledged.await??;
    Ok(asked.answer().into())
}

pub(crate) async fn renew_lease(service: &CloudTasks, asked: Asked) -> Answer {
    let duration = lease_duration(&asked)?;
    change(service, asked, Some(duration)).await
}

pub(crate) async fn cancel_lease(service: &CloudTasks, asked: Asked) -> Answer {
    change(service, asked, None).await
}

/// Renews a lease for a time, or gives it back.
async fn change(service: &CloudTasks, asked: Asked, duration: Option<Duration>) -> Answer {
    let name = TaskName::parse(asked.message.text("name"))?;
    let until = schedule_time(&asked)?;
    let view = View::of(&asked.message)?;
    let permissions = view.with(Permission::TasksRun);
    let needs = asked.caller.needs(&name.queue, &permissions);
    let key = cloud::queue::key(name.queue.as_str());
    let now = service.now();
    let (queue, id) = (name.queue.clone(), name.id);
    let changed = service.store().write(key, move |tx| {
        if let Err(refused) = needs.check(tx)? {
            return Ok(Err(refused));
        }
        let queue = queue.as_str();
        let changed = match duration {
            Some(duration) => cloud::pull::renew(tx, now, queue, &id, until, duration)?,
            None => cloud::pull::cancel(tx, now, queue, &id, until)?,
        };
        Ok(changed.map_err(Failure::from))
    });
    let task = changed.await??;
    Ok(shown(&asked, &task, &name.queue, view))
}

/// The time that proves a lease.
fn schedule_time(asked: &Asked) -> Result<Timestamp, Failure> {
    let span = asked.message.span("schedule_time");
    let span = span.ok_or_else(|| Failure::invalid("schedule_time is required."))?;
    time::timestamp(span, "schedule_time")
}

fn lease_duration(asked: &Asked) -> Result<Duration, Failure> {
    let out_of_range = || {
        let most = LONGEST.as_secs();
        Failure::invalid(format!("leaseDuration must be between [1s, {most}s]."))
    };
    let span = asked.message.span("lease_duration");
    let given = span.ok_or_else(|| Failure::invalid("leaseDuration is required."))?;
    let given = time::duration(given, "leaseDuration").map_err(|_| out_of_range())?;
    let given = Duration::from_secs(given.as_secs());
    if given.is_zero() || given > LONGEST {
        return Err(out_of_range());
    }
    Ok(given)
}

/// `tag=TAG`, `tag_function=oldest_tag()`, or nothing.
fn tag_filter(filter: &str) -> Result<TagFilter, Failure> {
    let filter = filter.trim();
    if filter.is_empty() {
        return Ok(TagFilter::None);
    }
    let pair = filter.split_once('=');
    match pair.map(|(name, value)| (name.trim_end(), value.trim_start())) {
        Some(("tag_function", "oldest_tag()")) => Ok(TagFilter::Oldest),
        Some(("tag", tag)) => {
            let quoted = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            let tag = quoted.unwrap_or(tag);
            if tag.chars().count() >= TAG {
                let text = format!("The tag must be less than {TAG} characters.");
                return Err(Failure::invalid(text));
            }
            Ok(TagFilter::Tag(tag.to_owned()))
        }
        _ => Err(Failure::invalid(
            "The filter must be tag=TAG or tag_function=oldest_tag().",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_one_of_two_kinds() {
        assert_eq!(tag_filter(""), Ok(TagFilter::None));
        assert_eq!(tag_filter("tag=a b"), Ok(TagFilter::Tag("a b".to_owned())));
        assert_eq!(
            tag_filter("tag = \"a=b\""),
            Ok(TagFilter::Tag("a=b".to_owned()))
        );
        assert_eq!(tag_filter("tag="), Ok(TagFilter::Tag(String::new())));
        assert_eq!(
            tag_filter("tag_function=oldest_tag()"),
            Ok(TagFilter::Oldest)
        );
        for odd in [
            "a",
            "tag",
            "tags=a",
            "tag_function=newest_tag()",
            &format!("tag={}", "x".repeat(500)),
        ] {
            assert!(tag_filter(odd).is_err(), "{odd}");
        }
    }
}
