//! What is refused for what there is, or for who asks.

use serde_json::json;
use taskyard_store::on_both_databases;
use tonic::Code;

use crate::refusal::{Caller, Row, VERSIONS, invalid, rest, row, with_info};
use crate::yard::{PARENT, Yard, queue, simple};

const QUEUE_MISSING: &str = "Queue does not exist. If you just created the queue, wait at least a \
                             minute for the queue to initialize.";
const NOT_FOUND: &str = "Requested entity was not found.";

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
