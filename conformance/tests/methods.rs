//! Every method of the queue that the Python and JavaScript clients know.

use anyhow::Result;
use taskyard_conformance::{Database, Script, Server};

fn run(script: Script, database: Database) -> Result<()> {
    let server = Server::start(database)?;
    script.run(&server)?;
    server.stop()
}

#[test]
fn python_client_6_calls_every_method_on_sqlite() -> Result<()> {
    run(
        Script::python_methods("TASKYARD_TEST_PYTHON_6")?,
        Database::sqlite(),
    )
}

#[test]
fn python_client_6_calls_every_method_on_postgres() -> Result<()> {
    run(
        Script::python_methods("TASKYARD_TEST_PYTHON_6")?,
        Database::postgres()?,
    )
}

#[test]
fn python_client_19_calls_every_method_on_sqlite() -> Result<()> {
    run(
        Script::python_methods("TASKYARD_TEST_PYTHON_19")?,
        Database::sqlite(),
    )
}

#[test]
fn python_client_19_calls_every_method_on_postgres() -> Result<()> {
    run(
        Script::python_methods("TASKYARD_TEST_PYTHON_19")?,
        Database::postgres()?,
    )
}

#[test]
fn the_newest_python_client_calls_every_method_on_sqlite() -> Result<()> {
    run(
        Script::python_methods("TASKYARD_TEST_PYTHON_NEWEST")?,
        Database::sqlite(),
    )
}

#[test]
fn the_newest_python_client_calls_every_method_on_postgres() -> Result<()> {
    run(
        Script::python_methods("TASKYARD_TEST_PYTHON_NEWEST")?,
        Database::postgres()?,
    )
}

#[test]
fn the_newest_javascript_client_calls_every_method_on_sqlite() -> Result<()> {
    run(Script::node_methods()?, Database::sqlite())
}

#[test]
fn the_newest_javascript_client_calls_every_method_on_postgres() -> Result<()> {
    run(Script::node_methods()?, Database::postgres()?)
}
