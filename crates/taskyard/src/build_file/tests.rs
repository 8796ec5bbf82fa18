use std::path::Path;

use serde_json::json;
use taskyard_client::Timestamp;

use super::definition::{Runner, Submission, definitions};
use super::*;

fn checked(text: &str) -> BuildFile {
    match read(text, Path::new("build.yml"), Path::new("/src/build.yml")) {
        Ok(build) => build,
        Err(refusal) => panic!("{refusal}"),
    }
}

/// What a user reads below the headline.
fn refused(text: &str) -> String {
    let refusal = read(text, Path::new("build.yml"), Path::new("/src/build.yml"))
        .expect_err("the file must be refused")
        .to_string();
    let headline = "build.yml cannot be run, nothing was started\n\n";
    refusal
        .strip_prefix(headline)
        .expect("a headline")
        .to_owned()
}

const GOOD: &str = r#"
name: hello
defaults:
  env: {CC: cc, VERSION: 1.10}
  timeout: 10m
tasks:
  test:
    needs: [lint]
    inputs: [{from: compile, artifact: hello, to: bin/hello}]
    command: [./hello, "--self test"]
    timeout: 90s
    retry-on: [75]
    retries: 1
    priority: high
  lint:
    command: true
  compile:
    command: $CC -o hello "$SOURCE_DIR/hello.c"
    description: Builds the program.
    env: {CC: gcc}
    artifacts: [hello, report/]
"#;

fn submission() -> Submission {
    Submission {
        task_queue_id: "local/run-1".to_owned(),
        task_group_id: "GROUP".to_owned(),
        task_ids: vec!["TEST".to_owned(), "LINT".to_owned(), "COMPILE".to_owned()],
        root_url: "http://127.0.0.1:1".to_owned(),
        now: "2026-03-01T10:00:00.000Z".parse::<Timestamp>().unwrap(),
        runner: Runner::Worker,
    }
}

#[test]
fn a_build_file_becomes_definitions_in_the_order_of_their_dependencies() {
    let definitions = definitions(&checked(GOOD), &submission());
    let order: Vec<usize> = definitions.iter().map(|(at, _)| *at).collect();
    assert_eq!(order, [1, 2, 0]);

    let sent: Vec<serde_json::Value> = definitions
        .iter()
        .map(|(_, definition)| serde_json::to_value(definition).unwrap())
        .collect();
    assert_eq!(
        sent[1],
        json!({
            "taskQueueId": "local/run-1", "schedulerId": "taskyard-run", "taskGroupId": "GROUP",
            "requires": "all-completed", "priority": "lowest", "retries": 2,
            "created": "2026-03-01T10:00:00.000Z", "deadline": "2026-03-06T10:00:00.000Z",
            "expires": "2026-03-31T10:00:00.000Z",
            "payload": {
                "command": [["sh", "-e", "-c", "$CC -o hello \"$SOURCE_DIR/hello.c\""]],
                "env": {"CC": "gcc", "SOURCE_DIR": "/src", "VERSION": "1.10"},
                "maxRunTime": 600,
                "artifacts": [
                    {"type": "file", "path": "hello", "name": "public/hello"},
                    {"type": "directory", "path": "report", "name": "public/report"},
                ],
            },
            "metadata": {
                "name": "hello / compile", "description": "Builds the program.",
                "owner": "taskyard-run@localhost", "source": "http://127.0.0.1:1",
            },
            "tags": {"build": "hello", "task": "compile"},
            "extra": {"buildFile": "/src/build.yml"},
        })
    );
    assert_eq!(sent[2]["dependencies"], json!(["LINT", "COMPILE"]));
    assert_eq!(
        sent[2]["scopes"],
        json!(["queue:get-artifact:public/hello"])
    );
    assert_eq!(sent[2]["priority"], json!("high"));
    assert_eq!(
        sent[2]["payload"],
        json!({
            "command": [["./hello", "--self test"]],
            "env": {"CC": "cc", "SOURCE_DIR": "/src", "VERSION": "1.10"},
            "maxRunTime": 90,
            "mounts": [
                {"file": "bin/hello", "content": {"taskId": "COMPILE", "artifact": "public/hello"}},
            ],
            "onExitStatus": {"retry": [75]},
        })
    );
}

#[test]
fn a_build_without_a_name_is_called_after_its_file() {
    assert_eq!(checked("tasks: {a: {command: 'true'}}").name, "build");
}

#[test]
fn a_mapping_can_be_written_once_and_merged_into_others() {
    let build = checked(
        "tasks:\n  a: &base\n    command: make\n    retries: 7\n  b:\n    <<: *base\n    needs: [a]\n",
    );
    assert_eq!(
        (build.tasks[1].retries, &build.tasks[1].needs),
        (7, &vec![0])
    );
    assert_eq!(build.tasks[1].command, ["sh", "-e", "-c", "make"]);
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_key_that_was_meant() {
    assert_eq!(
        refused("tasks:\n  a:\n    comand: make\n"),
        "build.yml:3:5: unknown key `comand`\n\
         \x20   3 |     comand: make\n\
         \x20     |     ^\n\
         \x20 hint: did you mean `command`? (the keys known here are command, needs, inputs, \
         artifacts, env, timeout, retries, retry-on, priority, description)"
    );
    assert_eq!(
        refused("task:\n  a: {command: make}\n"),
        "build.yml:1:1: unknown key `task`\n\
         \x20   1 | task:\n\
         \x20     | ^\n\
         \x20 hint: did you mean `tasks`? (the keys known here are name, defaults, tasks)"
    );
    assert_eq!(
        refused("tasks: {a: {image: linux}}"),
        "build.yml:1:13: unknown key `image`\n\
         \x20   1 | tasks: {a: {image: linux}}\n\
         \x20     |             ^\n\
         \x20 hint: the keys known here are command, needs, inputs, artifacts, env, timeout, \
         retries, retry-on, priority, description"
    );
}

#[test]
fn a_stack_is_told_by_variables_what_a_worker_reads_in_the_payload() {
    let submission = Submission {
        runner: Runner::Stack,
        ..submission()
    };
    let definitions = definitions(&checked(GOOD), &submission);
    let of = |position| {
        let found = definitions.iter().find(|(at, _)| *at == position).unwrap();
        serde_json::to_value(&found.1).unwrap()
    };
    let test = of(0);
    let env = &test["payload"]["env"];
    assert_eq!(env["TASKYARD_MAX_RUN_TIME"], "90");
    let mounts: serde_json::Value =
        serde_json::from_str(env["TASKYARD_MOUNTS"].as_str().unwrap()).unwrap();
    assert_eq!(mounts, test["payload"]["mounts"]);
    assert_eq!(
        of(2)["extra"]["stacks"]["artifactPaths"],
        json!(["hello", "report/**/*"])
    );
    assert_eq!(of(1)["payload"]["env"].get("TASKYARD_MOUNTS"), None);
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_what_is_expected() {
    for (line, message, hint) in [
        (
            "needs: b",
            "a list is expected here",
            "write a list, also for a single value: [one]",
        ),
        (
            "retries: many",
            "a whole number is expected here",
            "write digits only, like 3",
        ),
        (
            "retry-on: [x]",
            "a whole number is expected here",
            "write digits only, like 3",
        ),
        (
            "env: CC",
            "a mapping is expected here",
            "write `key: value` lines, indented below this key",
        ),
        (
            "inputs: [b]",
            "a mapping is expected here",
            "write `key: value` lines, indented below this key",
        ),
        (
            "artifacts: [[x]]",
            "a text is expected here",
            "put the value into quotes",
        ),
    ] {
        let text = format!("tasks:\n  a:\n    command: make\n    {line}\n");
        let said = refused(&text);
        assert!(said.starts_with("build.yml:4:"), "{line}: {said}");
        assert!(
            said.contains(message) && said.contains(hint),
            "{line}: {said}"
        );
    }
    let said = refused("tasks:\n  a:\n    command: {run: make}\n");
    assert!(said.starts_with("build.yml:3:"), "{said}");
    assert!(
        said.contains("a shell command or a list of words is expected here"),
        "{said}"
    );
    let said = refused("tasks: [a]\n");
    assert!(said.contains("a mapping is expected here"), "{said}");
    let said = refused("tasks:\n  a: make\n");
    assert!(said.starts_with("build.yml:2:6: a mapping"), "{said}");
}

#[test]
fn a_need_that_is_no_task_is_refused_with_the_task_that_was_meant() {
    assert_eq!(
        refused(
            "tasks:\n  compile: {command: make}\n  test:\n    command: make test\n    needs: [compil]\n"
        ),
        "build.yml:5:13: `test` needs `compil`, but there is no such task\n\
         \x20   5 |     needs: [compil]\n\
         \x20     |             ^\n\
         \x20 hint: did you mean `compile`?"
    );
}

#[test]
fn tasks_that_wait_for_each_other_are_refused_with_the_whole_cycle() {
    assert_eq!(
        refused(
            "tasks:\n  a:\n    command: make\n    needs: [b]\n  b:\n    command: make\n    needs: [c]\n  \
             c:\n    command: make\n    needs: [a]\n"
        ),
        "build.yml:4:13: these tasks wait for each other: a -> b -> c -> a\n\
         \x20   4 |     needs: [b]\n\
         \x20     |             ^\n\
         \x20 hint: remove one of these needs, so that one task can start"
    );
    assert!(refused("tasks: {a: {command: x, needs: [a]}}").contains("`a` needs itself"));
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    let said = refused("tasks:\n  a: {command: x}\n  b: {command: x}\n  a: {command: y}\n");
    assert!(
        said.starts_with("build.yml:4:3: `a` stands here a second time\n"),
        "{said}"
    );
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_in_its_order() {
    let text = "tasks:\n  a/b:\n    command: ''\n    needs: [x]\n    timeout: 5\n    retries: 50\n    \
                priority: hihg\n    artifacts: [../x, a, a, logs/x]\n    env: {RUN_ID: 1, 2x: y}\n    \
                retry-on: [0]\n    inputs: [{from: a/b}]\n";
    let refusal =
        read(text, Path::new("build.yml"), Path::new("/src/build.yml")).expect_err("mistakes");
    let said: Vec<(u64, &str)> = refusal
        .mistakes()
        .iter()
        .map(|mistake| (mistake.line, mistake.message.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            (2, "`a/b` cannot be the name of a task"),
            (3, "this command is empty"),
            (4, "`a/b` needs `x`, but there is no such task"),
            (5, "`5` is no timeout: `5` has no unit"),
            (6, "50 retries are too many"),
            (7, "`hihg` is no priority"),
            (8, "`../x` is no path that can be used"),
            (8, "`a` is listed twice"),
            (8, "`logs` is where the task's own log is kept"),
            (9, "`RUN_ID` is set for every task"),
            (9, "`2x` is no name of a variable"),
            (10, "0 is no exit code to retry on"),
            (11, "an input needs `from` and `artifact`"),
        ]
    );
    assert!(
        refusal
            .mistakes()
            .iter()
            .all(|mistake| mistake.hint.is_some())
    );
}

#[test]
fn an_input_must_be_an_artifact_of_its_task() {
    let text = "tasks:\n  a: {command: x, artifacts: [hello, out/]}\n  b:\n    command: x\n    \
                inputs:\n    - {from: a, artifact: out/log.txt}\n    - {from: a, artifact: helo}\n";
    assert_eq!(
        refused(text),
        "build.yml:7:7: `a` leaves no artifact `helo` behind\n\
         \x20   7 |     - {from: a, artifact: helo}\n\
         \x20     |       ^\n\
         \x20 hint: did you mean `hello`?"
    );
}

#[test]
fn a_file_without_tasks_is_refused() {
    assert!(refused("name: x\n").starts_with("build.yml: there is no `tasks:`\n"));
    assert!(refused("tasks: {}\n").starts_with("build.yml:1:8: there are no tasks\n"));
    assert!(refused("").contains("tasks"), "{}", refused(""));
}

#[test]
fn text_that_is_no_yaml_is_refused_with_its_line() {
    let said = refused("tasks:\n  a: {command: [x}\n");
    assert!(said.starts_with("build.yml:2:"), "{said}");
    let said = refused("tasks:\n\ta: x\n");
    assert!(said.starts_with("build.yml:2:"), "{said}");
}

#[test]
fn a_file_that_is_missing_or_too_large_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.yml");
    let said = load(&missing).unwrap_err().to_string();
    assert!(said.starts_with(&format!("cannot read the build file {}", missing.display())));

    let large = folder.path().join("large.yml");
    std::fs::write(&large, vec![b'#'; 1024 * 1024 + 1]).unwrap();
    assert!(matches!(load(&large), Err(Error::TooLarge { .. })));
}
