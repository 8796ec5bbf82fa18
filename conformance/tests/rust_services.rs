//! The official Rust client: the hooks, the index, the notify, the secrets and the purge-cache
//! service, every method of them once.

#![expect(
    clippy::unwrap_used,
    reason = "the whole file is one test, which ends at its first failure"
)]

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};
use taskcluster::{
    Auth, ClientBuilder, Credentials, Hooks, Index, Notify, PurgeCache, Queue, Retry, Secrets,
    err_status_code,
};
use taskyard_conformance::made::{after, slug};
use taskyard_conformance::{Database, ROOT_ACCESS_TOKEN, ROOT_CLIENT_ID, Server};

const POOL: &str = "services-rust/worker";

/// No retries: a server fault must show, not be mended by the second try.
fn builder(server: &Server) -> ClientBuilder {
    let retry = Retry {
        retries: 0,
        ..Retry::default()
    };
    ClientBuilder::new(server.root_url())
        .retry(retry)
        .credentials(Credentials::new(ROOT_CLIENT_ID, ROOT_ACCESS_TOKEN))
}

fn soon() -> String {
    after(TimeDelta::hours(1))
}

/// The client's error must carry this status.
fn refused<T: std::fmt::Debug>(status: u16, outcome: Result<T, anyhow::Error>) {
    let error = outcome.unwrap_err();
    let found = err_status_code(&error).map(|status| status.as_u16());
    assert_eq!(found, Some(status), "{error:#}");
}

fn entry(task_id: &str, rank: f64) -> Value {
    json!({"taskId": task_id, "rank": rank, "data": {"a": 1}, "expires": soon()})
}

fn column<'a>(page: &'a Value, list: &str, name: &str) -> Vec<&'a str> {
    let items = page[list].as_array().unwrap().iter();
    items.map(|item| item[name].as_str().unwrap()).collect()
}

/// A task that has completed, with a private artifact.
async fn run_task(server: &Server, route: &str) -> String {
    let queue = Queue::new(builder(server)).unwrap();
    let id = slug();
    let definition = json!({
        "taskQueueId": POOL, "created": after(TimeDelta::zero()), "deadline": soon(), "payload": {}, "routes": [route],
        "metadata": {"name": "indexed", "description": "a task that is found",
            "owner": "someone@example.com", "source": "https://example.com/source"},
    });
    queue.createTask(&id, &definition).await.unwrap();
    let worker = json!({"workerGroup": "group", "workerId": "worker"});
    queue.claimTask(&id, "0", &worker).await.unwrap();
    let url = format!("{}/api/queue/v1/ping", server.root_url());
    let artifact = json!({"storageType": "reference", "contentType": "application/json",
        "url": url, "expires": soon()});
    queue
        .createArtifact(&id, "0", "private/a", &artifact)
        .await
        .unwrap();
    queue.reportCompleted(&id, "0").await.unwrap();
    id
}

async fn finds_tasks(server: &Server) {
    let index = Index::new(builder(server)).unwrap();
    let (low, high) = (slug(), slug());
    let told = index
        .insertTask("rs.a.b", &entry(&high, 2.5))
        .await
        .unwrap();
    assert_eq!(
        (&told["taskId"], &told["rank"]),
        (&json!(high), &json!(2.5))
    );
    let told = index.insertTask("rs.a.b", &entry(&low, 2.0)).await.unwrap();
    assert_eq!(told["taskId"], high);
    let id = run_task(server, "index.rs.a.c").await;
    assert_eq!(index.findTask("rs.a.c").await.unwrap()["taskId"], id);
    let wanted = json!({"indexes": ["rs.a.c", "rs.none", "rs.a.b"]});
    let many = index.findTasksAtIndex(&wanted, None, None).await.unwrap();
    assert_eq!(column(&many, "tasks", "namespace"), ["rs.a.c", "rs.a.b"]);
    let tasks = index.listTasks("rs.a", None, None).await.unwrap();
    assert_eq!(column(&tasks, "tasks", "namespace"), ["rs.a.b", "rs.a.c"]);
    let namespaces = index.listNamespaces("rs", None, None).await.unwrap();
    assert_eq!(column(&namespaces, "namespaces", "namespace"), ["rs.a"]);
    let minute = Duration::from_mins(1);
    let url = index
        .findArtifactFromTask_signed_url("rs.a.c", "private/a", minute)
        .unwrap();
    let answer = reqwest::get(&url).await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["alive"], true);
    let open = index
        .findArtifactFromTask_url("rs.a.c", "private/a")
        .unwrap();
    assert_eq!(reqwest::get(&open).await.unwrap().status(), 403);
    index.deleteTask("rs.a.b").await.unwrap();
    refused(404, index.findTask("rs.a.b").await);
    index.ping().await.unwrap();
    index.lbheartbeat().await.unwrap();
    index.heartbeat().await.unwrap();
    index.version().await.unwrap();
    eprintln!("ok index");
}

async fn keeps_secrets(server: &Server) {
    let secrets = Secrets::new(builder(server)).unwrap();
    let name = "project/rust:a key";
    let secret = json!({"token": "s3cr3t", "list": [1, 2.5, null]});
    let body = json!({"secret": secret, "expires": soon()});
    secrets.set(name, &body).await.unwrap();
    assert_eq!(secrets.get(name).await.unwrap()["secret"], secret);
    let names = secrets.list(None, Some("1000")).await;
    // This client leaves the query out of its signature.
    refused(401, names);
    let names = secrets.list(None, None).await.unwrap();
    assert_eq!(names["secrets"], json!([name]));
    secrets.remove(name).await.unwrap();
    refused(404, secrets.get(name).await);
    secrets.ping().await.unwrap();
    secrets.lbheartbeat().await.unwrap();
    secrets.heartbeat().await.unwrap();
    secrets.version().await.unwrap();
    eprintln!("ok secrets");
}

async fn purges_caches(server: &Server) {
    let purge_cache = PurgeCache::new(builder(server)).unwrap();
    let body = json!({"cacheName": "checkouts"});
    purge_cache.purgeCache(POOL, &body).await.unwrap();
    let found = purge_cache.purgeRequests(POOL, None).await.unwrap();
    assert_eq!(column(&found, "requests", "cacheName"), ["checkouts"]);
    let all = purge_cache.allPurgeRequests(None, None).await.unwrap();
    assert_eq!(column(&all, "requests", "provisionerId"), ["services-rust"]);
    purge_cache.ping().await.unwrap();
    purge_cache.lbheartbeat().await.unwrap();
    purge_cache.heartbeat().await.unwrap();
    purge_cache.version().await.unwrap();
    eprintln!("ok purge-cache");
}

async fn notifies(server: &Server) {
    let notify = Notify::new(builder(server)).unwrap();
    let mail = |subject: &str| {
        json!({"address": "someone@example.com", "subject": subject, "content": "*done*",
            "link": {"text": "Look at it", "href": "https://example.com/build"}})
    };
    let pulse = json!({"routingKey": "rs.key", "message": {"x": 1}});
    let matrix = json!({"roomId": "!room:example.com", "body": "hello"});
    let slack = json!({"channelId": "C0123", "text": "hello"});
    // The second time nothing is sent, which is no failure.
    for _ in 0..2 {
        notify.email(&mail("done")).await.unwrap();
        notify.pulse(&pulse).await.unwrap();
        notify.matrix(&matrix).await.unwrap();
        notify.slack(&slack).await.unwrap();
    }
    refused(400, notify.email(&mail("")).await);

    let denied = [
        ("email", "someone@example.com"),
        ("matrix-room", "!other:example.com"),
    ];
    let denied = denied
        .map(|(kind, address)| json!({"notificationType": kind, "notificationAddress": address}));
    for address in &denied {
        notify.addDenylistAddress(address).await.unwrap();
    }
    refused(400, notify.email(&mail("denied")).await);
    let listed = notify.listDenylist(None, None).await.unwrap();
    assert_eq!(listed, json!({"addresses": denied}));
    for address in &denied {
        notify.deleteDenylistAddress(address).await.unwrap();
    }
    let listed = notify.listDenylist(None, None).await.unwrap();
    assert_eq!(listed, json!({"addresses": []}));
    notify.email(&mail("denied")).await.unwrap();
    notify.ping().await.unwrap();
    notify.lbheartbeat().await.unwrap();
    notify.heartbeat().await.unwrap();
    notify.version().await.unwrap();
    eprintln!("ok notify");
}

/// A hook that is told by its triggers what to say, and makes no task of silence.
fn hook() -> Value {
    json!({
        "metadata": {"name": "a hook", "description": "makes tasks",
            "owner": "someone@example.com", "emailOnError": false},
        "bindings": [], "schedule": [],
        "task": {
            "$if": "payload.say != 'nothing'",
            "then": {
                "taskQueueId": POOL, "created": {"$fromNow": "0 seconds"},
                "deadline": {"$fromNow": "1 hour"}, "payload": {"said": "${payload.say}"},
                "metadata": {"name": "hooked", "description": "a task that a hook has made",
                    "owner": "someone@example.com", "source": "https://example.com/source"},
            },
        },
        "triggerSchema": {"type": "object", "properties": {"say": {"type": "string"}},
            "required": ["say"], "additionalProperties": false},
    })
}

/// The hook as the service shows it.
fn named(mut definition: Value, group: &str, id: &str) -> Value {
    definition["hookGroupId"] = group.into();
    definition["hookId"] = id.into();
    definition
}

async fn keeps_hooks(server: &Server) {
    let hooks = Hooks::new(builder(server)).unwrap();
    let (group, id) = ("services-rust", "nightly/main");
    let made = hooks.createHook(group, id, &hook()).await.unwrap();
    assert_eq!(made, named(hook(), group, id));
    assert_eq!(hooks.createHook(group, id, &hook()).await.unwrap(), made);
    let mut changed = hook();
    changed["schedule"] = json!(["@yearly"]);
    refused(409, hooks.createHook(group, id, &changed).await);
    let told = hooks.updateHook(group, id, &changed).await.unwrap();
    assert_eq!(told, named(changed.clone(), group, id));
    assert_eq!(hooks.hook(group, id).await.unwrap(), told);
    let groups = hooks.listHookGroups().await.unwrap();
    assert_eq!(groups["groups"], json!([group]));
    let listed = hooks.listHooks(group).await.unwrap();
    assert_eq!(listed["hooks"], json!([told]));
    hooks.removeHook(group, id).await.unwrap();
    refused(404, hooks.hook(group, id).await);
    refused(404, hooks.updateHook(group, id, &changed).await);
    refused(404, hooks.listHooks(group).await);
    hooks.ping().await.unwrap();
    hooks.lbheartbeat().await.unwrap();
    hooks.heartbeat().await.unwrap();
    hooks.version().await.unwrap();
}

async fn fires_hooks(server: &Server) {
    let hooks = Hooks::new(builder(server)).unwrap();
    let (group, id) = ("services-rust", "fires/one");
    hooks.createHook(group, id, &hook()).await.unwrap();
    let status = hooks.getHookStatus(group, id).await.unwrap();
    assert_eq!(status, json!({"lastFire": {"result": "no-fire"}}));
    let hello = json!({"say": "hello"});
    refused(403, hooks.triggerHook(group, id, &hello).await);
    let create = format!("queue:create-task:lowest:{POOL}");
    let scopes = [
        &create,
        "queue:create-task:project:none",
        "queue:scheduler-id:-",
    ];
    let role = json!({"description": "what a hook may do", "scopes": scopes});
    let auth = Auth::new(builder(server)).unwrap();
    let role_id = format!("hook-id:{group}/{id}");
    auth.createRole(&role_id, &role).await.unwrap();

    let triggered = hooks.triggerHook(group, id, &hello).await.unwrap();
    let queue = Queue::new(builder(server)).unwrap();
    let task = queue.task(triggered["taskId"].as_str().unwrap());
    assert_eq!(task.await.unwrap()["payload"], json!({"said": "hello"}));
    let silence = json!({"say": "nothing"});
    let declined = hooks.triggerHook(group, id, &silence).await.unwrap();
    assert_eq!(declined, json!({}));
    refused(400, hooks.triggerHook(group, id, &json!({"say": 1})).await);

    let text = |answer: Value| answer["token"].as_str().unwrap().to_owned();
    let old = text(hooks.getTriggerToken(group, id).await.unwrap());
    let new = text(hooks.resetTriggerToken(group, id).await.unwrap());
    let late = hooks.triggerHookWithToken(group, id, &old, &hello).await;
    refused(401, late);
    let fired = hooks.triggerHookWithToken(group, id, &new, &hello).await;
    let last = fired.unwrap()["taskId"].clone();
    let status = hooks.getHookStatus(group, id).await.unwrap();
    assert_eq!(
        (&status["lastFire"]["result"], &status["lastFire"]["taskId"]),
        (&json!("success"), &last)
    );
    let fires = hooks.listLastFires(group, id, None, None).await.unwrap();
    assert_eq!(fires["lastFires"][0]["taskId"], last);
    assert_eq!(
        column(&fires, "lastFires", "firedBy"),
        ["triggerHookWithToken", "triggerHook", "triggerHook"]
    );
    assert_eq!(
        column(&fires, "lastFires", "result"),
        ["success", "success", "error"]
    );
    hooks.removeHook(group, id).await.unwrap();
    refused(404, hooks.listLastFires(group, id, None, None).await);
    eprintln!("ok hooks");
}

/// The runtime is the scenario's alone: starting and stopping the server blocks.
fn run(database: Database) {
    let server = Server::start(database).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        keeps_hooks(&server).await;
        fires_hooks(&server).await;
        finds_tasks(&server).await;
        notifies(&server).await;
        keeps_secrets(&server).await;
        purges_caches(&server).await;
    });
    server.stop().unwrap();
}

#[test]
fn the_rust_client_calls_every_method_on_sqlite() {
    run(Database::sqlite());
}

#[test]
fn the_rust_client_calls_every_method_on_postgres() {
    run(Database::postgres().unwrap());
}
