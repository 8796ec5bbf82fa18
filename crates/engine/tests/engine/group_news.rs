//! I27: the world hears that a group is resolved when its last task is, and not before.

use taskyard_engine::task::event::GROUP_RESOLVED;
use taskyard_store::params;

use crate::invariants::must;
use crate::model::{Model, ModelTask};
use crate::spec::{GROUPS, Spec, group_id};
use crate::yard::Yard;

/// When the world has to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timing {
    /// Within the call.
    AtOnce,
    /// Calls at once may leave it to the next sweep.
    BySweep,
    /// What was left to a sweep is due, too.
    Swept,
    /// Nothing happens.
    Never,
}

/// What was heard of groups.
#[derive(Debug)]
pub(crate) struct GroupNews {
    /// Events up to this one are known.
    known: i64,
    /// Whether the next sweep has to tell of a group.
    owed: [bool; GROUPS],
}

const NEWEST: &str = "SELECT max(id) FROM events";
const SINCE: &str = "SELECT id, subject FROM events WHERE id > $1 AND kind = $2 ORDER BY id";

fn is_resolved(task: &ModelTask) -> bool {
    matches!(task.state(), "completed" | "failed" | "exception")
}

impl GroupNews {
    pub(crate) async fn from_now_on(yard: &Yard) -> Self {
        let newest = yard
            .read(|tx| tx.query_opt(NEWEST, &[], |row| row.get::<Option<i64>>(0)))
            .await;
        GroupNews {
            known: newest.flatten().unwrap_or(0),
            owed: [false; GROUPS],
        }
    }

    /// Checks what was heard since the last look against what happened from one model to the other.
    pub(crate) async fn check(
        &mut self,
        yard: &Yard,
        (before, after): (&Model, &Model),
        specs: &[Spec],
        timing: Timing,
    ) -> Result<(), String> {
        let known = self.known;
        let heard: Vec<(i64, String)> = yard
            .read(move |tx| {
                tx.query(SINCE, params![known, GROUP_RESOLVED], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
            })
            .await;
        self.known = heard.last().map_or(known, |(id, _)| *id);
        for group in 0..GROUPS {
            let count = heard
                .iter()
                .filter(|(_, id)| *id == group_id(group))
                .count();
            let members = || {
                let all = after.tasks.iter();
                all.filter(|(place, _)| specs[**place].group == group)
            };
            let is_open = members().any(|(_, task)| !task.view.ever_resolved);
            let was_resolved = members().any(|(place, task)| {
                let same = before.tasks.get(place).is_some_and(|old| {
                    is_resolved(old) && old.view.runs.len() == task.view.runs.len()
                });
                is_resolved(task) && !same
            });
            let is_due = was_resolved && !is_open;
            must!(
                timing != Timing::AtOnce || count == 0 || !is_open,
                "group {group} was called resolved while a task of it never was"
            );
            let is_late = match timing {
                Timing::AtOnce => is_due && count == 0,
                Timing::BySweep => {
                    self.owed[group] |= is_due && count == 0;
                    false
                }
                Timing::Swept => {
                    let owed = std::mem::take(&mut self.owed[group]);
                    (is_due || (owed && !is_open)) && count == 0
                }
                Timing::Never => count > 0,
            };
            must!(!is_late, "group {group}: {timing:?}, heard {count} times");
        }
        Ok(())
    }
}
