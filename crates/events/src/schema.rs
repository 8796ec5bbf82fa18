//! The tables of the event log.

use taskyard_store::Migration;

/// All steps of the schema, oldest first. Times are microseconds since 1970.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "events",
    id: 1,
    name: "the event log",
    sql: "
-- Only ever appended to, and cut off at its old end. The newest row stays, so that no number is
-- given twice.
CREATE TABLE events (
  id {serial},
  created {int} NOT NULL,
  kind {text} NOT NULL,
  subject {text} NOT NULL,
  body {text} NOT NULL
) {strict};
-- One row: everything up to here is forgotten.
CREATE TABLE events_floor (
  only_row {int} PRIMARY KEY,
  floor {int} NOT NULL
) {strict};
INSERT INTO events_floor (only_row, floor) VALUES (1, 0);
-- Readers that must not miss anything: how far each has come, and which node reads for it.
CREATE TABLE event_cursors (
  reader {text} PRIMARY KEY,
  position {int} NOT NULL,
  holder {text} NOT NULL,
  held_until {int} NOT NULL
) {hot};
",
}];
