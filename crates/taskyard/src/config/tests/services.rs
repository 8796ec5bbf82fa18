//! The tables of the file that connect the server with others, and say who its clients are.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::resolve_file;

/// A table for each guarded service, and one for each standing client and role.
const TABLES: &str = "
[[aws]]
access-key-id = 'AKID'
secret-access-key = 'hidden-aws-secret'
buckets = ['one', 'two']

[[aws]]
access-key-id = 'AKID2'
secret-access-key = 'hidden-aws-secret'
buckets = ['three']
region = 'eu-central-1'
sts-url = 'https://sts.eu-central-1.amazonaws.com/'

[azure.account1]
key = 'aGlkZGVuLWF6dXJlLWtleS1oaWRkZW4='

[sentry]
organization = 'org'
team = 'team'
token = 'hidden-sentry-token'

[clients.'static/ci']
access-token = 'hidden-access-token-hidden'
scopes = ['assume:static/ci']

[roles.'static/ci']
description = 'What CI may do'
scopes = ['queue:create-task:*']
";

#[test]
fn tables_of_the_file_connect_services_outside() {
    let (config, _) = resolve_file(TABLES);
    let config = config.unwrap();
    let shown = format!("{config:?}");
    for secret in ["hidden-", "aGlkZGVu"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let s3 = &config.guarded.s3;
    assert_eq!(s3[0].buckets, ["one", "two"]);
    assert_eq!(
        (s3[0].sts_url.as_str(), s3[0].region.as_str()),
        ("https://sts.amazonaws.com/", "us-east-1")
    );
    assert_eq!(s3[1].sts_url, "https://sts.eu-central-1.amazonaws.com/");
    let account = &config.guarded.azure["account1"];
    assert_eq!(account.table_url, "https://account1.table.core.windows.net");
    assert_eq!(account.blob_url, "https://account1.blob.core.windows.net");
    assert_eq!(
        config.guarded.sentry.as_ref().unwrap().url,
        "https://sentry.io"
    );
    let client = &config.standing.clients[0];
    assert_eq!(
        (client.client_id.as_str(), client.scopes.len()),
        ("static/ci", 1)
    );
    assert_eq!(config.standing.roles[0].description, "What CI may do");
}

#[test]
fn a_table_that_is_not_as_it_should_be_is_refused_by_line_and_key_and_without_its_secrets() {
    for (from, to, line, key) in [
        ("access-key-id = 'AKID'\n", "\n", 2, "access-key-id"),
        (
            "'hidden-aws-secret'",
            "'hidden aws secret'",
            4,
            "aws[1].secret-access-key",
        ),
        (
            "'hidden-aws-secret'",
            "12345678",
            4,
            "aws[1].secret-access-key",
        ),
        ("['one', 'two']", "[]", 5, "aws[1].buckets"),
        ("['one', 'two']", "['One']", 5, "aws[1].buckets"),
        ("['one', 'two']", "'one'", 5, "aws[1].buckets"),
        ("'https://sts.eu-", "'sts.eu-", 12, "aws[2].sts-url"),
        ("region =", "regoin =", 11, "aws[2].regoin"),
        ("account1", "Account1", 14, "azure.Account1"),
        ("aGlkZGVu", "!GlkZGVu", 15, "azure.account1.key"),
        ("organization = 'org'\n", "\n", 17, "organization"),
        ("[sentry]", "[[sentry]]", 17, "sentry"),
        (
            "'hidden-access-token-hidden'",
            "'hidden-'",
            23,
            "clients.static/ci.access-token",
        ),
        ("clients.'static/ci'", "clients.'ci'", 22, "clients.ci"),
        (
            "clients.'static/ci'",
            "clients.'static/taskcluster/root'",
            22,
            "clients.static/task",
        ),
        (
            "['assume:static/ci']",
            "['assume:**']",
            24,
            "clients.static/ci.scopes",
        ),
        ("roles.'static/ci'", "roles.'ci'", 26, "roles.ci"),
        (
            "[azure.account1]\nkey",
            "[[gcp]]\ncredentials-file",
            15,
            "gcp[1].credentials-file",
        ),
        ("[sentry]", "[senty]", 17, "senty"),
    ] {
        let text = TABLES.replacen(from, to, 1);
        assert_ne!(text, TABLES, "{from}");
        let (config, path) = resolve_file(&text);
        let message = config.map(|_| to).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("{path}:{line}: ")),
            "{to}: {message}"
        );
        assert!(message.contains(key), "{to}: {message}");
        assert!(
            !message.contains("hidden") && !message.contains("12345678"),
            "{message}"
        );
    }
}

#[test]
fn a_key_file_of_google_is_read_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.json");
    let settings = format!(
        "[[gcp]]\ncredentials-file = '{}'\nservice-accounts = ['a@b.example.com']\n",
        file.display()
    );
    let key = "-----BEGIN PRIVATE KEY-----\\nhidden\\n-----END PRIVATE KEY-----\\n";
    let whole = format!(
        r#"{{"project_id": "p", "client_email": "e", "token_uri": "https://t", "private_key": "{key}"}}"#
    );
    for text in ["", "{", "{\"project_id\": \"hidden\"}", &whole] {
        std::fs::write(&file, text).unwrap();
        let (config, path) = resolve_file(&settings);
        let message = config.map(|_| text.to_owned()).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("{path}:2: gcp[1].credentials-file")),
            "{message}"
        );
        assert!(!message.contains("hidden"), "{message}");
    }
}

#[test]
fn an_app_of_github_is_read_and_its_key_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.pem");
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let key = STANDARD.encode(private.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    std::fs::write(&file, pem).unwrap();
    let app = format!(
        "[[github]]\napp = 'bot'\napp-id = 123\nprivate-key-file = '{}'\n",
        file.display()
    );
    let config = resolve_file(&app).0.unwrap();
    let found = &config.guarded.github["bot"];
    assert_eq!(
        (found.id.as_str(), found.api_url.as_str()),
        ("123", "https://api.github.com")
    );
    let shown = format!("{config:?}");
    assert!(!shown.contains(&key[..40]), "{shown}");
    let elsewhere =
        app.replacen("123", "'123'", 1) + "api-url = 'https://git.example.com/api/v3/'\n";
    let config = resolve_file(&elsewhere).0.unwrap();
    let found = &config.guarded.github["bot"];
    assert_eq!(
        (found.id.as_str(), found.api_url.as_str()),
        ("123", "https://git.example.com/api/v3")
    );

    let refused = |text: &str, line: usize, key: &str| {
        let (config, path) = resolve_file(text);
        let message = config.map(|_| text.to_owned()).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("{path}:{line}: ")),
            "{message}"
        );
        assert!(message.contains(key), "{message}");
        assert!(!message.contains("hidden"), "{message}");
    };
    for (from, to, line, key) in [
        ("app = 'bot'\n", "", 1, "github[1] needs app"),
        ("'bot'", "'hidden/bot'", 2, "github[1].app "),
        ("123", "-1", 3, "github[1].app-id"),
        ("123", "'hidden'", 3, "github[1].app-id"),
        ("123", "true", 3, "github[1].app-id"),
        ("app.pem", "none.pem", 4, "github[1].private-key-file"),
        ("app-id", "app-ids", 3, "github[1].app-ids"),
    ] {
        refused(&app.replacen(from, to, 1), line, key);
    }
    refused(
        &(app.clone() + "api-url = 'hidden'"),
        5,
        "github[1].api-url",
    );
    refused(&(app.clone() + &app), 6, "github[2].app ");
    refused(&app.replace("[[github]]", "[github]"), 1, "github");
    let damaged = "-----BEGIN RSA PRIVATE KEY-----\nhidden00\n-----END RSA PRIVATE KEY-----\n";
    for text in ["", "hidden", damaged] {
        std::fs::write(&file, text).unwrap();
        refused(&app, 4, "github[1].private-key-file");
    }
}
