//! Agents: programs that run one job after another, or only one.

use taskyard_store::{Error, Row, Tx, params};

use super::agent_job;
use crate::task;
use crate::timestamp::Timestamp;

/// What an agent is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// What it does.
    Nothing,
    /// Take no more jobs, but stay.
    Pause,
    /// Leave.
    Disconnect,
}

impl Wish {
    /// The name of this wish; empty for nothing.
    pub fn as_str(self) -> &'static str {
        match self {
            Wish::Nothing => "",
            Wish::Pause => "pause",
            Wish::Disconnect => "disconnect",
        }
    }

    fn parse(text: &str) -> Self {
        [Wish::Pause, Wish::Disconnect]
            .into_iter()
            .find(|wish| wish.as_str() == text)
            .unwrap_or(Wish::Nothing)
    }
}

/// An agent that registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// A UUID.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// The queue it serves.
    pub queue_key: String,
    /// Who vouched for it, in the words of whoever judges that.
    pub registrant: String,
    /// The only task it may take, if there is one.
    pub only_task: Option<String>,
    /// Whether it is handed jobs when it asks for any.
    pub takes_any: bool,
    /// What it says of itself, as `key=value`.
    pub tags: Vec<String>,
    /// The task that it was handed last, whether it has accepted it or not.
    pub assigned: Option<String>,
    /// Whether it has not left.
    pub is_connected: bool,
    /// What it is to do.
    pub wish: Wish,
    /// When it was last heard of.
    pub last_seen_at: Timestamp,
}

/// An agent that registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAgent {
    /// A UUID for it.
    pub id: String,
    /// The hash of its access token.
    pub token_hash: String,
    /// What it is called.
    pub name: String,
    /// The queue it serves.
    pub queue_key: String,
    /// Who vouches for it.
    pub registrant: String,
    /// The only task it may take, if there is one.
    pub only_task: Option<String>,
    /// Whether it is handed jobs when it asks for any.
    pub takes_any: bool,
    /// What it says of itself, as `key=value`.
    pub tags: Vec<String>,
}

const INSERT: &str = "INSERT INTO agents (agent_id, token_hash, name, queue_key, registrant, \
     only_task, takes_any, tags, is_connected, wish, last_seen_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, '', $9)";
const BY_TOKEN: &str = "SELECT agent_id, name, queue_key, registrant, only_task, is_connected, \
     wish, last_seen_at, takes_any, tags, assigned FROM agents WHERE token_hash = $1";
const SEEN: &str = "UPDATE agents SET last_seen_at = $2 WHERE agent_id = $1 AND last_seen_at < $2";
const CONNECT: &str = "UPDATE agents SET is_connected = 1, last_seen_at = $2 WHERE agent_id = $1";
const DISCONNECT: &str = "UPDATE agents SET is_connected = 0 WHERE agent_id = $1";
const SET_WISH: &str = "UPDATE agents SET wish = $2 WHERE agent_id = $1";
const CONNECTED: &str = "SELECT a.queue_key, count(*), count(j.agent_id) FROM agents a \
     LEFT JOIN (SELECT DISTINCT agent_id FROM agent_jobs WHERE ended_at IS NULL) AS j \
     ON j.agent_id = a.agent_id WHERE a.is_connected = 1 AND a.last_seen_at > $1 \
     GROUP BY a.queue_key ORDER BY a.queue_key";

fn read(row: &Row<'_>) -> Result<Agent, Error> {
    let only_task: String = row.get(4)?;
    let wish: String = row.get(6)?;
    let tags: String = row.get(9)?;
    let tags = serde_json::from_str(&tags)
        .map_err(|error| Error::Statement(format!("the tags of an agent: {error}")))?;
    let assigned: String = row.get(10)?;
    Ok(Agent {
        id: row.get(0)?,
        name: row.get(1)?,
        queue_key: row.get(2)?,
        registrant: row.get(3)?,
        only_task: (!only_task.is_empty()).then_some(only_task),
        takes_any: row.get(8)?,
        tags,
        assigned: (!assigned.is_empty()).then_some(assigned),
        is_connected: row.get(5)?,
        wish: Wish::parse(&wish),
        last_seen_at: row.get(7)?,
    })
}

/// Takes an agent in.
pub fn register_agent(tx: &mut Tx<'_>, now: Timestamp, new: &NewAgent) -> Result<(), Error> {
    let tags = serde_json::to_string(&new.tags)
        .map_err(|error| Error::Statement(format!("the tags of an agent: {error}")))?;
    tx.execute(
        INSERT,
        params![
            &new.id,
            &new.token_hash,
            &new.name,
            &new.queue_key,
            &new.registrant,
            new.only_task.as_deref().unwrap_or_default(),
            new.takes_any,
            &tags,
            now,
        ],
    )?;
    Ok(())
}

/// The agent whose access token has this hash.
pub fn agent_by_token(tx: &mut Tx<'_>, hash: &str) -> Result<Option<Agent>, Error> {
    tx.query_opt(BY_TOKEN, params![hash], read)
}

/// An agent comes back, or comes at all.
pub fn connect_agent(tx: &mut Tx<'_>, now: Timestamp, agent_id: &str) -> Result<(), Error> {
    tx.execute(CONNECT, params![agent_id, now])?;
    Ok(())
}

/// An agent leaves. Runs it is still at stay claimed until their time.
pub fn disconnect_agent(tx: &mut Tx<'_>, agent_id: &str) -> Result<(), Error> {
    tx.execute(DISCONNECT, params![agent_id])?;
    Ok(())
}

/// Says what an agent is to do from its next ping on.
pub fn wish(tx: &mut Tx<'_>, agent_id: &str, wish: Wish) -> Result<(), Error> {
    tx.execute(SET_WISH, params![agent_id, wish.as_str()])?;
    Ok(())
}

/// An agent is alive: the runs it is at stay its own until `until`.
pub fn heartbeat(
    tx: &mut Tx<'_>,
    now: Timestamp,
    agent_id: &str,
    until: Timestamp,
) -> Result<(), Error> {
    for (task_id, run_id) in agent_job::open_jobs(tx, agent_id)? {
        // A run that is no longer the agent's is not renewed; it hears of that by asking.
        let _renewed = task::reclaim(tx, now, &task_id, run_id, until)?;
    }
    tx.execute(SEEN, params![agent_id, now])?;
    Ok(())
}

/// The connected agents that were heard of after `since`, by queue: how many, and how many of them
/// are at a job.
pub fn connected_agents(
    tx: &mut Tx<'_>,
    since: Timestamp,
) -> Result<Vec<(String, i64, i64)>, Error> {
    tx.query(CONNECTED, params![since], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })
}
