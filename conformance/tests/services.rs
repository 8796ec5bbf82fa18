//! The hooks, the index, the notify, the secrets and the purge-cache service, with every client that
//! knows them.

use anyhow::Result;
use taskyard_conformance::{Database, Script, Server};

/// The Python clients, by the variables that name their interpreters.
const PYTHONS: [&str; 3] = [
    "TASKYARD_TEST_PYTHON_6",
    "TASKYARD_TEST_PYTHON_19",
    "TASKYARD_TEST_PYTHON_NEWEST",
];

fn run_all(database: fn() -> Result<Database>) -> Result<()> {
    let mut scripts = vec![Script::node_services()?];
    for python in PYTHONS {
        scripts.push(Script::python_services(python)?);
    }
    for script in scripts {
        let server = Server::start(database()?)?;
        script.run(&server)?;
        server.stop()?;
    }
    Ok(())
}

#[test]
fn python_and_javascript_clients_call_every_method_on_sqlite() -> Result<()> {
    run_all(|| Ok(Database::sqlite()))
}

#[test]
fn python_and_javascript_clients_call_every_method_on_postgres() -> Result<()> {
    run_all(Database::postgres)
}
