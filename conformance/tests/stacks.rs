//! Tasks made through the Python client and run by a stack.

use anyhow::Result;
use taskyard_conformance::{Database, Script, Server};

fn run(script: Script, database: Database) -> Result<()> {
    let server = Server::start(database)?;
    script.run(&server)?;
    server.stop()
}

#[test]
fn a_stack_runs_what_python_client_6_makes_on_sqlite() -> Result<()> {
    run(
        Script::python_stacks("TASKYARD_TEST_PYTHON_6")?,
        Database::sqlite(),
    )
}

#[test]
fn a_stack_runs_what_the_newest_python_client_makes_on_sqlite() -> Result<()> {
    run(
        Script::python_stacks("TASKYARD_TEST_PYTHON_NEWEST")?,
        Database::sqlite(),
    )
}

#[test]
fn a_stack_runs_what_the_newest_python_client_makes_on_postgres() -> Result<()> {
    run(
        Script::python_stacks("TASKYARD_TEST_PYTHON_NEWEST")?,
        Database::postgres()?,
    )
}
