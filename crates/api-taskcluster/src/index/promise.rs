//! What a task says of where it is to be found.

use std::sync::LazyLock;

use serde_json::{Value, json};
use taskyard_engine::Timestamp;
use taskyard_engine::index::{Promise, Rank};

use super::{LONGEST_PATH, MOST_DATA};
use crate::date_time;
use crate::parameter::INDEX_PATH;

/// What routes that lead into the index begin with.
const ROUTE: &str = "index.";

/// Where a task with these routes is to be found once it completes, by what its `extra.index` says
/// of rank, data and expiry. Like other routes that mean nothing, those that are no paths are passed
/// over; so is a task whose rank is no number, or whose data is no object.
pub(crate) fn promise(
    routes: &[String],
    extra: Option<&Value>,
    expires: Timestamp,
) -> Option<Promise> {
    static NO_DATA: LazyLock<Value> = LazyLock::new(|| json!({}));
    let paths: Vec<String> = routes
        .iter()
        .filter_map(|route| route.strip_prefix(ROUTE))
        .filter(|path| path.len() <= LONGEST_PATH && INDEX_PATH.matches(path))
        .map(str::to_owned)
        .collect();
    if paths.is_empty() {
        return None;
    }
    let told = |name: &str| extra?.get("index")?.get(name);
    let rank = told("rank").map_or(Some(0.0), Value::as_f64)?;
    let data = told("data").unwrap_or(&NO_DATA);
    if !data.is_object() && !data.is_array() {
        return None;
    }
    let expires = match told("expires") {
        Some(told) => date_time::parse(told.as_str()?)?,
        None => expires,
    };
    let data = data.to_string();
    if data.len() > MOST_DATA {
        tracing::info!(
            bytes = data.len(),
            "a task has too much data to be indexed with"
        );
        return None;
    }
    Some(Promise {
        paths,
        rank: Rank::new(rank)?,
        data,
        expires,
    })
}
