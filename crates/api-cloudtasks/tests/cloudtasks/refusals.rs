//! The refusals that clients know by code, text and details, over HTTP/JSON and over gRPC.

use base64::Engine as _;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::{Value, json};
use taskyard_store::on_both_databases;
use tonic::Code;

use crate::grpc;
use crate::yard::{PARENT, Yard, queue, simple};

const VERSIONS: [&str; 3] = ["v2", "v2beta3", "v2beta2"];
const QUEUE_MISSING: &str = "Queue does not exist. If you just created the queue, wait at least a \
                             minute for the queue to initialize.";
const NOT_FOUND: &str = "Requested entity was not found.";

/// A call that is refused, and in which words.
struct Row {
    rpc: &'static str,
    request: Value,
    code: Code,
    text: String,
    details: Value,
}

fn row(rpc: &'static str, request: Value, code: Code, text: impl Into<String>) -> Row {
    let (text, details) = (text.into(), Value::Null);
    Row {
        rpc,
        request,
        code,
        text,
        details,
    }
}

/// A call that is wrong in itself.
fn invalid(rpc: &'static str, request: Value, text: impl Into<String>) -> Row {
    row(rpc, request, Code::InvalidArgument, text)
}

fn with_help(mut row: Row, description: &str, url: &str) -> Row {
    let base = "https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues";
    row.details = json!([{
        "@type": "type.googleapis.com/google.rpc.Help",
        "links": [{"description": description, "url": format!("{base}{url}")}],
    }]);
    row
}

fn with_info(mut row: Row, reason: &str, metadata: Value) -> Row {
    row.details = json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": metadata,
    }]);
    row
}

/// How a code is called in JSON, and its HTTP status.
fn in_http(code: Code) -> (&'static str, u16) {
    match code {
        Code::InvalidArgument => ("INVALID_ARGUMENT", 400),
        Code::FailedPrecondition => ("FAILED_PRECONDITION", 400),
        Code::Unauthenticated => ("UNAUTHENTICATED", 401),
        Code::PermissionDenied => ("PERMISSION_DENIED", 403),
        Code::NotFound => ("NOT_FOUND", 404),
        Code::AlreadyExists => ("ALREADY_EXISTS", 409),
        Code::Aborted => ("ABORTED", 409),
        other => panic!("no row has {other:?}"),
    }
}

/// Makes calls over both transports.
struct Caller {
    http2: reqwest::Client,
    pool: DescriptorPool,
}

impl Caller {
    fn new() -> Self {
        let descriptors = include_bytes!("../../proto/descriptors.binpb");
        Caller {
            http2: grpc::http2(),
            pool: DescriptorPool::decode(&descriptors[..]).expect("descriptors"),
        }
    }

    /// Each row, over each transport.
    async fn check(&self, yard: &Yard, version: &str, rows: Vec<Row>) {
        for row in rows {
            let request = row.request.to_string();
            let said = &request[..request.len().min(300)];
            let about = format!("{version} {} {said}", row.rpc);
            self.check_rest(yard, version, &row, &about).await;
            self.check_grpc(yard, version, &row, &about).await;
        }
    }

    async fn check_rest(&self, yard: &Yard, version: &str, row: &Row, about: &str) {
        let (method, path, body) = rest(row.rpc, &row.request);
        let mut request = yard.request(method, &format!("/{version}/{path}"));
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let refused = yard.send(request).await;
        let (name, status) = in_http(row.code);
        assert_eq!(refused.refusal(), (status, name, &row.text[..]), "{about}");
        assert_eq!(refused.json["error"]["details"], row.details, "{about}");
    }

    async fn check_grpc(&self, yard: &Yard, version: &str, row: &Row, about: &str) {
        let service = format!("google.cloud.tasks.{version}.CloudTasks");
        let found = self.pool.get_service_by_name(&service).expect("a service");
        let method = found.methods().find(|method| method.name() == row.rpc);
        let message = self.message(method.expect(row.rpc).input(), &row.request);
        let path = format!("/{service}/{}", row.rpc);
        let reply = grpc::call(yard, &self.http2, &path, &message).await;
        assert_eq!(reply.status, (row.code as i32).to_string(), "{about}");
        let text = percent_decode_str(&reply.text).decode_utf8_lossy();
        assert_eq!(text, row.text, "{about}");
        if row.details.is_null() {
            assert_eq!(reply.details, "", "{about}");
            return;
        }
        // A `google.rpc.Status` that says all of it again.
        let bytes = base64::engine::general_purpose::STANDARD_NO_PAD;
        let bytes = bytes
            .decode(reply.details.trim_end_matches('='))
            .expect("base64");
        let status = self.pool.get_message_by_name("google.rpc.Status");
        let status = DynamicMessage::decode(status.expect("a status"), &bytes[..]);
        let status = serde_json::to_value(status.expect("a message")).expect("JSON");
        let expected = json!({
            "code": row.code as i32, "message": row.text, "details": row.details,
        });
        assert_eq!(status, expected, "{about}");
    }

    fn message(&self, kind: MessageDescriptor, request: &Value) -> Vec<u8> {
        let message = DynamicMessage::deserialize(kind, request.clone());
        message.expect("a message").encode_to_vec()
    }
}

/// Method, path and body of a request, as the definitions of the service have it.
fn rest(rpc: &str, request: &Value) -> (&'static str, String, Option<Value>) {
    let of = |field: &str| request[field].as_str().expect(field).to_owned();
    let query = |fields: &[&str]| {
        let said = fields.iter().filter(|field| !request[**field].is_null());
        let said = said.map(|field| {
            let value = match &request[*field] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            format!("{field}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC))
        });
        said.collect::<Vec<_>>().join("&")
    };
    let pages = ["filter", "pageSize", "pageToken"];
    match rpc {
        "ListQueues" => (
            "GET",
            format!("{}/queues?{}", of("parent"), query(&pages)),
            None,
        ),
        "ListTasks" => (
            "GET",
            format!("{}/tasks?{}", of("parent"), query(&pages)),
            None,
        ),
        "GetQueue" | "GetTask" => ("GET", of("name"), None),
        "DeleteQueue" | "DeleteTask" => ("DELETE", of("name"), None),
        "CreateQueue" => (
            "POST",
            format!("{}/queues", of("parent")),
            Some(request["queue"].clone()),
        ),
        "UpdateQueue" => {
            let name = request["queue"]["name"].as_str().expect("a name");
            let path = format!("{name}?{}", query(&["updateMask"]));
            ("PATCH", path, Some(request["queue"].clone()))
        }
        "CreateTask" => (
            "POST",
            format!("{}/tasks", of("parent")),
            Some(request.clone()),
        ),
        "LeaseTasks" | "BatchCreateTasks" | "BatchDeleteTasks" => {
            let verb = rpc.replace("Tasks", "");
            let verb = format!("{}{}", verb[..1].to_lowercase(), &verb[1..]);
            (
                "POST",
                format!("{}/tasks:{verb}", of("parent")),
                Some(request.clone()),
            )
        }
        _ => {
            let suffix = if rpc.contains("Iam") { "" } else { "Queue" };
            let verb = rpc.strip_suffix(suffix).unwrap_or(rpc);
            let verb = verb.strip_suffix("Task").unwrap_or(verb);
            let verb = format!("{}{}", verb[..1].to_lowercase(), &verb[1..]);
            let of = if rpc.contains("Iam") {
                of("resource")
            } else {
                of("name")
            };
            ("POST", format!("{of}:{verb}"), Some(request.clone()))
        }
    }
}

/// What is refused by its form alone, whatever queues there are.
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

/// What is refused for what there is: a queue `q` with a task `live`, and one `gone` a moment ago;
/// a queue `deleted` a moment ago; a pull queue `pull` with a task `live`, and one that is paused.
fn unfitting(version: &str) -> Vec<Row> {
    let in_missing = format!("{}/tasks/t", queue("missing"));
    let task = |id: &str| format!("{}/tasks/{id}", queue("q"));
    let create = |id: &str| {
        let mut made = simple();
        made["name"] = json!(task(id));
        json!({"parent": queue("q"), "task": made})
    };
    let gone = "The task no longer exists, though a task with this name existed recently. The task \
                either successfully completed or was deleted.";
    let policy = json!({"resource": queue("q"), "policy": {"etag": "b2xk"}});
    let mut rows = vec![
        row(
            "CreateQueue",
            json!({"parent": PARENT, "queue": {"name": queue("q")}}),
            Code::AlreadyExists,
            "Queue already exists",
        ),
        row(
            "CreateQueue",
            json!({"parent": PARENT, "queue": {"name": queue("deleted")}}),
            Code::FailedPrecondition,
            "The queue cannot be created because a queue with this name existed too recently.",
        ),
        row(
            "DeleteQueue",
            json!({"name": queue("missing")}),
            Code::NotFound,
            NOT_FOUND,
        ),
        row(
            "SetIamPolicy",
            policy,
            Code::Aborted,
            "There were concurrent policy changes. Please retry the whole read-modify-write with \
             exponential backoff.",
        ),
        row(
            "CreateTask",
            create("live"),
            Code::AlreadyExists,
            "Requested entity already exists",
        ),
        row(
            "CreateTask",
            create("gone"),
            Code::AlreadyExists,
            "The task cannot be created because a task with this name existed too recently. For \
             more information about task de-duplication see https://cloud.google.com/tasks/docs/\
             reference/rest/v2/projects.locations.queues.tasks/create#body.request_body.FIELDS.\
             task.",
        ),
        row(
            "GetTask",
            json!({"name": task("gone")}),
            Code::NotFound,
            gone,
        ),
        row(
            "GetTask",
            json!({"name": task("never")}),
            Code::NotFound,
            NOT_FOUND,
        ),
        row(
            "RunTask",
            json!({"name": format!("{}/tasks/live", queue("pull"))}),
            Code::FailedPrecondition,
            "This is a pull queue: its tasks are leased and cannot be run.",
        ),
    ];
    for rpc in ["DeleteTask", "RunTask"] {
        rows.push(row(
            rpc,
            json!({"name": task("gone")}),
            Code::NotFound,
            NOT_FOUND,
        ));
        rows.push(row(
            rpc,
            json!({"name": task("never")}),
            Code::NotFound,
            NOT_FOUND,
        ));
    }
    for (rpc, request) in [
        ("GetQueue", json!({"name": queue("missing")})),
        ("GetQueue", json!({"name": queue("deleted")})),
        ("PauseQueue", json!({"name": queue("missing")})),
        ("ResumeQueue", json!({"name": queue("missing")})),
        ("PurgeQueue", json!({"name": queue("missing")})),
        ("ListTasks", json!({"parent": queue("missing")})),
        (
            "CreateTask",
            json!({"parent": queue("missing"), "task": simple()}),
        ),
        ("GetTask", json!({"name": in_missing})),
        ("GetIamPolicy", json!({"resource": queue("missing")})),
        (
            "SetIamPolicy",
            json!({"resource": queue("missing"), "policy": {}}),
        ),
    ] {
        rows.push(row(rpc, request, Code::NotFound, QUEUE_MISSING));
    }
    if version == "v2beta2" {
        rows.extend(unleased());
    } else {
        let member = json!({"parent": queue("missing"), "task": simple()});
        for (rpc, request) in [
            (
                "BatchCreateTasks",
                json!({"parent": queue("missing"), "requests": [member]}),
            ),
            (
                "BatchDeleteTasks",
                json!({"parent": queue("missing"), "names": [in_missing]}),
            ),
        ] {
            rows.push(row(rpc, request, Code::NotFound, QUEUE_MISSING));
        }
        let none = "A batch must have between 1 and 100 requests; this one has 0.";
        rows.push(invalid(
            "BatchCreateTasks",
            json!({"parent": queue("q")}),
            none,
        ));
    }
    rows
}

/// What is refused of leases.
fn unleased() -> Vec<Row> {
    let lease = |id: &str, tasks: i32, duration: &str| json!({"parent": queue(id), "maxTasks": tasks, "leaseDuration": duration});
    let count = "LeaseTasksRequest.maxTasks must be between 1 and 1000.";
    let duration = "leaseDuration must be between [1s, 604800s].";
    let mut filtered = lease("pull", 1, "1s");
    filtered["filter"] = json!("x=y");
    let mut rows = vec![
        invalid("LeaseTasks", lease("pull", 0, "1s"), count),
        invalid("LeaseTasks", lease("pull", 1001, "1s"), count),
        invalid("LeaseTasks", lease("pull", 1, "0s"), duration),
        invalid("LeaseTasks", lease("pull", 1, "604801s"), duration),
        invalid(
            "LeaseTasks",
            filtered,
            "The filter must be tag=TAG or tag_function=oldest_tag().",
        ),
        row(
            "LeaseTasks",
            lease("missing", 1, "1s"),
            Code::NotFound,
            QUEUE_MISSING,
        ),
        row(
            "LeaseTasks",
            lease("q", 1, "1s"),
            Code::FailedPrecondition,
            "This is a push queue: its tasks are sent to handlers and cannot be leased.",
        ),
        row(
            "LeaseTasks",
            lease("paused", 1, "1s"),
            Code::FailedPrecondition,
            "The queue is not running: resume it before leasing tasks.",
        ),
        invalid(
            "CreateTask",
            json!({"parent": queue("pull"), "task": simple()}),
            "Only Task.pull_message can be set in a pull queue.",
        ),
        invalid(
            "CreateTask",
            json!({"parent": queue("q"), "task": {"pullMessage": {}}}),
            "Task.pull_message can only be set in a pull queue.",
        ),
    ];
    for rpc in ["AcknowledgeTask", "RenewLease", "CancelLease"] {
        let held = |id: &str| {
            let name = format!("{}/tasks/{id}", queue("pull"));
            json!({"name": name, "scheduleTime": "2026-01-01T00:00:00Z"})
        };
        let mut requests = [held("live"), held("never")];
        if rpc == "RenewLease" {
            for request in &mut requests {
                request["leaseDuration"] = json!("9s");
            }
        }
        let [live, never] = requests;
        let mismatch = "The task is not leased until this schedule_time: the lease has expired, or \
                        somebody else has it now.";
        rows.push(row(rpc, live, Code::FailedPrecondition, mismatch));
        rows.push(row(rpc, never, Code::NotFound, NOT_FOUND));
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

    async fn what_does_not_fit_what_there_is_is_refused_in_the_words_that_clients_know(kind) {
        let yard = Yard::new(kind).await;
        for id in ["q", "deleted"] {
            yard.make_queue(id, json!({})).await;
        }
        for id in ["pull", "paused"] {
            yard.make_queue(id, json!({"type": "PULL"})).await;
        }
        yard.post(&format!("/v2/{}:pause", queue("paused")), json!({})).await.ok();
        yard.delete(&format!("/v2/{}", queue("deleted"))).await.ok();
        for id in ["live", "gone"] {
            let mut task = simple();
            task["name"] = json!(format!("{}/tasks/{id}", queue("q")));
            yard.make_task("q", task).await.ok();
        }
        yard.delete(&format!("/v2/{}/tasks/gone", queue("q"))).await.ok();
        let message = json!({"name": format!("{}/tasks/live", queue("pull")), "pullMessage": {}});
        yard.post(&format!("/v2beta2/{}/tasks", queue("pull")), json!({"task": message})).await.ok();
        let caller = Caller::new();
        for version in VERSIONS {
            caller.check(&yard, version, unfitting(version)).await;
        }
    }

    async fn a_page_token_is_good_for_its_list_and_for_two_hours(kind) {
        let yard = Yard::new(kind).await;
        for id in ["a", "b"] {
            yard.make_queue(id, json!({})).await;
        }
        let page = yard.get(&format!("/v2/{PARENT}/queues?pageSize=1")).await.ok();
        let token = &page["nextPageToken"];
        let same = json!({"parent": PARENT, "pageToken": token});
        let caller = Caller::new();
        let text = "The page token is invalid.";
        for other in [
            json!({"parent": PARENT, "pageToken": token, "filter": "state=RUNNING"}),
            json!({"parent": "projects/p/locations/other", "pageToken": token}),
        ] {
            caller.check(&yard, "v2", vec![invalid("ListQueues", other, text)]).await;
        }
        let (_, path, _) = rest("ListQueues", &same);
        yard.get(&format!("/v2/{path}")).await.ok();
        yard.clock.move_by(2 * 3_600_000_000 + 1_000_000);
        caller.check(&yard, "v2", vec![invalid("ListQueues", same, text)]).await;
    }

    async fn a_server_may_have_locations_of_its_own_and_want_tokens_sent_in_secret(kind) {
        let yard = Yard::strict(kind, &["us-central1"]).await;
        yard.make_queue("q", json!({})).await;
        let caller = Caller::new();
        let elsewhere = "projects/p/locations/europe-west1";
        let location = "Location 'europe-west1' is not a valid location. Use ListLocations to list \
                        valid locations.";
        let named = json!({"name": format!("{elsewhere}/queues/q")});
        let task = json!({"httpRequest": {
            "url": "http://a.test", "oidcToken": {"serviceAccountEmail": "a@b.test"},
        }});
        for version in VERSIONS {
            caller.check(&yard, version, vec![
                invalid("ListQueues", json!({"parent": elsewhere}), location),
                invalid("CreateQueue", json!({"parent": elsewhere, "queue": named}), location),
                invalid(
                    "CreateTask",
                    json!({"parent": queue("q"), "task": task}),
                    "HttpRequest.url must start with 'https://' for request with \
                     HttpRequest.authorization_header",
                ),
            ]).await;
        }
    }

    async fn strangers_and_the_powerless_are_told_why_in_a_form_that_clients_read(kind) {
        let mut yard = Yard::open(kind, false).await;
        let caller = Caller::new();
        let request = json!({"name": queue("q")});
        for version in VERSIONS {
            let method = format!("google.cloud.tasks.{version}.CloudTasks.PurgeQueue");
            let about = json!({"service": "cloudtasks.googleapis.com", "method": method});
            yard.call_with(None);
            let missing = "This call needs credentials: send a client and its access token as \
                           `Authorization: Bearer CLIENT_ID:ACCESS_TOKEN`.";
            let missing = row("PurgeQueue", request.clone(), Code::Unauthenticated, missing);
            let missing = with_info(missing, "CREDENTIALS_MISSING", about);
            caller.check(&yard, version, vec![missing]).await;

            yard.call_as(&format!("powerless-{version}"), &[]).await;
            let permission = "cloudtasks.queues.purge";
            let text = format!(
                "The principal (user or service account) lacks IAM permission \"{permission}\" \
                 for the resource \"{}\" (or the resource may not exist).",
                queue("q"),
            );
            let denied = row("PurgeQueue", request.clone(), Code::PermissionDenied, text);
            let why = json!({"permission": permission, "resource": queue("q")});
            let denied = with_info(denied, "IAM_PERMISSION_DENIED", why);
            caller.check(&yard, version, vec![denied]).await;
        }
    }
}
