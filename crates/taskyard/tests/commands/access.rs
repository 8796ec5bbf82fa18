//! The `taskyard access` command against a server: what an operator types, and what comes back.

use crate::ended::Ended;
use crate::house::House;

/// Runs `taskyard access` as the root client.
async fn access(house: &House, arguments: &[&str]) -> Ended {
    Ended::of(house.command("access", arguments)).await
}

/// The same, which must succeed; what is printed.
async fn done(house: &House, arguments: &[&str]) -> String {
    access(house, arguments).await.printed()
}

/// The scopes of the client `ci/x`, as it asks for them with this access token.
async fn scopes(house: &House, token: &str) -> Ended {
    let mut command = house.command("access", &["scopes"]);
    command
        .env("TASKCLUSTER_CLIENT_ID", "ci/x")
        .env("TASKCLUSTER_ACCESS_TOKEN", token);
    Ended::of(command).await
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
    let first = token(&done(&house, &create).await);
    let second = token(&done(&house, &["--json", "clients", "rotate", "ci/x"]).await);
    assert_ne!(first, second);
    let old = scopes(&house, &first).await;
    assert_eq!(old.code, Some(2));
    assert!(old.messages.contains("Bad mac"));
    let new = scopes(&house, &second).await;
    assert!(new.output.contains("auth:list-roles"));
    let line = done(&house, &["clients", "disable", "ci/x"]).await;
    assert!(line.starts_with("ci/x\tdisabled\t"), "{line}");
    let refused = scopes(&house, &second).await;
    assert!(refused.messages.contains("disabled"));
    done(&house, &["clients", "enable", "ci/x"]).await;
    assert!(
        done(&house, &["clients", "list", "ci/"])
            .await
            .contains("ci/x\tenabled")
    );
    done(&house, &["clients", "delete", "ci/x"]).await;
    assert_eq!(done(&house, &["clients", "list", "ci/"]).await, "");
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
    assert_eq!(done(&house, &create).await, "r\ta b\n");
    let described = ["--json", "roles", "update", "r", "--description", "second"];
    let line: serde_json::Value = serde_json::from_str(&done(&house, &described).await).unwrap();
    assert_eq!(line["description"], "second");
    assert_eq!(line["scopes"], serde_json::json!(["a", "b"]));
    let line = done(&house, &["roles", "update", "r", "--scope", "c"]).await;
    assert_eq!(line, "r\tc\n");
    let missing = ["roles", "update", "other", "--scope", "c"];
    let missing = access(&house, &missing).await;
    assert_eq!(missing.code, Some(2));
    done(&house, &["roles", "delete", "r"]).await;
    assert!(!done(&house, &["roles", "list"]).await.contains("r\tc"));
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
    let dry = access(&house, &["apply", &name, "--dry-run"]).await;
    assert_eq!(dry.code, Some(1), "something would change");
    let shown = "+ role r\n    + one\n+ client c\n    + assume:r\n";
    assert_eq!(dry.output, shown);
    assert_eq!(done(&house, &["clients", "list", "c"]).await, "");
    let applied = done(&house, &["apply", &name]).await;
    assert!(applied.starts_with(shown) && applied.contains("TASKCLUSTER_ACCESS_TOKEN="));
    assert_eq!(done(&house, &["apply", &name, "--dry-run"]).await, "");
    assert_eq!(done(&house, &["apply", &name]).await, "");
    write("two");
    assert_eq!(
        done(&house, &["apply", &name]).await,
        "~ role r\n    - one\n    + two\n"
    );
    assert!(done(&house, &["roles", "list"]).await.contains("r\ttwo"));
    std::fs::write(&file, "[clients.\"c\"]\nscope = []\n").unwrap();
    let refused = access(&house, &["apply", &name]).await;
    assert_eq!(refused.code, Some(2));
}
