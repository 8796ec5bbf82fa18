//! Google's clients of Cloud Tasks: every method of every version over every transport, tasks that
//! reach their handler, and tokens that the handler verifies.

use anyhow::Result;
use taskyard_conformance::{Database, Script, Server};

fn run(script: Script, database: Database) -> Result<()> {
    // The scenarios' handlers listen on this machine.
    let server = Server::start_with(database, "outgoing-loopback = true", &[])?;
    script.run(&server)?;
    server.stop()
}

#[test]
fn the_python_client_of_cloud_tasks_works_on_sqlite() -> Result<()> {
    run(Script::python_cloudtasks()?, Database::sqlite())
}

#[test]
fn the_python_client_of_cloud_tasks_works_on_postgres() -> Result<()> {
    run(Script::python_cloudtasks()?, Database::postgres()?)
}

#[test]
fn the_javascript_client_of_cloud_tasks_works_on_sqlite() -> Result<()> {
    run(Script::node_cloudtasks()?, Database::sqlite())
}

#[test]
fn the_javascript_client_of_cloud_tasks_works_on_postgres() -> Result<()> {
    run(Script::node_cloudtasks()?, Database::postgres()?)
}
