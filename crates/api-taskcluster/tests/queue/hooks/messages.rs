//! Hooks fire upon messages.

use std::sync::Arc;

use serde_json::{Value, json};
use taskyard_api_taskcluster::hooks::Listener;
use taskyard_api_taskcluster::translators;
use taskyard_events::cursor::Cursor;
use taskyard_store::{Key, on_both_databases};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{ENOUGH, GROUP, HOOK, create, definition, fired, fires, grant, template};
use crate::house::{House, merged};

const COMPLETED: &str = "exchange/taskcluster-queue/v1/task-completed";

/// A listener that runs until it is told to end.
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(house: &House, node: &str) -> Self {
        let firing = Arc::clone(&house.firing);
        let listener = Listener::new(firing, translators(), node.to_owned());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(listener.run(async move {
            let _ = stopped.await;
        }));
        Running { stop, task }
    }

    async fn end(self) {
        self.stop.send(()).expect("it runs");
        self.task.await.expect("it ends");
    }
}

/// What makes a hook fire whenever a task completes with the route `wanted`.
fn bound() -> Value {
    let task = merged(
        template(),
        json!({"tags": {"because": "${payload.status.taskId}"}}),
    );
    json!({
        "task": task,
        "triggerSchema": {"type": "object"},
        "bindings": [{"exchange": COMPLETED, "routingKeyPattern": "route.wanted"}],
    })
}

/// Completes a task with these routes; its id.
async fn complete(house: &House, routes: Value) -> String {
    let (id, _) = house.taken(json!({"routes": routes})).await;
    house
        .call("reportCompleted", &[&id, "0"], None)
        .await
        .status_of();
    id
}

/// The tasks because of which a hook has made its own, the last first.
async fn causes(house: &House, fires: &[Value]) -> Vec<String> {
    let mut causes = Vec::new();
    for fire in fires {
        assert_eq!(
            (&fire["firedBy"], &fire["result"]),
            (&json!("pulseMessage"), &json!("success")),
            "{fire}"
        );
        let task = house
            .call("task", &[fire["taskId"].as_str().unwrap()], None)
            .await
            .granted();
        causes.push(
            task["tags"]["because"]
                .as_str()
                .expect("a cause")
                .to_owned(),
        );
    }
    causes
}

on_both_databases! {
    async fn a_hook_fires_upon_messages_it_is_bound_to(kind) {
        let house = House::new(kind).await;
        grant(&house, HOOK, &ENOUGH).await;
        // Before there is a hook, and before it is bound.
        complete(&house, json!(["wanted"])).await;
        create(&house, HOOK, merged(bound(), json!({"bindings": []}))).await;
        complete(&house, json!(["wanted"])).await;
        let listener = Running::start(&house, "node");
        house.call("updateHook", &[GROUP, HOOK], Some(definition(bound()))).await.granted();
        let mut wanted = Vec::new();
        for times in 1..=3 {
            complete(&house, json!(["other"])).await;
            wanted.insert(0, complete(&house, json!(["wanted", "other"])).await);
            let fires = fired(&house, HOOK, times).await;
            assert_eq!(causes(&house, &fires).await, wanted);
        }
        // Unbound, it hears nothing; bound again, nothing of the time between.
        let unbound = definition(merged(bound(), json!({"bindings": []})));
        house.call("updateHook", &[GROUP, HOOK], Some(unbound)).await.granted();
        complete(&house, json!(["wanted"])).await;
        house.call("updateHook", &[GROUP, HOOK], Some(definition(bound()))).await.granted();
        wanted.insert(0, complete(&house, json!(["wanted"])).await);
        let fires = fired(&house, HOOK, 4).await;
        assert_eq!(causes(&house, &fires).await, wanted);
        listener.end().await;
    }

    async fn messages_that_do_not_fit_the_schema_are_passed_over(kind) {
        let house = House::new(kind).await;
        grant(&house, "*", &ENOUGH).await;
        // This one takes no message at all, as hooks do that do not say.
        create(&house, "strict", merged(bound(), json!({"triggerSchema": null}))).await;
        create(&house, HOOK, bound()).await;
        let listener = Running::start(&house, "node");
        complete(&house, json!(["wanted"])).await;
        fired(&house, HOOK, 1).await;
        assert_eq!(fires(&house, "strict").await, Vec::<Value>::new());
        // One that cannot be made a task of is noted, and the next one has its turn.
        let broken = merged(bound(), json!({"task": {"$eval": "nothing"}}));
        house.call("updateHook", &[GROUP, HOOK], Some(definition(broken))).await.granted();
        complete(&house, json!(["wanted"])).await;
        complete(&house, json!(["wanted"])).await;
        let fires = fired(&house, HOOK, 3).await;
        let results: Vec<&Value> = fires.iter().map(|fire| &fire["result"]).collect();
        assert_eq!(results, ["error", "error", "success"]);
        listener.end().await;
    }

    async fn messages_are_waited_for_and_heard_once(kind) {
        let house = House::new(kind).await;
        grant(&house, HOOK, &ENOUGH).await;
        create(&house, HOOK, bound()).await;
        let mut wanted = vec![complete(&house, json!(["wanted"])).await];
        // Nobody was there to hear it.
        let listener = Running::start(&house, "one");
        fired(&house, HOOK, 1).await;
        listener.end().await;
        wanted.insert(0, complete(&house, json!(["wanted"])).await);
        let listener = Running::start(&house, "another");
        let known = fired(&house, HOOK, 2).await;
        assert_eq!(causes(&house, &known).await, wanted);
        listener.end().await;
        // A node that dies has not noted how far it was: the same messages are heard again.
        let cursor = Cursor { reader: "hooks", node: "dead".to_owned() };
        let now = house.clock.now().0;
        house.store.write(Key::of("a test"), move |tx| {
            cursor.take(tx, now, now)?;
            cursor.advance(tx, 0, now)
        }).await.expect("the cursor is set back");
        let listener = Running::start(&house, "yet another");
        wanted.insert(0, complete(&house, json!(["wanted"])).await);
        let fires = fired(&house, HOOK, 3).await;
        assert_eq!(causes(&house, &fires).await.into_iter().collect::<std::collections::BTreeSet<_>>(),
            wanted.into_iter().collect());
        for fire in known {
            assert!(fires.iter().any(|again| again["taskId"] == fire["taskId"]));
        }
        listener.end().await;
    }
}
