//! A stack against a stand-in of the service.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod service;

use std::time::Duration;

use serde_json::json;
use service::{Behaviour, Scene};
use taskyard_worker::stack::StackError;

#[tokio::test]
async fn a_job_is_run_its_log_and_files_are_kept_and_then_it_is_reported() {
    let scene = Scene::new(Behaviour::default()).await;
    let script = "echo $GREETING from $BUILDKITE_JOB_ID in run $RUN_ID\n\
                  mkdir -p out/deep; printf made > out/deep/file.txt; printf no > other\n\
                  env | grep -c 'bkct_secre[t]' || true";
    let job = scene.add(
        script,
        json!({ "GREETING": "hello", "BUILDKITE_ARTIFACT_PATHS": "out/**/*;none/*" }),
    );
    let summary = scene.run(scene.config(), scene.finished(1)).await.unwrap();
    assert_eq!((summary.passed, summary.failed, summary.lost), (1, 0, 0));
    assert_eq!(
        scene.calls(),
        [
            "register default",
            "reserve 1",
            "notify 1",
            "start",
            "artifacts finished",
            "finish",
            "deregister",
        ]
    );
    let end = scene.end(&job);
    assert_eq!(end["exit_status"], "0");
    assert_eq!(
        (&end["signal_reason"], &end["chunks_failed_count"]),
        (&json!(null), &json!(0))
    );
    let log = scene.log(&job);
    assert!(
        log.contains(&format!("\nhello from {job} in run 0\n0\n")),
        "{log}"
    );
    assert!(log.contains("no file fits `none/*`"), "{log}");
    let uploads = scene.uploads();
    assert_eq!(
        uploads,
        [("out/deep/file.txt".to_owned(), "made".to_owned())]
    );
}

#[tokio::test]
async fn jobs_that_fail_are_reported_with_their_exit_codes_and_signals() {
    let scene = Scene::new(Behaviour::default()).await;
    let fails = scene.add("echo one; false; echo two", json!({}));
    let exits = scene.add("exit 7", json!({}));
    let dies = scene.add("kill -SEGV $$", json!({}));
    let slow = scene.add("sleep 1000", json!({ "TASKYARD_MAX_RUN_TIME": "1" }));
    let wrong = scene.add(
        "true",
        json!({ "BUILDKITE_PLUGINS": "[{\"docker\":null}]" }),
    );
    let mut config = scene.config();
    config.concurrency = 5;
    let summary = scene.run(config, scene.finished(5)).await.unwrap();
    assert_eq!((summary.passed, summary.failed), (0, 5));
    assert_eq!(scene.end(&fails)["exit_status"], "1");
    assert!(!scene.log(&fails).contains("\ntwo"));
    assert_eq!(scene.end(&exits)["exit_status"], "7");
    let end = scene.end(&dies);
    assert_eq!(
        (&end["exit_status"], &end["signal"]),
        (&json!("-1"), &json!("SIGSEGV"))
    );
    let end = scene.end(&slow);
    assert_eq!(
        (&end["exit_status"], &end["signal"]),
        (&json!("-1"), &json!("SIGTERM"))
    );
    assert_eq!(end.get("signal_reason"), None);
    assert!(scene.log(&slow).contains("longer than 1 s"));
    assert_eq!(scene.end(&wrong)["signal_reason"], "agent_refused");
}

#[tokio::test]
async fn a_job_that_is_canceled_is_stopped() {
    let behaviour = Behaviour {
        job_state: Some("canceling"),
        ..Behaviour::default()
    };
    let scene = Scene::new(behaviour).await;
    let job = scene.add("echo printed; sleep 1000", json!({}));
    scene.run(scene.config(), scene.finished(1)).await.unwrap();
    assert_eq!(scene.end(&job)["signal_reason"], "cancel");
    assert!(scene.log(&job).contains("the job was canceled"));
}

#[tokio::test]
async fn an_agent_that_is_not_known_any_more_stops_its_job_and_reports_nothing() {
    let behaviour = Behaviour {
        heartbeat_status: Some(401),
        ..Behaviour::default()
    };
    let scene = Scene::new(behaviour).await;
    let mark = scene.folder.path().join("mark");
    let script = format!(
        "echo printed; trap 'touch {0}; exit' TERM; while :; do sleep 0.02; done",
        mark.display()
    );
    let _job = scene.add(&script, json!({}));
    let stopped = async {
        while !mark.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let mut config = scene.config();
    // The mark is made however long that takes.
    config.kill_grace = Duration::from_mins(1);
    let summary = scene.run(config, stopped).await.unwrap();
    assert_eq!((summary.lost, summary.failed), (1, 0));
    assert!(!scene.calls().contains(&"finish".to_owned()));
}

#[tokio::test]
async fn a_stack_that_stops_reports_its_jobs_and_deregisters() {
    let scene = Scene::new(Behaviour::default()).await;
    let job = scene.add("echo printed; sleep 1000", json!({}));
    let began = scene.until(|shared| shared.log(&job).contains("printed"));
    let summary = scene.run(scene.config(), began).await.unwrap();
    assert_eq!(summary.failed, 1);
    assert_eq!(scene.end(&job)["signal_reason"], "agent_stop");
    assert_eq!(scene.calls().last().unwrap(), "deregister");
}

#[tokio::test]
async fn urgent_jobs_come_first_and_those_for_other_agents_are_left_alone() {
    let scene = Scene::new(Behaviour::default()).await;
    let order = scene.folder.path().join("order");
    let script = |name: &str| format!("echo {name} >> {}", order.display());
    scene.add_with(&script("idle"), json!({}), 0, &["queue=default"]);
    scene.add_with(&script("other"), json!({}), 9, &["os=darwin"]);
    scene.add_with(&script("urgent"), json!({}), 5, &["os=*"]);
    let mut config = scene.config();
    config.tags.insert("os".to_owned(), "linux".to_owned());
    scene.run(config, scene.finished(2)).await.unwrap();
    assert_eq!(std::fs::read_to_string(&order).unwrap(), "urgent\nidle\n");
}

#[tokio::test]
async fn a_job_that_cannot_be_taken_is_given_up() {
    let behaviour = Behaviour {
        acquire_status: Some(403),
        ..Behaviour::default()
    };
    let scene = Scene::new(behaviour).await;
    let job = scene.add("true", json!({}));
    let summary = scene.run(scene.config(), scene.finished(1)).await.unwrap();
    assert_eq!(summary.lost, 1);
    let end = scene.end(&job);
    assert_eq!(
        (&end["exit_status"], &end["signal_reason"]),
        (&json!(-1), &json!("stack_error"))
    );
    assert!(end["detail"].as_str().unwrap().contains("403"), "{end}");
}

#[tokio::test]
async fn a_paused_queue_is_only_looked_at() {
    let behaviour = Behaviour {
        paused: true,
        ..Behaviour::default()
    };
    let scene = Scene::new(behaviour).await;
    scene.add("true", json!({}));
    let pause = tokio::time::sleep(Duration::from_millis(500));
    scene.run(scene.config(), pause).await.unwrap();
    assert_eq!(scene.calls(), ["register default", "deregister"]);
}

#[tokio::test]
async fn a_stack_that_is_refused_says_why() {
    let behaviour = Behaviour {
        register_status: Some(401),
        ..Behaviour::default()
    };
    let scene = Scene::new(behaviour).await;
    let refused = scene.run(scene.config(), std::future::pending()).await;
    assert!(matches!(&refused, Err(StackError::Refused(error)) if error.status() == Some(401)));
    let mut config = scene.config();
    config.stack_key = "a b".to_owned();
    let refused = scene.run(config, std::future::pending()).await;
    assert!(matches!(refused, Err(StackError::Config(_))));
}
