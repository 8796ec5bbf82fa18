//! Events: a real broker that comes and goes, read by the library that consumers are built on.

use anyhow::Result;
use taskyard_conformance::{Database, Script, Server, surrounding};

fn run(database: Database) -> Result<()> {
    let broker = surrounding("TASKYARD_TEST_AMQP_URL")?;
    let server = Server::start_with(database, "", &[("TASKYARD_AMQP_URL", &broker)])?;
    Script::python_events()?.run(&server)?;
    server.stop()
}

#[test]
fn consumers_miss_nothing_while_the_broker_comes_and_goes_on_sqlite() -> Result<()> {
    run(Database::sqlite())
}

#[test]
fn consumers_miss_nothing_while_the_broker_comes_and_goes_on_postgres() -> Result<()> {
    run(Database::postgres()?)
}
