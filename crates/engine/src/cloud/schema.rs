//! The tables of cloud queues and their tasks. Each index names the statement it serves.

use taskyard_store::Migration;

/// All steps of the schema, oldest first. They come after the engine's own.
pub const MIGRATIONS: &[Migration] = &[FIRST, NAMED_ATTEMPTS, PULL_QUEUES];

const FIRST: Migration = Migration {
    component: "cloud",
    id: 1,
    name: "cloud queues, tasks, attempts",
    sql: "
CREATE TABLE cloud_queues (
  number {int} PRIMARY KEY,
  name {text} NOT NULL UNIQUE,
  -- which tasks are the queue's: purging gives it a new one, and the old tasks are gone at once
  generation {int} NOT NULL UNIQUE,
  state {text} NOT NULL,
  origin {text} NOT NULL,
  settings {text} NOT NULL,
  created_at {int} NOT NULL,
  purge_time {int}
) {strict};

-- What dispatching changes all the time. Locked before the queue.
CREATE TABLE cloud_budgets (
  queue {int} PRIMARY KEY,
  tokens {int} NOT NULL,
  refilled_at {int} NOT NULL,
  -- the part of the rate that is used, in millionths, and since when it recovers
  share {int} NOT NULL,
  share_at {int} NOT NULL,
  -- answers and failures since window_at
  window_at {int} NOT NULL,
  answers {int} NOT NULL,
  failures {int} NOT NULL
) {hot};

CREATE TABLE cloud_queue_tombstones (
  name {text} PRIMARY KEY,
  expires {int} NOT NULL
) {strict};

-- Generations whose tasks are gone and wait to be swept.
CREATE TABLE cloud_graves (
  generation {int} PRIMARY KEY,
  queue {int} NOT NULL,
  -- until when the names of the tasks are taken; in the past if the queue itself is gone
  names_until {int} NOT NULL
) {strict};
-- whether a name is taken by a task that was purged
CREATE INDEX cloud_graves_by_queue ON cloud_graves (queue);

-- Rows are keyed by a number that grows, so new ones stand together on few pages.
CREATE TABLE cloud_tasks (
  number {int} PRIMARY KEY,
  generation {int} NOT NULL,
  task_id {text} NOT NULL,
  -- 1 if the id was chosen by whoever created it; other ids follow from the number
  named {int} NOT NULL,
  created_at {int} NOT NULL,
  schedule_time {int} NOT NULL,
  -- where it waits or is under way; none for a pull task
  lease_id {int},
  is_pull {int} NOT NULL,
  tag {text},
  dispatches {int} NOT NULL,
  responses {int} NOT NULL,
  -- responses other than 5xx
  executions {int} NOT NULL,
  first_dispatch_at {int},
  last_schedule_time {int},
  last_dispatch_at {int},
  last_response_at {int},
  -- what the last attempt that ended came to; see Outcome
  last_outcome {int}
) {hot};
-- the task of a chosen name
CREATE UNIQUE INDEX cloud_tasks_by_name ON cloud_tasks (generation, task_id) WHERE named = 1;
-- listing; the oldest, for expiry; sweeping a grave
CREATE INDEX cloud_tasks_in_order ON cloud_tasks (generation, number);
-- leasing from a pull queue
CREATE INDEX cloud_tasks_leasable ON cloud_tasks (generation, schedule_time, number)
  WHERE is_pull = 1;
CREATE INDEX cloud_tasks_leasable_by_tag ON cloud_tasks (generation, tag, schedule_time, number)
  WHERE is_pull = 1;

-- The immutable part of a task.
CREATE TABLE cloud_requests (
  number {int} PRIMARY KEY,
  head {text} NOT NULL,
  body {blob} NOT NULL
) {strict};

CREATE TABLE cloud_tombstones (
  queue {int} NOT NULL,
  task_id {text} NOT NULL,
  expires {int} NOT NULL,
  PRIMARY KEY (queue, task_id)
) {strict};
-- sweeping
CREATE INDEX cloud_tombstones_by_expiry ON cloud_tombstones (expires);

-- Tasks that were given up, kept for inspection with their requests.
CREATE TABLE cloud_failures (
  number {int} PRIMARY KEY,
  queue {int} NOT NULL,
  task_id {text} NOT NULL,
  failed_at {int} NOT NULL,
  expires {int} NOT NULL,
  task {text} NOT NULL
) {strict};
-- listing
CREATE INDEX cloud_failures_in_order ON cloud_failures (queue, number);
-- sweeping
CREATE INDEX cloud_failures_by_expiry ON cloud_failures (expires);

CREATE TABLE cloud_attempts (
  number {int} PRIMARY KEY,
  queue {int} NOT NULL,
  task {int} NOT NULL,
  task_id {text} NOT NULL,
  dispatch {int} NOT NULL,
  schedule_time {int} NOT NULL,
  dispatched_at {int} NOT NULL,
  ended_at {int} NOT NULL,
  outcome {int} NOT NULL,
  -- first bytes of the answer, or what went wrong
  excerpt {text} NOT NULL
) {strict};
-- the attempts of one task
CREATE INDEX cloud_attempts_of_task ON cloud_attempts (task, number);
-- how many ended of late
CREATE INDEX cloud_attempts_by_end ON cloud_attempts (queue, ended_at);
{sequence cloud_attempt_numbers};

CREATE TABLE cloud_policies (
  queue {int} PRIMARY KEY,
  -- grows with each change
  version {int} NOT NULL,
  document {text} NOT NULL
) {strict};

CREATE TABLE cloud_nodes (
  node {text} PRIMARY KEY,
  alive_until {int} NOT NULL
) {strict};

-- One row, whoever comes first.
CREATE TABLE cloud_signing_keys (
  slot {int} PRIMARY KEY,
  key_id {text} NOT NULL,
  sealed {text} NOT NULL,
  created_at {int} NOT NULL
) {strict};
",
};

const NAMED_ATTEMPTS: Migration = Migration {
    component: "cloud",
    id: 2,
    name: "attempts at tasks by their chosen names",
    sql: "
-- as in cloud_tasks; attempts at others are found by the number in the task's id
ALTER TABLE cloud_attempts ADD COLUMN named {int} NOT NULL DEFAULT 0;
-- the attempts at tasks of one name
CREATE INDEX cloud_attempts_of_name ON cloud_attempts (queue, task_id, number) WHERE named = 1;
",
};

const PULL_QUEUES: Migration = Migration {
    component: "cloud",
    id: 3,
    name: "what kind a queue is, beside its settings",
    sql: "
-- as in the settings; it never changes
ALTER TABLE cloud_queues ADD COLUMN is_pull {int} NOT NULL DEFAULT 0;
-- within a text of the settings the quotes would be escaped
UPDATE cloud_queues SET is_pull = 1 WHERE settings LIKE '%\"kind\":\"Pull\"%';
",
};
