//! Claims, at once or after a wait.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use taskyard_engine::group::{self, Claim, Claimed, GiveUp};
use taskyard_engine::lease::{Entry, Queue};
use taskyard_engine::update::Refusal;
use taskyard_engine::{Nanos, Timestamp};
use taskyard_store::{Key, Topic, Tx, Waiter};

use crate::caller::Right;
use crate::problem::Problem;
use crate::render;
use crate::request::ClaimBody;
use crate::service::Asked;
use crate::time::{from_millis, later};
use crate::update::authorize_depends;

/// Longest wait for a task: proxies cut off what is silent for longer. Whoever wants to wait on
/// asks again.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// Most tasks that one claim takes.
const MOST_TASKS: i64 = 1000;
/// Most groups that one claim looks through.
const MOST_GROUPS: usize = 100;
/// Durations below this were probably meant in milliseconds: 1 ms, in nanoseconds.
const SUSPICIOUS: i64 = 1_000_000;

/// Takes tasks for a while.
pub(crate) async fn claim(asked: &Asked<'_>, json: &[u8]) -> Result<Vec<u8>, Problem> {
    let body: ClaimBody = serde_json::from_slice(json)
        .map_err(|error| Problem::Bad(format!("failed to decode json claim: {error}")))?;
    let mut style = asked.query.style()?;
    style.attempts = body.max_attempts.is_some();
    let wish = Wish::new(body, asked.query.in_millis()?)?;
    for group in &wish.groups {
        asked.caller.require(Right::Claim, group)?;
    }
    if let Some(give_up) = &wish.give_up {
        asked.caller.require(Right::Update, &give_up.group)?;
    }
    authorize_depends(asked, &wish.depends).await?;
    Ok(match wait_for_tasks(asked, &wish).await? {
        Err(depends) => render::refusal(&Refusal {
            depends,
            ..Refusal::default()
        }),
        Ok(entries) if entries.is_empty() => render::success(None, style),
        Ok(entries) => render::success(Some(&entries), style),
    })
}

/// A claim before its time is known.
struct Wish {
    owner: String,
    groups: Vec<String>,
    count: usize,
    /// In nanoseconds, not negative.
    duration: i64,
    wait: Duration,
    depends: Vec<i64>,
    give_up: Option<GiveUp>,
}

impl Wish {
    fn new(body: ClaimBody, in_millis: bool) -> Result<Self, Problem> {
        let bad = |text: String| Err(Problem::Bad(text));
        let mut groups = body.groups;
        groups.insert(0, body.group);
        let mut known = HashSet::new();
        // No task is in the group without a name, and none is given twice.
        groups.retain(|group| !group.is_empty() && known.insert(group.clone()));
        if groups.len() > MOST_GROUPS {
            return bad(format!(
                "a claim may name {MOST_GROUPS} groups, not {}",
                groups.len()
            ));
        }
        let count = body.count.unwrap_or(1);
        if !(1..=MOST_TASKS).contains(&count) {
            return bad(format!("count must be from 1 to {MOST_TASKS}, not {count}"));
        }
        let give_up = match (body.max_attempts, body.error_group) {
            (None, group) if group.is_empty() => None,
            (Some(after), group) if after > 0 && !group.is_empty() && !groups.contains(&group) => {
                Some(GiveUp { after, group })
            }
            _ => {
                return bad(
                    "max_attempts (at least 1) and error_group (none of those claimed) \
                            go together"
                        .to_owned(),
                );
            }
        };
        let nanos = |plain: i64, millis: Option<i64>| match millis {
            Some(millis) => from_millis(millis),
            None if in_millis => from_millis(plain),
            None => plain,
        };
        let duration = nanos(body.duration, body.duration_ms).max(0);
        if (1..SUSPICIOUS).contains(&duration) {
            tracing::info!(
                duration,
                "a claim for less than a millisecond: duration is in nanoseconds, duration_ms in \
                 milliseconds"
            );
        }
        let wait = u64::try_from(nanos(body.wait, body.wait_ms)).unwrap_or(0);
        Ok(Wish {
            owner: body.client_id.to_string(),
            groups,
            count: usize::try_from(count).unwrap_or(1),
            duration,
            wait: Duration::from_nanos(wait).min(LONGEST_WAIT),
            depends: body.depends,
            give_up,
        })
    }

    /// The claim at `now`. Groups are looked through from one of them on, in a circle, so that
    /// none starves behind another.
    fn at(&self, now: Timestamp, seed: u64) -> Claim {
        let mut groups = self.groups.clone();
        if !groups.is_empty() {
            let first = seed % groups.len() as u64;
            groups.rotate_left(usize::try_from(first).unwrap_or(0));
        }
        Claim {
            owner: self.owner.clone(),
            groups,
            count: self.count,
            until: later(now, self.duration),
            depends: self.depends.clone(),
            give_up: self.give_up.clone(),
        }
    }
}

/// The tasks, or what the claim depended on in vain.
type Outcome = Result<Vec<Entry>, Vec<i64>>;

/// Claims as soon as there is anything to claim, at the latest when the wait is over or the server
/// shuts down. A caller that goes away drops this future, and with it the wait.
async fn wait_for_tasks(asked: &Asked<'_>, wish: &Wish) -> Result<Outcome, Problem> {
    if wish.wait.is_zero() {
        return claim_now(asked, wish).await;
    }
    let store = &asked.parts.store;
    let topics: Vec<Topic> = wish
        .groups
        .iter()
        .map(|name| Queue::group(name).topic())
        .collect();
    // Registered before the first look, so that nothing is missed between a look and the wait.
    let mut waiters: Vec<Waiter> = topics.iter().map(|topic| store.wait_for(*topic)).collect();
    let give_up = tokio::time::sleep(wish.wait);
    tokio::pin!(give_up);
    loop {
        let claimed = claim_now(asked, wish).await?;
        if !claimed.as_ref().is_ok_and(Vec::is_empty) {
            // There may be more than this caller asked for, also where it was not needed to look.
            for topic in topics {
                store.pass_on(topic);
            }
            return Ok(claimed);
        }
        let woken = async {
            if waiters.is_empty() {
                return std::future::pending().await;
            }
            select_all(waiters.iter_mut().map(|waiter| Box::pin(waiter.woken()))).await;
        };
        tokio::select! {
            () = woken => {}
            () = &mut give_up => return Ok(claimed),
            () = asked.parts.draining.cancelled() => return Ok(claimed),
        }
    }
}

/// The key of a group: the engine's timer uses the same.
fn key_of(group: &str) -> Key {
    Key::of(Queue::group(group).as_str())
}

/// Claims once. Nothing is found only if at some moment, by this node's clock, nothing was there.
async fn claim_now(asked: &Asked<'_>, wish: &Wish) -> Result<Outcome, Problem> {
    let clock = &asked.parts.clock;
    loop {
        let now = clock.now();
        // Seeds need to differ, not to be secret.
        let seed = RandomState::new().hash_one(());
        let claim = Arc::new(wish.at(now, seed));
        let key = key_of(claim.groups.first().map_or("", String::as_str));
        let claiming = move |tx: &mut Tx<'_>| group::claim(tx, now, &claim, seed);
        match asked.parts.store.write(key, claiming).await? {
            Err(depends) => return Ok(Err(depends)),
            Ok(Claimed { entries, next }) => {
                let is_due = next.is_some_and(|at| at <= Nanos::from(clock.now()));
                if !(entries.is_empty() && is_due) {
                    return Ok(Ok(entries));
                }
            }
        }
    }
}
