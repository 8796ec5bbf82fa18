//! What the store promises, checked on SQLite and on PostgreSQL.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod alarm;
mod checkpoints;
mod conversation;
mod failures;
mod full_disk;
mod group_commit;
mod histories;
mod kill;
mod ledger;
mod lost_connections;
mod migrations;
mod nodes;
mod process;
mod proxy;
mod reads;
mod sequences;
mod terminations;
mod values;
mod wakes;
