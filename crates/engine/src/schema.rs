//! The engine's tables. Each index names the statement it serves.

use taskyard_store::Migration;

/// All steps of the schema, oldest first.
pub const MIGRATIONS: &[Migration] = &[
    TABLES,
    TASK_NUMBERS,
    TASK_LISTINGS,
    LISTS,
    LEAVING,
    TASK_QUEUES,
    GROUP_NUMBERS,
    WORKERS_CLAIMS,
    crate::content::TABLES,
    crate::object::TABLES,
    crate::index::TABLES,
    crate::cache_purge::TABLES,
    crate::hook::TABLES,
    crate::notification::TABLES,
];

const LEAVING: Migration = Migration {
    component: "engine-log",
    id: 1,
    name: "definitions that outlive their tasks",
    sql: "
-- Definitions of tasks that are gone, kept until the last event about them is forgotten.
CREATE TABLE leaving_definitions (
  number {int} PRIMARY KEY,
  last_event {int} NOT NULL
) {strict};
-- the timer: those whose last event is forgotten
CREATE INDEX leaving_definitions_by_event ON leaving_definitions (last_event);
",
};

const TABLES: Migration = Migration {
    component: "engine",
    id: 1,
    name: "leases, tasks, artifacts",
    sql: "
CREATE TABLE leases (
  id {int} PRIMARY KEY,
  queue {text} NOT NULL,
  priority {int} NOT NULL,
  -- when it last began to wait: oldest first within a priority
  enqueued_at {int} NOT NULL,
  -- 1: anyone may claim it; 0: held until available_at
  ready {int} NOT NULL,
  -- nanoseconds
  available_at {int} NOT NULL,
  -- never handed out from then on
  expires_at {int},
  owner {text} NOT NULL,
  -- what waits: a task and its run, or nothing but the bytes
  subject {text} NOT NULL,
  attempt {int} NOT NULL,
  data {blob} NOT NULL
) {hot};
-- claims: the best of a queue
CREATE INDEX leases_ready ON leases (queue, priority DESC, enqueued_at, id) WHERE ready = 1;
-- what has fallen due in one queue; what is held there
CREATE INDEX leases_held ON leases (queue, available_at) WHERE ready = 0;
-- the timer: what falls due next anywhere
CREATE INDEX leases_due ON leases (available_at) WHERE ready = 0;
{sequence lease_ids};

-- Rows are keyed by a number that grows, so new ones stand together on few pages; the random ids
-- that callers choose are indexed once.
CREATE TABLE task_definitions (
  number {int} PRIMARY KEY,
  definition {text} NOT NULL
) {strict};

CREATE TABLE tasks (
  number {int} PRIMARY KEY,
  task_id {text} NOT NULL UNIQUE,
  task_queue_id {text} NOT NULL,
  scheduler_id {text} NOT NULL,
  project_id {text} NOT NULL,
  task_group_id {text} NOT NULL,
  priority {int} NOT NULL,
  requires {text} NOT NULL,
  retries {int} NOT NULL,
  retries_left {int} NOT NULL,
  deadline {int} NOT NULL,
  expires {int} NOT NULL,
  -- 1 while it may still be resolved: no run yet, or the last one pending or running
  is_open {int} NOT NULL,
  ever_resolved {int} NOT NULL,
  runs {text} NOT NULL,
  -- the lease of the last run, while that is pending or running
  lease_id {int}
) {hot};
-- listing a group
CREATE INDEX tasks_by_group ON tasks (task_group_id, task_id);
-- the timer: deadlines of tasks that are not resolved
CREATE INDEX tasks_open_by_deadline ON tasks (deadline) WHERE is_open = 1;
-- the timer: expired tasks
CREATE INDEX tasks_by_expiry ON tasks (expires);

CREATE TABLE task_groups (
  task_group_id {text} PRIMARY KEY,
  scheduler_id {text} NOT NULL,
  expires {int} NOT NULL,
  sealed {int}
) {strict};
CREATE INDEX task_groups_by_expiry ON task_groups (expires);

CREATE TABLE task_dependencies (
  required {text} NOT NULL,
  dependent {text} NOT NULL,
  requires {text} NOT NULL,
  satisfied {int} NOT NULL,
  expires {int} NOT NULL,
  PRIMARY KEY (required, dependent)
) {strict};
-- whether a dependent still waits; dropping the records of an expired task
CREATE INDEX task_dependencies_by_dependent ON task_dependencies (dependent, satisfied);

CREATE TABLE resolutions (
  task_id {text} NOT NULL,
  -- a task may be resolved again, in another way, before all have followed the first
  resolution {text} NOT NULL,
  -- dependents up to this one are done
  after_dependent {text} NOT NULL,
  PRIMARY KEY (task_id, resolution)
) {strict};

CREATE TABLE artifacts (
  task_id {text} NOT NULL,
  run_id {int} NOT NULL,
  name {text} NOT NULL,
  storage_type {text} NOT NULL,
  content_type {text} NOT NULL,
  details {text} NOT NULL,
  present {int} NOT NULL,
  expires {int} NOT NULL,
  content_length {int},
  PRIMARY KEY (task_id, run_id, name)
) {strict};
-- the timer: expired artifacts
CREATE INDEX artifacts_by_expiry ON artifacts (expires);
",
};

const TASK_NUMBERS: Migration = Migration {
    component: "engine",
    id: 2,
    name: "leases name their tasks by number",
    sql: "
-- The task that waits: its rows stand near those of its neighbours in the queue, which the index of
-- its random id does not. 0 if none does.
ALTER TABLE leases ADD COLUMN task_number {int} NOT NULL DEFAULT 0;
UPDATE leases SET task_number = COALESCE(
  (SELECT number FROM tasks WHERE tasks.task_id = leases.subject), 0) WHERE subject <> '';
",
};

const TASK_LISTINGS: Migration = Migration {
    component: "engine",
    id: 3,
    name: "tasks are listed in the order of their numbers",
    sql: "
-- What a listing of jobs says of the task; empty for tasks that are older than this column.
ALTER TABLE tasks ADD COLUMN outline {text} NOT NULL DEFAULT '';
-- Members of a group were mostly created one after the other, so their rows stand together in this
-- order, which the order of random ids would scatter.
DROP INDEX tasks_by_group;
CREATE INDEX tasks_by_group ON tasks (task_group_id, number);
",
};

const LISTS: Migration = Migration {
    component: "engine",
    id: 4,
    name: "runs and events are stored as lists",
    sql: "
-- Nothing is rewritten: objects are still read. Earlier releases, which could not read what is
-- stored from here on, do not open this database any more.
",
};

const TASK_QUEUES: Migration = Migration {
    component: "task-queues",
    id: 1,
    name: "groups that resolve, task queues and their workers",
    sql: "
-- open tasks of a group: whether any was never resolved; whom a cancel or a new priority concerns
CREATE INDEX tasks_open_by_group ON tasks (task_group_id, ever_resolved, task_id)
  WHERE is_open = 1;

-- A task of the group was resolved at the same time as another one: somebody has to look again
-- whether all are.
CREATE TABLE group_looks (
  number {int} PRIMARY KEY,
  task_group_id {text} NOT NULL
) {strict};
CREATE INDEX group_looks_by_group ON group_looks (task_group_id);

-- what somebody declared; what is not here follows from the provisioner's queues
CREATE TABLE provisioners (
  provisioner_id {text} PRIMARY KEY,
  description {text} NOT NULL,
  stability {text} NOT NULL,
  expires {int} NOT NULL,
  last_active {int} NOT NULL
) {strict};
CREATE INDEX provisioners_by_expiry ON provisioners (expires);

CREATE TABLE task_queues (
  task_queue_id {text} PRIMARY KEY,
  provisioner_id {text} NOT NULL,
  description {text} NOT NULL,
  stability {text} NOT NULL,
  expires {int} NOT NULL,
  last_active {int} NOT NULL
) {strict};
-- provisioners, and the queues of one
CREATE INDEX task_queues_by_provisioner ON task_queues (provisioner_id, task_queue_id);
CREATE INDEX task_queues_by_expiry ON task_queues (expires);

CREATE TABLE workers (
  task_queue_id {text} NOT NULL,
  worker_group {text} NOT NULL,
  worker_id {text} NOT NULL,
  first_claim {int} NOT NULL,
  last_active {int} NOT NULL,
  expires {int} NOT NULL,
  quarantine_until {int} NOT NULL,
  -- its last claims, the oldest first
  recent {text} NOT NULL,
  PRIMARY KEY (task_queue_id, worker_group, worker_id)
) {hot};
CREATE INDEX workers_by_expiry ON workers (expires);

CREATE TABLE quarantines (
  task_queue_id {text} NOT NULL,
  worker_group {text} NOT NULL,
  worker_id {text} NOT NULL,
  -- counts up for each worker
  number {int} NOT NULL,
  client_id {text} NOT NULL,
  updated_at {int} NOT NULL,
  quarantine_until {int} NOT NULL,
  reason {text} NOT NULL,
  PRIMARY KEY (task_queue_id, worker_group, worker_id, number)
) {strict};
",
};

const GROUP_NUMBERS: Migration = Migration {
    component: "task-queues",
    id: 2,
    name: "groups have numbers",
    sql: "
-- The number of the task that founded it; below 0 if all its tasks were gone when groups got numbers.
-- What is indexed by it stands beside what was created at the same time, which random ids scatter.
ALTER TABLE task_groups ADD COLUMN number {int} NOT NULL DEFAULT 0;
UPDATE task_groups SET number = COALESCE(
  (SELECT min(number) FROM tasks WHERE tasks.task_group_id = task_groups.task_group_id), 0);
UPDATE task_groups SET number = -counted.place
  FROM (SELECT task_group_id, row_number() OVER (ORDER BY task_group_id) AS place
    FROM task_groups WHERE number = 0) AS counted
  WHERE counted.task_group_id = task_groups.task_group_id;
ALTER TABLE tasks ADD COLUMN group_number {int} NOT NULL DEFAULT 0;
UPDATE tasks SET group_number = COALESCE((SELECT task_groups.number FROM task_groups
  WHERE task_groups.task_group_id = tasks.task_group_id), tasks.number);
DROP INDEX tasks_by_group;
-- listing a group
CREATE INDEX tasks_by_group ON tasks (group_number, number);
DROP INDEX tasks_open_by_group;
-- open tasks of a group: whether any was never resolved; whom a cancel or a new priority concerns
CREATE INDEX tasks_open_by_group ON tasks (group_number, ever_resolved, number) WHERE is_open = 1;
",
};

const WORKERS_CLAIMS: Migration = Migration {
    component: "task-queues",
    id: 3,
    name: "the claims of a worker are a line",
    sql: "
-- Written by every claim: `taskId/runId`, the oldest first, with a space between two.
UPDATE workers SET recent = replace(replace(replace(replace(replace(recent,
  '},{\"t\":\"', ' '), '\",\"r\":', '/'), '[{\"t\":\"', ''), '}]', ''), '[]', '');
",
};
