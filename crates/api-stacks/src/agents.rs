//! Agents register, tell that they are alive, and leave.

use serde_json::{Value, json};
use taskyard_engine::stacks::{self as engine, Agent, NewAgent, Wish};
use taskyard_store::Key;
use uuid::Uuid;

use crate::assignment;
use crate::caller::{Right, Who};
use crate::problem::Problem;
use crate::queue::DEFAULT;
use crate::reply::Reply;
use crate::request::Payload;
use crate::secret::{self, Purpose};
use crate::service::Asked;
use crate::state::{JobState, LOST_AFTER};

/// The path below which agents find us, and what they must be told in seconds; zero would be the
/// end of them.
pub(crate) const PREFIX: &str = "/v3";
const PING_INTERVAL: u32 = 2;
const JOB_STATUS_INTERVAL: u32 = 3;
const HEARTBEAT_INTERVAL: u32 = 60;

/// Longest name of an agent, and tags that it may have.
const LONGEST_NAME: usize = 255;
const TAGS_AT_MOST: usize = 100;

/// What the name of an agent may leave for us to fill in.
fn fill_in(name: &str, payload: &Payload) -> Result<String, Problem> {
    let hostname = payload.text("hostname")?.unwrap_or("localhost");
    let pid = payload.int("pid")?.unwrap_or(0).to_string();
    let random: String = Uuid::new_v4()
        .simple()
        .to_string()
        .chars()
        .take(8)
        .collect();
    let name = name
        .replace("%hostname", hostname)
        .replace("%random", &random)
        .replace("%pid", &pid);
    Ok(name.chars().take(LONGEST_NAME).collect())
}

fn tags(payload: &Payload) -> Result<Vec<String>, Problem> {
    let wrong = || Problem::Invalid("meta_data must be a list of \"key=value\"".to_owned());
    match payload.get("meta_data") {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) if items.len() <= TAGS_AT_MOST => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect(),
        Some(_) => Err(wrong()),
    }
}

/// An agent registers.
pub(crate) async fn register(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let caller = &asked.caller;
    let only_task = match &caller.who {
        Who::Acquisition(task_id) => Some(task_id.clone()),
        Who::Agent(_) | Who::Job(_) => {
            return Err(Problem::Unauthorized(
                "register with a cluster token, not with that of an agent or a job".to_owned(),
            ));
        }
        Who::Anonymous | Who::Client(_) | Who::Cluster(_) => None,
    };
    let payload = asked.payload()?;
    let tags = tags(&payload)?;
    let tagged = tags.iter().find_map(|tag| tag.strip_prefix("queue="));
    let queue_key = asked
        .parts()
        .queues
        .canonical(tagged.unwrap_or(DEFAULT))
        .ok_or_else(|| Problem::Invalid("the tag queue names no queue".to_owned()))?;
    let vouched = caller.vouch();
    if only_task.is_none() && !caller.may_be_agent() {
        caller.require(Right::Agent, &queue_key)?;
    }
    let name = payload.text("name")?.filter(|name| !name.is_empty());
    let name = fill_in(name.unwrap_or("%hostname-%random"), &payload)?;
    let token = secret::new_token(Purpose::Agent)?;
    let new = NewAgent {
        id: Uuid::new_v4().to_string(),
        token_hash: secret::hash(&token),
        name,
        queue_key,
        registrant: vouched,
        takes_any: only_task.is_none() && !payload.flag("ignore_in_dispatches")?,
        only_task,
        tags: tags.clone(),
    };
    let answer = json!({
        "id": new.id,
        "name": new.name,
        "access_token": token,
        "endpoint": format!("{}{PREFIX}", asked.parts().root_url),
        "request_headers": {},
        "ping_interval": PING_INTERVAL,
        "job_status_interval": JOB_STATUS_INTERVAL,
        "heartbeat_interval": HEARTBEAT_INTERVAL,
        "meta_data": tags,
    });
    let now = asked.now;
    asked
        .store()
        .write(Key::of(("agent", &new.id)), move |tx| {
            engine::register_agent(tx, now, &new)
        })
        .await?;
    Ok(Reply::ok(&answer))
}

impl Asked<'_> {
    /// The agent that calls, whether it has left or not.
    fn any_agent(&self) -> Result<&Agent, Problem> {
        match &self.caller.who {
            Who::Agent(agent) => Ok(agent),
            _ => Err(Problem::Unauthorized(
                "this needs the access token of an agent".to_owned(),
            )),
        }
    }

    /// The agent that calls. Its token ends with its connection.
    pub(crate) fn agent(&self) -> Result<&Agent, Problem> {
        let agent = self.any_agent()?;
        if agent.is_connected {
            return Ok(agent);
        }
        Err(Problem::Unauthorized(
            "the agent has disconnected; it must register anew".to_owned(),
        ))
    }
}

/// An agent is ready.
pub(crate) async fn connect(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let (id, now) = (asked.any_agent()?.id.clone(), asked.now);
    asked
        .store()
        .write(Key::of(("agent", &id)), move |tx| {
            engine::connect_agent(tx, now, &id)
        })
        .await?;
    Ok(Reply::ok(&json!({})))
}

/// Notes that an agent is alive, and keeps its runs its own.
async fn renew(asked: &Asked<'_>, agent: &Agent) -> Result<(), Problem> {
    let (id, now, until) = (agent.id.clone(), asked.now, asked.now.plus(LOST_AFTER));
    asked
        .store()
        .write(Key::of(("agent", &id)), move |tx| {
            engine::heartbeat(tx, now, &id, until)
        })
        .await?;
    Ok(())
}

/// An agent is alive.
pub(crate) async fn heartbeat(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let agent = asked.agent()?;
    let payload = asked.payload()?;
    let received_at = asked.now.to_iso();
    let sent_at = payload.text("sent_at")?.unwrap_or(&received_at).to_owned();
    renew(asked, agent).await?;
    Ok(Reply::ok(
        &json!({"sent_at": sent_at, "received_at": received_at}),
    ))
}

/// An agent without a job asks what to do.
pub(crate) async fn ping(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let agent = asked.agent()?;
    // Pings come every few seconds; they are written down as rarely as heartbeats come.
    if agent.last_seen_at.plus(LOST_AFTER / 6) < asked.now {
        renew(asked, agent).await?;
    }
    Ok(Reply::ok(&match agent.wish {
        Wish::Nothing => match assignment::next(asked, agent).await? {
            Some(job) => json!({"job": {"id": job, "state": JobState::Assigned.as_str()}}),
            None => json!({}),
        },
        Wish::Pause => json!({"action": "pause", "message": "paused by request"}),
        Wish::Disconnect => json!({"action": "disconnect", "message": "stopped by request"}),
    }))
}

/// An agent leaves.
pub(crate) async fn disconnect(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let id = asked.any_agent()?.id.clone();
    asked
        .store()
        .write(Key::of(("agent", &id)), move |tx| {
            engine::disconnect_agent(tx, &id)
        })
        .await?;
    Ok(Reply::ok(&json!({})))
}

/// An agent, or its job, says what the agent is to do next.
pub(crate) async fn wish(asked: &Asked<'_>, wish: Wish) -> Result<Reply, Problem> {
    let id = match &asked.caller.who {
        Who::Job(job) if job.ended_at.is_none() => job.agent_id.clone(),
        _ => asked.agent()?.id.clone(),
    };
    asked
        .store()
        .write(Key::of(("agent", &id)), move |tx| {
            engine::wish(tx, &id, wish)
        })
        .await?;
    Ok(Reply::ok(&json!({})))
}
