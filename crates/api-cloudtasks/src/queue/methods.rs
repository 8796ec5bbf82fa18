//! The methods of queues, but for uploading many at once.

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};
use taskyard_engine::Timestamp;
use taskyard_engine::cloud::stats::{self, Stats};
use taskyard_engine::cloud::{self, HttpTarget, Origin, Queue, Refusal, Settings};
use taskyard_store::{Error, Tx};

use super::filter::Filter;
use super::{render, settings};
use crate::caller::Caller;
use crate::failure::Failure;
use crate::iam::Permission;
use crate::mask::Mask;
use crate::message::{Fields as _, Kept as _, Put as _};
use crate::name::{LocationName, QueueName};
use crate::page;
use crate::service::{Answer, Asked, CloudTasks};
use crate::target;
use crate::version::Version;

/// Queues on a page.
const MOST: usize = 9800;

pub(crate) async fn list_queues(service: &CloudTasks, asked: Asked) -> Answer {
    let (message, version) = (&asked.message, asked.call.version);
    let parent = LocationName::parse(message.text("parent"))?;
    let mut answer = asked.answer();
    let empty = answer
        .empty_child("queues")
        .ok_or_else(Failure::invalid_resource)?;
    let filter = Filter::parse(message.text("filter"), &empty.descriptor())?;
    let mask = Mask::of(message, "read_mask", &empty.descriptor())?;
    let limit = page::size(message.int("page_size"), MOST)?;
    let now = service.now();
    let query = format!("{}\n{}", parent.as_str(), message.text("filter"));
    let after: Option<String> = page::position(message.text("page_token"), &query, now)?;
    service.check_location(&parent)?;
    asked
        .caller
        .require(Permission::QueuesList, parent.as_str())?;

    let with_stats = mask.as_ref().is_some_and(|mask| mask.names("stats"));
    let sample = empty.clone();
    let found = service.store().read(move |tx| {
        let keep = |queue: &Queue| {
            let Some(filter) = &filter else { return true };
            let mut message = sample.clone();
            render::queue(&mut message, queue, version);
            filter.accepts(&message)
        };
        let page = cloud::queue::list(tx, parent.as_str(), after.as_deref(), limit, &keep)?;
        let mut queues = Vec::with_capacity(page.items.len());
        for queue in page.items {
            let stats = look(tx, now, &queue, with_stats)?;
            queues.push((queue, stats));
        }
        Ok((queues, page.next))
    });
    let (queues, next) = found.await?;
    let queues = queues.into_iter().map(|(queue, stats)| {
        Value::Message(shown(empty.clone(), &queue, stats, version, mask.as_ref()))
    });
    let queues: Vec<Value> = queues.collect();
    if !queues.is_empty() {
        answer.put("queues", Value::List(queues));
    }
    if let Some(next) = next {
        answer.put_text("next_page_token", &page::token(&next, &query, now));
    }
    Ok(answer.into())
}

pub(crate) async fn get_queue(service: &CloudTasks, asked: Asked) -> Answer {
    let queue = QueueName::parse(asked.message.text("name"))?;
    let answer = asked.answer();
    let mask = Mask::of(&asked.message, "read_mask", &answer.descriptor())?;
    let with_stats = mask.as_ref().is_some_and(|mask| mask.names("stats"));
    let needs = asked.caller.needs(&queue, &[Permission::QueuesGet]);
    let now = service.now();
    let found = service.store().read(move |tx| {
        if let Err(refused) = needs.check(tx)? {
            return Ok(Err(refused));
        }
        match cloud::queue::get(tx, queue.as_str())? {
            Err(refusal) => Ok(Err(refusal.into())),
            Ok(queue) => look(tx, now, &queue, with_stats).map(|stats| Ok((queue, stats))),
        }
    });
    let (queue, stats) = found.await??;
    let version = asked.call.version;
    Ok(shown(answer, &queue, stats, version, mask.as_ref()).into())
}

pub(crate) async fn create_queue(service: &CloudTasks, asked: Asked) -> Answer {
    let (message, version) = (&asked.message, asked.call.version);
    let parent = LocationName::parse(message.text("parent"))?;
    let given = message
        .child("queue")
        .ok_or_else(|| Failure::invalid("The queue is missing."))?;
    let name = QueueName::parse_new(given.text("name"))?;
    if name.parent() != parent.as_str() {
        return Err(Failure::invalid(format!(
            "{name} must begin with {}.",
            parent.as_str()
        )));
    }
    service.check_location(&parent)?;
    let settings = settings::read(given, version, &name, None)?;
    asked
        .caller
        .require(Permission::QueuesCreate, parent.as_str())?;
    require_act_as(&asked.caller, settings.http_target.as_ref())?;
    let key = cloud::queue::key(name.as_str());
    let now = service.now();
    let created = service.store().write(key, move |tx| {
        cloud::queue::create(tx, now, name.as_str(), &settings, Origin::Api)
    });
    let queue = created.await??;
    Ok(shown(asked.answer(), &queue, None, version, None).into())
}

pub(crate) async fn update_queue(service: &CloudTasks, asked: Asked) -> Answer {
    let (message, version) = (&asked.message, asked.call.version);
    let given = message
        .child("queue")
        .ok_or_else(|| Failure::invalid("The queue is missing."))?;
    let name = QueueName::parse_new(given.text("name"))?;
    service.check_location(&LocationName::parse(name.parent())?)?;
    let mask = Mask::of(message, "update_mask", &given.descriptor())?;
    // What can be told without knowing the queue is told first.
    settings::read(given, version, &name, None).or_else(|failure| match mask {
        None => Err(failure),
        Some(_) => Ok(Settings::default()),
    })?;
    let needs = asked.caller.needs(&name, &[Permission::QueuesUpdate]);
    let may_create = asked
        .caller
        .require(Permission::QueuesCreate, name.parent());
    let revision = Revision {
        given: given.clone(),
        version,
        name: name.clone(),
        mask,
        caller: asked.caller.clone(),
    };
    let key = cloud::queue::key(name.as_str());
    let now = service.now();
    let updated = service.store().write(key, move |tx| {
        let may_update = needs.check(tx)?;
        let revise = |existing: Option<&Queue>| {
            match existing {
                None => may_create.clone()?,
                Some(_) => may_update.clone()?,
            }
            revision.revise(existing.map(|queue| &queue.settings))
        };
        let updated = cloud::queue::update(tx, now, name.as_str(), Origin::Api, revise)?;
        Ok(updated.and_then(|updated| updated.map_err(Failure::from)))
    });
    let queue = updated.await??;
    Ok(shown(asked.answer(), &queue, None, version, None).into())
}

/// What an update makes of a queue.
struct Revision {
    given: DynamicMessage,
    version: Version,
    name: QueueName,
    mask: Option<Mask>,
    caller: Caller,
}

impl Revision {
    fn revise(&self, existing: Option<&Settings>) -> Result<Settings, Failure> {
        let (version, name) = (self.version, &self.name);
        let Some(existing) = existing else {
            // A queue that is made takes all that is given, whatever the mask.
            let settings = settings::read(&self.given, version, name, None)?;
            require_act_as(&self.caller, settings.http_target.as_ref())?;
            return Ok(settings);
        };
        let mut whole = DynamicMessage::new(self.given.descriptor());
        match &self.mask {
            None => whole = self.given.clone(),
            Some(mask) => {
                render::settings(&mut whole, existing, version);
                if !existing.rate_limits.burst_is_explicit {
                    // It follows the rate, which may change.
                    let limits = whole.get_field_by_name_mut("rate_limits");
                    if let Some(limits) = limits.and_then(Value::as_message_mut) {
                        limits.clear_field_by_name("max_burst_size");
                    }
                }
                mask.update(&self.given, &mut whole);
            }
        }
        let revised = settings::read(&whole, version, name, Some(existing))?;
        let merged = settings::merge(existing, revised, self.mask.as_ref(), &self.given, version);
        if tokens_of(&merged) != tokens_of(existing) {
            require_act_as(&self.caller, merged.http_target.as_ref())?;
        }
        Ok(merged)
    }
}

fn tokens_of(settings: &Settings) -> Option<&cloud::Authorization> {
    settings.http_target.as_ref()?.authorization.as_ref()
}

/// Who has requests sent in somebody's name must be allowed to.
fn require_act_as(caller: &Caller, target: Option<&HttpTarget>) -> Result<(), Failure> {
    let authorization = target.and_then(|target| target.authorization.as_ref());
    authorization.map_or(Ok(()), |authorization| {
        caller.require(Permission::ActAs, target::email(authorization))
    })
}

pub(crate) async fn delete_queue(service: &CloudTasks, asked: Asked) -> Answer {
    let queue = QueueName::parse(asked.message.text("name"))?;
    let needs = asked.caller.needs(&queue, &[Permission::QueuesDelete]);
    let key = cloud::queue::key(queue.as_str());
    let now = service.now();
    let reserve = service.parts().queue_name_reserve;
    let deleted = service.store().write(key, move |tx| {
        if let Err(refused) = needs.check(tx)? {
            return Ok(Err(refused));
        }
        let deleted = cloud::queue::delete(tx, now, queue.as_str(), reserve)?;
        Ok(deleted.map_err(|refusal| match refusal {
            Refusal::QueueMissing => Failure::entity_not_found(),
            refusal => refusal.into(),
        }))
    });
    deleted.await??;
    Ok(asked.answer().into())
}

pub(crate) async fn purge_queue(service: &CloudTasks, asked: Asked) -> Answer {
    change(service, asked, Permission::QueuesPurge, cloud::queue::purge).await
}

pub(crate) async fn pause_queue(service: &CloudTasks, asked: Asked) -> Answer {
    let pause = |tx: &mut Tx<'_>, _, name: &str| cloud::queue::pause(tx, name);
    change(service, asked, Permission::QueuesPause, pause).await
}

pub(crate) async fn resume_queue(service: &CloudTasks, asked: Asked) -> Answer {
    let resume = |tx: &mut Tx<'_>, _, name: &str| cloud::queue::resume(tx, name);
    change(service, asked, Permission::QueuesResume, resume).await
}

/// What one of the calls that name a queue does to it.
type Change = fn(&mut Tx<'_>, Timestamp, &str) -> Result<Result<Queue, Refusal>, Error>;

/// One of the calls that name a queue and answer with what became of it.
async fn change(
    service: &CloudTasks,
    asked: Asked,
    permission: Permission,
    change: Change,
) -> Answer {
    let queue = QueueName::parse(asked.message.text("name"))?;
    let needs = asked.caller.needs(&queue, &[permission]);
    let key = cloud::queue::key(queue.as_str());
    let now = service.now();
    let changed = service.store().write(key, move |tx| {
        if let Err(refused) = needs.check(tx)? {
            return Ok(Err(refused));
        }
        let changed = change(tx, now, queue.as_str())?;
        Ok(changed.map_err(Failure::from))
    });
    let queue = changed.await??;
    Ok(shown(asked.answer(), &queue, None, asked.call.version, None).into())
}

/// The figures of a queue, if they are asked for.
fn look(
    tx: &mut Tx<'_>,
    now: Timestamp,
    queue: &Queue,
    with_stats: bool,
) -> Result<Option<Stats>, Error> {
    if !with_stats {
        return Ok(None);
    }
    stats::of(tx, now, queue).map(Some)
}

/// What a reader sees of a queue.
fn shown(
    mut empty: DynamicMessage,
    queue: &Queue,
    stats: Option<Stats>,
    version: Version,
    mask: Option<&Mask>,
) -> DynamicMessage {
    render::queue(&mut empty, queue, version);
    if let Some(stats) = stats {
        render::stats(&mut empty, &stats);
    }
    match mask {
        None => empty,
        Some(mask) => mask.select(&empty),
    }
}
