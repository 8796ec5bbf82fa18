//! Looking at groups and tasks.

use taskyard_engine::Nanos;
use taskyard_engine::group::{self, Count, Page};
use taskyard_engine::lease::Entry;

use crate::caller::Right;
use crate::problem::Problem;
use crate::render;
use crate::service::Asked;

/// The names of all groups that the caller may read.
pub(crate) async fn groups(asked: &Asked<'_>) -> Result<Vec<u8>, Problem> {
    asked.caller.require_somewhere(Right::Read)?;
    let mut names = asked.parts.store.read(group::names).await?;
    names.retain(|name| asked.caller.may(Right::Read, name));
    Ok(render::names(&names))
}

/// Tasks of a group, by time and id.
pub(crate) async fn group(asked: &Asked<'_>, name: String) -> Result<Vec<u8>, Problem> {
    asked.caller.require(Right::Read, &name)?;
    let style = asked.query.style()?;
    let page = Page {
        after: asked.query.after()?.map(|(at, id)| (Nanos(at), id)),
        limit: asked
            .query
            .int("limit")?
            .and_then(|limit| usize::try_from(limit).ok()),
        with_held: asked.query.flag("owned")?,
    };
    let page = Page {
        limit: page.limit.filter(|limit| *limit > 0),
        ..page
    };
    let is_storable = !name.contains('\0');
    let now = asked.parts.clock.now();
    let entries = if is_storable {
        asked
            .parts
            .store
            .read(move |tx| group::list(tx, now, &name, page))
            .await?
    } else {
        Vec::new()
    };
    Ok(render::tasks(&entries, style))
}

/// One task, or `null`.
pub(crate) async fn task(asked: &Asked<'_>, id: i64) -> Result<Vec<u8>, Problem> {
    let style = asked.query.style()?;
    let found = find(asked, vec![id]).await?;
    Ok(render::task(found.first().and_then(Option::as_ref), style))
}

/// Several tasks, `null` for each that is absent.
pub(crate) async fn tasks(asked: &Asked<'_>, ids: Vec<i64>) -> Result<Vec<u8>, Problem> {
    let style = asked.query.style()?;
    Ok(render::tasks_or_null(&find(asked, ids).await?, style))
}

async fn find(asked: &Asked<'_>, ids: Vec<i64>) -> Result<Vec<Option<Entry>>, Problem> {
    asked.caller.require_somewhere(Right::Read)?;
    let found = asked.parts.store.read(move |tx| {
        ids.iter()
            .map(|id| group::find(tx, *id))
            .collect::<Result<Vec<_>, _>>()
    });
    let found = found.await?;
    for entry in found.iter().flatten() {
        let name = group::name_of(entry).unwrap_or_default();
        asked
            .caller
            .require_for_task(&[Right::Read], entry.id, name)?;
    }
    Ok(found)
}

/// How many tasks each group has that the caller may read.
pub(crate) async fn all_stats(asked: &Asked<'_>) -> Result<Vec<u8>, Problem> {
    asked.caller.require_somewhere(Right::Read)?;
    let now = asked.parts.clock.now();
    let mut counts = asked
        .parts
        .store
        .read(move |tx| group::counts(tx, now, None))
        .await?;
    counts.retain(|count| asked.caller.may(Right::Read, &count.group));
    Ok(render::counts(&counts))
}

/// How many tasks a group has.
pub(crate) async fn stats(asked: &Asked<'_>, name: String) -> Result<Vec<u8>, Problem> {
    asked.caller.require(Right::Read, &name)?;
    let now = asked.parts.clock.now();
    let nothing = Count {
        group: name.clone(),
        available: 0,
        total: 0,
    };
    let found = if name.contains('\0') {
        Vec::new()
    } else {
        asked
            .parts
            .store
            .read(move |tx| group::counts(tx, now, Some(&name)))
            .await?
    };
    Ok(render::count(found.first().unwrap_or(&nothing)))
}
