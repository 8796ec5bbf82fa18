use std::path::Path;

use serde_json::json;
use taskyard_client::Timestamp;

use super::definition::{Submission, definitions};
use super::*;

fn checked(text: &str) -> Pipeline {
    match read(text, Path::new("pipeline.yml")) {
        Ok(pipeline) => pipeline,
        Err(refusal) => panic!("{refusal}"),
    }
}

/// What a user reads below the headline.
fn refused(text: &str) -> String {
    let refusal = read(text, Path::new("pipeline.yml"))
        .expect_err("the file must be refused")
        .to_string();
    let headline = "pipeline.yml cannot be run, nothing was started\n\n";
    refusal
        .strip_prefix(headline)
        .expect("a headline")
        .to_owned()
}

const GOOD: &str = r#"
name: My Pipeline!
env: {CC: cc, VERSION: 1.10}
agents: {queue: gpu}
steps:
  - label: Test
    key: test
    depends_on: [build, lint]
    command:
      - make test
      - make more
    agents: [os=linux, queue=cpu]
    priority: 5
    retry: {automatic: [{exit_status: [75, -1], limit: 3}, {exit_status: 1}]}
    timeout: 90s
  - key: build
    command: make
    env: {CC: gcc}
    artifact_paths: "out/**/*; *.log"
    timeout_in_minutes: 10
    retry: 0
  - key: lint
    commands: true
    retry: {automatic: true}
"#;

fn submission(count: usize) -> Submission {
    Submission {
        queue: "default".to_owned(),
        task_group_id: "GROUP".to_owned(),
        task_ids: (0..count).map(|n| format!("T{n}")).collect(),
        branch: Some("main".to_owned()),
        root_url: "http://127.0.0.1:1".to_owned(),
        now: "2026-03-01T10:00:00.000Z".parse::<Timestamp>().unwrap(),
    }
}

#[test]
fn steps_become_tasks_of_their_queues_in_an_order_that_the_server_takes() {
    let pipeline = checked(GOOD);
    let definitions = definitions(&pipeline, &submission(3));
    let order: Vec<usize> = definitions.iter().map(|(position, _)| *position).collect();
    assert_eq!(order, [1, 2, 0]);

    let test = serde_json::to_value(&definitions[2].1).unwrap();
    assert_eq!(test["taskQueueId"], "stacks/cpu");
    assert_eq!(test["dependencies"], json!(["T1", "T2"]));
    assert_eq!(
        (&test["priority"], &test["retries"]),
        (&json!("very-high"), &json!(3))
    );
    assert_eq!(
        test["payload"],
        json!({"command": "make test\nmake more", "maxRunTime": 90,
            "env": {"CC": "cc", "TASKYARD_MAX_RUN_TIME": "90", "VERSION": "1.10"},
            "onExitStatus": {"retry": [1, 75]}})
    );
    assert_eq!(
        test["extra"]["stacks"],
        json!({"pipeline": "my-pipeline", "label": "Test", "step": "test", "branch": "main",
            "agents": {"os": "linux"}})
    );

    let build = serde_json::to_value(&definitions[0].1).unwrap();
    assert_eq!(
        (&build["taskQueueId"], &build["retries"]),
        (&json!("stacks/gpu"), &json!(0))
    );
    assert_eq!(build["payload"]["maxRunTime"], 600);
    assert_eq!(build["payload"]["env"]["CC"], "gcc");
    assert_eq!(
        build["extra"]["stacks"]["artifactPaths"],
        json!(["out/**/*", "*.log"])
    );
    assert_eq!(build["metadata"]["name"], "build");

    let lint = serde_json::to_value(&definitions[1].1).unwrap();
    assert_eq!(lint["payload"]["command"], "true");
    let codes = lint["payload"]["onExitStatus"]["retry"].as_array().unwrap();
    assert_eq!((codes.len(), &lint["retries"]), (255, &json!(2)));
}

#[test]
fn a_step_needs_nothing_but_a_command() {
    let pipeline = checked("steps: [{command: make}]");
    assert_eq!(pipeline.name, "pipeline");
    let made = serde_json::to_value(&definitions(&pipeline, &submission(1))[0].1).unwrap();
    assert_eq!(made["taskQueueId"], "stacks/default");
    assert_eq!(
        (&made["priority"], &made["retries"]),
        (&json!("lowest"), &json!(2))
    );
    assert_eq!(made["payload"]["maxRunTime"], 3600);
    assert_eq!(made["metadata"]["name"], "make");
}

#[test]
fn a_mistyped_key_is_refused_with_its_line_and_what_was_meant() {
    let said = refused("steps:\n  - command: make\n    depend_on: [a]\n");
    assert!(
        said.starts_with("pipeline.yml:3:5: unknown key `depend_on`\n    3 |     depend_on: [a]\n"),
        "{said}"
    );
    assert!(said.contains("hint: did you mean `depends_on`?"), "{said}");
}

#[test]
fn a_step_that_does_not_exist_is_refused_with_the_one_that_was_meant() {
    assert_eq!(
        refused("steps:\n  - {key: build, command: make}\n  - command: x\n    depends_on: buld\n"),
        "pipeline.yml:4:17: there is no step with the key `buld`\n\
         \x20   4 |     depends_on: buld\n\
         \x20     |                 ^\n\
         \x20 hint: did you mean `build`?"
    );
}

#[test]
fn steps_that_wait_for_each_other_are_refused_with_the_whole_cycle() {
    let said = refused(
        "steps:\n  - {key: a, command: x, depends_on: b}\n  - {key: b, command: x, depends_on: [a]}\n",
    );
    assert!(
        said.starts_with("pipeline.yml:2:")
            && said.contains("these steps wait for each other: a -> b -> a"),
        "{said}"
    );
    assert!(
        refused("steps: [{key: a, command: x, depends_on: a}]").contains("`a` depends on itself")
    );
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_with_a_hint_each() {
    let text = "agents: [linux]\nsteps:\n  - key: a b\n    command: ''\n    priority: 7\n    \
                timeout: 5\n    retry: 50\n    artifact_paths: ../x\n    env: {2x: y}\n  - key: c\n    \
                agents: {queue: Big_Queue}\n    timeout_in_minutes: 0\n    \
                retry: {automatic: [{exit_status: 256}]}\n  - {key: c, command: x}\n";
    let refusal = read(text, Path::new("pipeline.yml")).expect_err("mistakes");
    let said: Vec<(u64, &str)> = refusal
        .mistakes()
        .iter()
        .map(|mistake| (mistake.line, mistake.message.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            (1, "`linux` is no tag"),
            (3, "`a b` cannot be the key of a step"),
            (4, "this command is empty"),
            (5, "7 is no priority"),
            (6, "`5` is no timeout: `5` has no unit"),
            (7, "50 retries are too many"),
            (8, "`../x` is no pattern of files"),
            (9, "`2x` is no name of a variable"),
            (10, "this step has no `command`"),
            (11, "`Big_Queue` is no queue"),
            (12, "0 minutes are no timeout"),
            (13, "256 is no exit status to retry on"),
            (14, "a second step has the key `c`"),
        ]
    );
    let mut mistakes = refusal.mistakes().iter();
    assert!(mistakes.all(|mistake| mistake.hint.is_some()));
}

#[test]
fn what_is_no_pipeline_is_refused() {
    assert!(refused("name: x\n").starts_with("pipeline.yml: there is no `steps:`\n"));
    assert!(refused("steps: []\n").contains("there are no steps"));
    assert!(refused("steps: {a: {command: x}}\n").contains("a list is expected here"));
    let said = refused("steps:\n  - command: x\n    retry: many\n");
    assert!(said.starts_with("pipeline.yml:3:"), "{said}");
    let said = refused("steps:\n  - wait\n");
    assert!(said.starts_with("pipeline.yml:2:"), "{said}");
}
