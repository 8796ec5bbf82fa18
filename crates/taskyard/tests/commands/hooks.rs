//! The `taskyard hooks` command against a server.

use serde_json::{Value, json};
use taskyard_client::taskcluster::Queue;

use crate::ended::Ended;
use crate::house::House;

/// Runs `taskyard hooks` as the root client.
async fn hooks(house: &House, arguments: &[&str]) -> Ended {
    Ended::of(house.command("hooks", arguments)).await
}

/// The same, which must succeed; what is printed.
async fn done(house: &House, arguments: &[&str]) -> String {
    hooks(house, arguments).await.printed()
}

/// The file of the hook `group/nightly/main`, which is told by its triggers what to say, and makes
/// no task of an empty text.
const FILE: &str = "\
hookGroupId: group
hookId: nightly/main
metadata:
  name: \"Nightly\\tbuild\"
  description: Says something
  owner: someone@example.com
triggerSchema:
  type: object
  properties: {text: {type: string}}
task:
  $if: payload.text
  then:
    taskQueueId: project/linux
    created: {$fromNow: 0 seconds}
    deadline: {$fromNow: 1 hour}
    payload: {say: \"${payload.text}\"}
    metadata:
      name: said
      description: d
      owner: someone@example.com
      source: https://example.com/source
";

const NAME: &str = "group/nightly/main";

/// Puts the hook with these further lines of its file.
async fn put(house: &House, more: &str) -> Ended {
    let file = house.folder.path().join("hook.yml");
    std::fs::write(&file, format!("{FILE}{more}")).unwrap();
    hooks(house, &["put", file.to_str().unwrap()]).await
}

/// Lets the hook's tasks be created.
async fn allow(house: &House) {
    let role = format!("hook-id:{NAME}");
    let create = [
        "roles",
        "create",
        &role,
        "--scope",
        "queue:create-task:lowest:project/linux",
        "--scope",
        "queue:create-task:project:none",
        "--scope",
        "queue:scheduler-id:-",
    ];
    Ended::of(house.command("access", &create)).await.printed();
}

fn object(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

#[tokio::test]
async fn a_hook_is_what_its_file_says_and_is_shown_listed_and_deleted() {
    let house = House::start().await;
    let line = put(&house, "").await.printed();
    assert_eq!(line, format!("{NAME}\tno schedule\tNightly\\tbuild\n"));
    assert_eq!(put(&house, "").await.printed(), line, "nothing changes");
    let changed = put(&house, "schedule: [0 0 3 * * *]\n").await.printed();
    assert!(changed.contains("\tat 0 0 3 * * *\t"), "{changed}");

    let shown = object(&done(&house, &["show", NAME]).await);
    assert_eq!(
        (&shown["hookId"], &shown["bindings"], &shown["schedule"]),
        (&json!("nightly/main"), &json!([]), &json!(["0 0 3 * * *"]))
    );
    // What is shown can be put, also elsewhere.
    let file = house.folder.path().join("shown.json");
    let mut elsewhere = shown.clone();
    elsewhere["hookGroupId"] = "other".into();
    std::fs::write(&file, elsewhere.to_string()).unwrap();
    done(&house, &["put", file.to_str().unwrap()]).await;
    let third = ["put", file.to_str().unwrap(), "--name", "group/a"];
    done(&house, &third).await;

    assert_eq!(done(&house, &["list"]).await, "group\nother\n");
    let listed = done(&house, &["--json", "list", "group"]).await;
    let listed: Vec<Value> = listed.lines().map(object).collect();
    assert_eq!(listed[0]["hookId"], "a");
    assert_eq!(listed[1], shown);

    done(&house, &["delete", NAME]).await;
    let none = hooks(&house, &["show", NAME]).await;
    assert!(
        none.code == Some(2) && none.messages.contains("no hook \"group/nightly/main\""),
        "{none:?}"
    );
    assert_eq!(done(&house, &["list", "nowhere"]).await, "");
}

#[tokio::test]
async fn what_is_wrong_with_a_hook_is_told() {
    let house = House::start().await;
    let typo = put(&house, "triggers: []\n").await;
    assert!(
        typo.code == Some(2) && typo.messages.contains("unknown key `triggers`"),
        "{typo:?}"
    );
    let schedule = put(&house, "schedule: [sometimes]\n").await;
    assert!(
        schedule.code == Some(2) && schedule.messages.contains("sometimes"),
        "{schedule:?}"
    );
    let name = hooks(&house, &["show", "group"]).await;
    assert!(name.messages.contains("write GROUP/HOOK"), "{name:?}");
    let payload = hooks(&house, &["trigger", NAME, "--payload", "[]"]).await;
    assert!(payload.messages.contains("no JSON object"), "{payload:?}");
    for action in ["status", "token"] {
        let none = hooks(&house, &[action, NAME]).await;
        assert!(none.messages.contains("there is no hook"), "{none:?}");
    }
    let none = hooks(&house, &["trigger", NAME]).await;
    assert!(
        none.code == Some(2) && none.messages.contains("404"),
        "{none:?}"
    );
}

#[tokio::test]
async fn a_hook_is_triggered_and_tells_what_became_of_it() {
    let house = House::start().await;
    put(&house, "schedule: ['@yearly']\n").await.printed();
    let fresh = done(&house, &["status", NAME]).await;
    assert!(fresh.starts_with("never fired\tnext 2"), "{fresh}");
    assert_eq!(done(&house, &["fires", NAME]).await, "");

    let trigger = ["trigger", NAME, "--payload", r#"{"text": "hello"}"#];
    let refused = hooks(&house, &trigger).await;
    assert!(
        refused.code == Some(2) && refused.messages.contains("hook-id:group/nightly/main"),
        "{refused:?}"
    );
    allow(&house).await;
    let task = done(&house, &trigger).await;
    let queue = Queue::new(house.server.options_of_root()).unwrap();
    let made = queue.task(task.trim_end()).await.unwrap();
    assert_eq!(made.payload, json!({"say": "hello"}));

    let file = house.folder.path().join("payload.json");
    std::fs::write(&file, r#"{"text": "again"}"#).unwrap();
    let payload = format!("@{}", file.display());
    let again = ["--json", "trigger", NAME, "--payload", &payload];
    let again = object(&done(&house, &again).await);
    let again = again["taskId"].as_str().unwrap();

    // The template makes nothing of an empty text.
    let declined = hooks(&house, &["trigger", NAME, "--payload", r#"{"text": ""}"#]).await;
    assert_eq!((declined.code, declined.output.as_str()), (Some(1), ""));
    assert!(declined.messages.contains("made no task"), "{declined:?}");
    let unfit = hooks(&house, &["trigger", NAME, "--payload", r#"{"text": 1}"#]).await;
    assert_eq!(unfit.code, Some(2));

    let status = done(&house, &["status", NAME]).await;
    assert!(
        status.starts_with("fired 2") && status.contains(&format!("\t{again}\tnext ")),
        "{status}"
    );
    let fires = done(&house, &["fires", NAME]).await;
    let fires: Vec<&str> = fires.lines().collect();
    assert!(
        fires[0].ends_with(&format!("\ttriggerHook\t{again}\tpending")),
        "{fires:?}"
    );
    assert!(fires[1].contains(task.trim_end()), "{fires:?}");
    assert!(fires[2].contains("\ttriggerHook\tfailed\t"), "{fires:?}");
    assert_eq!(fires.len(), 3);
    let newest = done(&house, &["--json", "fires", NAME, "--limit", "1"]).await;
    assert_eq!(object(&newest)["taskId"], again);
    let all = done(&house, &["fires", NAME, "--limit", "0"]).await;
    assert_eq!(all.lines().count(), 3);
}

#[tokio::test]
async fn a_token_is_worth_something_until_another_takes_its_place() {
    let house = House::start().await;
    put(&house, "").await.printed();
    let first = done(&house, &["token", NAME]).await;
    assert_eq!(done(&house, &["token", NAME]).await, first);
    let second = done(&house, &["--json", "token", NAME, "--reset"]).await;
    let second = object(&second)["token"].as_str().unwrap().to_owned();
    assert_ne!(first.trim_end(), second);
    assert_eq!(done(&house, &["token", NAME]).await, format!("{second}\n"));
}
