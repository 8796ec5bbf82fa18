//! Bytes and who they belong to: artifacts that are uploaded in one way or another, and objects.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use taskyard_engine::Timestamp;
use taskyard_engine::artifact::{self, Artifact, Refusal, StorageType};
use taskyard_engine::clock::Clock;
use taskyard_engine::content::{self, Owner, Stored};
use taskyard_engine::object::{self, Hashes, Object};
use taskyard_engine::task::{self, Resolved};
use taskyard_engine::timer::Timer;
use taskyard_store::on_both_databases;
use taskyard_store::testing::Kind;
use tokio::runtime::Handle;

use crate::artifacts::{artifact, create};
use crate::history::for_all;
use crate::yard::{Bytes, START, Yard, new_task, secs};

/// Bytes that are kept under `key`; what they hash to depends on its last letter alone.
pub(crate) fn stored(key: &str) -> Stored {
    let last = key.chars().last().map_or(0, u32::from);
    Stored {
        key: key.to_owned(),
        size: u64::from(last),
        piece: 0,
        sha256: format!("{last:064x}"),
        encoding: String::new(),
    }
}

async fn receive(yard: &Yard, name: &'static str, part: i64, key: &str) -> Result<Stored, Refusal> {
    let stored = stored(key);
    yard.write(move |tx| artifact::receive(tx, START, ("task", 0, name), part, &stored))
        .await
}

async fn keys(yard: &Yard, owner: Owner) -> Vec<String> {
    let parts = yard.read(move |tx| content::parts(tx, &owner)).await;
    parts.into_iter().map(|(_, part)| part.key).collect()
}

/// A task whose first run is running, with an artifact of each type that takes an upload.
async fn running(kind: Kind) -> Yard {
    let yard = Yard::new(kind);
    begin(&yard).await;
    yard
}

async fn begin(yard: &Yard) {
    yard.create(START, new_task("task")).await;
    yard.claim(START, "w", 1).await;
    for (name, storage_type, details) in [
        ("plain", StorageType::S3, "{}"),
        ("blob", StorageType::Blob, "{}"),
        ("object", StorageType::Object, r#"{"uploadId":"upload"}"#),
    ] {
        let new = Artifact {
            storage_type,
            details: details.to_owned(),
            ..artifact("task", name)
        };
        create(yard, START, new).await.expect("it is running");
    }
}

const OBJECT: &str = "t/task/0/object";

fn object(hashes: &[(&str, &str)]) -> Object {
    Object {
        name: OBJECT.to_owned(),
        project_id: "project".to_owned(),
        upload_id: "upload".to_owned(),
        content_type: "text/plain".to_owned(),
        hashes: told(hashes),
        finished: false,
        expires: START.plus(secs(5000)),
    }
}

fn told(hashes: &[(&str, &str)]) -> Hashes {
    let owned = |(name, hash): &(&str, &str)| ((*name).to_owned(), (*hash).to_owned());
    hashes.iter().map(owned).collect()
}

async fn begin_upload(yard: &Yard, new: Object) -> Result<Object, object::Refusal> {
    yard.write(move |tx| object::begin(tx, START, &new, None))
        .await
}

async fn upload(yard: &Yard, key: &'static str) -> Result<Stored, object::Refusal> {
    yard.write(move |tx| object::receive(tx, START, OBJECT, "upload", &stored(key)))
        .await
}

async fn finish_upload(
    yard: &Yard,
    project: &'static str,
    upload: &'static str,
    hashes: &[(&str, &str)],
) -> Result<(), object::Refusal> {
    let hashes = told(hashes);
    yard.write(move |tx| object::finish(tx, OBJECT, project, upload, &hashes))
        .await
}

on_both_databases! {
    async fn a_blob_is_there_once_its_parts_were_examined(kind) {
        let yard = running(kind).await;
        let complete = async |keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            let done = yard.write(move |tx| {
                artifact::complete(tx, START, ("task", 0, "blob"), &keys)
            });
            done.await.map(|changed| changed.artifact.present)
        };
        receive(&yard, "blob", 1, "b").await.expect("it is taken");
        receive(&yard, "blob", 0, "a").await.expect("it is taken");
        receive(&yard, "blob", 0, "c").await.expect("it is taken again");
        assert!(yard.read(|tx| artifact::contents(tx, ("task", 0, "blob"))).await.is_none());
        for wrong in [&["a", "b"][..], &["b", "c"], &["c"], &["c", "b", "b"], &[]] {
            assert!(matches!(complete(wrong).await, Err(Refusal::Input(_))), "{wrong:?}");
        }
        assert_eq!(complete(&["c", "b"]).await, Ok(true));
        // Once more is fine, whatever is named.
        assert_eq!(complete(&[]).await, Ok(true));
        let (_, parts) = yard
            .read(|tx| artifact::contents(tx, ("task", 0, "blob")))
            .await
            .expect("it is there");
        assert_eq!(parts.iter().map(|part| part.key.as_str()).collect::<Vec<_>>(), ["c", "b"]);
        // The same bytes again change nothing, others are refused.
        assert_eq!(receive(&yard, "blob", 0, "again-c").await.map(|part| part.key), Ok("c".to_owned()));
        let refused = receive(&yard, "blob", 0, "again-x").await;
        assert!(matches!(refused, Err(Refusal::Conflict(_))), "{refused:?}");
        let refused = receive(&yard, "blob", 7, "again-c").await;
        assert!(matches!(refused, Err(Refusal::Conflict(_))), "{refused:?}");
    }

    async fn only_blobs_of_runs_that_take_artifacts_are_completed(kind) {
        let yard = running(kind).await;
        let complete = async |name: &'static str| {
            yard.write(move |tx| artifact::complete(tx, START, ("task", 0, name), &[])).await.map(drop)
        };
        for name in ["plain", "object"] {
            assert!(matches!(complete(name).await, Err(Refusal::Input(_))), "{name}");
        }
        assert!(matches!(complete("none").await, Err(Refusal::Missing { .. })));
        yard.write(|tx| task::report(tx, START, "task", 0, Resolved::Completed))
            .await
            .expect("it is taken");
        assert!(matches!(complete("blob").await, Err(Refusal::Conflict(_))));
    }

    async fn an_object_artifact_is_there_once_its_object_is(kind) {
        let yard = running(kind).await;
        let finish = async |name: &'static str, upload: &'static str| {
            let done = yard.write(move |tx| artifact::finish(tx, START, ("task", 0, name), upload));
            done.await.map(|changed| changed.artifact.present)
        };
        assert!(matches!(finish("none", "upload").await, Err(Refusal::Missing { .. })));
        assert!(matches!(finish("plain", "upload").await, Err(Refusal::Input(_))));
        assert!(matches!(finish("object", "upload").await, Err(Refusal::Input(_))), "not begun");
        begin_upload(&yard, object(&[])).await.expect("it is new");
        upload(&yard, "a").await.expect("it is taken");
        assert!(matches!(finish("object", "upload").await, Err(Refusal::Input(_))), "not finished");
        finish_upload(&yard, "project", "upload", &[]).await.expect("it is whole");
        assert!(matches!(finish("object", "other").await, Err(Refusal::Input(_))));
        assert_eq!(finish("object", "upload").await, Ok(true));
        assert_eq!(finish("object", "whatever").await, Ok(true), "once more");
        let (_, parts) = yard
            .read(|tx| artifact::contents(tx, ("task", 0, "object")))
            .await
            .expect("it is there");
        assert_eq!(parts, [stored("a")]);
    }

    async fn an_upload_of_an_object_is_begun_and_finished_by_one_who_says_the_same(kind) {
        use object::Refusal::{Conflict, Input, Missing};
        let yard = Yard::new(kind);
        let sha256 = stored("b").sha256;
        assert!(matches!(finish_upload(&yard, "project", "upload", &[]).await, Err(Missing(_))));
        assert!(matches!(upload(&yard, "a").await, Err(Missing(_))));
        begin_upload(&yard, object(&[("md5", "x")])).await.expect("it is new");
        begin_upload(&yard, object(&[])).await.expect("it is the same");
        let both = begin_upload(&yard, object(&[("crc", "y")])).await.expect("it says more");
        assert_eq!(both.hashes, told(&[("md5", "x"), ("crc", "y")]));
        for other in [
            object(&[("md5", "y")]),
            Object { project_id: "other".to_owned(), ..object(&[]) },
            Object { upload_id: "other".to_owned(), ..object(&[]) },
            Object { expires: START, ..object(&[]) },
            Object { name: "another".to_owned(), ..object(&[]) },
        ] {
            let refused = begin_upload(&yard, other.clone()).await;
            assert!(matches!(refused, Err(Conflict(_))), "{other:?}: {refused:?}");
        }
        let nothing = finish_upload(&yard, "project", "upload", &[]).await;
        assert!(matches!(nothing, Err(Input(_))), "{nothing:?}");
        upload(&yard, "a").await.expect("it is taken");
        upload(&yard, "b").await.expect("it is taken again");
        for (project, upload, hashes, conflict) in [
            ("other", "upload", vec![], false),
            ("project", "other", vec![], true),
            ("project", "upload", vec![("md5", "z")], true),
            ("project", "upload", vec![("sha256", "00")], false),
        ] {
            let refused = finish_upload(&yard, project, upload, &hashes).await;
            assert_eq!(matches!(refused, Err(Conflict(_))), conflict, "{refused:?}");
            assert!(refused.is_err());
            assert!(yard.read(|tx| object::contents(tx, OBJECT)).await.is_none());
        }
        let whole = [("md5", "x"), ("sha256", sha256.as_str())];
        finish_upload(&yard, "project", "upload", &whole).await.expect("it is whole");
        finish_upload(&yard, "project", "whichever", &whole).await.expect("once more");
        finish_upload(&yard, "project", "upload", &[]).await.expect("it says less");
        for other in [vec![("md5", "z")], vec![("new", "z")]] {
            let refused = finish_upload(&yard, "project", "upload", &other).await;
            assert!(matches!(refused, Err(Conflict(_))), "{refused:?}");
        }
        assert!(matches!(begin_upload(&yard, object(&[])).await, Err(Conflict(_))));
        assert!(matches!(upload(&yard, "c").await, Err(Conflict(_))));
        let (found, parts) = yard.read(|tx| object::contents(tx, OBJECT)).await.expect("it is there");
        assert_eq!(found.hashes, told(&[("crc", "y"), ("md5", "x"), ("sha256", &sha256)]));
        assert_eq!(parts, [stored("b")]);
    }

    /// I34
    async fn the_world_hears_of_an_artifact_once_it_can_be_had(kind) {
        let yard = running(kind).await;
        let heard = async || {
            let count = "SELECT count(*) FROM events WHERE kind = 'artifact-created'";
            yard.read(move |tx| tx.query_opt(count, &[], |row| row.get::<i64>(0))).await
        };
        receive(&yard, "plain", 0, "a").await.expect("it is taken");
        receive(&yard, "blob", 0, "b").await.expect("it is taken");
        begin_upload(&yard, object(&[])).await.expect("it is new");
        upload(&yard, "c").await.expect("it is taken");
        finish_upload(&yard, "project", "upload", &[]).await.expect("it is whole");
        assert_eq!(heard().await, Some(0));
        // Each time it is said, also when nothing changes.
        for times in 1..3 {
            let complete = yard.write(|tx| {
                artifact::complete(tx, START, ("task", 0, "blob"), &["b".to_owned()])
            });
            complete.await.expect("it is whole");
            let finish = yard.write(|tx| artifact::finish(tx, START, ("task", 0, "object"), "upload"));
            finish.await.expect("it is whole");
            for storage_type in [StorageType::Reference, StorageType::Link, StorageType::Error] {
                let name = storage_type.as_str();
                let new = Artifact { storage_type, ..artifact("task", name) };
                create(&yard, START, new).await.expect("it is running");
            }
            assert_eq!(heard().await, Some(5 * times));
        }
    }

    async fn bytes_may_come_before_their_artifact_and_go_if_it_never_comes(kind) {
        let yard = running(kind).await;
        let deposit = async |name: &'static str, key: &'static str| {
            let deposit = yard.write(move |tx| {
                artifact::deposit(tx, START, ("task", 0, name), &stored(key))
            });
            deposit.await.map(|kept| kept.key)
        };
        for (name, key) in [("plain", "a"), ("early", "b"), ("never", "c"), ("never", "d")] {
            assert_eq!(deposit(name, key).await, Ok(key.to_owned()));
        }
        assert!(matches!(deposit("object", "x").await, Err(Refusal::Conflict(_))));
        assert!(yard.read(|tx| artifact::contents(tx, ("task", 0, "early"))).await.is_none());
        create(&yard, START, artifact("task", "early")).await.expect("it is running");
        let (_, parts) = yard
            .read(|tx| artifact::contents(tx, ("task", 0, "early")))
            .await
            .expect("it is there");
        assert_eq!(parts, [stored("b")]);
        let asked: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).into();
        let dropped = yard.write(move |tx| content::drop_unowned(tx, &asked)).await;
        assert_eq!(dropped, ["d", "e"], "c is discarded, and removed in its turn");
        assert_eq!(keys(&yard, Owner::artifact("task", 0, "never")).await, Vec::<String>::new());
    }

    async fn an_upload_that_is_never_finished_is_forgotten_after_a_day(kind) {
        let yard = Yard::new(kind);
        let long = Object { expires: START.plus(secs(500_000)), ..object(&[]) };
        begin_upload(&yard, long.clone()).await.expect("it is new");
        upload(&yard, "a").await.expect("it is taken");
        let finished = Object { name: "b".to_owned(), upload_id: "b".to_owned(), ..long };
        begin_upload(&yard, finished).await.expect("it is new");
        yard.write(|tx| object::receive(tx, START, "b", "b", &stored("b"))).await.expect("it is taken");
        yard.write(|tx| object::finish(tx, "b", "project", "b", &Hashes::new())).await.expect("it is whole");
        let bytes = Arc::new(Bytes::default());
        let mut timer = Timer::new(yard.store.clone(), Clock::default(), bytes.clone());
        let day = START.plus(object::UPLOAD);
        timer.sweep(day).await.expect("the sweep succeeds");
        assert!(yard.read(|tx| object::load(tx, OBJECT)).await.is_some());
        timer.sweep(day.plus(secs(601))).await.expect("the sweep succeeds");
        assert!(yard.read(|tx| object::load(tx, OBJECT)).await.is_none());
        assert_eq!(*bytes.removed.lock().expect("nobody panics"), ["a"]);
        assert!(yard.read(|tx| object::load(tx, "b")).await.is_some());
        timer.sweep(START.plus(secs(501_000))).await.expect("the sweep succeeds");
        assert_eq!(*bytes.removed.lock().expect("nobody panics"), ["a", "b"]);
    }
}

/// One step of a history of uploads.
#[derive(Debug, Clone)]
enum Step {
    /// A part of the plain one or the blob, with bytes that hash to one of three values.
    Receive {
        blob: bool,
        part: i64,
        hash: u8,
    },
    /// The blob, as it is or with the parts in another order.
    Complete {
        right: bool,
    },
    Begin,
    Upload {
        hash: u8,
    },
    FinishUpload,
    FinishArtifact,
    WaitAndSweep(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<bool>(), 0_i64..3, b'a'..=b'c')
            .prop_map(|(blob, part, hash)| Step::Receive { blob, part, hash }),
        2 => any::<bool>().prop_map(|right| Step::Complete { right }),
        1 => Just(Step::Begin),
        2 => (b'a'..=b'c').prop_map(|hash| Step::Upload { hash }),
        1 => Just(Step::FinishUpload),
        1 => Just(Step::FinishArtifact),
        2 => (0_u64..4000).prop_map(Step::WaitAndSweep),
    ]
}

/// What must hold of the keys that were taken.
#[derive(Debug, Default)]
struct Ledger {
    taken: BTreeSet<String>,
    refused: BTreeSet<String>,
    /// The keys of what is finished.
    fixed: BTreeMap<&'static str, Vec<String>>,
}

async fn balance(yard: &Yard, bytes: &Bytes, ledger: &Ledger) -> Result<(), String> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for owner in owners() {
        for key in keys(yard, owner).await {
            *places.entry(key).or_default() += 1;
        }
    }
    let discarded = yard
        .read(|tx| content::due(tx, Timestamp(i64::MAX), 10_000))
        .await;
    for key in discarded.into_iter().map(|stored| stored.key) {
        *places.entry(key).or_default() += 1;
    }
    for key in bytes
        .removed
        .lock()
        .map_err(|error| error.to_string())?
        .iter()
    {
        *places.entry(key.clone()).or_default() += 1;
    }
    let once: BTreeSet<String> = places.keys().cloned().collect();
    if places.values().any(|count| *count != 1) || once != ledger.taken {
        return Err(format!(
            "{places:?} instead of each of {:?} once",
            ledger.taken
        ));
    }
    if let Some(key) = ledger.refused.intersection(&once).next() {
        return Err(format!("{key} was refused, and is there"));
    }
    Ok(())
}

fn owners() -> [Owner; 3] {
    [
        Owner::artifact("task", 0, "plain"),
        Owner::artifact("task", 0, "blob"),
        Owner::object(OBJECT),
    ]
}

async fn walk(yard: &Yard, steps: &[Step]) -> Result<(), String> {
    for sql in [
        "DELETE FROM leases",
        "DELETE FROM task_definitions",
        "DELETE FROM tasks",
        "DELETE FROM task_groups",
        "DELETE FROM artifacts",
        "DELETE FROM contents",
        "DELETE FROM discarded_contents",
        "DELETE FROM objects",
    ] {
        yard.write(move |tx| tx.execute(sql, &[])).await;
    }
    begin(yard).await;
    let bytes = Arc::new(Bytes::default());
    let mut timer = Timer::new(yard.store.clone(), Clock::default(), bytes.clone());
    let (mut ledger, mut now) = (Ledger::default(), START);
    for (at, step) in steps.iter().enumerate() {
        let fresh = |hash: u8| format!("{at}-{}", char::from(hash));
        match step.clone() {
            Step::Receive { blob, part, hash } => {
                let (name, part) = if blob { ("blob", part) } else { ("plain", 0) };
                let new = stored(&fresh(hash));
                let key = new.key.clone();
                let kept = yard
                    .write(move |tx| artifact::receive(tx, now, ("task", 0, name), part, &new))
                    .await;
                let is_kept = kept.is_ok_and(|kept| kept.key == key);
                if is_kept {
                    ledger.taken.insert(key)
                } else {
                    ledger.refused.insert(key)
                };
            }
            Step::Complete { right } => {
                let mut keys = keys(yard, Owner::artifact("task", 0, "blob")).await;
                if !right {
                    keys.push("another".to_owned());
                }
                let named = keys.clone();
                let done =
                    yard.write(move |tx| artifact::complete(tx, now, ("task", 0, "blob"), &named));
                let was_fixed = ledger.fixed.contains_key("blob");
                match done.await {
                    Ok(_) if right => drop(ledger.fixed.entry("blob").or_insert(keys)),
                    Ok(_) if !was_fixed => return Err("wrong parts completed a blob".to_owned()),
                    Ok(_) | Err(_) => {}
                }
            }
            Step::Begin => {
                let begun = yard.write(move |tx| object::begin(tx, now, &object(&[]), None));
                drop(begun.await);
            }
            Step::Upload { hash } => {
                let new = stored(&fresh(hash));
                let key = new.key.clone();
                let kept = yard
                    .write(move |tx| object::receive(tx, now, OBJECT, "upload", &new))
                    .await;
                if kept.is_ok() {
                    ledger.taken.insert(key)
                } else {
                    ledger.refused.insert(key)
                };
            }
            Step::FinishUpload => {
                let finish = yard
                    .write(|tx| object::finish(tx, OBJECT, "project", "upload", &Hashes::new()));
                if finish.await.is_ok() {
                    let keys = keys(yard, Owner::object(OBJECT)).await;
                    ledger.fixed.entry("object").or_insert(keys);
                }
            }
            Step::FinishArtifact => {
                let finish = yard
                    .write(move |tx| artifact::finish(tx, now, ("task", 0, "object"), "upload"));
                if finish.await.is_ok() && !ledger.fixed.contains_key("object") {
                    return Err("an artifact was finished before its object".to_owned());
                }
            }
            Step::WaitAndSweep(seconds) => {
                now = now.plus(secs(seconds));
                timer.sweep(now).await.map_err(|error| error.to_string())?;
            }
        }
        balance(yard, &bytes, &ledger)
            .await
            .map_err(|text| format!("step {at}: {text}"))?;
        for (name, fixed) in &ledger.fixed {
            let [_, blob, of_object] = owners();
            let there = keys(yard, if *name == "blob" { blob } else { of_object }).await;
            if !there.is_empty() && there != *fixed {
                return Err(format!(
                    "step {at}: {name} changed to {there:?} from {fixed:?}"
                ));
            }
        }
    }
    // In the end everything is removed.
    timer
        .sweep(START.plus(secs(1_000_000)))
        .await
        .map_err(|error| error.to_string())?;
    let removed = bytes.removed.lock().map_err(|error| error.to_string())?;
    let removed: BTreeSet<String> = removed.iter().cloned().collect();
    if removed == ledger.taken {
        Ok(())
    } else {
        Err(format!(
            "{removed:?} were removed instead of {:?}",
            ledger.taken
        ))
    }
}

on_both_databases! {
    /// Bytes are owned, discarded or removed, and nothing that is finished ever changes.
    async fn no_bytes_are_lost_and_none_stay_in_any_history(kind) {
        let cases = match kind {
            Kind::Sqlite => 50,
            Kind::Postgres => 20,
        };
        let kept = Cell::new(Some(Yard::new(kind)));
        let handle = Handle::current();
        for_all(cases, prop::collection::vec(step(), 1..30), |steps| {
            let yard = kept.take().unwrap_or_else(|| Yard::new(kind));
            let outcome = handle.block_on(walk(&yard, &steps));
            kept.set(Some(yard));
            outcome
        });
    }
}
