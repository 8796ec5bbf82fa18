//! Hooks fire on a schedule.
//!
//! Every node looks. A hook's next task has its id before it is made, so a fire that is tried again,
//! or on two nodes at once, gives one task; and whoever plans the next fire says which one it follows.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::{Map, Value, json};
use taskyard_engine::Timestamp;
use taskyard_engine::hook::{self, Hook, Name};
use taskyard_store::Error;

use super::definition::{Definition, Times};
use super::firing::{Failure, Firing, Reason, Shot};
use super::key;
use crate::notify::{Kind, Notice};

/// Hooks that are looked for at once, and that fire at once.
const PORTION: usize = 256;
const AT_ONCE: usize = 32;
/// The longest sleep: other nodes may make hooks of which this one does not hear.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// How long after a fire that failed for now it is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// A fire that is later than this takes the time it is fired for the time it was planned for: tasks
/// must not have been created long ago.
const LATE: Duration = Duration::from_mins(10);
/// How much of an error an owner is told, in bytes, and the longest subject, in characters.
const LONGEST_COMPLAINT: usize = 10_000;
const LONGEST_SUBJECT: usize = 255;

/// Fires hooks whose time has come, for ever.
pub async fn schedule(firing: Arc<Firing>) {
    let mut changes = firing.store.wait_for(hook::topic());
    loop {
        let now = firing.clock.now();
        let until = match sweep(&firing, now).await {
            Ok(next) => next.min(now.plus(LONGEST_SLEEP)),
            Err(error) => {
                tracing::warn!(%error, "hooks wait for the database");
                now.plus(AGAIN)
            }
        };
        tokio::select! {
            () = firing.clock.reaches(until) => {}
            // The clock may have been set back.
            () = tokio::time::sleep(LONGEST_SLEEP) => {}
            () = changes.woken() => {}
        }
    }
}

/// Fires what is due at `now`; returns when to look again.
async fn sweep(firing: &Firing, now: Timestamp) -> Result<Timestamp, Error> {
    let due = firing.store.read(move |tx| hook::due(tx, now, PORTION));
    let due = due.await?;
    let is_full = due.len() == PORTION;
    let fired = stream::iter(due).map(|hook| fire(firing, hook, now));
    let mut fired = fired.buffer_unordered(AT_ONCE);
    let mut all_done = true;
    while let Some(done) = fired.next().await {
        all_done &= done?;
    }
    if !all_done {
        return Ok(now.plus(AGAIN));
    }
    if is_full {
        return Ok(now);
    }
    let next = firing.store.read(hook::next_due).await?;
    Ok(next.unwrap_or(Timestamp(i64::MAX)))
}

/// Fires one hook; `false` if that is to be tried again.
async fn fire(firing: &Firing, hook: Hook, now: Timestamp) -> Result<bool, Error> {
    let task_id = hook.next.task_id.clone();
    let planned = hook.next.at.unwrap_or(now);
    let is_late = planned.plus(LATE) < now;
    let mut owner = None;
    let (next, outcome) = match read(&hook) {
        Ok((definition, times)) => {
            owner = owner_to_tell(&definition);
            let shot = Shot {
                hook: hook.name.clone(),
                template: definition.task,
                reason: Reason::Schedule,
                context: Map::new(),
                task_id: task_id.clone(),
                created: if is_late { now } else { planned },
            };
            (times.next(now), firing.fire_once(shot).await)
        }
        // Nobody could say when it would fire next.
        Err(error) => (Times::default().next(now), Err(Failure::Template(error))),
    };
    let mut complaint = None;
    if let Err(failure) = &outcome {
        let (hook, error) = (&hook.name, failure.text());
        tracing::warn!(%hook, error, "a scheduled hook could not fire");
        if failure.is_temporary() {
            return Ok(false);
        }
        complaint = owner.map(|owner| complaint_to(owner, hook, &task_id, &error));
    }
    let fire = firing.fire_of(&task_id, Reason::Schedule, &outcome);
    let (writer, name) = (key(&hook.name), hook.name);
    let notifier = Arc::clone(&firing.notifier);
    let noted = firing.store.write(writer, move |tx| {
        if let Some(complaint) = &complaint {
            notifier.accept(tx, now, complaint)?;
        }
        hook::fired_on_schedule(tx, &name, &task_id, fire.as_ref(), &next)
    });
    noted.await?;
    Ok(true)
}

fn read(hook: &Hook) -> Result<(Definition, Times), String> {
    let definition = Definition::of(hook).map_err(|error| error.to_string())?;
    let times = definition.times(&hook.name)?;
    Ok((definition, times))
}

/// Whom to tell that a hook has failed; nobody if its owner does not want to hear of it.
fn owner_to_tell(definition: &Definition) -> Option<String> {
    let metadata = &definition.metadata;
    if metadata.get("emailOnError") == Some(&Value::Bool(false)) {
        return None;
    }
    metadata.get("owner")?.as_str().map(str::to_owned)
}

/// Tells the owner of a hook that it has failed.
fn complaint_to(owner: String, hook: &Name, task_id: &str, error: &str) -> Notice {
    let subject = format!("[Taskcluster Hooks] Scheduled Hook failure: {hook}");
    let error = error
        .get(..error.floor_char_boundary(LONGEST_COMPLAINT))
        .unwrap_or_default();
    let error = error.replace('\n', "\n    ");
    let content = format!(
        "The hook `{hook}` was to create the task `{task_id}`, and could not:\n\n    {error}\n\n\
         You are told because you are its owner and its metadata has `emailOnError`."
    );
    Notice {
        kind: Kind::Email,
        body: json!({
            "address": owner,
            "subject": subject.chars().take(LONGEST_SUBJECT).collect::<String>(),
            "content": content,
        }),
        address: owner,
    }
}
