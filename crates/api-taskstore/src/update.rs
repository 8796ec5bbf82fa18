//! Atomic updates.

use std::sync::Arc;

use taskyard_engine::Timestamp;
use taskyard_engine::group;
use taskyard_engine::lease::Entry;
use taskyard_engine::update::{self, Add, Change, Update};

use crate::caller::Right;
use crate::problem::Problem;
use crate::render::{self, Style};
use crate::request::{GivenTask, UpdateBody};
use crate::service::Asked;

/// Entries of all lists of one update together. More of them hold everyone else up for too long.
const MOST_ENTRIES: usize = 100_000;

/// Adds, changes and deletes tasks, all or nothing.
pub(crate) async fn update(asked: &Asked<'_>, json: &[u8]) -> Result<Vec<u8>, Problem> {
    let body: UpdateBody = serde_json::from_slice(json)
        .map_err(|error| Problem::Bad(format!("failed to decode json update: {error}")))?;
    let style = asked.query.style()?;
    let entries = body.adds.len() + body.updates.len() + body.deletes.len() + body.depends.len();
    if entries > MOST_ENTRIES {
        return Err(Problem::Bad(format!(
            "an update may name {MOST_ENTRIES} tasks, this one names {entries}: split it"
        )));
    }
    let now = asked.parts.clock.now();
    let request = Request::new(body, now);
    authorize(asked, &request.update).await?;
    let Request { update, in_changes } = request;
    let adds = update.adds.len() - in_changes.iter().filter(|is_add| **is_add).count();
    let update = Arc::new(update);
    let applied = asked
        .parts
        .store
        .write(update::key(), move |tx| update::apply(tx, now, &update))
        .await?;
    Ok(match applied {
        Err(refusal) => render::refusal(&refusal),
        Ok(entries) => render_entries(entries, adds, &in_changes, style),
    })
}

/// An update as the engine understands it.
struct Request {
    update: Update,
    /// Which of the request's changes are adds, because their id cannot exist. These stand at the
    /// end of the update's adds.
    in_changes: Vec<bool>,
}

impl Request {
    fn new(body: UpdateBody, now: Timestamp) -> Self {
        let mut update = Update {
            owner: body.client_id.to_string(),
            adds: body.adds.into_iter().map(|task| add(task, now)).collect(),
            changes: Vec::with_capacity(body.updates.len()),
            deletes: body.deletes,
            depends: body.depends,
        };
        let mut in_changes = Vec::with_capacity(body.updates.len());
        for task in body.updates {
            let is_add = task.id <= 0;
            in_changes.push(is_add);
            if is_add {
                update.adds.push(add(task, now));
            } else {
                let available_at = task.time.resolve(now);
                update.changes.push(Change {
                    id: task.id,
                    data: task.data,
                    available_at,
                });
            }
        }
        Request { update, in_changes }
    }
}

fn add(task: GivenTask, now: Timestamp) -> Add {
    let available_at = task.time.resolve(now);
    Add {
        group: task.group,
        data: task.data,
        available_at,
    }
}

/// The rights on tasks that are only depended on: each of them lets one see that a task is there.
const ANY_RIGHT: [Right; 3] = [Right::Read, Right::Update, Right::Claim];

/// Makes sure that the caller may do all that an update asks for. A group never changes, so it
/// does not matter that this look comes before the update.
async fn authorize(asked: &Asked<'_>, update: &Update) -> Result<(), Problem> {
    let caller = &asked.caller;
    if caller.may_everywhere(Right::Update) {
        return Ok(());
    }
    caller.require_somewhere(Right::Update)?;
    for add in update.adds.iter().filter(|add| !add.group.is_empty()) {
        caller.require(Right::Update, &add.group)?;
    }
    let changed = update.changes.iter().map(|change| change.id);
    let changed: Vec<i64> = changed.chain(update.deletes.iter().copied()).collect();
    require_for_tasks(asked, &[Right::Update], changed).await?;
    require_for_tasks(asked, &ANY_RIGHT, update.depends.clone()).await
}

/// Makes sure that the caller may depend on the tasks `ids`.
pub(crate) async fn authorize_depends(asked: &Asked<'_>, ids: &[i64]) -> Result<(), Problem> {
    let is_free = || {
        let mut rights = ANY_RIGHT.iter();
        rights.any(|right| asked.caller.may_everywhere(*right))
    };
    if ids.is_empty() || is_free() {
        return Ok(());
    }
    require_for_tasks(asked, &ANY_RIGHT, ids.to_vec()).await
}

async fn require_for_tasks(
    asked: &Asked<'_>,
    rights: &[Right],
    ids: Vec<i64>,
) -> Result<(), Problem> {
    if ids.is_empty() {
        return Ok(());
    }
    let found = asked.parts.store.read(move |tx| {
        let mut found = Vec::new();
        for id in &ids {
            found.extend(group::find(tx, *id)?);
        }
        Ok(found)
    });
    for entry in found.await? {
        let name = group::name_of(&entry).unwrap_or_default();
        asked.caller.require_for_task(rights, entry.id, name)?;
    }
    Ok(())
}

/// The new tasks in the order of the request: adds, then changes, `adds` of which were given as
/// such.
fn render_entries(
    mut entries: Vec<Entry>,
    adds: usize,
    in_changes: &[bool],
    style: Style,
) -> Vec<u8> {
    if in_changes.contains(&true) {
        let late = in_changes.iter().filter(|is_add| **is_add).count();
        let mut changed = entries.split_off(adds + late).into_iter();
        let mut added = entries.split_off(adds).into_iter();
        let ordered = in_changes.iter().filter_map(|is_add| {
            if *is_add {
                added.next()
            } else {
                changed.next()
            }
        });
        entries.extend(ordered);
    }
    render::success(Some(&entries), style)
}
