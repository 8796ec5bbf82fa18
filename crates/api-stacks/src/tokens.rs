//! Tokens: what is known of the caller's, those of clusters, and those for single jobs.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use taskyard_engine::reservation;
use taskyard_engine::stacks::{self as engine, JobToken, Token};
use taskyard_store::Key;
use uuid::Uuid;

use crate::caller::{MANAGE_TOKENS, Who, queue_scopes};
use crate::job_id;
use crate::jobs::owner;
use crate::problem::Problem;
use crate::queue::DEFAULT;
use crate::reply::Reply;
use crate::request::query_value;
use crate::secret::{self, Purpose};
use crate::service::Asked;
use crate::stacks::{ORGANIZATION, no_queue, organization_uuid, queue_uuid};
use crate::time;

/// Queues that a token may name.
const QUEUES_AT_MOST: usize = 100;
/// Longest description, in bytes.
const LONGEST_DESCRIPTION: usize = 1024;
/// Tokens of one page.
const PAGE: usize = 1000;
/// How long a token for one job is good without being told, and at most.
const JOB_TOKEN: Duration = Duration::from_mins(15);
const LONGEST_JOB_TOKEN: i64 = 3600;

/// What is known of the caller's token.
pub(crate) fn token(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let caller = &asked.caller;
    let (uuid, description, kind, queues) = match &caller.who {
        Who::Cluster(token) => (
            token.id.clone(),
            token.description.clone(),
            "cluster",
            serde_json::from_str::<Vec<String>>(&token.queues).map_err(Problem::internal)?,
        ),
        Who::Agent(agent) => (
            agent.id.clone(),
            agent.name.clone(),
            "agent",
            vec![agent.queue_key.clone()],
        ),
        Who::Anonymous | Who::Client(_) => {
            caller.require_stack()?;
            let name = caller.name();
            let uuid = secret::uuid_of(&format!("client:{name}")).to_string();
            (uuid, name, "cluster", Vec::new())
        }
        Who::Acquisition(_) | Who::Job(_) => {
            return Err(Problem::Forbidden(
                "this token is good for its job alone".to_owned(),
            ));
        }
    };
    let queue = queues.first().map_or(DEFAULT, String::as_str);
    Ok(Reply::ok(&json!({
        "uuid": uuid,
        "description": description,
        "token_type": kind,
        "organization_slug": ORGANIZATION,
        "organization_uuid": organization_uuid(),
        "cluster_uuid": secret::uuid_of("cluster").to_string(),
        "cluster_name": ORGANIZATION,
        "organization_queue_uuid": queue_uuid(queue),
        "organization_queue_key": queue,
    })))
}

fn body(token: &Token) -> Result<Value, Problem> {
    let queues: Value = serde_json::from_str(&token.queues).map_err(Problem::internal)?;
    Ok(json!({
        "id": token.id,
        "description": token.description,
        "queues": queues,
        "created_by": token.created_by,
        "created_at": token.created_at.to_iso(),
        "expires_at": token.expires_at.map(taskyard_engine::Timestamp::to_iso),
    }))
}

/// Makes a cluster token. This answer is the only one that ever shows it.
pub(crate) async fn create(asked: &Asked<'_>) -> Result<Reply, Problem> {
    asked.caller.require_scope(MANAGE_TOKENS)?;
    let payload = asked.payload()?;
    let queues = match payload.get("queues") {
        None => Vec::new(),
        Some(Value::Array(items)) if (1..=QUEUES_AT_MOST).contains(&items.len()) => items
            .iter()
            .map(|item| {
                let key = item.as_str().unwrap_or_default();
                asked
                    .parts()
                    .queues
                    .canonical(key)
                    .ok_or_else(|| no_queue(key))
            })
            .collect::<Result<Vec<_>, _>>()?,
        Some(_) => {
            return Err(Problem::Invalid(format!(
                "queues must be a list of 1 to {QUEUES_AT_MOST} queue keys; leave it out for all"
            )));
        }
    };
    // Nobody gives away what they do not have.
    for scope in queue_scopes(&queues) {
        asked.caller.require_scope(&scope)?;
    }
    let description = payload.text("description")?.unwrap_or_default();
    if description.len() > LONGEST_DESCRIPTION {
        return Err(Problem::Invalid(format!(
            "description must have at most {LONGEST_DESCRIPTION} bytes"
        )));
    }
    let expires_at =
        match payload.text("expires_at")? {
            None => None,
            Some(text) => Some(time::parse(text).filter(|at| *at > asked.now).ok_or_else(
                || Problem::Invalid("expires_at must be an RFC 3339 time in the future".to_owned()),
            )?),
        };
    let token = Token {
        id: Uuid::new_v4().to_string(),
        description: description.to_owned(),
        queues: serde_json::to_string(&queues).map_err(Problem::internal)?,
        created_by: asked.caller.name(),
        created_at: asked.now,
        expires_at,
    };
    let mut answer = body(&token)?;
    let secret = secret::new_token(Purpose::Cluster)?;
    let hash = secret::hash(&secret);
    asked
        .store()
        .write(Key::of("stack-tokens"), move |tx| {
            engine::issue(tx, &token, &hash)
        })
        .await?;
    answer["token"] = secret.into();
    Ok(Reply::json(StatusCode::CREATED, &answer))
}

/// The cluster tokens, without their secrets.
pub(crate) async fn list(asked: &Asked<'_>) -> Result<Reply, Problem> {
    asked.caller.require_scope(MANAGE_TOKENS)?;
    let after = query_value(asked.query(), "after").unwrap_or_default();
    if after.contains('\0') {
        return Err(Problem::Bad("after must be the id of a token".to_owned()));
    }
    let mut tokens = asked
        .store()
        .read(move |tx| engine::tokens(tx, &after, PAGE + 1))
        .await?;
    let has_next_page = tokens.len() > PAGE;
    tokens.truncate(PAGE);
    let end_cursor = tokens.last().map(|last| last.id.clone());
    let tokens = tokens.iter().map(body).collect::<Result<Vec<_>, _>>()?;
    Ok(Reply::ok(&json!({
        "tokens": tokens,
        "page_info": {"has_next_page": has_next_page, "end_cursor": end_cursor},
    })))
}

/// Makes a cluster token worthless. Agents that registered with it stay until they leave.
pub(crate) async fn revoke(asked: &Asked<'_>) -> Result<Reply, Problem> {
    asked.caller.require_scope(MANAGE_TOKENS)?;
    let id = asked.segment(0).to_owned();
    let unknown = Problem::NotFound(format!("No token found with the id {id:?}"));
    if id.contains('\0') {
        return Err(unknown);
    }
    let revoked = asked
        .store()
        .write(Key::of("stack-tokens"), move |tx| engine::revoke(tx, &id))
        .await?;
    if revoked {
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    } else {
        Err(unknown)
    }
}

/// Tokens that each let an agent acquire one job, which this stack has reserved.
pub(crate) async fn job_acquisition_tokens(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let payload = asked.payload()?;
    let mut uuids = payload.job_uuids()?;
    let mut seen = std::collections::HashSet::new();
    uuids.retain(|uuid| seen.insert(uuid.clone()));
    let lasting = match payload.int("token_lifetime_seconds")? {
        None | Some(0) => JOB_TOKEN,
        Some(seconds @ 1..=LONGEST_JOB_TOKEN) => Duration::from_secs(seconds.unsigned_abs()),
        Some(_) => {
            return Err(Problem::Invalid(format!(
                "token_lifetime_seconds must be from 1 to {LONGEST_JOB_TOKEN}"
            )));
        }
    };
    let stack = asked.stack().await?;
    let expires_at = asked.now.plus(lasting);
    let ids: Vec<Option<String>> = uuids.iter().map(|uuid| job_id::task_id(uuid)).collect();
    let mut secrets = Vec::new();
    for task_id in ids.iter().flatten() {
        let secret = secret::new_token(Purpose::Acquisition)?;
        let token = JobToken {
            hash: secret::hash(&secret),
            task_id: task_id.clone(),
            expires_at,
        };
        secrets.push((secret, token));
    }
    let tokens: Vec<JobToken> = secrets.iter().map(|(_, token)| token.clone()).collect();
    let known: Vec<String> = ids.iter().flatten().cloned().collect();
    let (now, may, owner) = (asked.now, asked.stack_may(), owner(&stack.key));
    let issued = asked
        .store()
        .write(Key::of(("stack", &stack.key)), move |tx| {
            let ours = reservation::held(tx, now, &owner, &known, &may)?;
            let good: Vec<JobToken> = tokens
                .iter()
                .filter(|token| ours.contains(&token.task_id))
                .cloned()
                .collect();
            engine::put_job_tokens(tx, &good)?;
            Ok(ours)
        })
        .await?;
    let (mut good, mut not_issued) = (Vec::new(), Vec::new());
    for (uuid, id) in uuids.into_iter().zip(&ids) {
        let secret = id
            .as_ref()
            .filter(|id| issued.contains(*id))
            .and_then(|id| secrets.iter().find(|(_, token)| token.task_id == **id));
        match secret {
            Some((secret, _)) => good.push(json!({
                "job_uuid": uuid,
                "job_acquisition_token": secret,
                "expires_at": expires_at.to_iso(),
            })),
            None => not_issued.push(uuid),
        }
    }
    Ok(Reply::json(
        StatusCode::CREATED,
        &json!({"job_acquisition_tokens": good, "not_issued": not_issued}),
    ))
}
