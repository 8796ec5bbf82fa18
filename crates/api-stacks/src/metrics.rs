//! How much there is to do, and who is there to do it: what autoscalers ask for.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use taskyard_engine::{lease, stacks as engine};

use crate::caller::Right;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::service::Asked;
use crate::stacks::ORGANIZATION;
use crate::state::LOST_AFTER;

/// Queues that are counted.
const QUEUES: usize = 1000;
/// Open tasks that are looked at for such as wait for others.
const OPEN_TASKS: usize = 20_000;

#[derive(Debug, Default)]
struct Jobs {
    scheduled: i64,
    running: i64,
    waiting: i64,
}

impl Jobs {
    fn body(&self) -> Value {
        json!({
            "scheduled": self.scheduled,
            "running": self.running,
            "waiting": self.waiting,
            "total": self.scheduled + self.running + self.waiting,
        })
    }
}

/// Counts of agents and jobs, in all and by queue, of the queues that the token is good for.
pub(crate) async fn metrics(asked: &Asked<'_>) -> Result<Reply, Problem> {
    asked.caller.require_stack()?;
    let since = asked.now.minus(LOST_AFTER);
    let (agents, lines, waiting) = asked
        .store()
        .read(move |tx| {
            Ok((
                engine::connected_agents(tx, since)?,
                lease::overview(tx, QUEUES)?,
                engine::waiting(tx, OPEN_TASKS)?,
            ))
        })
        .await?;
    let queues = &asked.parts().queues;
    let mut jobs: BTreeMap<String, Jobs> = BTreeMap::new();
    for line in lines {
        if let Some(task_queue) = line.queue.task_queue_id() {
            let counted = jobs.entry(queues.key(task_queue)).or_default();
            counted.scheduled += line.depth.ready;
            counted.running += line.depth.held;
        }
    }
    for (task_queue, count) in waiting {
        jobs.entry(queues.key(&task_queue)).or_default().waiting += count;
    }
    jobs.retain(|key, _| asked.caller.may(Right::Stack, key));
    let mut sum = Jobs::default();
    for counted in jobs.values() {
        sum.scheduled += counted.scheduled;
        sum.running += counted.running;
        sum.waiting += counted.waiting;
    }
    let mut jobs_body = sum.body();
    jobs_body["queues"] = jobs
        .iter()
        .map(|(key, it)| (key.clone(), it.body()))
        .collect();
    let agent_body =
        |total: i64, busy: i64| json!({"idle": total - busy, "busy": busy, "total": total});
    let agents: Vec<(String, i64, i64)> = agents
        .into_iter()
        .filter(|(key, _, _)| asked.caller.may(Right::Stack, key))
        .collect();
    let total = agents.iter().map(|(_, total, _)| total).sum();
    let busy = agents.iter().map(|(_, _, busy)| busy).sum();
    let mut agents_body = agent_body(total, busy);
    agents_body["queues"] = agents
        .into_iter()
        .map(|(key, total, busy)| (key, agent_body(total, busy)))
        .collect();
    Ok(Reply::ok(&json!({
        "agents": agents_body,
        "jobs": jobs_body,
        "organization": {"slug": ORGANIZATION},
    })))
}
