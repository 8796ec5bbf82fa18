//! The `taskyard access` command against a server: what an operator types, and what comes back.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what the tests stand on fails a test by panicking"
)]

use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Nothing in these tests takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);
const ROOT: &str = "static/taskcluster/root";
const TOKEN: &str = "rootrootrootrootrootrootrootrootrootrootroot";

struct Server {
    _process: Child,
    url: String,
    folder: TempDir,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = taskyard()
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"))
            .env("TASKYARD_ROOT_ACCESS_TOKEN", TOKEN)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = soon(lines.next_line())
            .await
            .unwrap()
            .expect("the server ended at once");
        let url = first
            .strip_prefix("listening on ")
            .expect(&first)
            .to_owned();
        Server {
            _process: process,
            url,
            folder,
        }
    }

    /// Runs `taskyard access` with these arguments and credentials.
    async fn access(&self, who: (&str, &str), arguments: &[&str]) -> Output {
        let mut command = taskyard();
        command
            .args(["access", "--root-url", &self.url])
            .args(arguments)
            .env("TASKCLUSTER_CLIENT_ID", who.0)
            .env("TASKCLUSTER_ACCESS_TOKEN", who.1);
        soon(command.output()).await.unwrap()
    }

    /// The same as the root client, which must succeed; what is printed.
    async fn done(&self, arguments: &[&str]) -> String {
        let output = self.access((ROOT, TOKEN), arguments).await;
        let text = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {text}{error}");
        text
    }
}

fn taskyard() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskyard"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("TASKYARD_") || name.starts_with("TASKCLUSTER_") {
            command.env_remove(&*name);
        }
    }
    command.kill_on_drop(true);
    command
}

async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event)
        .await
        .expect("this should have happened by now")
}

fn token(printed: &str) -> String {
    let printed: serde_json::Value = serde_json::from_str(printed).unwrap();
    printed["accessToken"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_client_is_created_rotated_disabled_and_deleted() {
    let server = Server::start().await;
    let create = [
        "--json",
        "clients",
        "create",
        "ci/x",
        "--scope",
        "auth:list-roles",
        "--scope",
        "a b",
    ];
    let first = token(&server.done(&create).await);
    let second = token(&server.done(&["--json", "clients", "rotate", "ci/x"]).await);
    assert_ne!(first, second);
    let old = server.access(("ci/x", &first), &["scopes"]).await;
    assert_eq!(old.status.code(), Some(2));
    assert!(String::from_utf8(old.stderr).unwrap().contains("Bad mac"));
    let new = server.access(("ci/x", &second), &["scopes"]).await;
    assert!(
        String::from_utf8(new.stdout)
            .unwrap()
            .contains("auth:list-roles")
    );
    let line = server.done(&["clients", "disable", "ci/x"]).await;
    assert!(line.starts_with("ci/x\tdisabled\t"), "{line}");
    let refused = server.access(("ci/x", &second), &["scopes"]).await;
    assert!(
        String::from_utf8(refused.stderr)
            .unwrap()
            .contains("disabled")
    );
    server.done(&["clients", "enable", "ci/x"]).await;
    assert!(
        server
            .done(&["clients", "list", "ci/"])
            .await
            .contains("ci/x\tenabled")
    );
    server.done(&["clients", "delete", "ci/x"]).await;
    assert_eq!(server.done(&["clients", "list", "ci/"]).await, "");
}

#[tokio::test]
async fn a_role_is_created_updated_and_deleted() {
    let server = Server::start().await;
    let create = [
        "roles",
        "create",
        "r",
        "--description",
        "first",
        "--scope",
        "a",
        "--scope",
        "b",
    ];
    assert_eq!(server.done(&create).await, "r\ta b\n");
    let described = ["--json", "roles", "update", "r", "--description", "second"];
    let line: serde_json::Value = serde_json::from_str(&server.done(&described).await).unwrap();
    assert_eq!(line["description"], "second");
    assert_eq!(line["scopes"], serde_json::json!(["a", "b"]));
    let line = server.done(&["roles", "update", "r", "--scope", "c"]).await;
    assert_eq!(line, "r\tc\n");
    let missing = ["roles", "update", "other", "--scope", "c"];
    let missing = server.access((ROOT, TOKEN), &missing).await;
    assert_eq!(missing.status.code(), Some(2));
    server.done(&["roles", "delete", "r"]).await;
    assert!(!server.done(&["roles", "list"]).await.contains("r\tc"));
}

#[tokio::test]
async fn a_file_is_applied_once_and_shown_before() {
    let server = Server::start().await;
    let file = server.folder.path().join("access.toml");
    let write = |scope: &str| {
        let text = format!(
            "[roles.\"r\"]\ndescription = \"d\"\nscopes = [\"{scope}\"]\n\
             [clients.\"c\"]\nscopes = [\"assume:r\"]\n"
        );
        std::fs::write(&file, text).unwrap();
    };
    let name = file.to_str().unwrap().to_owned();
    write("one");
    let dry = server
        .access((ROOT, TOKEN), &["apply", &name, "--dry-run"])
        .await;
    assert_eq!(dry.status.code(), Some(1), "something would change");
    let shown = "+ role r\n    + one\n+ client c\n    + assume:r\n";
    assert_eq!(String::from_utf8(dry.stdout).unwrap(), shown);
    assert_eq!(server.done(&["clients", "list", "c"]).await, "");
    let applied = server.done(&["apply", &name]).await;
    assert!(applied.starts_with(shown) && applied.contains("TASKCLUSTER_ACCESS_TOKEN="));
    assert_eq!(server.done(&["apply", &name, "--dry-run"]).await, "");
    assert_eq!(server.done(&["apply", &name]).await, "");
    write("two");
    assert_eq!(
        server.done(&["apply", &name]).await,
        "~ role r\n    - one\n    + two\n"
    );
    assert!(server.done(&["roles", "list"]).await.contains("r\ttwo"));
    std::fs::write(&file, "[clients.\"c\"]\nscope = []\n").unwrap();
    let refused = server.access((ROOT, TOKEN), &["apply", &name]).await;
    assert_eq!(refused.status.code(), Some(2));
}
