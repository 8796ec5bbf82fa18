//! What the client of Cloud Tasks says over the wire, and what it makes of the answers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod stand_in;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stand_in::{StandIn, json};
use taskyard_client::cloudtasks::{
    Binding, CallOptions, CallSettings, CloudTasks, CmekConfig, Code, HttpRequest, Lease,
    LeaseRequest, Listing, OperationOutcome, Options, Policy, Queue, QueueState, RateLimits, Task,
    TokenSource, Version, View,
};

const PLACE: &str = "projects/p/locations/l";
const QUEUE: &str = "projects/p/locations/l/queues/q";
const TASK: &str = "projects/p/locations/l/queues/q/tasks/t";

async fn answering(body: &str) -> StandIn {
    StandIn::start(vec![json("200 OK", body)]).await
}

fn client(server: &StandIn) -> CloudTasks {
    CloudTasks::new(Options::at(&server.root_url)).unwrap()
}

/// The last request: its line and its body.
fn last(server: &StandIn) -> (String, String) {
    let seen = server.seen();
    let last = seen.last().unwrap();
    (
        format!("{} {}", last.method, last.target),
        String::from_utf8(last.body.clone()).unwrap(),
    )
}

fn expect(server: &StandIn, line: &str, body: &str) {
    assert_eq!(last(server), (line.to_owned(), body.to_owned()));
}

#[tokio::test]
async fn queues_are_created_changed_and_deleted() {
    let server = answering(
        r#"{"name":"n","state":"PAUSED","rateLimits":{"maxDispatchesPerSecond":500},
        "stats":{"tasksCount":"7"},"unknown":1}"#,
    )
    .await;
    let client = client(&server);
    let mut queue = Queue::named(PLACE, "q");
    queue.rate_limits = Some(RateLimits {
        max_dispatches_per_second: Some(0.5),
        ..RateLimits::default()
    });
    let made = client.create_queue(PLACE, &queue).await.unwrap();
    let body = format!(r#"{{"name":"{QUEUE}","rateLimits":{{"maxDispatchesPerSecond":0.5}}}}"#);
    expect(&server, &format!("POST /v2beta3/{PLACE}/queues"), &body);
    assert_eq!(made.state, Some(QueueState::Paused));
    assert_eq!(made.stats.unwrap().tasks_count, 7);

    let mask = "rateLimits.maxDispatchesPerSecond";
    client.update_queue(&queue, mask).await.unwrap();
    expect(
        &server,
        &format!("PATCH /v2beta3/{QUEUE}?updateMask={mask}"),
        &body,
    );
    client.get_queue(QUEUE).await.unwrap();
    expect(&server, &format!("GET /v2beta3/{QUEUE}"), "");
    client.get_queue_masked(QUEUE, "*,stats").await.unwrap();
    expect(
        &server,
        &format!("GET /v2beta3/{QUEUE}?readMask=%2A%2Cstats"),
        "",
    );
    for (verb, call) in ["purge", "pause", "resume"].into_iter().zip([0, 1, 2]) {
        match call {
            0 => client.purge_queue(QUEUE).await.unwrap(),
            1 => client.pause_queue(QUEUE).await.unwrap(),
            _ => client.resume_queue(QUEUE).await.unwrap(),
        };
        expect(&server, &format!("POST /v2beta3/{QUEUE}:{verb}"), "{}");
    }
    client.delete_queue(QUEUE).await.unwrap();
    expect(&server, &format!("DELETE /v2beta3/{QUEUE}"), "");
    client.upload_queue_yaml("app", "queue: []").await.unwrap();
    expect(&server, "POST /api/queue/update?appId=app", "queue: []");
}

#[tokio::test]
async fn tasks_are_created_read_run_and_deleted() {
    let server = answering(
        r#"{"name":"t","createTime":"2026-01-01T00:00:00Z","dispatchCount":2,"view":"FULL",
        "httpRequest":{"url":"u","httpMethod":"POST","body":"-_8"},
        "lastAttempt":{"responseStatus":{"code":14,"message":"m"}}}"#,
    )
    .await;
    let client = client(&server);
    let request = HttpRequest::post("https://h/x", "hi").header("a", "b");
    let task = Task::http(request)
        .named(QUEUE, "t")
        .at("2026-01-01T00:00:00Z");
    let made = client.create_task(QUEUE, &task).await.unwrap();
    expect(
        &server,
        &format!("POST /v2beta3/{QUEUE}/tasks"),
        &format!(
            r#"{{"task":{{"name":"{TASK}","httpRequest":{{"url":"https://h/x","headers":{{"a":"b"}},"body":"aGk="}},"scheduleTime":"2026-01-01T00:00:00Z"}}}}"#
        ),
    );
    assert_eq!((made.dispatch_count, made.view), (2, Some(View::Full)));
    assert_eq!(made.http_request.unwrap().body.unwrap().0, [0xfb, 0xff]);
    assert_eq!(
        made.last_attempt.unwrap().response_status.unwrap()["code"],
        14
    );

    client.get_task(TASK, View::Full).await.unwrap();
    expect(
        &server,
        &format!("GET /v2beta3/{TASK}?responseView=FULL"),
        "",
    );
    client.run_task(TASK).await.unwrap();
    expect(&server, &format!("POST /v2beta3/{TASK}:run"), "{}");
    client.delete_task(TASK).await.unwrap();
    expect(&server, &format!("DELETE /v2beta3/{TASK}"), "");
}

#[tokio::test]
async fn a_queue_with_a_target_takes_bodies_and_batches() {
    let server = answering(r#"{"task":{"name":"made"}}"#).await;
    let stub = client(&server);
    let made = stub
        .buffer_task(QUEUE, "", "text/plain", "hi")
        .await
        .unwrap();
    expect(
        &server,
        &format!("POST /v2beta3/{QUEUE}/tasks:buffer"),
        "hi",
    );
    assert_eq!(made.name, "made");
    stub.buffer_task(QUEUE, "t", "text/plain", "hi")
        .await
        .unwrap();
    expect(&server, &format!("POST /v2beta3/{TASK}:buffer"), "hi");

    let server = answering(r#"{"name":"o","done":true,"response":{}}"#).await;
    let stub = client(&server);
    let task = Task::http(HttpRequest::post("https://h", "x"));
    let operation = stub.batch_create_tasks(QUEUE, &[task], "id").await.unwrap();
    expect(
        &server,
        &format!("POST /v2beta3/{QUEUE}/tasks:batchCreate"),
        &format!(
            r#"{{"requests":[{{"parent":"{QUEUE}","task":{{"httpRequest":{{"url":"https://h","body":"eA=="}}}}}}],"requestId":"id"}}"#
        ),
    );
    assert!(matches!(operation.outcome(), OperationOutcome::Done(_)));
    let names = [TASK.to_owned()];
    stub.batch_delete_tasks(QUEUE, &names, "").await.unwrap();
    expect(
        &server,
        &format!("POST /v2beta3/{QUEUE}/tasks:batchDelete"),
        &format!(r#"{{"names":["{TASK}"]}}"#),
    );
    let name = format!("{PLACE}/operations/o");
    stub.get_operation(&name).await.unwrap();
    expect(&server, &format!("GET /v2beta3/{name}"), "");
}

#[tokio::test]
async fn leases_are_taken_renewed_and_ended() {
    let leased = format!(
        r#"{{"tasks":[{{"name":"{TASK}","scheduleTime":"2026-01-01T00:01:00.000001Z",
        "pullMessage":{{"payload":"aGk=","tag":"x"}}}}]}}"#
    );
    let server = StandIn::start(vec![json("200 OK", &leased), json("200 OK", "{}")]).await;
    let options = Options::at(&server.root_url).with_version(Version::V2Beta2);
    let client = CloudTasks::new(options).unwrap();
    let tasks = client
        .lease_tasks(QUEUE, &LeaseRequest::full(5, 60))
        .await
        .unwrap();
    expect(
        &server,
        &format!("POST /v2beta2/{QUEUE}/tasks:lease"),
        r#"{"maxTasks":5,"leaseDuration":"60s","responseView":"FULL"}"#,
    );
    assert_eq!(tasks[0].pull_message.as_ref().unwrap().tag, "x");

    let lease = Lease::from(&tasks[0]);
    let proof = r#""scheduleTime":"2026-01-01T00:01:00.000001Z""#;
    client.renew_lease(&lease, "90s").await.unwrap();
    let body = format!(r#"{{{proof},"leaseDuration":"90s"}}"#);
    expect(&server, &format!("POST /v2beta2/{TASK}:renewLease"), &body);
    client.cancel_lease(&lease).await.unwrap();
    expect(
        &server,
        &format!("POST /v2beta2/{TASK}:cancelLease"),
        &format!("{{{proof}}}"),
    );
    client.acknowledge_task(&lease).await.unwrap();
    expect(
        &server,
        &format!("POST /v2beta2/{TASK}:acknowledge"),
        &format!("{{{proof}}}"),
    );
    let task = Task::pull("hi", "x");
    client.create_task(QUEUE, &task).await.unwrap();
    expect(
        &server,
        &format!("POST /v2beta2/{QUEUE}/tasks"),
        r#"{"task":{"pullMessage":{"payload":"aGk=","tag":"x"}}}"#,
    );
}

#[tokio::test]
async fn policies_and_places() {
    let server = answering(
        r#"{"version":1,"etag":"ACAB","bindings":[{"role":"r","members":["user:a"]}],
        "permissions":["cloudtasks.tasks.create"],"kmsKey":"k"}"#,
    )
    .await;
    let client = client(&server);
    let policy = client.get_iam_policy(QUEUE).await.unwrap();
    expect(
        &server,
        &format!("POST /v2beta3/{QUEUE}:getIamPolicy"),
        r#"{"options":{"requestedPolicyVersion":3}}"#,
    );
    let binding = Binding {
        role: "r".to_owned(),
        members: vec!["user:a".to_owned()],
        condition: None,
    };
    assert_eq!(policy.bindings, [binding]);
    let kept = Policy {
        version: 0,
        ..policy
    };
    client.set_iam_policy(QUEUE, &kept).await.unwrap();
    expect(
        &server,
        &format!("POST /v2beta3/{QUEUE}:setIamPolicy"),
        r#"{"policy":{"version":0,"etag":"ACAB","bindings":[{"role":"r","members":["user:a"]}]}}"#,
    );
    let asked = ["cloudtasks.tasks.create", "cloudtasks.tasks.run"];
    let granted = client.test_iam_permissions(QUEUE, &asked).await.unwrap();
    assert_eq!(granted, asked[..1]);

    client.get_location(PLACE).await.unwrap();
    expect(&server, &format!("GET /v2beta3/{PLACE}"), "");
    client.get_cmek_config(PLACE).await.unwrap();
    expect(&server, &format!("GET /v2beta3/{PLACE}/cmekConfig"), "");
    let config = CmekConfig {
        name: format!("{PLACE}/cmekConfig"),
        kms_key: String::new(),
    };
    client.update_cmek_config(&config).await.unwrap();
    let line = format!("PATCH /v2beta3/{PLACE}/cmekConfig?updateMask=kmsKey");
    expect(
        &server,
        &line,
        &format!(r#"{{"name":"{PLACE}/cmekConfig","kmsKey":""}}"#),
    );
}

#[tokio::test]
async fn pages_follow_each_other_even_if_one_is_empty() {
    let page = |tasks: &str, next: &str| {
        json(
            "200 OK",
            &format!(r#"{{"tasks":[{tasks}],"nextPageToken":"{next}"}}"#),
        )
    };
    let pages = vec![
        page(r#"{"name":"1"},{"name":"2"}"#, "a=b"),
        page("", "c"),
        page(r#"{"name":"3"}"#, ""),
    ];
    let server = StandIn::start(pages).await;
    let mut tasks = client(&server).list_tasks(QUEUE, View::Basic, 2);
    let mut names = Vec::new();
    while let Some(task) = tasks.next().await.unwrap() {
        names.push(task.name);
    }
    assert_eq!(names, ["1", "2", "3"]);
    let targets: Vec<String> = server.seen().into_iter().map(|it| it.target).collect();
    let first = format!("/v2beta3/{QUEUE}/tasks?responseView=BASIC&pageSize=2");
    let second = format!("{first}&pageToken=a%3Db");
    assert_eq!(
        targets,
        [first.clone(), second, format!("{first}&pageToken=c")]
    );

    let server = answering(r#"{"queues":[{"name":"q"}],"locations":[{"locationId":"l"}]}"#).await;
    let listing = Listing {
        filter: "state: PAUSED".to_owned(),
        read_mask: "name,stats".to_owned(),
        ..Listing::default()
    };
    let queues = client(&server)
        .list_queues(PLACE, listing)
        .all()
        .await
        .unwrap();
    assert_eq!(queues[0].name, "q");
    let line =
        format!("GET /v2beta3/{PLACE}/queues?filter=state%3A%20PAUSED&readMask=name%2Cstats");
    expect(&server, &line, "");
    let places = client(&server).list_locations("projects/p", Listing::default());
    assert_eq!(places.all().await.unwrap()[0].location_id, "l");
    expect(&server, "GET /v2beta3/projects/p/locations", "");
}

#[tokio::test]
async fn a_read_is_repeated_and_a_creation_is_not() {
    let busy = r#"{"error":{"code":503,"message":"later","status":"UNAVAILABLE"}}"#;
    let answers = vec![json("503 Service Unavailable", busy), json("200 OK", "{}")];
    let server = StandIn::start(answers.clone()).await;
    client(&server).get_queue(QUEUE).await.unwrap();
    assert_eq!(server.seen().len(), 2);

    let server = StandIn::start(answers.clone()).await;
    let task = Task::http(HttpRequest::post("https://h", "x"));
    let error = client(&server).create_task(QUEUE, &task).await.unwrap_err();
    assert_eq!((error.code(), server.seen().len()), (Code::Unavailable, 1));
    assert_eq!(error.status().unwrap().http_status, 503);

    // Whoever wants it otherwise says so.
    let server = StandIn::start(answers).await;
    let calls = CallOptions {
        create_task: CallSettings::repeated(),
        ..CallOptions::default()
    };
    let options = Options::at(&server.root_url).with_calls(calls);
    CloudTasks::new(options)
        .unwrap()
        .create_task(QUEUE, &task)
        .await
        .unwrap();
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn all_attempts_together_end_with_the_time_limit() {
    let busy = r#"{"error":{"code":503,"message":"later","status":"UNAVAILABLE"}}"#;
    let server = StandIn::start(vec![json("503 Service Unavailable", busy)]).await;
    let calls = CallOptions {
        get_queue: CallSettings {
            timeout: Duration::from_millis(300),
            ..CallSettings::repeated()
        },
        ..CallOptions::default()
    };
    let options = Options::at(&server.root_url).with_calls(calls);
    let error = CloudTasks::new(options)
        .unwrap()
        .get_queue(QUEUE)
        .await
        .unwrap_err();
    assert!(
        matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded),
        "{error}"
    );
    let nobody = CloudTasks::new(Options::at("http://127.0.0.1:9")).unwrap();
    let task = Task::default();
    let error = nobody.create_task(QUEUE, &task).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_token_is_asked_for_before_each_call_and_not_shown() {
    let server = answering("{}").await;
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let source = TokenSource::new(move || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        async move {
            if number < 2 {
                Ok(format!("ya29.{number}"))
            } else {
                Err("the account is gone".to_owned())
            }
        }
    });
    let mut options = Options::at(&server.root_url).with_token(source);
    options.quota_project = Some("payer".to_owned());
    let client = CloudTasks::new(options).unwrap();
    client.get_queue(QUEUE).await.unwrap();
    client.get_queue(QUEUE).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[1].headers["authorization"], "Bearer ya29.1");
    assert_eq!(seen[1].headers["x-goog-user-project"], "payer");
    let error = client.get_queue(QUEUE).await.unwrap_err();
    assert!(error.to_string().contains("the account is gone"), "{error}");
    assert_eq!((asked.load(Ordering::Relaxed), server.seen().len()), (3, 2));
    let shown = format!("{:?}", TokenSource::fixed("ya29.secret"));
    assert!(!shown.contains("secret"), "{shown}");
}
