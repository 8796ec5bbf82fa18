//! The tables of stacks and agents. Each index names the statement it serves.

use taskyard_store::Migration;

/// All steps of the schema, oldest first. It goes behind the engine's own.
pub const MIGRATIONS: &[Migration] = &[FIRST, ASSIGNMENTS];

const ASSIGNMENTS: Migration = Migration {
    component: "stacks",
    id: 2,
    name: "agents are handed jobs",
    sql: "
-- whether it is handed jobs when it asks for any
ALTER TABLE agents ADD COLUMN takes_any {int} NOT NULL DEFAULT 0;
-- what it says of itself, as a JSON list
ALTER TABLE agents ADD COLUMN tags {text} NOT NULL DEFAULT '[]';
-- the task that it was handed last
ALTER TABLE agents ADD COLUMN assigned {text} NOT NULL DEFAULT '';
",
};

const FIRST: Migration = Migration {
    component: "stacks",
    id: 1,
    name: "stacks, agents, reservations",
    sql: "
-- what is reserved: when it is ready again, and how much of each queue. Other leases have no entry
-- here and pay nothing for it.
CREATE INDEX leases_reserved ON leases (available_at, queue) WHERE ready = 2;

CREATE TABLE stacks (
  stack_key {text} PRIMARY KEY,
  id {text} NOT NULL,
  kind {text} NOT NULL,
  queue_key {text} NOT NULL,
  -- a JSON object
  metadata {text} NOT NULL,
  is_connected {int} NOT NULL,
  last_connected_at {int} NOT NULL
) {strict};

-- Queues with something to be said about them.
CREATE TABLE stack_queues (
  queue_key {text} PRIMARY KEY,
  is_paused {int} NOT NULL
) {strict};

-- Of secrets only the hash is kept.
CREATE TABLE stack_tokens (
  token_id {text} PRIMARY KEY,
  hash {text} NOT NULL UNIQUE,
  description {text} NOT NULL,
  -- a JSON list of queue keys; an empty one means all
  queues {text} NOT NULL,
  created_by {text} NOT NULL,
  created_at {int} NOT NULL,
  expires_at {int}
) {strict};

-- A token that lets an agent acquire one job.
CREATE TABLE job_tokens (
  hash {text} PRIMARY KEY,
  task_id {text} NOT NULL,
  expires_at {int} NOT NULL
) {strict};
-- forgetting them
CREATE INDEX job_tokens_by_expiry ON job_tokens (expires_at);

CREATE TABLE agents (
  agent_id {text} PRIMARY KEY,
  token_hash {text} NOT NULL UNIQUE,
  name {text} NOT NULL,
  queue_key {text} NOT NULL,
  -- who vouched for it, in the words of whoever judges that
  registrant {text} NOT NULL,
  -- the only task it may take, if there is one
  only_task {text} NOT NULL,
  is_connected {int} NOT NULL,
  -- what it is told at its next ping: nothing, pause or disconnect
  wish {text} NOT NULL,
  last_seen_at {int} NOT NULL
) {strict};
-- forgetting those that are gone
CREATE INDEX agents_by_age ON agents (last_seen_at);

-- A run that an agent has or had.
CREATE TABLE agent_jobs (
  task_id {text} NOT NULL,
  run_id {int} NOT NULL,
  agent_id {text} NOT NULL,
  token_hash {text} NOT NULL UNIQUE,
  accepted_at {int} NOT NULL,
  started_at {int},
  -- the run's own time limit
  timeout_at {int},
  ended_at {int},
  -- 0: the log is in chunks; 1: it is an artifact, and the chunks may go; 2: they are gone
  log_state {int} NOT NULL,
  expires_at {int} NOT NULL,
  PRIMARY KEY (task_id, run_id)
) {strict};
-- forgetting chunks
CREATE INDEX agent_jobs_with_spare_chunks ON agent_jobs (ended_at) WHERE log_state = 1;
-- what an agent is at
CREATE INDEX agent_jobs_open ON agent_jobs (agent_id) WHERE ended_at IS NULL;
-- forgetting them
CREATE INDEX agent_jobs_by_expiry ON agent_jobs (expires_at);

CREATE TABLE job_log_chunks (
  task_id {text} NOT NULL,
  run_id {int} NOT NULL,
  sequence {int} NOT NULL,
  byte_offset {int} NOT NULL,
  size {int} NOT NULL,
  -- 1 if the data is compressed with gzip
  is_gzip {int} NOT NULL,
  data {blob} NOT NULL,
  PRIMARY KEY (task_id, run_id, sequence)
) {strict};
-- reading a log in its order
CREATE INDEX job_log_chunks_in_order ON job_log_chunks (task_id, run_id, byte_offset, sequence);

-- When each heading of a log was written.
CREATE TABLE job_header_times (
  task_id {text} NOT NULL,
  run_id {int} NOT NULL,
  heading {int} NOT NULL,
  at {text} NOT NULL,
  PRIMARY KEY (task_id, run_id, heading)
) {strict};

-- What was said about a job, in the order of its arrival.
CREATE TABLE job_events (
  number {int} PRIMARY KEY,
  task_id {text} NOT NULL,
  kind {text} NOT NULL,
  actor {text} NOT NULL,
  detail {text} NOT NULL,
  at {int} NOT NULL,
  expires_at {int} NOT NULL
) {strict};
CREATE INDEX job_events_by_task ON job_events (task_id, number);
CREATE INDEX job_events_by_expiry ON job_events (expires_at);
{sequence job_event_numbers};

CREATE TABLE build_meta_data (
  task_group_id {text} NOT NULL,
  name {text} NOT NULL,
  value {text} NOT NULL,
  expires_at {int} NOT NULL,
  PRIMARY KEY (task_group_id, name)
) {strict};
CREATE INDEX build_meta_data_by_expiry ON build_meta_data (expires_at);

CREATE TABLE annotations (
  -- the task group, or the task
  place {text} NOT NULL,
  context {text} NOT NULL,
  style {text} NOT NULL,
  priority {int} NOT NULL,
  body {text} NOT NULL,
  updated_at {int} NOT NULL,
  expires_at {int} NOT NULL,
  PRIMARY KEY (place, context)
) {strict};
CREATE INDEX annotations_by_expiry ON annotations (expires_at);

CREATE TABLE agent_artifacts (
  artifact_id {text} PRIMARY KEY,
  batch_id {text} NOT NULL,
  place {int} NOT NULL,
  task_id {text} NOT NULL,
  run_id {int} NOT NULL,
  task_group_id {text} NOT NULL,
  path {text} NOT NULL,
  file_size {int} NOT NULL,
  content_type {text} NOT NULL,
  -- a JSON object: checksums and where the file came from
  details {text} NOT NULL,
  state {text} NOT NULL,
  created_at {int} NOT NULL,
  expires_at {int} NOT NULL
) {strict};
-- a batch that is announced again
CREATE UNIQUE INDEX agent_artifacts_by_batch ON agent_artifacts (task_id, run_id, batch_id, place);
-- searches within a build
CREATE INDEX agent_artifacts_by_build ON agent_artifacts (task_group_id, artifact_id);
CREATE INDEX agent_artifacts_by_expiry ON agent_artifacts (expires_at);
",
};
