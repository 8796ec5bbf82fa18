//! The Python and JavaScript clients: a task graph from its creation to its end, and refusals.

use anyhow::Result;
use taskyard_conformance::{Database, Script, Server};

fn run(script: Script, database: Database) -> Result<()> {
    let server = Server::start(database)?;
    script.run(&server)?;
    server.stop()
}

#[test]
fn python_client_6_works_on_sqlite() -> Result<()> {
    run(
        Script::python("TASKYARD_TEST_PYTHON_6")?,
        Database::sqlite(),
    )
}

#[test]
fn python_client_6_works_on_postgres() -> Result<()> {
    run(
        Script::python("TASKYARD_TEST_PYTHON_6")?,
        Database::postgres()?,
    )
}

#[test]
fn python_client_19_works_on_sqlite() -> Result<()> {
    run(
        Script::python("TASKYARD_TEST_PYTHON_19")?,
        Database::sqlite(),
    )
}

#[test]
fn python_client_19_works_on_postgres() -> Result<()> {
    run(
        Script::python("TASKYARD_TEST_PYTHON_19")?,
        Database::postgres()?,
    )
}

#[test]
fn the_newest_python_client_works_on_sqlite() -> Result<()> {
    run(
        Script::python("TASKYARD_TEST_PYTHON_NEWEST")?,
        Database::sqlite(),
    )
}

#[test]
fn the_newest_python_client_works_on_postgres() -> Result<()> {
    run(
        Script::python("TASKYARD_TEST_PYTHON_NEWEST")?,
        Database::postgres()?,
    )
}

#[test]
fn the_newest_javascript_client_works_on_sqlite() -> Result<()> {
    run(Script::node()?, Database::sqlite())
}

#[test]
fn the_newest_javascript_client_works_on_postgres() -> Result<()> {
    run(Script::node()?, Database::postgres()?)
}
