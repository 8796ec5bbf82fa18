//! The directory's tables.

use taskyard_store::Migration;

/// The tables of clients, roles and their history. Times are milliseconds since 1970.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "access",
    id: 1,
    name: "clients, roles and their history",
    sql: "
CREATE TABLE clients (
  client_id {text} PRIMARY KEY,
  description {text} NOT NULL,
  -- sealed
  access_token {text} NOT NULL,
  -- a JSON list
  scopes {text} NOT NULL,
  expires {int} NOT NULL,
  delete_on_expiration {int} NOT NULL,
  disabled {int} NOT NULL,
  created {int} NOT NULL,
  last_modified {int} NOT NULL,
  last_date_used {int} NOT NULL,
  last_rotated {int} NOT NULL
) {strict};
CREATE INDEX clients_passing ON clients (expires) WHERE delete_on_expiration = 1;
CREATE TABLE roles (
  role_id {text} PRIMARY KEY,
  description {text} NOT NULL,
  -- a JSON list
  scopes {text} NOT NULL,
  created {int} NOT NULL,
  last_modified {int} NOT NULL
) {strict};
-- One row for all clients and one for all roles, locked by whoever changes one of them. The version
-- is the id of the last change in the history.
CREATE TABLE directory_versions (
  entity_type {text} PRIMARY KEY,
  version {int} NOT NULL
) {strict};
INSERT INTO directory_versions (entity_type, version) VALUES ('client', 0);
INSERT INTO directory_versions (entity_type, version) VALUES ('role', 0);
-- Who did what. What happens to clients and roles is also read by nodes that keep up with it.
CREATE TABLE history (
  id {int} PRIMARY KEY,
  entity_type {text} NOT NULL,
  entity_id {text} NOT NULL,
  actor {text} NOT NULL,
  action {text} NOT NULL,
  created {int} NOT NULL
) {strict};
CREATE INDEX history_by_kind ON history (entity_type, id);
CREATE INDEX history_by_entity ON history (entity_type, entity_id, id);
CREATE INDEX history_by_actor ON history (actor, id);
CREATE INDEX history_by_age ON history (created);
{sequence history_ids};
",
}];
