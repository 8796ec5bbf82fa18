//! Names of tasks: each is used once, and not again too soon.

use taskyard_engine::cloud::{Outcome, Refusal, Settings, lookup, queue, remove};
use taskyard_store::on_both_databases;

use crate::yard::{QUEUE, START, Yard, after, named, unnamed};

on_both_databases! {
    async fn a_name_is_taken_while_its_task_lives_and_an_hour_longer(kind) {
        let yard = Yard::with(kind, Settings::default()).await;
        yard.create(START, named("a")).await.expect("created");
        assert_eq!(yard.create(START, named("a")).await, Err(Refusal::TaskExists));
        let sent = yard.claim_one(START).await;
        yard.end(&sent, START, Outcome::Status(200)).await;
        assert_eq!(yard.get(START, "a").await, Err(Refusal::TaskGone));
        let hour = 3_600_000;
        assert_eq!(
            yard.create(after(hour - 1), named("a")).await,
            Err(Refusal::TaskTombstoned)
        );
        assert_eq!(yard.get(after(hour), "a").await, Err(Refusal::TaskMissing));
        assert!(yard.create(after(hour), named("a")).await.is_ok());
    }

    async fn a_deleted_task_leaves_its_name_and_cannot_be_deleted_twice(kind) {
        let yard = Yard::with(kind, Settings::default()).await;
        yard.create(START, named("a")).await.expect("created");
        let delete = || yard.write(|tx| remove::delete(tx, START, QUEUE, "a"));
        assert_eq!(delete().await, Ok(()));
        assert_eq!(delete().await, Err(Refusal::TaskMissing));
        assert_eq!(yard.create(START, named("a")).await, Err(Refusal::TaskTombstoned));
        assert!(yard.claim(START, 10).await.dispatches.is_empty());
    }

    async fn unnamed_tasks_have_ids_that_do_not_collide_and_are_remembered(kind) {
        let yard = Yard::with(kind, Settings::default()).await;
        let first = yard.create(START, unnamed()).await.expect("created");
        let second = yard.create(START, unnamed()).await.expect("created");
        assert_ne!(first.id, second.id);
        assert!(first.id.len() <= 20 && first.id.bytes().all(|byte| byte.is_ascii_digit()));
        assert_eq!(yard.get(START, &first.id).await, Ok(first.clone()));
        for dispatch in yard.claim(START, 10).await.dispatches {
            yard.end(&dispatch, START, Outcome::Status(204)).await;
        }
        assert_eq!(yard.get(START, &first.id).await, Err(Refusal::TaskGone));
        assert_eq!(
            yard.get(START, "00000000000000000001").await,
            Err(Refusal::TaskMissing)
        );
    }

    async fn purged_tasks_are_gone_at_once_and_their_names_stay_taken(kind) {
        let yard = Yard::with(kind, Settings::default()).await;
        let old = yard.create(START, named("old")).await.expect("created");
        let flying = yard.claim_one(START).await;
        let unnamed_task = yard.create(START, unnamed()).await.expect("created");
        let purged = yard.write(|tx| queue::purge(tx, after(1000), QUEUE)).await.expect("purged");
        assert_eq!(purged.purge_time, Some(after(1000)));
        assert_eq!(yard.get(after(1000), &old.id).await, Err(Refusal::TaskGone));
        assert_eq!(
            yard.get(after(1000), &unnamed_task.id).await,
            Err(Refusal::TaskMissing)
        );
        let list = || yard.read(|tx| lookup::list(tx, QUEUE, None, 10, true));
        assert!(list().await.expect("listed").items.is_empty());
        assert!(yard.claim(after(1000), 10).await.dispatches.is_empty());
        assert_eq!(
            yard.create(after(1000), named("old")).await,
            Err(Refusal::TaskTombstoned)
        );
        // What comes after the purge stays.
        yard.create(after(1001), named("new")).await.expect("created");
        assert_eq!(yard.end(&flying, after(1002), Outcome::Status(500)).await, None);
        assert_eq!(list().await.expect("listed").items.len(), 1);
    }

    async fn a_list_of_tasks_continues_where_it_stopped_whatever_moves(kind) {
        let yard = Yard::with(kind, Settings::default()).await;
        for id in ["c", "a", "b", "d"] {
            yard.create(START, named(id)).await.expect("created");
        }
        let list = |after, limit| yard.read(move |tx| lookup::list(tx, QUEUE, after, limit, false));
        let first = list(None, 2).await.expect("listed");
        let sent = yard.claim(START, 1).await.dispatches.remove(0);
        yard.end(&sent, after(5), Outcome::Status(500)).await;
        let second = list(first.next, 2).await.expect("listed");
        let ids: Vec<String> = first
            .items
            .iter()
            .chain(&second.items)
            .map(|task| task.id.clone())
            .collect();
        assert_eq!(ids, ["c", "a", "b", "d"]);
        assert_eq!(second.next, None);
        assert!(first.items.iter().all(|task| task.payload.body().is_empty()));
    }
}
