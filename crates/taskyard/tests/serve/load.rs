//! Load on a server, and a ledger of what the server acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use taskyard_client::{Method, slugid};
use tokio::task::JoinSet;

use crate::caller::Caller;

const CREATORS: usize = 3;
/// Workers that work at the same time.
const WORKERS: usize = 4;

/// A run: its task and its number.
type Run = (String, u64);

/// What servers have acknowledged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Acknowledged {
    /// By group.
    pub(crate) created: BTreeMap<String, BTreeSet<String>>,
    /// With the worker.
    claimed: BTreeMap<Run, String>,
    pub(crate) completed: BTreeSet<Run>,
}

/// Shared by everybody who makes load.
pub(crate) type Ledger = Arc<Mutex<Acknowledged>>;

async fn create_tasks(caller: Caller, group: String, ledger: Ledger) {
    loop {
        let id = slugid::nice();
        let fields = json!({"taskGroupId": group, "payload": {"fill": "x".repeat(500)}});
        if caller.create(&id, fields).await.is_err() {
            return;
        }
        let mut ledger = ledger.lock().unwrap();
        ledger.created.entry(group.clone()).or_default().insert(id);
    }
}

async fn do_work(caller: Caller, worker: String, ledger: Ledger) {
    while let Ok(claims) = caller.claim(&worker, 4).await {
        let mut runs = Vec::new();
        for claim in &claims {
            let id = claim["status"]["taskId"].as_str().unwrap().to_owned();
            let run = (id, claim["runId"].as_u64().unwrap());
            let before = ledger
                .lock()
                .unwrap()
                .claimed
                .insert(run.clone(), worker.clone());
            assert_eq!(before, None, "{run:?} was handed out twice");
            runs.push(run);
        }
        for run in runs {
            if caller.complete(&run.0, run.1).await.is_err() {
                return;
            }
            ledger.lock().unwrap().completed.insert(run);
        }
    }
}

/// All tasks of a group, by id.
pub(crate) async fn group(caller: &Caller, group: &str) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let mut token = None::<String>;
    loop {
        let query: Vec<(&str, &str)> = token
            .iter()
            .map(|token| ("continuationToken", token.as_str()))
            .collect();
        let path = ["task-group", group, "list"];
        let page = caller
            .0
            .request(Method::GET, &path, &query, None)
            .await
            .unwrap();
        let page: Value = serde_json::from_slice(&page.body).unwrap();
        for task in page["tasks"].as_array().unwrap() {
            let status = task["status"].clone();
            all.insert(status["taskId"].as_str().unwrap().to_owned(), status);
        }
        token = page["continuationToken"].as_str().map(str::to_owned);
        if token.is_none() {
            return all;
        }
    }
}

/// Compares what a server knows of `groups` with what was acknowledged.
pub(crate) async fn check(caller: &Caller, ledger: &Acknowledged, groups: &[&String]) {
    for name in groups {
        let found = group(caller, name).await;
        for id in &ledger.created[*name] {
            assert!(found.contains_key(id), "{id} was created and is gone");
        }
        let ours = |run: &&Run| found.contains_key(&run.0);
        for run in ledger.completed.iter().filter(ours) {
            let runs = &found[&run.0]["runs"];
            assert_eq!(runs[run.1 as usize]["state"], "completed", "{run:?} {runs}");
            assert_eq!(
                runs.as_array().unwrap().len() as u64,
                run.1 + 1,
                "no run follows: {runs}"
            );
        }
        for (run, worker) in ledger.claimed.iter().filter(|(run, _)| ours(run)) {
            let runs = &found[&run.0]["runs"];
            assert_eq!(
                runs[run.1 as usize]["workerId"],
                worker.as_str(),
                "{run:?} {runs}"
            );
        }
    }
}

/// Creates tasks in `group` until the server is gone.
pub(crate) fn create(load: &mut JoinSet<()>, caller: &Caller, group: &str, ledger: &Ledger) {
    for _ in 0..CREATORS {
        load.spawn(create_tasks(
            caller.clone(),
            group.to_owned(),
            Arc::clone(ledger),
        ));
    }
}

/// Claims and completes until the server is gone; the workers' names begin with `name`.
pub(crate) fn work(load: &mut JoinSet<()>, caller: &Caller, name: &str, ledger: &Ledger) {
    for worker in 0..WORKERS {
        let worker = format!("{name}-{worker}");
        load.spawn(do_work(caller.clone(), worker, Arc::clone(ledger)));
    }
}
