//! Tasks at their paths.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};
use taskyard_access::Param;
use taskyard_engine::index::{self, Entry, Rank};

use super::{Index, LONGEST_PATH, MOST_DATA, key};
use crate::call::Call;
use crate::date_time;
use crate::error::{ApiError, Code};
use crate::paging;
use crate::reply::Reply;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    namespace: String,
    task_id: String,
    rank: Number,
    data: Box<RawValue>,
    expires: String,
}

impl Body {
    fn new(entry: Entry) -> Result<Self, ApiError> {
        Ok(Body {
            namespace: entry.path,
            task_id: entry.task_id,
            rank: number(entry.rank),
            data: RawValue::from_string(entry.data).map_err(ApiError::internal)?,
            expires: entry.expires.to_iso(),
        })
    }
}

/// A rank as JSON writes numbers: a whole one without a fraction.
fn number(rank: Rank) -> Number {
    /// Up to here every whole number has a double of its own.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    let number = rank.number();
    if number.fract() == 0.0 && number.abs() <= WHOLE {
        return Number::from(number as i64);
    }
    Number::from_f64(number).unwrap_or_else(|| 0.into())
}

fn bodies(entries: Vec<Entry>, token: Option<String>) -> Result<Reply, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Page {
        tasks: Vec<Body>,
        #[serde(skip_serializing_if = "Option::is_none")]
        continuation_token: Option<String>,
    }
    let tasks = entries.into_iter().map(Body::new);
    Ok(Reply::json(&Page {
        tasks: tasks.collect::<Result<_, _>>()?,
        continuation_token: token,
    }))
}

impl Index {
    /// The task at the path that a call names.
    pub(super) async fn find(&self, call: &Call) -> Result<Entry, ApiError> {
        let (path, now) = (call.param("indexPath").to_owned(), call.now);
        let found = self.store.read(move |tx| index::find(tx, now, &path));
        found
            .await?
            .ok_or_else(|| ApiError::not_found("Indexed task not found"))
    }
}

pub(super) async fn find_task(index: Arc<Index>, call: Call) -> Result<Reply, ApiError> {
    let found = index.find(&call).await?;
    Ok(Reply::json(&Body::new(found)?))
}

pub(super) async fn find_tasks_at_index(index: Arc<Index>, call: Call) -> Result<Reply, ApiError> {
    let wanted = call.payload.get("indexes").and_then(Value::as_array);
    let mut paths: Vec<String> = wanted
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    call.authorize(&[("indexPaths", Param::from(paths.as_slice()))])?;
    let mut seen = HashSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    // A page goes on behind a path; in another list there is nothing behind it.
    if let Some(last) = paging::position(&call, None::<String>)? {
        let place = paths.iter().position(|path| *path == last);
        paths.drain(..place.map_or(paths.len(), |place| place + 1));
    }
    let limit = paging::limit(&call);
    let token = (paths.len() > limit)
        .then(|| paging::token(&paths.get(limit - 1)))
        .flatten();
    paths.truncate(limit);
    let now = call.now;
    let found = index.store.read(move |tx| index::find_all(tx, now, &paths));
    bodies(found.await?, token)
}

/// Also for bodies that say which part of the list is wanted, as old clients send them.
pub(super) async fn list_tasks(index: Arc<Index>, call: Call) -> Result<Reply, ApiError> {
    let call = call.with_page_of_body();
    let (namespace, now) = (call.param("namespace").to_owned(), call.now);
    let (limit, after) = (
        paging::limit(&call),
        paging::position(&call, String::new())?,
    );
    let found = index
        .store
        .read(move |tx| index::list(tx, now, &namespace, &after, limit + 1));
    let mut found = found.await?;
    let token = paging::cut(&mut found, limit, |entry| last_name(&entry.path).to_owned());
    bodies(found, token)
}

fn last_name(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

pub(super) async fn insert_task(index: Arc<Index>, call: Call) -> Result<Reply, ApiError> {
    let path = path(&call)?;
    let data = call.payload.get("data").unwrap_or(&Value::Null).to_string();
    if data.len() > MOST_DATA {
        return Err(ApiError::input(format!(
            "The data has {} bytes as JSON, and may have {MOST_DATA}.",
            data.len()
        )));
    }
    let expires = date_time::parse(call.text("expires"))
        .ok_or_else(|| ApiError::input("`expires` is no moment that exists."))?;
    let rank = call.payload.get("rank").and_then(Value::as_f64);
    let new = Entry {
        path: path.clone(),
        task_id: call.text("taskId").to_owned(),
        rank: rank
            .and_then(Rank::new)
            .ok_or_else(|| ApiError::input("`rank` is no number."))?,
        data,
        expires,
    };
    let now = call.now;
    let there = index
        .store
        .write(key(&path), move |tx| index::insert(tx, now, &new));
    Ok(Reply::json(&Body::new(there.await?)?))
}

pub(super) async fn delete_task(index: Arc<Index>, call: Call) -> Result<Reply, ApiError> {
    let path = path(&call)?;
    let removed = index
        .store
        .write(key(&path), move |tx| index::remove(tx, &path));
    removed.await?;
    Ok(Reply::json(&Value::Object(Map::new())))
}

/// The path that a call is to change something at.
fn path(call: &Call) -> Result<String, ApiError> {
    let path = call.param("namespace");
    if path.is_empty() {
        let text = "The path of a task has at least one name.";
        return Err(ApiError::new(Code::InvalidRequestArguments, text));
    }
    if path.len() > LONGEST_PATH {
        let text = format!("A path has {LONGEST_PATH} characters at most.");
        return Err(ApiError::input(text));
    }
    Ok(path.to_owned())
}
