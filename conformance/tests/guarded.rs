//! Credentials for services outside, used with the libraries of those services.

use anyhow::Result;
use taskyard_conformance::{Database, Script, Server, StandIns};

fn run(database: Database) -> Result<()> {
    let stand_ins = StandIns::start()?;
    let server = Server::start_with(database, &stand_ins.settings(&["conformance-bucket"]), &[])?;
    Script::python_guarded(&stand_ins)?.run(&server)?;
    server.stop()
}

#[test]
fn credentials_for_buckets_tables_and_containers_open_them_on_sqlite() -> Result<()> {
    run(Database::sqlite())
}

#[test]
fn credentials_for_buckets_tables_and_containers_open_them_on_postgres() -> Result<()> {
    run(Database::postgres()?)
}
