//! Stacks and agents: whoever reserves tasks as jobs, starts machines for them, and runs them.
//!
//! A job is a task, of which only the last run counts. What a stack reserves is a pending run's
//! [reservation](crate::reservation); what an agent acquires is the claim of that run, which its
//! heartbeats renew.

mod agent;
mod agent_artifact;
mod agent_job;
mod annotation;
mod assignment;
mod event;
mod job;
mod log;
mod meta_data;
mod outline;
mod queue;
mod schema;
mod stack;
mod token;
mod upkeep;

pub use agent::{Agent, NewAgent, Wish};
pub use agent::{
    agent_by_token, connect_agent, connected_agents, disconnect_agent, heartbeat, register_agent,
    wish,
};
pub use agent_artifact::{AgentArtifact, Announcer, NewArtifact};
pub use agent_artifact::{announce, artifact_of, artifact_of_batch, search, set_state};
pub use agent_job::{AgentJob, Ending};
pub use agent_job::{
    acquire, end, job_by_token, job_of_agent, lock_job, log_is_kept, open_jobs, set_timeout, start,
};
pub use annotation::{Annotation, annotate, annotations, remove_annotation};
pub use assignment::{Work, accept, assign, ignore_in_dispatches, is_assignment, work};
pub use event::{Event, NewEvent, Note, NoteRules, NotesRefused, events, record, take_notes};
pub use job::{
    Definition, Finish, Listed, Position, Refusal, Standing, definitions, finish, pending,
    standings, waiting,
};
pub use log::{Chunk, LogSize, chunks, header_times, keep_chunk, keep_header_times, log_size};
pub use meta_data::{get_meta_data, meta_data_keys, set_meta_data};
pub use outline::Outline;
pub use queue::{is_paused, pause, paused};
pub use schema::MIGRATIONS;
pub use stack::{Kind, NewStack, Stack, count_connected, deregister, register, stack, touch};
pub use token::{JobToken, Token, issue, job_token, put_job_tokens, revoke, token_by_hash, tokens};
pub use upkeep::forget;

use crate::task::Worker;

/// The worker group of all stacks and agents.
pub const WORKER_GROUP: &str = "stacks";

/// Stack or agent `id` as the worker of a run.
pub fn worker(id: &str) -> Worker {
    Worker {
        group: WORKER_GROUP.to_owned(),
        id: id.to_owned(),
    }
}
