//! What `taskyard worker` refuses before it claims anything.

use std::path::Path;
use std::process::Command;

/// Runs the worker to its end; its exit code and what it said.
fn worker(arguments: &[&str], credentials: Option<&Path>) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskyard"));
    command.args(["worker", "--root-url", "http://127.0.0.1:1", "--work-dir"]);
    command.arg(folder.path()).args(arguments);
    if let Some(file) = credentials {
        command.arg("--credentials").arg(file);
    }
    for name in [
        "TASKCLUSTER_CLIENT_ID",
        "TASKCLUSTER_ACCESS_TOKEN",
        "TASKYARD_LOG_LEVEL",
    ] {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn a_queue_that_names_no_worker_type_is_refused() {
    let (code, message) = worker(&["--queue", "local"], None);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("provisioner/worker-type"), "{message}");
}

#[test]
fn a_file_without_credentials_is_refused_and_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials.json");
    std::fs::write(&file, "\n\"hunter2\"").unwrap();
    let (code, message) = worker(&["--queue", "local/shell"], Some(&file));
    assert_eq!(code, Some(2), "{message}");
    assert!(
        message.contains(&format!("{}:2: not credentials", file.display())),
        "{message}"
    );
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn a_credentials_file_that_is_not_there_is_named() {
    let (code, message) = worker(
        &["--queue", "local/shell"],
        Some(Path::new("/no/such/file")),
    );
    assert_eq!(code, Some(2), "{message}");
    assert!(
        message.contains("cannot read the credentials in /no/such/file"),
        "{message}"
    );
}
