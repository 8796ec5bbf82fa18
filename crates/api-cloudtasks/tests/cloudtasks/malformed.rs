//! What is refused for its form, whatever there is.

use serde_json::{Value, json};
use taskyard_store::on_both_databases;

use crate::refusal::{Caller, Row, VERSIONS, invalid, with_help};
use crate::yard::{PARENT, Yard, queue, simple};

/// The calls of a version, and what they are told.
fn malformed(version: &str) -> Vec<Row> {
    let beta2 = version == "v2beta2";
    let (rate, concurrent) = if beta2 {
        ("maxTasksDispatchedPerSecond", "maxConcurrentTasks")
    } else {
        ("maxDispatchesPerSecond", "maxConcurrentDispatches")
    };
    let create = |settings: Value| {
        let mut made = json!({"name": queue("new")});
        made.as_object_mut()
            .expect("an object")
            .extend(settings.as_object().cloned().expect("an object"));
        json!({"parent": PARENT, "queue": made})
    };
    let limits = |field: &str, value: i32| create(json!({"rateLimits": {field: value}}));
    let retry = |settings: Value| create(json!({ "retryConfig": settings }));
    let too_much =
        |name: &str, most: i32| format!("RateLimits.{name} must be less than or equal to {most}.");
    let negative = |name: &str| format!("RateLimits.{name} cannot be negative.");
    let task = |task: Value| json!({"parent": queue("q"), "task": task});
    let http = |field: &str, value: Value| {
        let mut made = simple();
        made["httpRequest"][field] = value;
        task(made)
    };
    let named = |name: String| {
        let mut made = simple();
        made["name"] = json!(name);
        task(made)
    };
    let resource = "Invalid resource field value in the request.";
    let location =
        "Location '-' is not a valid location. Use ListLocations to list valid locations.";
    let queue_name = "Queue name must be formatted: \
                      \"projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>\".";
    let attempts = if beta2 {
        "greater than 0."
    } else {
        "greater or equal to -1."
    };
    let mut rows = vec![
        with_help(
            invalid(
                "CreateQueue",
                json!({"parent": PARENT, "queue": {"name": "odd"}}),
                queue_name,
            ),
            "Definition of queue name",
            "#Queue.FIELDS.name",
        ),
        with_help(
            invalid(
                "UpdateQueue",
                json!({"queue": {"name": queue("a_b")}}),
                queue_name,
            ),
            "Definition of queue name",
            "#Queue.FIELDS.name",
        ),
        invalid(
            "CreateQueue",
            json!({"parent": "projects/p/locations/other", "queue": {"name": queue("new")}}),
            format!(
                "{} must begin with projects/p/locations/other.",
                queue("new")
            ),
        ),
        invalid(
            "CreateQueue",
            json!({"parent": "projects/p_/locations/l", "queue": {"name": queue("new")}}),
            resource,
        ),
        invalid(
            "ListQueues",
            json!({"parent": "projects/p_/locations/l"}),
            resource,
        ),
        invalid(
            "ListQueues",
            json!({"parent": "projects/p/locations/-"}),
            location,
        ),
        invalid("CreateQueue", limits(concurrent, -1), negative(concurrent)),
        invalid(
            "CreateQueue",
            limits(concurrent, 5001),
            too_much(concurrent, 5000),
        ),
        invalid("CreateQueue", limits(rate, -1), negative(rate)),
        invalid("CreateQueue", limits(rate, 501), too_much(rate, 500)),
        invalid(
            "CreateQueue",
            retry(json!({"maxAttempts": -2})),
            format!("RetryConfig.maxAttempts must be {attempts}"),
        ),
        invalid(
            "CreateQueue",
            retry(json!({"maxDoublings": -1})),
            "RetryConfig.maxDoublings cannot be negative.",
        ),
        invalid(
            "CreateQueue",
            retry(json!({"minBackoff": "-1s"})),
            "RetryConfig.minBackoff cannot be negative.",
        ),
        invalid(
            "CreateQueue",
            retry(json!({"maxBackoff": "-1s"})),
            "RetryConfig.maxBackoff cannot be negative.",
        ),
        invalid(
            "CreateQueue",
            retry(json!({"minBackoff": "9s", "maxBackoff": "3s"})),
            "RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff.",
        ),
        invalid(
            "CreateQueue",
            create(json!({"httpTarget": {"uriOverride": {"host": ""}}})),
            "UriOverride.host is not a valid host.",
        ),
        invalid(
            "CreateQueue",
            create(json!({"httpTarget": {"uriOverride": {"port": -1}}})),
            "UriOverride.port must be between 0 and 65535.",
        ),
        invalid(
            "CreateQueue",
            create(json!({"httpTarget": {"oidcToken": {"serviceAccountEmail": "a@b"}}})),
            "HttpTarget.oidcToken.audience is required.",
        ),
        invalid(
            "CreateQueue",
            create(json!({"httpTarget": {"oauthToken": {"serviceAccountEmail": "a@b"}}})),
            "HttpTarget.oauthToken.scope is required.",
        ),
        invalid(
            "ListQueues",
            json!({"parent": PARENT, "pageToken": "x"}),
            "The page token is invalid.",
        ),
        invalid(
            "ListQueues",
            json!({"parent": PARENT, "pageSize": -1}),
            "The page size must not be negative.",
        ),
        invalid(
            "ListTasks",
            json!({"parent": queue("q"), "pageToken": "x"}),
            "The page token is invalid.",
        ),
        invalid(
            "UpdateQueue",
            json!({"queue": {"name": queue("q")}, "updateMask": "odd"}),
            "Invalid mask for Queue: odd",
        ),
        invalid(
            "CreateTask",
            task(json!({})),
            "Task.payload_type is not set.",
        ),
        with_help(
            invalid(
                "CreateTask",
                named(format!("{}/tasks/a.b", queue("q"))),
                "Task ID \"a.b\" can contain only letters ([A-Za-z]), numbers ([0-9]), hyphens \
                 (-), or underscores (_). Task ID must between 1 and 500 characters.",
            ),
            "Definition of task ID",
            ".tasks#Task.FIELDS.name",
        ),
        invalid(
            "CreateTask",
            named("odd".to_owned()),
            "Task name must be formatted: \"projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/\
             <QUEUE_ID>/tasks/<TASK_ID>\"",
        ),
        invalid(
            "CreateTask",
            named(format!("{}/tasks/a", queue("other"))),
            format!(
                "The queue name from request ('{}') must be the same as the queue name in the \
                 named task ('{}').",
                queue("q"),
                queue("other"),
            ),
        ),
        invalid(
            "CreateTask",
            http("url", json!("")),
            "HttpRequest.url is required.",
        ),
        invalid(
            "CreateTask",
            http("url", json!("ftp://a.test")),
            "HttpTarget.url must start with 'http://' or 'https://'.",
        ),
        invalid(
            "CreateTask",
            task(
                json!({"httpRequest": {"url": "https://a.test", "httpMethod": "GET", "body": "eA=="}}),
            ),
            "HttpRequest.body can only be set for POST, PUT and PATCH.",
        ),
        invalid(
            "CreateTask",
            task(
                json!({"httpRequest": {"url": "https://a.test"}, "scheduleTime": "2100-01-01T00:00:00Z"}),
            ),
            "The Task.scheduleTime, 2099-12-31T16:00:00-08:00, is too far in the future. Schedule \
             time must be no more than 720h in the future.",
        ),
        invalid(
            "CreateTask",
            http("body", json!("AAAA".repeat(350_000))),
            "Task size too large",
        ),
        invalid(
            "GetTask",
            json!({"name": format!("{}/tasks/a.b", queue("q"))}),
            resource,
        ),
        invalid(
            "DeleteTask",
            json!({"name": format!("{}/tasks/t", queue("a_b"))}),
            resource,
        ),
        invalid(
            "TestIamPermissions",
            json!({"resource": queue("q"), "permissions": ["cloudtasks.*"]}),
            "Permission cloudtasks.* is not valid: wildcards are not allowed here.",
        ),
    ];
    if version != "v2" {
        rows.extend([
            invalid(
                "CreateQueue",
                limits("maxBurstSize", -1),
                negative("maxBurstSize"),
            ),
            invalid(
                "CreateQueue",
                limits("maxBurstSize", 501),
                too_much("maxBurstSize", 500),
            ),
            invalid(
                "CreateQueue",
                create(json!({"taskTtl": "863999s"})),
                "Queue.taskTtl must be between [864000s, 315360000s].",
            ),
            invalid(
                "CreateQueue",
                create(json!({"tombstoneTtl": "777601s"})),
                "Queue.tombstoneTtl must be between [3600s, 777600s].",
            ),
        ]);
    }
    if !beta2 {
        let deadline = |mut made: Value, deadline: &str| {
            made["dispatchDeadline"] = json!(deadline);
            task(made)
        };
        let within = |bounds: &str| format!("Task.dispatchDeadline must be between {bounds}.");
        rows.extend([
            invalid(
                "CreateQueue",
                create(json!({"stackdriverLoggingConfig": {"samplingRatio": 1.5}})),
                "StackdriverLoggingConfig.samplingRatio must be between [0.0, 1.0].",
            ),
            invalid(
                "CreateTask",
                deadline(simple(), "14.999s"),
                within("[15s, 30m]"),
            ),
            invalid(
                "CreateTask",
                deadline(simple(), "1800.001s"),
                within("[15s, 30m]"),
            ),
            invalid(
                "CreateTask",
                deadline(json!({"appEngineHttpRequest": {}}), "86416s"),
                within("[15s, 24h15s]"),
            ),
        ]);
    }
    rows
}

on_both_databases! {
    async fn what_is_wrong_in_itself_is_refused_in_the_words_that_clients_know(kind) {
        let yard = Yard::new(kind).await;
        yard.make_queue("q", json!({})).await;
        let caller = Caller::new();
        for version in VERSIONS {
            caller.check(&yard, version, malformed(version)).await;
        }
        // What v2 does not let anybody ask for is not read.
        let limits = json!({"name": queue("burst"), "rateLimits": {"maxBurstSize": -1}});
        let made = yard.post(&format!("/v2/{PARENT}/queues"), limits).await.ok();
        assert_eq!(made["rateLimits"]["maxBurstSize"], 100);
    }
}
