//! Which payloads are accepted, and what is said about the others.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use taskyard_worker::payload::{ArtifactKind, Bounds, MountContent, Payload};

const TASK: &str = "fN1SbArXTPSVFNUvaOlinQ";

fn parse(payload: &Value) -> Result<Payload, String> {
    let bounds = Bounds {
        max_run_time: Duration::from_hours(24),
        task_expires: "2030-01-01T00:00:00Z".parse().unwrap(),
        dependencies: &[TASK.to_owned()],
    };
    Payload::parse(payload, &bounds)
}

/// A good payload with one more key.
fn with(key: &str, value: Value) -> Value {
    let mut payload = json!({ "command": ["true"] });
    payload[key] = value;
    payload
}

#[test]
fn a_command_has_three_forms() {
    let commands = |command: Value| parse(&json!({ "command": command })).unwrap().commands;
    assert_eq!(commands(json!("echo a b")), [["sh", "-c", "echo a b"]]);
    assert_eq!(commands(json!(["echo", "a b"])), [["echo", "a b"]]);
    let several = commands(json!([["make"], ["make", "test"]]));
    assert_eq!(several, [vec!["make"], vec!["make", "test"]]);
}

#[test]
fn what_is_not_named_has_a_default() {
    let payload = parse(&json!({ "command": "true" })).unwrap();
    assert_eq!(payload.max_run_time, Duration::from_hours(1));
    assert_eq!(payload.logs.live.as_deref(), Some("public/logs/live.log"));
    assert_eq!(
        payload.logs.backing.as_deref(),
        Some("public/logs/live_backing.log")
    );
    assert!(payload.artifacts.is_empty() && payload.mounts.is_empty() && payload.env.is_empty());
}

#[test]
fn a_full_payload_is_understood() {
    let payload = parse(&json!({
        "command": [["make"]],
        "env": { "CC": "cc" },
        "maxRunTime": 60,
        "artifacts": [
            { "type": "file", "path": "./out/a.tar", "name": "public/a.tar", "optional": true,
              "expires": "2029-01-01T00:00:00Z", "contentType": "application/x-tar" },
            { "type": "directory", "path": "reports" },
        ],
        "mounts": [
            { "file": "in/a", "content": { "taskId": TASK, "artifact": "public/a" } },
            { "file": "b", "content": { "base64": "aGk=" } },
            { "file": "c", "content": { "raw": "text" } },
            { "file": "d", "content": { "url": "https://example.com/d", "sha256": "A".repeat(64) } },
        ],
        "onExitStatus": { "retry": [75], "purgeCaches": [1] },
        "logs": { "live": "public/l", "backing": "public/b" },
        "features": { "liveLog": false, "taskclusterProxy": false },
    }))
    .unwrap();
    assert_eq!(payload.env["CC"], "cc");
    assert_eq!(payload.retry_codes, [75]);
    assert_eq!(
        (payload.logs.live, payload.logs.backing),
        (None, Some("public/b".to_owned()))
    );
    let [file, directory] = payload.artifacts.as_slice() else {
        panic!("two artifacts")
    };
    assert_eq!(
        (file.kind, file.path.as_path()),
        (ArtifactKind::File, Path::new("out/a.tar"))
    );
    assert!(file.optional && file.expires.is_some());
    assert_eq!(
        (directory.kind, directory.name.as_str()),
        (ArtifactKind::Directory, "reports")
    );
    assert_eq!(
        payload.mounts[1].content,
        MountContent::Bytes(b"hi".to_vec())
    );
    assert!(matches!(&payload.mounts[3].content,
        MountContent::Url { sha256: Some(digest), .. } if *digest == "a".repeat(64)));
}

#[test]
fn artifacts_may_be_a_map_by_name() {
    let payload = parse(&with(
        "artifacts",
        json!({ "public/x": { "type": "file", "path": "x" } }),
    ))
    .unwrap();
    assert_eq!(payload.artifacts[0].name, "public/x");
}

#[test]
fn whatever_is_wrong_is_named_with_the_reason() {
    let artifact = |extra: Value| {
        let mut artifact = json!({ "type": "file", "path": "x" });
        artifact
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        with("artifacts", json!([artifact]))
    };
    let mount = |content: Value| with("mounts", json!([{ "file": "x", "content": content }]));
    let cases = [
        (json!([]), "the payload must be an object"),
        (json!({}), "`command` is missing"),
        (json!({ "command": "" }), "`command` must be"),
        (json!({ "command": [] }), "`command` must be"),
        (json!({ "command": [[]] }), "`command` must be"),
        (json!({ "command": ["a", ["b"]] }), "`command` must be"),
        (json!({ "command": [""] }), "`command` must be"),
        (json!({ "command": ["a\u{0}"] }), "NUL"),
        (with("image", json!("x")), "`image` is not supported"),
        (
            with("maxRunTime", json!(0)),
            "`maxRunTime` must be an integer from 1 to 86400",
        ),
        (with("maxRunTime", json!(86_401)), "`maxRunTime`"),
        (with("maxRunTime", json!("1")), "`maxRunTime`"),
        (with("env", json!({ "A": 1 })), "`env.A` must be a string"),
        (with("env", json!({ "A=B": "" })), "`env.A=B`"),
        (with("artifacts", json!("x")), "`artifacts` must be a list"),
        (
            artifact(json!({ "type": "volume" })),
            "`artifacts[0].type` must be `file`",
        ),
        (
            artifact(json!({ "path": "../x" })),
            "`artifacts[0].path` must be a path below",
        ),
        (
            artifact(json!({ "path": "/etc/passwd" })),
            "`artifacts[0].path` must be a path below",
        ),
        (artifact(json!({ "name": "é" })), "`artifacts[0].name`"),
        (
            artifact(json!({ "expires": "2031-01-01T00:00:00Z" })),
            "task's own expiry",
        ),
        (
            artifact(json!({ "expires": "soon" })),
            "`artifacts[0].expires` must be a time",
        ),
        (
            artifact(json!({ "colour": 1 })),
            "`artifacts[0].colour` is not supported",
        ),
        (
            with("mounts", json!([{ "cacheName": "c", "directory": "d" }])),
            "writable caches",
        ),
        (
            with("mounts", json!([{ "directory": "d" }])),
            "mounted directories",
        ),
        (
            with("mounts", json!([{ "file": "f", "format": "xz" }])),
            "unpacking mounts",
        ),
        (mount(json!({})), "exactly one of"),
        (mount(json!({ "raw": "", "base64": "" })), "exactly one of"),
        (mount(json!({ "taskId": TASK })), "exactly one of"),
        (
            mount(json!({ "artifact": "a" })),
            "`mounts[0].content.taskId` is missing",
        ),
        (
            mount(json!({ "artifact": "a", "taskId": "x" })),
            "not a task id",
        ),
        (
            mount(json!({ "artifact": "a", "taskId": "JzTGxwxhQ76_Tt1dxkaG5g" })),
            "must depend on JzTGxwxhQ76_Tt1dxkaG5g",
        ),
        (mount(json!({ "url": "file:///etc/passwd" })), "http://"),
        (
            mount(json!({ "url": "https://x", "sha256": "abc" })),
            "64 hexadecimal digits",
        ),
        (mount(json!({ "raw": "x".repeat(65_537) })), "65536"),
        (mount(json!({ "base64": "?" })), "not base64"),
        (
            mount(json!({ "namespace": "a.b", "artifact": "a" })),
            "indexed artifacts",
        ),
        (
            with("onExitStatus", json!({ "retry": [0] })),
            "`onExitStatus.retry`",
        ),
        (
            with("features", json!({ "chainOfTrust": true })),
            "`features.chainOfTrust`",
        ),
        (
            with("features", json!({ "warp": false })),
            "`features.warp` is not supported",
        ),
        (
            with("logs", json!({ "live": "a", "backing": "a" })),
            "must differ",
        ),
        (with("logs", json!({ "live": "" })), "`logs.live`"),
    ];
    for (payload, expected) in cases {
        let error = parse(&payload).expect_err(&payload.to_string());
        assert!(
            error.contains(expected),
            "{payload}\nsaid: {error}\nnot: {expected}"
        );
    }
}
