//! The `taskyard access` command against a server: what an operator types, and what comes back.

use std::process::Output;

use tempfile::TempDir;

use crate::server::{ROOT, Server, TOKEN, soon, taskyard};

/// A server that asks for credentials, and a folder for it and for files.
struct House {
    server: Server,
    folder: TempDir,
}

impl House {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("data"), &[]).await;
        House { server, folder }
    }

    /// Runs `taskyard access` with these arguments and credentials.
    async fn access(&self, who: (&str, &str), arguments: &[&str]) -> Output {
        let mut command = taskyard();
        command
            .args(["access", "--root-url", &self.server.url])
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

fn token(printed: &str) -> String {
    let printed: serde_json::Value = serde_json::from_str(printed).unwrap();
    printed["accessToken"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_client_is_created_rotated_disabled_and_deleted() {
    let house = House::start().await;
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
    let first = token(&house.done(&create).await);
    let second = token(&house.done(&["--json", "clients", "rotate", "ci/x"]).await);
    assert_ne!(first, second);
    let old = house.access(("ci/x", &first), &["scopes"]).await;
    assert_eq!(old.status.code(), Some(2));
    assert!(String::from_utf8(old.stderr).unwrap().contains("Bad mac"));
    let new = house.access(("ci/x", &second), &["scopes"]).await;
    assert!(
        String::from_utf8(new.stdout)
            .unwrap()
            .contains("auth:list-roles")
    );
    let line = house.done(&["clients", "disable", "ci/x"]).await;
    assert!(line.starts_with("ci/x\tdisabled\t"), "{line}");
    let refused = house.access(("ci/x", &second), &["scopes"]).await;
    assert!(
        String::from_utf8(refused.stderr)
            .unwrap()
            .contains("disabled")
    );
    house.done(&["clients", "enable", "ci/x"]).await;
    assert!(
        house
            .done(&["clients", "list", "ci/"])
            .await
            .contains("ci/x\tenabled")
    );
    house.done(&["clients", "delete", "ci/x"]).await;
    assert_eq!(house.done(&["clients", "list", "ci/"]).await, "");
}

#[tokio::test]
async fn a_role_is_created_updated_and_deleted() {
    let house = House::start().await;
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
    assert_eq!(house.done(&create).await, "r\ta b\n");
    let described = ["--json", "roles", "update", "r", "--description", "second"];
    let line: serde_json::Value = serde_json::from_str(&house.done(&described).await).unwrap();
    assert_eq!(line["description"], "second");
    assert_eq!(line["scopes"], serde_json::json!(["a", "b"]));
    let line = house.done(&["roles", "update", "r", "--scope", "c"]).await;
    assert_eq!(line, "r\tc\n");
    let missing = ["roles", "update", "other", "--scope", "c"];
    let missing = house.access((ROOT, TOKEN), &missing).await;
    assert_eq!(missing.status.code(), Some(2));
    house.done(&["roles", "delete", "r"]).await;
    assert!(!house.done(&["roles", "list"]).await.contains("r\tc"));
}

#[tokio::test]
async fn a_file_is_applied_once_and_shown_before() {
    let house = House::start().await;
    let file = house.folder.path().join("access.toml");
    let write = |scope: &str| {
        let text = format!(
            "[roles.\"r\"]\ndescription = \"d\"\nscopes = [\"{scope}\"]\n\
             [clients.\"c\"]\nscopes = [\"assume:r\"]\n"
        );
        std::fs::write(&file, text).unwrap();
    };
    let name = file.to_str().unwrap().to_owned();
    write("one");
    let dry = house
        .access((ROOT, TOKEN), &["apply", &name, "--dry-run"])
        .await;
    assert_eq!(dry.status.code(), Some(1), "something would change");
    let shown = "+ role r\n    + one\n+ client c\n    + assume:r\n";
    assert_eq!(String::from_utf8(dry.stdout).unwrap(), shown);
    assert_eq!(house.done(&["clients", "list", "c"]).await, "");
    let applied = house.done(&["apply", &name]).await;
    assert!(applied.starts_with(shown) && applied.contains("TASKCLUSTER_ACCESS_TOKEN="));
    assert_eq!(house.done(&["apply", &name, "--dry-run"]).await, "");
    assert_eq!(house.done(&["apply", &name]).await, "");
    write("two");
    assert_eq!(
        house.done(&["apply", &name]).await,
        "~ role r\n    - one\n    + two\n"
    );
    assert!(house.done(&["roles", "list"]).await.contains("r\ttwo"));
    std::fs::write(&file, "[clients.\"c\"]\nscope = []\n").unwrap();
    let refused = house.access((ROOT, TOKEN), &["apply", &name]).await;
    assert_eq!(refused.status.code(), Some(2));
}
