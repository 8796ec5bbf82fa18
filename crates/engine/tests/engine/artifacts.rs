//! Records of artifacts: when they may be made, and what may replace what.

use std::time::Duration;

use taskyard_engine::Timestamp;
use taskyard_engine::artifact::{self, Artifact, Refusal, StorageType};
use taskyard_engine::task::{self, Exception, Resolved};
use taskyard_store::{Key, on_both_databases};

use crate::creation::nodes;
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

on_both_databases! {
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
