//! Two stacks and a thousand jobs.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use serde_json::json;
use taskyard_engine::task::State;
use taskyard_store::on_both_databases;

use crate::yard::{STACK, Wanted, Yard};

/// Lists and reserves, fifty at a time, until nothing is left or the stack has no room; answers
/// what it got.
async fn reserve_all(yard: Arc<Yard>, stack: &'static str, room: usize) -> Vec<String> {
    let mut got = Vec::new();
    loop {
        let listed = yard.listed().await;
        if listed.is_empty() || got.len() >= room {
            return got;
        }
        // Both are after the same ones.
        let head = &listed[..listed.len().min(50)];
        got.extend(yard.reserve(stack, head).await);
    }
}

/// Ends jobs, many at once as a stack does.
async fn finish_all(yard: &Yard, stack: &str, jobs: &[String]) {
    let body = json!({"exit_status": 0, "detail": "done"});
    let finish = async |id: &String| {
        let path = format!("stacks/{stack}/jobs/{id}/finish");
        yard.post(&path, &body).await.expect(200);
    };
    stream::iter(jobs).for_each_concurrent(64, finish).await;
}

on_both_databases! {
    async fn each_job_is_reserved_once_and_those_of_a_killed_stack_finish_elsewhere(kind) {
        let yard = Arc::new(Yard::new(kind).await);
        yard.register("other").await;
        let jobs = yard.jobs(vec![Wanted::default(); 1000]).await;
        // Neither has room for all: whoever is faster, both take part.
        let one = tokio::spawn(reserve_all(Arc::clone(&yard), STACK, 600));
        let other = tokio::spawn(reserve_all(Arc::clone(&yard), "other", 600));
        let (one, other) = (one.await.expect("it ends"), other.await.expect("it ends"));
        let all: HashSet<&String> = one.iter().chain(&other).collect();
        assert_eq!((one.len() + other.len(), all.len()), (1000, 1000));

        // The other is killed with half of its jobs done.
        let done = &other[..other.len() / 2];
        finish_all(&yard, "other", done).await;
        finish_all(&yard, STACK, &one).await;
        yard.sweep().await;
        assert_eq!(yard.listed().await, Vec::<String>::new());
        yard.advance(Duration::from_secs(901));
        yard.sweep().await;
        let left: HashSet<String> = yard.listed().await.into_iter().collect();
        assert_eq!(left, other[other.len() / 2..].iter().cloned().collect());
        let left = reserve_all(Arc::clone(&yard), STACK, 500).await;
        finish_all(&yard, STACK, &left).await;
        for id in &jobs {
            assert_eq!(yard.runs(id).await, [(State::Completed, Some("completed"))]);
        }
    }
}
