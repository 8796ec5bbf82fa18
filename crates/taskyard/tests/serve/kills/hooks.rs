//! kill -9 while hooks fire: each makes its task, and no second one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use taskyard_client::taskcluster::{
    Binding, FireResult, FiredBy, HookDefinition, HookFire, HookMetadata, Hooks,
};
use taskyard_client::{Options, slugid};
use taskyard_engine::Timestamp;
use taskyard_engine::clock::Clock;
use tokio::task::JoinSet;

use crate::caller::Caller;
use crate::load::group;
use crate::postgres::Remote;
use crate::process::{Ground, PATIENCE, Server, soon};

const ARGUMENTS: [&str; 3] = ["--dev", "--log-level", "warn"];
const GROUP: &str = "group";
/// The queue of the tasks that hooks make.
const MADE: &str = "prov/made";

/// Hooks that fall due at once; they fire in portions of 32.
const SCHEDULED: usize = 200;
/// Tasks that a server makes of them before it is killed.
const PORTION: usize = 20;

/// Hooks that hear of the same messages.
const BOUND: [&str; 2] = ["one", "two"];
/// Who creates tasks at the same time, and how many each creates on one server.
const CREATORS: usize = 8;
const MESSAGES: usize = 15;
/// Tasks that the bound hooks make on a server before it is killed.
const HEARD: usize = 50;
/// Kills while messages are handled.
const ROUNDS: u32 = 3;
/// After so long another server takes over what one that was killed has read.
const TAKEOVER: Duration = Duration::from_secs(20);

fn hooks(server: &Server) -> Hooks {
    Hooks::new(Options::new(&server.url)).unwrap()
}

/// A hook whose tasks have these tags.
fn hook(tags: &Value) -> HookDefinition {
    let metadata = HookMetadata {
        name: "a hook".to_owned(),
        description: "for a test".to_owned(),
        owner: "somebody@example.com".to_owned(),
        email_on_error: false,
    };
    let task = json!({
        "taskQueueId": MADE,
        "payload": {},
        "metadata": {
            "name": "by a hook",
            "description": "for a test",
            "owner": "somebody@example.com",
            "source": "https://example.com/source",
        },
        "tags": tags,
    });
    HookDefinition::new(metadata, task)
}

/// How many tasks hooks have made.
async fn made(caller: &Caller) -> usize {
    let pending = soon(caller.0.pending_tasks(MADE)).await.unwrap();
    usize::try_from(pending.pending_tasks).unwrap()
}

/// Waits until hooks have made so many tasks.
async fn until_made(caller: &Caller, count: usize) -> usize {
    let looking = async {
        loop {
            let made = made(caller).await;
            if made >= count {
                return made;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    if let Ok(made) = tokio::time::timeout(PATIENCE, looking).await {
        return made;
    }
    panic!("in the end there are {} of {count}", made(caller).await)
}

/// All tasks that hooks have made, by their tags; there are no two with the same.
async fn tasks(caller: &Caller) -> BTreeMap<String, String> {
    let mut tasks = BTreeMap::new();
    let mut left = made(caller).await;
    while left > 0 {
        let body = json!({"workerGroup": "group", "workerId": "worker", "tasks": 32});
        let path = ["claim-work", MADE];
        let claimed = caller.call(taskyard_client::Method::POST, &path, Some(&body));
        let claimed = soon(claimed).await.unwrap();
        for claim in claimed["tasks"].as_array().unwrap() {
            let id = claim["status"]["taskId"].as_str().unwrap().to_owned();
            let tags = claim["task"]["tags"].to_string();
            if let Some(other) = tasks.insert(tags, id) {
                panic!("{} was made twice, as {other} too", claim["task"]);
            }
        }
        left = made(caller).await;
    }
    tasks
}

/// Waits until a hook has fired so often; its fires.
async fn fires(hooks: &Hooks, id: &str, count: usize) -> Vec<HookFire> {
    soon(async {
        loop {
            let fires = hooks.list_last_fires_all(GROUP, id).await.unwrap();
            if fires.len() >= count {
                return fires;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// Moves a server's clock to `due`, and a bit further.
async fn reach(server: &Server, due: Timestamp) {
    let left = due.since(Clock::default().now());
    server.advance(left + Duration::from_secs(1)).await;
}

async fn check_schedule(ground: &Ground) {
    // No second time comes before the test is over.
    let hour = i64::try_from(Duration::from_hours(1).as_micros()).unwrap();
    let due = Timestamp((Clock::default().now().0 / hour + 12) * hour);
    let schedule = format!("0 0 {} * * *", due.0 / hour % 24);
    let names: Vec<String> = (0..SCHEDULED).map(|at| format!("hook-{at}")).collect();

    let mut server = ground.serve(&ARGUMENTS).await;
    let client = hooks(&server);
    let creating = stream::iter(&names).map(async |name| {
        let mut definition = hook(&json!({"hook": name}));
        definition.schedule = vec![schedule.clone()];
        let created = client.create_hook(GROUP, name, &definition).await;
        created.unwrap();
    });
    soon(creating.buffer_unordered(8).collect::<()>()).await;
    let mut kills = 0;
    let mut seen = 0;
    loop {
        // A server begins without what the one before it was told of the clock, so nothing is due
        // until it is told again.
        let caller = Caller::anonymous(&server.url);
        let before = made(&caller).await;
        assert!(before >= seen, "{seen} were made, and {before} are left");
        if before >= SCHEDULED {
            break;
        }
        reach(&server, due).await;
        seen = until_made(&caller, SCHEDULED.min(before + PORTION)).await;
        server.kill().await;
        kills += 1;
        server = ground.serve(&ARGUMENTS).await;
    }
    assert!(kills >= 3, "it was killed while hooks fired: {kills}");

    reach(&server, due).await;
    let next = due.plus(Duration::from_hours(24)).millis();
    let client = hooks(&server);
    let mut fired = BTreeMap::new();
    for name in &names {
        soon(async {
            loop {
                let status = client.get_hook_status(GROUP, name).await.unwrap().unwrap();
                if status.next_scheduled_date.unwrap().millis() == next {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let fires = fires(&client, name, 1).await;
        let [fire] = fires.as_slice() else {
            panic!("it fired more than once: {fires:?}");
        };
        assert_eq!(
            (fire.fired_by, fire.result),
            (FiredBy::Schedule, FireResult::Success),
            "{fire:?}"
        );
        fired.insert(json!({"hook": name}).to_string(), fire.task_id.clone());
    }
    assert_eq!(tasks(&Caller::anonymous(&server.url)).await, fired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_scheduled_hook_makes_one_task_whatever_is_killed_on_sqlite() {
    check_schedule(&Ground::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_scheduled_hook_makes_one_task_whatever_is_killed_on_postgres() {
    let remote = Remote::new().await;
    check_schedule(&Ground::on_postgres(&remote.url)).await;
    remote.end().await;
}

/// Tasks whose creation was acknowledged.
type Ledger = Arc<Mutex<BTreeSet<String>>>;

/// Creates tasks of `group` of which the bound hooks hear, unless the server goes away before.
async fn tell(caller: Caller, group: String, ledger: Ledger) {
    for _ in 0..MESSAGES {
        let id = slugid::nice();
        let fields = json!({"taskGroupId": group, "routes": ["wanted"]});
        if caller.create(&id, fields).await.is_err() {
            return;
        }
        ledger.lock().unwrap().insert(id);
    }
}

async fn bind(server: &Server) {
    let client = hooks(server);
    for name in BOUND {
        let tags = json!({"because": "${payload.status.taskId}", "hook": name});
        let mut definition = hook(&tags);
        definition.bindings = vec![Binding {
            exchange: "exchange/taskcluster-queue/v1/task-defined".to_owned(),
            routing_key_pattern: "route.wanted".to_owned(),
        }];
        definition.trigger_schema = json!({"type": "object"});
        let created = client.create_hook(GROUP, name, &definition);
        soon(created).await.unwrap();
    }
}

async fn check_messages(ground: &Ground) {
    let name = slugid::nice();
    let ledger = Ledger::default();
    let mut interrupted = 0;
    let mut seen = 0;
    for round in 0..=ROUNDS {
        let server = ground.serve(&ARGUMENTS).await;
        let caller = Caller::anonymous(&server.url);
        let before = made(&caller).await;
        assert!(before >= seen, "{seen} were made, and {before} are left");
        if round == 0 {
            bind(&server).await;
        } else {
            server.advance(TAKEOVER * round).await;
        }
        if round == ROUNDS {
            check_tasks(&server, &name, &ledger).await;
            break;
        }
        let mut load = JoinSet::new();
        for _ in 0..CREATORS {
            load.spawn(tell(caller.clone(), name.clone(), Arc::clone(&ledger)));
        }
        seen = until_made(&caller, before + HEARD).await;
        server.kill().await;
        while let Some(ended) = soon(load.join_next()).await {
            ended.unwrap();
        }
        interrupted += usize::from(seen < ledger.lock().unwrap().len() * BOUND.len());
    }
    assert!(interrupted > 0, "it was killed before all was done");
}

/// In the end each message has made one task of each hook.
async fn check_tasks(server: &Server, name: &str, ledger: &Ledger) {
    let caller = Caller::anonymous(&server.url);
    let told: BTreeSet<String> = group(&caller, name).await.into_keys().collect();
    assert!(
        told.is_superset(&ledger.lock().unwrap()),
        "what was acknowledged is there"
    );
    until_made(&caller, told.len() * BOUND.len()).await;
    // What was read before this one is over with it.
    let last = slugid::nice();
    let created = caller.create(&last, json!({"routes": ["wanted"]}));
    soon(created).await.unwrap();
    let causes: Vec<&String> = told.iter().chain([&last]).collect();
    until_made(&caller, causes.len() * BOUND.len()).await;

    let client = hooks(server);
    let mut fired = BTreeMap::new();
    let found = tasks(&caller).await;
    for hook in BOUND {
        let fires = fires(&client, hook, causes.len()).await;
        assert_eq!(fires.len(), causes.len());
        for fire in &fires {
            assert_eq!(
                (fire.fired_by, fire.result),
                (FiredBy::PulseMessage, FireResult::Success),
                "{fire:?}"
            );
        }
        let fires: BTreeSet<&String> = fires.iter().map(|fire| &fire.task_id).collect();
        for because in &causes {
            let tags = json!({"because": because, "hook": hook}).to_string();
            let id = found.get(&tags).expect("each message makes a task");
            assert!(fires.contains(id), "{id} is among the last fires");
            fired.insert(tags, id.clone());
        }
    }
    assert_eq!(found, fired, "nothing else has made a task");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_makes_one_task_of_a_hook_whatever_is_killed_on_sqlite() {
    check_messages(&Ground::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_makes_one_task_of_a_hook_whatever_is_killed_on_postgres() {
    let remote = Remote::new().await;
    check_messages(&Ground::on_postgres(&remote.url)).await;
    remote.end().await;
}
