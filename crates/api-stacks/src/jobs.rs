//! Stacks list jobs, reserve them, and look at them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::try_join_all;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use taskyard_engine::stacks::{self as engine, Definition, Position};
use taskyard_engine::{Timestamp, reservation};
use taskyard_store::Key;

use crate::caller::Right;
use crate::job::Job;
use crate::job_id;
use crate::listing::write_jobs;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::request::{query_int, query_value};
use crate::service::Asked;
use crate::stacks::{ORGANIZATION, no_queue, queue_body};
use crate::state::JobState;

/// Jobs of one page.
const PAGE: usize = 1000;
/// How long a reservation lasts without being told, and at most.
const RESERVATION: Duration = Duration::from_mins(15);
const LONGEST_RESERVATION: i64 = 3600;

/// Portions in which many jobs are read at the same time: a store reads with two threads at least.
const READ_SIDE_BY_SIDE: usize = 2;

/// The name under which a stack reserves.
pub(crate) fn owner(stack_key: &str) -> String {
    format!("stack:{stack_key}")
}

/// The scheduled jobs of a queue, longest waiting first.
pub(crate) async fn scheduled_jobs(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let query = asked.query();
    let given = query_value(query, "queue_key")
        .filter(|key| !key.is_empty())
        .ok_or_else(|| Problem::Bad("queue_key is required".to_owned()))?;
    let key = asked
        .parts()
        .queues
        .canonical(&given)
        .ok_or_else(|| no_queue(&given))?;
    asked.caller.require(Right::Stack, &key)?;
    let limit = match query_int(query, "limit")? {
        None => PAGE,
        Some(limit) if limit > 0 => usize::try_from(limit).unwrap_or(PAGE).min(PAGE),
        Some(_) => {
            return Err(Problem::Bad("limit must be a positive integer".to_owned()));
        }
    };
    let cursor = query_value(query, "after").filter(|cursor| !cursor.is_empty());
    let after = match &cursor {
        None => Position::START,
        Some(cursor) => read_cursor(cursor).ok_or_else(|| {
            Problem::Bad("after must be the end_cursor of an earlier page".to_owned())
        })?,
    };
    asked.stack().await?;
    let task_queue = asked.parts().queues.task_queue(&key);
    let queue = key.clone();
    let (mut listed, is_paused) = asked
        .store()
        .read(move |tx| {
            Ok((
                engine::pending(tx, &task_queue, after, limit + 1)?,
                engine::is_paused(tx, &queue)?,
            ))
        })
        .await?;
    let has_next_page = listed.len() > limit;
    listed.truncate(limit);
    let end_cursor = listed.last().map(|last| write_cursor(last.at)).or(cursor);
    // The timer resolves these any moment.
    let now = asked.now;
    listed.retain(|job| job.deadline.is_none_or(|deadline| deadline > now));
    let mut body = b"{\"jobs\":".to_vec();
    write_jobs(&mut body, &key, &listed)?;
    let queue = queue_body(&key, is_paused);
    let page = json!({"has_next_page": has_next_page, "end_cursor": end_cursor});
    body.extend_from_slice(format!(",\"cluster_queue\":{queue},\"page_info\":{page}}}").as_bytes());
    Ok(Reply::json_bytes(StatusCode::OK, body))
}

fn write_cursor(at: Position) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}", at.scheduled.0, at.lease_id))
}

fn read_cursor(cursor: &str) -> Option<Position> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (scheduled, lease_id) = text.split_once('.')?;
    Some(Position {
        scheduled: Timestamp(scheduled.parse().ok()?),
        lease_id: lease_id.parse().ok()?,
    })
}

/// Reserves jobs for a stack; each id is in one of the two lists, in the order of the request.
pub(crate) async fn batch_reserve(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let payload = asked.payload()?;
    let mut uuids = payload.job_uuids()?;
    let mut seen = HashSet::new();
    uuids.retain(|uuid| seen.insert(uuid.clone()));
    let lasting = match payload.int("reservation_expiry_seconds")? {
        None | Some(0) => RESERVATION,
        Some(seconds @ 1..=LONGEST_RESERVATION) => Duration::from_secs(seconds.unsigned_abs()),
        Some(_) => {
            return Err(Problem::Invalid(format!(
                "reservation_expiry_seconds must be from 1 to {LONGEST_RESERVATION}"
            )));
        }
    };
    let stack = asked.stack().await?;
    let ids: Vec<Option<String>> = uuids.iter().map(|uuid| job_id::task_id(uuid)).collect();
    let known: Vec<String> = ids.iter().flatten().cloned().collect();
    let (now, until) = (asked.now, asked.now.plus(lasting));
    let (may, queues) = (asked.stack_may(), asked.parts().queues.clone());
    let owner = owner(&stack.key);
    let ours = asked
        .store()
        .write(Key::of(("stack", &stack.key)), move |tx| {
            // Not every stack heeds the pause of its queue by itself.
            let paused = engine::paused(tx)?;
            let may = |task_queue: &str| {
                may(task_queue) && (paused.is_empty() || !paused.contains(&queues.key(task_queue)))
            };
            reservation::reserve(tx, now, &owner, &known, until, &may)
        })
        .await?;
    let is_ours = |id: &Option<String>| id.as_ref().is_some_and(|id| ours.contains(id));
    let (mut reserved, mut not_reserved) = (Vec::new(), Vec::new());
    for (uuid, id) in uuids.into_iter().zip(&ids) {
        if is_ours(id) {
            reserved.push(uuid);
        } else {
            not_reserved.push(uuid);
        }
    }
    Ok(Reply::ok(
        &json!({"reserved": reserved, "not_reserved": not_reserved}),
    ))
}

#[derive(Serialize)]
struct States<'a> {
    states: BTreeMap<&'a String, &'static str>,
}

/// The states of jobs; those that are unknown are left out.
pub(crate) async fn get_states(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let uuids = asked.payload()?.job_uuids()?;
    asked.stack().await?;
    let ids: Vec<Option<String>> = uuids.iter().map(|uuid| job_id::task_id(uuid)).collect();
    let known: Vec<String> = ids.iter().flatten().cloned().collect();
    let portions = known.chunks(known.len().div_ceil(READ_SIDE_BY_SIDE).max(1));
    let reads = portions.map(|ids| read_states(asked, ids.to_vec()));
    let states: HashMap<String, JobState> =
        try_join_all(reads).await?.into_iter().flatten().collect();
    let found = uuids.iter().zip(&ids).filter_map(|(uuid, id)| {
        let state = states.get(id.as_ref()?)?;
        Some((uuid, state.as_str()))
    });
    Ok(Reply::ok(&States {
        states: found.collect(),
    }))
}

/// The states of the jobs that these tasks are, as far as they exist and concern the stack.
async fn read_states(
    asked: &Asked<'_>,
    task_ids: Vec<String>,
) -> Result<Vec<(String, JobState)>, Problem> {
    let (now, may) = (asked.now, asked.stack_may());
    let read = asked.store().read(move |tx| {
        let standings = engine::standings(tx, &task_ids)?;
        Ok(standings
            .into_iter()
            .filter(|job| may(&job.task_queue_id))
            .map(|job| {
                let state = JobState::of(&job, now);
                (job.task_id, state)
            })
            .collect())
    });
    Ok(read.await?)
}

/// What a stack needs to know to start a job.
pub(crate) async fn get_job(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let uuid = asked.segment(1);
    asked.stack().await?;
    let id = job_id::task_id(uuid).ok_or_else(|| Problem::no_job(uuid))?;
    let (definition, state) = asked
        .find(&id, asked.stack_may())
        .await?
        .ok_or_else(|| Problem::no_job(uuid))?;
    if !matches!(state, JobState::Scheduled | JobState::Reserved) {
        return Err(Problem::NotFound(format!(
            "The job {uuid} is {}, so no agent can be started for it",
            state.as_str()
        )));
    }
    let job = Job::read(&definition)?;
    let queue_key = asked.parts().queues.key(&definition.task_queue_id);
    let env = job.environment(ORGANIZATION, &asked.parts().root_url, &queue_key);
    Ok(Reply::ok(&json!({
        "id": job.uuid(),
        "env": env,
        "command": job.command(),
    })))
}

impl Asked<'_> {
    /// A task and where its job stands, if there is one in a task queue for which `may` says so.
    pub(crate) async fn find(
        &self,
        task_id: &str,
        may: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Result<Option<(Definition, JobState)>, Problem> {
        let (ids, now) = ([task_id.to_owned()], self.now);
        let found = self.store().read(move |tx| {
            let definition = engine::definitions(tx, &ids)?.pop();
            let standing = engine::standings(tx, &ids)?.pop();
            Ok(definition
                .zip(standing)
                .filter(|(definition, _)| may(&definition.task_queue_id))
                .map(|(definition, standing)| (definition, JobState::of(&standing, now))))
        });
        Ok(found.await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_says_where_it_was() {
        let at = Position {
            scheduled: Timestamp(1_800_000_000_000_000),
            lease_id: 42,
        };
        assert_eq!(read_cursor(&write_cursor(at)), Some(at));
        for cursor in ["", "x", "MTIz", "a.b"] {
            assert_eq!(read_cursor(cursor), None, "{cursor}");
        }
    }
}
