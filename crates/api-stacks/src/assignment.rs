//! Jobs for agents that ask for any.

use std::time::Duration;

use taskyard_engine::stacks::{self as engine, Agent, Work};
use taskyard_store::Key;

use crate::caller::Right;
use crate::job::{Job, rules};
use crate::job_id;
use crate::problem::Problem;
use crate::service::Asked;

/// How long an agent has to accept its job. It does so as soon as it hears of it; what it never
/// hears of is not to wait for long.
const ACCEPTED_WITHIN: Duration = Duration::from_mins(1);
/// Jobs at the head of a queue among which one is looked for that suits the agent.
const LOOKED_AT: usize = 100;
/// Of those that suit it, how many are tried when others are faster.
const TRIED: usize = 8;

/// The job that an agent is to accept now, if there is one for it.
pub(crate) async fn next(asked: &Asked<'_>, agent: &Agent) -> Result<Option<String>, Problem> {
    let key = &agent.queue_key;
    if !agent.takes_any || !asked.caller.may(Right::Agent, key) {
        return Ok(None);
    }
    let task_queue = asked.parts().queues.task_queue(key);
    let (now, for_agent, queue, key) = (asked.now, agent.clone(), task_queue.clone(), key.clone());
    let work = asked
        .store()
        .read(move |tx| {
            if engine::is_paused(tx, &key)? {
                return Ok(Work::Open(Vec::new()));
            }
            engine::work(tx, now, &for_agent, &queue, LOOKED_AT)
        })
        .await?;
    let open = match work {
        Work::Assigned(task_id) => return Ok(Some(job_id::uuid(&task_id))),
        Work::Open(open) => open,
    };
    let mut suitable = Vec::new();
    for definition in open {
        if suits(
            &rules(&Job::read(&definition)?.outline(), &agent.queue_key),
            &agent.tags,
        ) {
            suitable.push(definition.task_id);
            if suitable.len() == TRIED {
                break;
            }
        }
    }
    if suitable.is_empty() {
        return Ok(None);
    }
    let (agent_id, until) = (agent.id.clone(), now.plus(ACCEPTED_WITHIN));
    let assigned = asked
        .store()
        .write(Key::of(("agent", &agent.id)), move |tx| {
            engine::assign(tx, now, &agent_id, &task_queue, &suitable, until)
        })
        .await?;
    Ok(assigned.map(|task_id| job_id::uuid(&task_id)))
}

/// Whether an agent with these tags may run a job with these rules, whose queue is the agent's. A
/// rule asks for a value of a tag, or with `*` for any; what is no such rule asks for nothing.
fn suits(rules: &[String], tags: &[String]) -> bool {
    rules.iter().all(|rule| match rule.split_once('=') {
        None | Some(("queue", _)) => true,
        Some((name, "*")) => tags
            .iter()
            .any(|tag| tag.split_once('=').is_some_and(|(known, _)| known == name)),
        Some(_) => tags.contains(rule),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_suits_a_job_when_it_has_every_tag_that_is_asked_for() {
        let owned = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let tags = owned(&["queue=other", "os=linux", "cpus=4"]);
        for (rules, is_suited) in [
            (&["queue=default"][..], true),
            (&["queue=default", "os=linux"], true),
            (&["os=*", "cpus=4"], true),
            (&["a rule of its own"], true),
            (&["os=darwin"], false),
            (&["os=linux", "gpu=*"], false),
            (&["cpus=40"], false),
            (&["cpu=4"], false),
        ] {
            assert_eq!(suits(&owned(rules), &tags), is_suited, "{rules:?}");
        }
    }
}
