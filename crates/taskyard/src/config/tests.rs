mod services;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Artifacts, Database, Error, Flags, LogFormat, ServeConfig};

/// An environment that holds `variables` and nothing else.
fn environment(
    variables: &[(&'static str, &'static str)],
) -> impl Fn(&str) -> Option<OsString> + use<> {
    let variables = variables.to_vec();
    move |name| {
        variables
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.into())
    }
}

fn resolve(
    flags: &Flags,
    variables: &[(&'static str, &'static str)],
) -> Result<ServeConfig, Error> {
    ServeConfig::resolve(flags, &environment(variables))
}

/// Resolves a file that holds `text`; the second value is its path.
fn resolve_file(text: &str) -> (Result<ServeConfig, Error>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taskyard.toml");
    std::fs::write(&path, text).unwrap();
    let shown = path.display().to_string();
    (
        resolve(
            &Flags {
                config: Some(path),
                ..Flags::default()
            },
            &[],
        ),
        shown,
    )
}

#[test]
fn nothing_given_means_a_local_server_on_an_embedded_database() {
    let config = resolve(&Flags::default(), &[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.data, PathBuf::from("./taskyard-data"));
    assert_eq!(config.database, Database::Sqlite);
    assert_eq!(config.root_url_at(config.listen), "http://127.0.0.1:8080");
    assert!(!config.dev);
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(config.log.level, "info");
    assert_eq!(config.shutdown_limit, Duration::from_secs(30));
    assert_eq!(config.claim_timeout, Duration::from_mins(20));
    assert_eq!(config.root_access_token, None);
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taskyard.toml");
    std::fs::write(
        &path,
        "data = 'file'\nlog-level = 'warn'\nclaim-timeout = 60\n",
    )
    .unwrap();
    let flags = Flags {
        config: Some(path),
        data: Some("flag".to_owned()),
        ..Flags::default()
    };
    let variables = [
        ("TASKYARD_DATA", "variable"),
        ("TASKYARD_LOG_LEVEL", "debug"),
    ];

    let config = resolve(&flags, &variables).unwrap();
    assert_eq!(config.data, PathBuf::from("flag"));
    assert_eq!(config.log.level, "debug");
    assert_eq!(config.claim_timeout, Duration::from_mins(1));
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taskyard.toml");
    std::fs::write(&path, "dev = true\n").unwrap();
    let environment =
        move |name: &str| (name == "TASKYARD_CONFIG").then(|| path.clone().into_os_string());
    assert!(
        ServeConfig::resolve(&Flags::default(), &environment)
            .unwrap()
            .dev
    );
}

#[test]
fn an_empty_variable_is_not_set() {
    let config = resolve(&Flags::default(), &[("TASKYARD_LISTEN", "")]).unwrap();
    assert_eq!(config.listen.port(), 8080);
}

#[test]
fn each_value_that_is_not_allowed_is_refused_by_its_key_and_what_is_allowed() {
    let cases = [
        ("TASKYARD_LISTEN", "listen", "8080", "an address and a port"),
        (
            "TASKYARD_LISTEN",
            "listen",
            "example.com:80",
            "an address and a port",
        ),
        (
            "TASKYARD_LISTEN",
            "listen",
            "localhost:65536",
            "an address and a port",
        ),
        (
            "TASKYARD_ROOT_URL",
            "root-url",
            "tasks.example.com",
            "http:// or https://",
        ),
        (
            "TASKYARD_ROOT_URL",
            "root-url",
            "ftp://tasks.example.com",
            "http:// or https://",
        ),
        (
            "TASKYARD_ROOT_URL",
            "root-url",
            "https://tasks.example.com/path",
            "without a path",
        ),
        (
            "TASKYARD_ROOT_URL",
            "root-url",
            "https://user@tasks.example.com",
            "without a path",
        ),
        ("TASKYARD_DEV", "dev", "yes", "true or false"),
        ("TASKYARD_LOG_FORMAT", "log-format", "xml", "text or json"),
        (
            "TASKYARD_LOG_LEVEL",
            "log-level",
            "loud",
            "error, warn, info, debug or trace",
        ),
        (
            "TASKYARD_LOG_LEVEL",
            "log-level",
            "info,x=loud",
            "error, warn, info, debug or trace",
        ),
        (
            "TASKYARD_SHUTDOWN_LIMIT",
            "shutdown-limit",
            "30 s",
            "a duration from 0s to 1h",
        ),
        (
            "TASKYARD_SHUTDOWN_LIMIT",
            "shutdown-limit",
            "61m",
            "a duration from 0s to 1h",
        ),
        (
            "TASKYARD_SHUTDOWN_LIMIT",
            "shutdown-limit",
            "-1s",
            "a duration from 0s to 1h",
        ),
        (
            "TASKYARD_CLAIM_TIMEOUT",
            "claim-timeout",
            "0",
            "a duration from 1s to 24h",
        ),
        (
            "TASKYARD_CLAIM_TIMEOUT",
            "claim-timeout",
            "25h",
            "a duration from 1s to 24h",
        ),
        (
            "TASKYARD_CLAIM_TIMEOUT",
            "claim-timeout",
            "1d",
            "a duration from 1s to 24h",
        ),
        (
            "TASKYARD_MAX_CONNECTIONS",
            "max-connections",
            "0",
            "a whole number from 1",
        ),
        (
            "TASKYARD_MAX_CONNECTIONS",
            "max-connections",
            "many",
            "a whole number from 1",
        ),
    ];
    for (variable, key, value, allowed) in cases {
        let message = resolve(&Flags::default(), &[(variable, value)])
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with(&format!("{variable}: {key} = \"{value}\" is not allowed")),
            "{message}"
        );
        assert!(
            message.contains(allowed),
            "{message} does not say {allowed}"
        );
    }
}

#[test]
fn a_refused_flag_is_named_as_it_was_typed() {
    let flags = Flags {
        claim_timeout: Some("soon".to_owned()),
        ..Flags::default()
    };
    assert_eq!(
        resolve(&flags, &[]).unwrap_err().to_string(),
        "--claim-timeout: claim-timeout = \"soon\" is not allowed; \
         expected a duration from 1s to 24h, such as 20m"
    );
}

#[test]
fn a_secret_does_not_appear_in_its_refusal_or_in_the_configuration() {
    for (variable, value) in [
        ("TASKYARD_DATABASE_URL", "mysql://root:hunter2@db/x"),
        ("TASKYARD_ROOT_ACCESS_TOKEN", "hunter2"),
    ] {
        let message = resolve(&Flags::default(), &[(variable, value)])
            .unwrap_err()
            .to_string();
        assert!(message.starts_with(variable), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    let variables = [
        ("TASKYARD_DATABASE_URL", "postgres://root:hunter2@db/x"),
        ("TASKYARD_ROOT_ACCESS_TOKEN", "hunter2hunter2hunter2hunter2"),
    ];
    let config = resolve(&Flags::default(), &variables).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(
        config.root_access_token.as_ref().map(super::Secret::reveal),
        Some("hunter2hunter2hunter2hunter2")
    );
}

#[test]
fn a_value_in_the_file_is_refused_with_its_line() {
    let (refused, path) = resolve_file("# a comment\n\nlisten = \"here\"\n");
    assert_eq!(
        refused.unwrap_err().to_string(),
        format!(
            "{path}:3: listen = \"here\" is not allowed; \
             expected an address and a port, such as 127.0.0.1:8080 or [::1]:8080"
        )
    );
}

#[test]
fn an_unknown_key_in_the_file_is_refused_with_its_line_and_the_known_keys() {
    let (refused, path) = resolve_file("data = \"x\"\nlisten-on = \"127.0.0.1:1\"\n");
    let message = refused.unwrap_err().to_string();
    let expected = format!("{path}:2: unknown key \"listen-on\"; the keys are listen, data,");
    assert!(message.starts_with(&expected), "{message}");
}

#[test]
fn a_table_in_the_file_is_an_unknown_key_or_no_value() {
    let (unknown, path) = resolve_file("dev = true\n[server]\nlisten = \"127.0.0.1:1\"\n");
    let message = unknown.unwrap_err().to_string();
    assert!(
        message.starts_with(&format!("{path}:2: unknown key \"server\"")),
        "{message}"
    );

    let (list, path) = resolve_file("listen = [\"127.0.0.1:1\"]\n");
    assert_eq!(
        list.unwrap_err().to_string(),
        format!("{path}:1: listen must be a string, a number or a boolean")
    );
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_the_line_of_the_mistake() {
    let (refused, path) = resolve_file("dev = true\nlisten 127.0.0.1\n");
    let message = refused.unwrap_err().to_string();
    assert!(
        message.starts_with(&format!("{path}:2: not valid TOML: ")),
        "{message}"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let flags = Flags {
        config: Some("/no/such/file.toml".into()),
        ..Flags::default()
    };
    let message = resolve(&flags, &[]).unwrap_err().to_string();
    assert!(
        message.starts_with("cannot read the configuration file /no/such/file.toml: "),
        "{message}"
    );
}

#[test]
fn a_variable_that_is_not_text_is_refused() {
    let environment =
        |name: &str| (name == "TASKYARD_DATA").then(|| OsString::from_vec(vec![b'a', 0xff]));
    assert_eq!(
        ServeConfig::resolve(&Flags::default(), &environment)
            .unwrap_err()
            .to_string(),
        "TASKYARD_DATA is not valid UTF-8; data must be text"
    );
}

#[test]
fn dev_is_refused_on_an_address_that_others_can_reach() {
    for listen in ["0.0.0.0:8080", "192.0.2.1:80", "[::]:8080"] {
        let flags = Flags {
            dev: true,
            listen: Some(listen.to_owned()),
            ..Flags::default()
        };
        let message = resolve(&flags, &[]).unwrap_err().to_string();
        assert!(
            message.contains("loopback") && message.ends_with(listen),
            "{message}"
        );
    }
    for listen in ["127.0.0.1:0", "[::1]:0", "localhost:0"] {
        let flags = Flags {
            dev: true,
            listen: Some(listen.to_owned()),
            ..Flags::default()
        };
        assert!(resolve(&flags, &[]).is_ok(), "{listen} is loopback");
    }
}

#[test]
fn the_root_url_follows_the_bound_address_unless_it_is_given() {
    let config = resolve(&Flags::default(), &[("TASKYARD_LISTEN", "0.0.0.0:0")]).unwrap();
    assert_eq!(
        config.root_url_at("0.0.0.0:4711".parse().unwrap()),
        "http://127.0.0.1:4711"
    );
    assert_eq!(
        config.root_url_at("[::1]:4711".parse().unwrap()),
        "http://[::1]:4711"
    );

    let given = [("TASKYARD_ROOT_URL", "https://tasks.example.com/")];
    let config = resolve(&Flags::default(), &given).unwrap();
    assert_eq!(
        config.root_url_at("0.0.0.0:4711".parse().unwrap()),
        "https://tasks.example.com"
    );
}

#[test]
fn a_server_for_this_process_alone_takes_a_free_loopback_port() {
    let config = ServeConfig::local(std::path::Path::new("here")).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:0");
    assert_eq!(config.data, PathBuf::from("here"));
    assert_eq!(config.database, Database::Sqlite);
}

#[test]
fn a_guarded_service_needs_its_secret_and_its_address() {
    let secret = "hunter2hunter2hunter2";
    let tunnel = [
        ("TASKYARD_WEBHOOKTUNNEL_URL", "https://tunnel.example.com"),
        ("TASKYARD_WEBHOOKTUNNEL_SECRET", secret),
        ("TASKYARD_WEBSOCKTUNNEL_SECRET", secret),
    ];
    let config = resolve(&Flags::default(), &tunnel).unwrap();
    let found = config.guarded.webhooktunnel.as_ref().unwrap();
    assert_eq!(found.proxy_url, "https://tunnel.example.com");
    assert!(config.guarded.websocktunnel.is_some() && config.guarded.statsum.is_none());
    assert!(!format!("{config:?}").contains("hunter2"));
    let half = resolve(&Flags::default(), &tunnel[..1]).unwrap_err();
    assert!(half.to_string().contains("webhooktunnel-secret"), "{half}");
    let short = [("TASKYARD_WEBSOCKTUNNEL_SECRET", "hunter2")];
    let short = resolve(&Flags::default(), &short).unwrap_err().to_string();
    assert!(
        short.contains("16 characters") && !short.contains("hunter2"),
        "{short}"
    );
}

#[test]
fn notifications_are_sent_with_whole_settings_only() {
    let secret = "hunter2";
    let all = [
        (
            "TASKYARD_NOTIFY_SMTP_URL",
            "smtps://user:hunter2@mail.example.com",
        ),
        ("TASKYARD_NOTIFY_SENDER", "Tasks <tasks@example.com>"),
        ("TASKYARD_NOTIFY_MATRIX_URL", "https://matrix.example.com"),
        ("TASKYARD_NOTIFY_MATRIX_TOKEN", secret),
        ("TASKYARD_NOTIFY_SLACK_TOKEN", secret),
    ];
    let config = resolve(&Flags::default(), &all).unwrap();
    let sinks = config.notify.sinks();
    assert!(sinks.mailer.is_some() && sinks.matrix.is_some());
    assert_eq!(
        sinks.slack.map(|slack| slack.url).as_deref(),
        Some("https://slack.com/api")
    );
    assert!(!format!("{config:?}").contains(secret));
    for (at, missing) in [
        (0, "notify-sender"),
        (2, "notify-matrix-token"),
        (3, "notify-matrix-url"),
    ] {
        let half = resolve(&Flags::default(), &all[at..=at])
            .unwrap_err()
            .to_string();
        assert!(half.contains(missing) && !half.contains(secret), "{half}");
    }
    let wrong = [(
        "TASKYARD_NOTIFY_SMTP_URL",
        "ftp://user:hunter2@mail.example.com",
    )];
    let wrong = resolve(&Flags::default(), &wrong).unwrap_err().to_string();
    assert!(
        wrong.contains("mail server") && !wrong.contains(secret),
        "{wrong}"
    );
}

#[test]
fn taskstore_listens_by_itself_only_when_asked_and_then_at_its_usual_port() {
    let listen = |text| {
        let config = resolve(&Flags::default(), &[("TASKYARD_TASKSTORE_LISTEN", text)]);
        config.map(|config| config.taskstore_listen.map(|address| address.to_string()))
    };
    assert_eq!(listen("").unwrap(), None);
    for (text, address) in [
        ("127.0.0.1", "127.0.0.1:8048"),
        ("localhost", "127.0.0.1:8048"),
        ("::1", "[::1]:8048"),
        ("[::1]:9", "[::1]:9"),
        ("0.0.0.0:80", "0.0.0.0:80"),
    ] {
        assert_eq!(listen(text).unwrap().as_deref(), Some(address));
    }
    let refused = listen("8048").unwrap_err().to_string();
    assert!(refused.contains("taskstore-listen"), "{refused}");
}

#[test]
fn artifacts_are_kept_in_a_folder_or_in_a_bucket() {
    let kept = |variables: &[(&'static str, &'static str)]| {
        resolve(&Flags::default(), variables).map(|config| config.artifacts)
    };
    assert!(matches!(kept(&[]).unwrap(), Artifacts::Folder(None)));
    let folder = kept(&[("TASKYARD_ARTIFACTS_FOLDER", "/srv/artifacts")]).unwrap();
    assert!(matches!(folder, Artifacts::Folder(Some(path)) if path == Path::new("/srv/artifacts")));
    let bucket = [
        ("TASKYARD_ARTIFACTS_BUCKET", "builds"),
        ("TASKYARD_ARTIFACTS_ENDPOINT", "https://s3.example.com/"),
        ("TASKYARD_ARTIFACTS_ACCESS_KEY_ID", "somebody"),
        ("TASKYARD_ARTIFACTS_SECRET_ACCESS_KEY", "hunter2hunter2"),
    ];
    let Artifacts::Bucket(found) = kept(&bucket).unwrap() else {
        panic!("a bucket was configured");
    };
    assert_eq!(
        (
            found.name.as_str(),
            found.prefix.as_str(),
            found.region.as_str()
        ),
        ("builds", "taskyard", "us-east-1")
    );
    assert_eq!(found.endpoint.as_deref(), Some("https://s3.example.com"));
    assert!(!format!("{found:?}").contains("hunter2"));
    for (variables, told) in [
        (&bucket[1..2], "artifacts-bucket"),
        (&bucket[0..3], "artifacts-secret-access-key"),
        (&[bucket[0], bucket[3]], "artifacts-access-key-id"),
        (
            &[bucket[0], ("TASKYARD_ARTIFACTS_FOLDER", "/srv")],
            "artifacts-folder and artifacts-bucket",
        ),
        (
            &[bucket[0], ("TASKYARD_ARTIFACTS_ENDPOINT", "s3.example.com")],
            "http:// or https://",
        ),
    ] {
        let text = kept(variables).unwrap_err().to_string();
        assert!(text.contains(told) && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn proxies_are_trusted_by_address() {
    let proxies = |text: &str| {
        let (config, _) = resolve_file(text);
        let trusted = config.map(|config| config.trusted_proxies)?;
        Ok::<_, Error>(trusted.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert!(proxies("").unwrap().is_empty());
    let networks = ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"];
    let list = "trusted-proxies = ['127.0.0.1', '10.0.0.0/8', 'fd00::/8']";
    assert_eq!(proxies(list).unwrap(), networks);
    let text = "trusted-proxies = '127.0.0.1, 10.0.0.0/8,fd00::/8'";
    assert_eq!(proxies(text).unwrap(), networks);
    for bad in ["'all'", "['10.0.0.0/33']", "[1]", "true", "'10.0.0.0/8,'"] {
        let error = proxies(&format!("trusted-proxies = {bad}")).unwrap_err();
        assert!(error.to_string().contains("trusted-proxies"), "{error}");
    }
}
