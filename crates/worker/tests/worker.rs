//! A worker against a stand-in of the queue.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod stand_in;

use std::{future::pending, time::Duration};

use serde_json::json;
use stand_in::{Behaviour, Scene};
use taskyard_client::taskcluster::ExceptionReason;
use taskyard_worker::{Error, Event, Resolution};

const BACKING: &str = "public/logs/live_backing.log";
const LIVE: &str = "public/logs/live.log";

/// A claim that is extended within a test, after half of it. The other half is long enough for a
/// machine that stands still for seconds.
const SHORT_CLAIM: Duration = Duration::from_secs(16);

#[tokio::test]
async fn a_task_is_run_its_files_and_log_are_kept_and_then_it_is_reported() {
    let scene = Scene::new(Behaviour::default()).await;
    let task_id = scene.add(json!({
        "command": [["sh", "-c", "echo $GREETING $TASK_ID $RUN_ID; pwd; echo $TASK_WORKDIR"],
                    ["sh", "-c", "mkdir out; printf made > out/file.txt"]],
        "env": { "GREETING": "hello", "RUN_ID": "payloads cannot change this" },
        "artifacts": [{ "type": "directory", "path": "out", "name": "public/out" }],
    }));
    let outcome = scene.work(scene.config(), 1, pending()).await;
    assert_eq!(outcome.summary.unwrap().completed, 1);
    assert_eq!(
        scene.calls(),
        [
            "reference public/logs/live.log",
            "s3 public/out/file.txt",
            "upload public/out/file.txt",
            "s3 public/logs/live_backing.log",
            "upload public/logs/live_backing.log",
            "link public/logs/live.log",
            "completed",
        ]
    );
    assert_eq!(
        scene.uploaded("public/out/file.txt").as_deref(),
        Some("made")
    );
    let file = scene.artifact("public/out/file.txt");
    assert_eq!(
        (&file["contentType"], &file["contentLength"]),
        (&json!("text/plain; charset=utf-8"), &json!(4))
    );
    assert_eq!(scene.artifact(LIVE)["artifact"], BACKING);

    let work = scene.path(&task_id, "task").display().to_string();
    let log = scene.uploaded(BACKING).unwrap();
    assert!(
        log.contains(&format!("\nhello {task_id} 0\n{work}\n{work}\n")),
        "{log}"
    );
    assert!(
        log.starts_with("[taskcluster 2") && log.ends_with("] Result: completed\n"),
        "{log}"
    );

    let log_path = scene.path(&task_id, "live.log");
    assert_eq!(std::fs::read_to_string(&log_path).unwrap(), log);
    assert!(!scene.path(&task_id, "task").exists(), "only the log stays");
    let [
        Event::TaskStarted {
            name,
            log: started_log,
            ..
        },
        finished,
    ] = outcome.events.as_slice()
    else {
        panic!("{:?}", outcome.events)
    };
    assert_eq!((name.as_str(), started_log), ("a task", &log_path));
    let expected = Event::TaskFinished {
        task_id,
        run_id: 0,
        resolution: Resolution::Completed,
        exit_code: Some(0),
        reason: None,
        log: log_path,
    };
    assert_eq!(*finished, expected);
}

#[tokio::test]
async fn the_first_command_that_fails_is_the_last_one() {
    let scene = Scene::new(Behaviour::default()).await;
    scene.add(json!({ "command": [["false"], ["echo", "never"]] }));
    let outcome = scene.work(scene.config(), 1, pending()).await;
    assert_eq!(outcome.summary.unwrap().failed, 1);
    assert_eq!(scene.calls().last().unwrap(), "failed");
    let log = scene.uploaded(BACKING).unwrap();
    assert!(
        log.contains("[taskcluster:error] command 0 exited with 1"),
        "{log}"
    );
    assert!(!log.contains("never"), "{log}");
}

#[tokio::test]
async fn a_listed_exit_code_asks_for_another_attempt() {
    let scene = Scene::new(Behaviour::default()).await;
    scene.add(json!({ "command": "exit 75", "onExitStatus": { "retry": [75] } }));
    let outcome = scene.work(scene.config(), 1, pending()).await;
    assert_eq!(outcome.summary.unwrap().exceptions, 1);
    assert_eq!(scene.calls().last().unwrap(), "exception intermittent-task");
}

#[tokio::test]
async fn a_malformed_payload_is_reported_with_its_reason_in_the_log() {
    let scene = Scene::new(Behaviour::default()).await;
    scene.add(json!({ "command": "true", "image": "debian" }));
    scene.work(scene.config(), 1, pending()).await;
    assert_eq!(scene.calls().last().unwrap(), "exception malformed-payload");
    let log = scene.uploaded(BACKING).unwrap();
    assert!(
        log.contains("`image` is not supported by this worker"),
        "{log}"
    );
}

#[tokio::test]
async fn a_task_that_runs_too_long_is_killed_and_fails() {
    let scene = Scene::new(Behaviour::default()).await;
    scene.add(json!({ "command": "sleep 1000", "maxRunTime": 1 }));
    let outcome = scene.work(scene.config(), 1, pending()).await;
    assert_eq!(outcome.summary.unwrap().failed, 1);
    let log = scene.uploaded(BACKING).unwrap();
    assert!(log.contains("maxRunTime of 1 s"), "{log}");
}

#[tokio::test]
async fn a_missing_artifact_fails_the_task_unless_it_is_optional() {
    let scene = Scene::new(Behaviour::default()).await;
    scene.add(json!({
        "command": "true",
        "artifacts": [{ "type": "file", "path": "a", "optional": true },
                      { "type": "file", "path": "b", "name": "public/b" }],
    }));
    scene.work(scene.config(), 1, pending()).await;
    assert_eq!(scene.calls().last().unwrap(), "failed");
    assert_eq!(scene.artifact("a"), json!(null));
    assert_eq!(
        scene.artifact("public/b")["reason"],
        "file-missing-on-worker"
    );
}

#[tokio::test]
async fn files_of_a_dependency_are_there_before_the_first_command() {
    let scene = Scene::new(Behaviour::default()).await;
    let dependency = "fN1SbArXTPSVFNUvaOlinQ";
    scene.store("public/in", b"from before");
    let payload = json!({
        "command": "cat inputs/it && cat other",
        "mounts": [
            { "file": "inputs/it", "content": { "taskId": dependency, "artifact": "public/in" } },
            { "file": "other", "content": { "raw": " and inline\n" } },
        ],
    });
    scene.add_dependent(payload, &[dependency]);
    let outcome = scene.work(scene.config(), 1, pending()).await;
    assert_eq!(outcome.summary.unwrap().completed, 1);
    assert!(
        scene
            .uploaded(BACKING)
            .unwrap()
            .contains("from before and inline\n")
    );
}

#[tokio::test]
async fn a_mount_that_is_not_there_fails_the_task() {
    let scene = Scene::new(Behaviour::default()).await;
    let dependency = "fN1SbArXTPSVFNUvaOlinQ";
    let content = json!({ "taskId": dependency, "artifact": "public/none" });
    let payload = json!({ "command": "true", "mounts": [{ "file": "x", "content": content }] });
    scene.add_dependent(payload, &[dependency]);
    scene.work(scene.config(), 1, pending()).await;
    assert_eq!(scene.calls().last().unwrap(), "failed");
    assert!(scene.uploaded(BACKING).unwrap().contains("cannot mount x"));
}

#[tokio::test]
async fn tasks_run_side_by_side() {
    let scene = Scene::new(Behaviour::default()).await;
    // Each ends only when the other has begun.
    let meet = |mine: &str, other: &str| {
        let folder = "$TASK_WORKDIR/../../..";
        format!("touch {folder}/{mine}; while [ ! -e {folder}/{other} ]; do sleep 0.01; done")
    };
    scene.add(json!({ "command": meet("a", "b"), "maxRunTime": 30 }));
    scene.add(json!({ "command": meet("b", "a"), "maxRunTime": 30 }));
    let mut config = scene.config();
    config.concurrency = 2;
    let outcome = scene.work(config, 2, pending()).await;
    assert_eq!(outcome.summary.unwrap().completed, 2);
}

#[tokio::test]
async fn a_claim_is_extended_while_its_task_runs() {
    let behaviour = Behaviour {
        claim: SHORT_CLAIM,
        ..Behaviour::default()
    };
    let scene = Scene::new(behaviour).await;
    let task_id = scene.add(json!({
        "command": "while [ ! -e \"$TASK_WORKDIR/../enough\" ]; do sleep 0.05; done",
        "maxRunTime": 60,
    }));
    // The command goes on for longer than the claim was at first. Nothing stops the worker before.
    let enough = async {
        scene.called("reclaim").await;
        tokio::time::sleep(SHORT_CLAIM / 2 + Duration::from_secs(1)).await;
        std::fs::write(scene.path(&task_id, "enough"), "").unwrap();
        pending::<()>().await;
    };
    let outcome = scene.work(scene.config(), 1, enough).await;
    assert_eq!(outcome.summary.unwrap().completed, 1);
    let extensions = scene
        .calls()
        .iter()
        .filter(|call| *call == "reclaim")
        .count();
    assert!((1..=10).contains(&extensions), "{extensions}");
}

#[tokio::test]
async fn a_lost_claim_kills_the_task_and_nothing_is_sent() {
    let behaviour = Behaviour {
        claim: SHORT_CLAIM,
        reclaim_status: 409,
        ..Behaviour::default()
    };
    let scene = Scene::new(behaviour).await;
    let artifacts = json!([{ "type": "file", "path": "a" }]);
    let task_id = scene.add(json!({
        "command": "echo made > a; echo $$ > \"$TASK_WORKDIR/../pid\"; exec sleep 1000",
        "artifacts": artifacts,
    }));
    let outcome = scene.work(scene.config(), 1, pending()).await;
    assert_eq!(outcome.summary.unwrap().lost, 1);
    assert_eq!(scene.calls(), ["reference public/logs/live.log", "reclaim"]);
    let pid = std::fs::read_to_string(scene.path(&task_id, "pid")).unwrap();
    assert!(!std::path::Path::new("/proc").join(pid.trim()).exists());
}

#[tokio::test]
async fn a_worker_that_stops_reports_its_tasks_with_their_logs() {
    let scene = Scene::new(Behaviour::default()).await;
    scene.add(json!({ "command": "echo begun; sleep 1000" }));
    let outcome = scene
        .work(
            scene.config(),
            1,
            scene.called("reference public/logs/live.log"),
        )
        .await;
    assert_eq!(outcome.summary.unwrap().exceptions, 1);
    assert_eq!(scene.calls().last().unwrap(), "exception worker-shutdown");
    assert!(
        scene
            .uploaded(BACKING)
            .unwrap()
            .contains("worker is shutting down")
    );
    let shutdown = Resolution::Exception(ExceptionReason::WorkerShutdown);
    assert!(matches!(outcome.events.last(),
        Some(Event::TaskFinished { resolution, .. }) if *resolution == shutdown));
}

#[tokio::test]
async fn a_report_is_repeated_until_the_queue_takes_it() {
    let scene = Scene::new(Behaviour {
        failing_reports: 2,
        ..Behaviour::default()
    })
    .await;
    scene.add(json!({ "command": "true" }));
    let outcome = scene.work(scene.config(), 1, pending()).await;
    assert_eq!(outcome.summary.unwrap().completed, 1);
    assert_eq!(
        scene
            .calls()
            .iter()
            .filter(|call| *call == "completed")
            .count(),
        3
    );
}

#[tokio::test]
async fn a_worker_that_may_not_claim_says_so_at_once() {
    let scene = Scene::new(Behaviour {
        claim_status: 403,
        ..Behaviour::default()
    })
    .await;
    let outcome = scene.work(scene.config(), 1, pending()).await;
    let error = outcome.summary.unwrap_err();
    assert!(matches!(error, Error::Refused(_)));
    assert!(error.to_string().contains("queue:claim-work:"), "{error}");
}
