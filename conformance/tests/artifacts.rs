//! Artifacts and objects, uploaded and downloaded by the official clients' own means.

use anyhow::Result;
use taskyard_conformance::{Database, Script, Server};

fn run(script: Script, database: Database) -> Result<()> {
    let server = Server::start(database)?;
    script.run(&server)?;
    server.stop()
}

#[test]
fn python_client_6_leaves_artifacts() -> Result<()> {
    let script = Script::python_artifacts("TASKYARD_TEST_PYTHON_6")?;
    run(script, Database::sqlite())
}

#[test]
fn python_client_19_leaves_artifacts() -> Result<()> {
    let script = Script::python_artifacts("TASKYARD_TEST_PYTHON_19")?;
    run(script, Database::postgres()?)
}

#[test]
fn the_newest_python_client_leaves_artifacts_and_objects_on_sqlite() -> Result<()> {
    let script = Script::python_artifacts("TASKYARD_TEST_PYTHON_NEWEST")?;
    run(script, Database::sqlite())
}

#[test]
fn the_newest_python_client_leaves_artifacts_and_objects_on_postgres() -> Result<()> {
    let script = Script::python_artifacts("TASKYARD_TEST_PYTHON_NEWEST")?;
    run(script, Database::postgres()?)
}

#[test]
fn the_newest_javascript_client_leaves_artifacts_and_objects() -> Result<()> {
    run(Script::node_artifacts()?, Database::sqlite())
}
