//! Meta-data: what the jobs of a build tell each other.

use serde_json::{Value, json};
use taskyard_engine::stacks::{self as engine, Definition};
use taskyard_store::Key;

use crate::caller::Who;
use crate::job_id;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::request::Payload;
use crate::route::Call;
use crate::service::Asked;

/// Longest key and value, in bytes.
const LONGEST_KEY: usize = 1024;
const LONGEST_VALUE: usize = 100 * 1024;
/// Values that are set at once, and keys that are listed.
const ITEMS: usize = 1000;
const KEYS: usize = 10_000;

impl Asked<'_> {
    /// The task whose build the request is about: the caller's job, or a job of the caller's in the
    /// build that the path names.
    pub(crate) async fn member(&self) -> Result<Definition, Problem> {
        let of_build = matches!(
            self.call,
            Call::GetBuildData
                | Call::BuildDataExists
                | Call::BuildDataKeys
                | Call::SearchArtifacts
                | Call::BuildAnnotations
        );
        if !of_build {
            let job = self.job().await?;
            return self.definition(&job).await;
        }
        let uuid = self.segment(0);
        let ids = match &self.caller.who {
            Who::Job(job) if job.ended_at.is_none() => vec![job.task_id.clone()],
            _ => {
                let agent_id = self.agent()?.id.clone();
                let open = self
                    .store()
                    .read(move |tx| engine::open_jobs(tx, &agent_id))
                    .await?;
                open.into_iter().map(|(task_id, _)| task_id).collect()
            }
        };
        let definitions = self
            .store()
            .read(move |tx| engine::definitions(tx, &ids))
            .await?;
        definitions
            .into_iter()
            .find(|definition| job_id::uuid(&definition.group_id).eq_ignore_ascii_case(uuid))
            .ok_or_else(|| Problem::NotFound(format!("No build found with the uuid {uuid}")))
    }
}

fn key(payload: &Payload) -> Result<&str, Problem> {
    let key = payload.required("key")?;
    if key.len() > LONGEST_KEY {
        return Err(Problem::Invalid(format!(
            "key must have at most {LONGEST_KEY} bytes"
        )));
    }
    Ok(key)
}

fn pair(payload: &Payload) -> Result<(String, String), Problem> {
    let value = payload
        .text("value")?
        .ok_or_else(|| Problem::Invalid("value is required".to_owned()))?;
    if value.len() > LONGEST_VALUE {
        return Err(Problem::Invalid(format!(
            "value must have at most {LONGEST_VALUE} bytes"
        )));
    }
    Ok((key(payload)?.to_owned(), value.to_owned()))
}

async fn put(asked: &Asked<'_>, pairs: Vec<(String, String)>) -> Result<Reply, Problem> {
    let member = asked.member().await?;
    asked
        .store()
        .write(Key::of(("meta-data", &member.group_id)), move |tx| {
            pairs.iter().try_for_each(|(key, value)| {
                engine::set_meta_data(tx, &member.group_id, (key, value), member.expires)
            })
        })
        .await?;
    Ok(Reply::ok(&json!({})))
}

/// Sets a value.
pub(crate) async fn set(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let pair = pair(&asked.payload()?)?;
    put(asked, vec![pair]).await
}

/// Sets values, all or none.
pub(crate) async fn set_batch(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let payload = asked.payload()?;
    let wrong = || Problem::Invalid(format!("items must be a list of at most {ITEMS} objects"));
    let items = payload.get("items").and_then(Value::as_array);
    let items = items.filter(|it| it.len() <= ITEMS).ok_or_else(wrong)?;
    let pairs = items
        .iter()
        .map(|item| {
            let item = item.as_object().ok_or_else(wrong)?;
            pair(&Payload::of(item.clone()))
        })
        .collect::<Result<_, _>>()?;
    put(asked, pairs).await
}

async fn find(asked: &Asked<'_>) -> Result<(String, Option<String>), Problem> {
    let payload = asked.payload()?;
    let key = key(&payload)?.to_owned();
    let member = asked.member().await?;
    let name = key.clone();
    let value = asked
        .store()
        .read(move |tx| engine::get_meta_data(tx, &member.group_id, &name))
        .await?;
    Ok((key, value))
}

/// The value of a key.
pub(crate) async fn get(asked: &Asked<'_>) -> Result<Reply, Problem> {
    match find(asked).await? {
        (key, Some(value)) => Ok(Reply::ok(&json!({"key": key, "value": value}))),
        (key, None) => Err(Problem::NotFound(format!(
            "No key {key:?} found in the meta-data of this build"
        ))),
    }
}

/// Whether a key has a value.
pub(crate) async fn exists(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let (_, value) = find(asked).await?;
    Ok(Reply::ok(&json!({"exists": value.is_some()})))
}

/// The keys that have values.
pub(crate) async fn keys(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let member = asked.member().await?;
    let keys = asked
        .store()
        .read(move |tx| engine::meta_data_keys(tx, &member.group_id, "", KEYS))
        .await?;
    Ok(Reply::ok(&keys))
}
