//! Records of artifacts: when they may be made, and what may replace what.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use taskyard_engine::Timestamp;
use taskyard_engine::artifact::{self, Artifact, Refusal, StorageType};
use taskyard_engine::task::{self, Exception, NewTask, Resolved, State, Task};
use taskyard_store::testing::Kind;
use taskyard_store::{Key, on_both_databases};
use tokio::runtime::Handle;

use crate::creation::nodes;
use crate::history::for_all;
use crate::invariants::must;
use crate::yard::{START, Yard, dependent_task, new_task, secs};

const MINUTE: Duration = secs(60);

pub(crate) fn artifact(task_id: &str, name: &str) -> Artifact {
    Artifact {
        task_id: task_id.to_owned(),
        run_id: 0,
        name: name.to_owned(),
        storage_type: StorageType::S3,
        content_type: "text/plain".to_owned(),
        details: "{}".to_owned(),
        expires: START.plus(secs(5000)),
        content_length: Some(5),
        present: true,
    }
}

/// Whether an artifact of this type can be had as soon as it is made.
fn is_present_at_once(storage_type: StorageType) -> bool {
    !matches!(storage_type, StorageType::Blob | StorageType::Object)
}

pub(crate) async fn create(
    yard: &Yard,
    now: Timestamp,
    new: Artifact,
) -> Result<Artifact, Refusal> {
    let created = yard.write(move |tx| artifact::create(tx, now, &new)).await;
    created.map(|created| created.artifact)
}

async fn load(yard: &Yard, new: &Artifact) -> Option<Artifact> {
    let new = new.clone();
    yard.read(move |tx| artifact::load(tx, &new.task_id, new.run_id, &new.name))
        .await
}

/// The rule of section 9.1.
fn may_follow(old: &Artifact, new: &Artifact) -> bool {
    use StorageType::{Link, Object, Reference};
    let same_content = new.storage_type == Link || old.content_type == new.content_type;
    let compatible = match (old.storage_type, new.storage_type) {
        (Reference, Reference | Link) | (Object, Object) => true,
        (old_type, new_type) => old_type == new_type && old.details == new.details,
    };
    same_content && new.expires >= old.expires && compatible
}

/// One step of a history of artifacts.
#[derive(Debug, Clone)]
enum Step {
    Claim,
    /// How the last run of a task ends.
    Report(usize, Resolved),
    Cancel(usize),
    /// An artifact of a run, under one of a few names, that expires so many minutes from now.
    Create {
        task: usize,
        run_id: usize,
        name: usize,
        storage_type: StorageType,
        details: bool,
        html: bool,
        minutes: u64,
    },
    Wait(u64),
}

const TASKS: usize = 2;
const NAMES: usize = 3;
/// All tasks of a history expire so many minutes after it began.
const EXPIRES: u64 = 120;

fn step() -> impl Strategy<Value = Step> {
    let resolved = select(vec![
        Resolved::Completed,
        Resolved::Failed,
        Resolved::Exception(Exception::WorkerShutdown),
        Resolved::Exception(Exception::InternalError),
    ]);
    let create = (
        0..TASKS,
        0..2_usize,
        0..NAMES,
        select(StorageType::ALL.to_vec()),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        select(vec![1, 30, 60, EXPIRES + 10]),
    );
    prop_oneof![
        2 => Just(Step::Claim),
        2 => (0..TASKS, resolved).prop_map(|(task, resolved)| Step::Report(task, resolved)),
        1 => (0..TASKS).prop_map(Step::Cancel),
        12 => create.prop_map(
            |(task, run_id, name, storage_type, details, html, minutes)| Step::Create {
                task, run_id, name, storage_type, details, html, minutes,
            }
        ),
        2 => select(vec![1_u64, 10, 24]).prop_map(Step::Wait),
    ]
}

/// Whether a run takes artifacts: `Err(true)` if what is asked makes no sense at all.
fn takes(task: &Task, run_id: usize, now: Timestamp) -> Result<(), bool> {
    let run = task.runs.get(run_id).ok_or(true)?;
    run.worker.as_ref().ok_or(true)?;
    match (run.state, run.resolved) {
        (State::Running, _) => Ok(()),
        (State::Exception, Some(end)) if now < end.plus(25 * MINUTE) => Ok(()),
        _ => Err(false),
    }
}

/// Walks through a history, in which all artifacts are as the rules say at every moment.
async fn walk(yard: &Yard, number: usize, steps: &[Step]) -> Result<(), String> {
    let id = |task: usize| format!("task-{number}-{task}");
    let mut now = START;
    for task in 0..TASKS {
        let new = NewTask {
            retries: 1,
            deadline: START.plus(100 * MINUTE),
            expires: START.plus(secs(EXPIRES * 60)),
            ..new_task(&id(task))
        };
        yard.create(START, new).await;
    }
    let mut known: BTreeMap<(String, usize, String), Artifact> = BTreeMap::new();
    for (at, step) in steps.iter().enumerate() {
        match *step {
            Step::Claim => drop(yard.claim(now, "w", 1).await),
            Step::Report(task, resolved) => {
                let id = id(task);
                yard.write(move |tx| {
                    let last = task::load(tx, &id)?.map_or(0, |task| task.runs.len());
                    task::report(tx, now, &id, last.saturating_sub(1), resolved).map(drop)
                })
                .await;
            }
            Step::Cancel(task) => {
                let id = id(task);
                yard.write(move |tx| task::cancel(tx, now, &id).map(drop))
                    .await;
            }
            Step::Create {
                task,
                run_id,
                name,
                storage_type,
                details,
                html,
                minutes,
            } => {
                let task = yard.task(&id(task)).await.expect("it was created");
                let new = Artifact {
                    run_id,
                    storage_type,
                    content_type: if html { "text/html" } else { "text/plain" }.to_owned(),
                    details: if details { r#"{"other":1}"# } else { "{}" }.to_owned(),
                    expires: now.plus(secs(minutes * 60)),
                    present: is_present_at_once(storage_type),
                    ..artifact(&task.id, &format!("name-{name}"))
                };
                let key = (task.id.clone(), run_id, new.name.clone());
                let before = known.get(&key);
                let answer = create(yard, now, new.clone()).await;
                // I32, then I30.
                let expected = if new.expires > task.expires {
                    Err(true)
                } else {
                    takes(&task, run_id, now).and_then(|()| {
                        let fits = before.is_none_or(|old| may_follow(old, &new));
                        fits.then_some(()).ok_or(false)
                    })
                };
                let is_right = match (&answer, expected) {
                    (Ok(_), Ok(())) => true,
                    (Err(Refusal::Input(_)), Err(is_input)) => is_input,
                    (Err(Refusal::Conflict(_)), Err(is_input)) => !is_input,
                    _ => false,
                };
                must!(is_right, "step {at}, {step:?} of {task:?}: {answer:?}");
                if let Ok(made) = answer {
                    // I31
                    must!(
                        before.is_none_or(|old| old.expires <= made.expires),
                        "step {at}, {step:?}: {before:?} became {made:?}"
                    );
                    must!(made.expires == new.expires, "step {at}, {step:?}: {made:?}");
                    known.insert(key, made);
                }
            }
            Step::Wait(minutes) => now = now.plus(secs(minutes * 60)),
        }
        for artifact in known.values() {
            let found = load(yard, artifact).await;
            must!(
                found.as_ref() == Some(artifact),
                "step {at}, {step:?}: {artifact:?} became {found:?}"
            );
        }
    }
    // The next history finds an empty queue.
    for task in 0..TASKS {
        let id = id(task);
        yard.write(move |tx| task::cancel(tx, START, &id).map(drop))
            .await;
    }
    Ok(())
}

on_both_databases! {
    /// I30, I31, I32
    async fn artifacts_are_made_and_replaced_as_the_rules_say_in_any_history(kind) {
        let cases = match kind {
            Kind::Sqlite => 200,
            Kind::Postgres => 30,
        };
        let yard = Yard::new(kind);
        let (handle, number) = (Handle::current(), Cell::new(0));
        for_all(cases, prop::collection::vec(step(), 10..60), |steps| {
            number.set(number.get() + 1);
            handle.block_on(walk(&yard, number.get(), &steps))
        });
    }

    /// I30, I31
    async fn what_may_replace_an_artifact_is_as_the_matrix_says(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("task")).await;
        yard.claim(START, "w", 1).await;
        let mut tried = 0;
        let mut accepted = 0;
        for old_type in StorageType::ALL {
            for new_type in StorageType::ALL {
                for details in ["{}", r#"{"other":1}"#] {
                    for content_type in ["text/plain", "text/html"] {
                        for later in [-1_i64, 0, 1] {
                            let old = Artifact {
                                storage_type: old_type,
                                present: is_present_at_once(old_type),
                                ..artifact("task", &format!("name-{tried}"))
                            };
                            let new = Artifact {
                                storage_type: new_type,
                                details: details.to_owned(),
                                content_type: content_type.to_owned(),
                                expires: Timestamp(old.expires.0 + later),
                                content_length: Some(7),
                                ..old.clone()
                            };
                            assert_eq!(create(&yard, START, old.clone()).await, Ok(old.clone()));
                            let answer = create(&yard, START, new.clone()).await;
                            let expected = if may_follow(&old, &new) {
                                accepted += 1;
                                // What was first said about the content stays.
                                Artifact {
                                    content_type: old.content_type.clone(),
                                    content_length: old.content_length,
                                    details: match new_type {
                                        StorageType::Object => old.details.clone(),
                                        _ => new.details.clone(),
                                    },
                                    ..new.clone()
                                }
                            } else {
                                assert!(matches!(answer, Err(Refusal::Conflict(_))), "{new:?}");
                                old.clone()
                            };
                            assert_eq!(answer.is_ok(), may_follow(&old, &new), "{old:?} {new:?}");
                            assert_eq!(load(&yard, &new).await.as_ref(), Some(&expected));
                            if let Ok(answer) = answer {
                                assert_eq!(answer, expected);
                            }
                            tried += 1;
                        }
                    }
                }
            }
        }
        // Same type and details, with the same content type (a link with any) and no earlier
        // expiry: 6 * 2 + 4; reference to reference and object to object with other details: 4;
        // reference to link: 8.
        assert_eq!((tried, accepted), (588, 28));
    }

    /// I32
    async fn artifacts_are_made_by_running_runs_and_shortly_after_an_exception(kind) {
        let yard = Yard::new(kind);
        let end = START.plus(secs(10));
        for id in ["running", "completed", "failed", "broken", "retried"] {
            yard.create(START, new_task(id)).await;
        }
        yard.claim(START, "w", 5).await;
        for (id, resolved) in [
            ("completed", Resolved::Completed),
            ("failed", Resolved::Failed),
            ("broken", Resolved::Exception(Exception::InternalError)),
            ("retried", Resolved::Exception(Exception::WorkerShutdown)),
        ] {
            yard.write(move |tx| task::report(tx, end, id, 0, resolved)).await.expect("is taken");
        }
        let attempt = async |id: &str, now: Timestamp| {
            create(&yard, now, artifact(id, "name")).await
        };
        assert!(attempt("running", end).await.is_ok());
        for id in ["completed", "failed"] {
            let refused = attempt(id, end).await;
            assert!(matches!(refused, Err(Refusal::Conflict(_))), "{id}: {refused:?}");
        }
        let grace = end.plus(25 * MINUTE);
        for id in ["broken", "retried"] {
            assert!(attempt(id, Timestamp(grace.0 - 1)).await.is_ok());
            let refused = attempt(id, grace).await;
            assert!(matches!(refused, Err(Refusal::Conflict(_))), "{id}: {refused:?}");
        }
    }

    /// I32
    async fn artifacts_of_what_was_never_claimed_are_bad_input(kind) {
        let yard = Yard::new(kind);
        let never = yard.create(START, new_task("pending")).await;
        yard.create(START, dependent_task("cancelled", &["cancelled"])).await;
        yard.write(|tx| task::cancel(tx, START, "cancelled")).await.expect("is cancelled");
        for id in ["pending", "cancelled", "unknown"] {
            let refused = create(&yard, START, artifact(id, "name")).await;
            assert!(matches!(refused, Err(Refusal::Input(_))), "{id}: {refused:?}");
        }
        yard.claim(START, "w", 1).await;
        let wrong_run = Artifact { run_id: 1, ..artifact("pending", "name") };
        let too_long = Artifact {
            expires: Timestamp(never.expires.0 + 1),
            ..artifact("pending", "name")
        };
        for new in [wrong_run, too_long] {
            let refused = create(&yard, START, new).await;
            assert!(matches!(refused, Err(Refusal::Input(_))), "{refused:?}");
        }
        let longest = Artifact { expires: never.expires, ..artifact("pending", "name") };
        assert!(create(&yard, START, longest).await.is_ok());
        assert!(yard.read(|tx| artifact::list(tx, "pending", 1, "", 9)).await.is_empty());
    }

    /// I30, I31: of artifacts made at once under one name the first one stands.
    async fn artifacts_of_one_name_made_at_once_do_not_overwrite_each_other(kind) {
        let yard = Yard::new(kind);
        let nodes = nodes(&yard, kind);
        yard.create(START, new_task("task")).await;
        yard.claim(START, "w", 1).await;
        for round in 0..8 {
            let calls: Vec<_> = (0..12_usize)
                .map(|at| {
                    let store = nodes[at % 2].clone();
                    let new = Artifact {
                        storage_type: if at % 3 == 0 { StorageType::Error } else { StorageType::S3 },
                        details: format!("{at}"),
                        expires: START.plus(secs(5000 + at as u64)),
                        ..artifact("task", &format!("name-{round}"))
                    };
                    tokio::spawn(async move {
                        let write =
                            store.write(Key::of(at), move |tx| artifact::create(tx, START, &new));
                        write.await.expect("the write succeeds")
                    })
                })
                .collect();
            let mut made = Vec::new();
            for call in calls {
                made.extend(call.await.expect("no panic").map(|changed| changed.artifact));
            }
            assert_eq!(made.len(), 1, "{made:?}");
            assert_eq!(load(&yard, &made[0]).await.as_ref(), Some(&made[0]));
        }
    }

    async fn artifacts_are_listed_by_name_page_by_page(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("task")).await;
        yard.claim(START, "w", 1).await;
        for name in ["public/b", "a", "public/a", "c"] {
            create(&yard, START, artifact("task", name)).await.expect("it is running");
        }
        let page = async |after: &'static str| -> Vec<String> {
            let listed = yard.read(move |tx| artifact::list(tx, "task", 0, after, 3)).await;
            listed.into_iter().map(|artifact| artifact.name).collect()
        };
        assert_eq!(page("").await, ["a", "c", "public/a"]);
        assert_eq!(page("public/a").await, ["public/b"]);
    }
}
