//! The client library against the server: every method, in every version.

use std::collections::BTreeSet;
use std::path::Path;

use taskyard_client::cloudtasks::{
    AppEngineQueue, Binding, CallOptions, CallSettings, CloudTasks, CmekConfig, Code, HttpRequest,
    HttpTarget, Lease, LeaseRequest, Listing, OperationOutcome, Options, Policy, PullTarget, Queue,
    QueueState, RateLimits, RetryConfig, Task, TokenSource, UriOverride, Version, View,
};

use super::handler::Handler;
use super::{start, tomorrow};
use crate::server::{ROOT, Server, TOKEN, soon};

const PLACE: &str = "projects/p/locations/l";
const VERSIONS: [Version; 3] = [Version::V2, Version::V2Beta3, Version::V2Beta2];

async fn dev(folder: &Path) -> Server {
    Server::start(&folder.join("data"), &["--dev"]).await
}

fn client(server: &Server, version: Version) -> CloudTasks {
    CloudTasks::new(Options::at(&server.url).with_version(version)).unwrap()
}

/// A task that is not sent while a test lasts, unless somebody runs it.
fn later(url: &str) -> Task {
    Task::http(HttpRequest::post(url, "hi").header("X-Mine", "yes")).at(tomorrow())
}

#[tokio::test]
async fn queues_live_through_every_version() {
    let folder = tempfile::tempdir().unwrap();
    let server = dev(folder.path()).await;
    for version in VERSIONS {
        let client = client(&server, version);
        let mut queue = Queue::named(PLACE, &format!("q-{}", version.as_str()));
        let rate = Some(7.5);
        queue.rate_limits = Some(match version {
            Version::V2Beta2 => RateLimits {
                max_tasks_dispatched_per_second: rate,
                ..RateLimits::default()
            },
            Version::V2 | Version::V2Beta3 => RateLimits {
                max_dispatches_per_second: rate,
                ..RateLimits::default()
            },
        });
        queue.retry_config = Some(RetryConfig {
            max_attempts: Some(9),
            min_backoff: Some("0.5s".to_owned()),
            ..RetryConfig::default()
        });
        let made = client.create_queue(PLACE, &queue).await.unwrap();
        assert_eq!(made.state, Some(QueueState::Running));
        let limits = made.rate_limits.clone().unwrap();
        let told = limits
            .max_dispatches_per_second
            .or(limits.max_tasks_dispatched_per_second);
        assert_eq!(told, rate, "{version:?}");
        let twice = client.create_queue(PLACE, &queue).await.unwrap_err();
        assert_eq!(twice.code(), Code::AlreadyExists);
        assert_eq!(twice.status().unwrap().http_status, 409);

        let name = queue.name.clone();
        assert_eq!(client.get_queue(&name).await.unwrap(), made);
        let mut change = Queue::named(PLACE, "");
        change.name.clone_from(&name);
        change.retry_config = Some(RetryConfig {
            max_attempts: Some(2),
            ..RetryConfig::default()
        });
        let changed = client
            .update_queue(&change, "retryConfig.maxAttempts")
            .await;
        let retry = changed.unwrap().retry_config.unwrap();
        assert_eq!(retry.max_attempts, Some(2));
        assert_eq!(retry.min_backoff.as_deref(), Some("0.500s"));
        let paused = client.pause_queue(&name).await.unwrap();
        assert_eq!(paused.state, Some(QueueState::Paused));
        let listing = Listing {
            filter: "state: PAUSED".to_owned(),
            ..Listing::default()
        };
        let found = client.list_queues(PLACE, listing).all().await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, name);
        let resumed = client.resume_queue(&name).await.unwrap();
        assert_eq!(resumed.state, Some(QueueState::Running));
        assert!(
            client
                .purge_queue(&name)
                .await
                .unwrap()
                .purge_time
                .is_some()
        );
        if version != Version::V2 {
            let masked = client.get_queue_masked(&name, "name,stats").await.unwrap();
            assert_eq!(masked.stats.unwrap().tasks_count, 0);
            assert_eq!(masked.state, None);
        }
    }
    let client = client(&server, Version::V2Beta3);
    let small = Listing {
        page_size: 1,
        ..Listing::default()
    };
    let mut pages = client.list_queues(PLACE, small.clone());
    let (first, token) = pages.next_page().await.unwrap().unwrap();
    assert_eq!(first.len(), 1);
    let rest = client.list_queues(PLACE, small).from_token(token);
    assert_eq!(rest.all().await.unwrap().len(), 2);
    for queue in pages.all().await.unwrap() {
        client.delete_queue(&queue.name).await.unwrap();
        let gone = client.delete_queue(&queue.name).await.unwrap_err();
        assert_eq!(gone.code(), Code::NotFound);
    }
    client
        .update_queue(&Queue::named(PLACE, "made"), "")
        .await
        .expect("an update makes what is missing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_live_through_every_version() {
    let folder = tempfile::tempdir().unwrap();
    let server = dev(folder.path()).await;
    let mut handler = Handler::start(&[]).await;
    for version in VERSIONS {
        let client = client(&server, version);
        let queue = Queue::named(PLACE, &format!("q-{}", version.as_str()));
        let queue = client.create_queue(PLACE, &queue).await.unwrap().name;
        let named = later(&handler.url).named(&queue, "mine");
        let made = client.create_task(&queue, &named).await.unwrap();
        assert_eq!(made.name, named.name);
        assert_eq!(made.schedule_time, named.schedule_time);
        assert_eq!((made.view, made.dispatch_count), (Some(View::Basic), 0));
        let twice = client.create_task(&queue, &named).await.unwrap_err();
        assert_eq!(twice.code(), Code::AlreadyExists);
        let full = client.get_task(&made.name, View::Full).await.unwrap();
        let request = full.http_request.unwrap();
        assert_eq!(request.body.unwrap().0, b"hi");
        assert_eq!(request.headers["X-Mine"], "yes");
        let basic = client.get_task(&made.name, View::Basic).await.unwrap();
        assert_eq!(basic.http_request.unwrap().body, None);

        for _ in 0..4 {
            client
                .create_task(&queue, &later(&handler.url))
                .await
                .unwrap();
        }
        let mut tasks = client.list_tasks(&queue, View::Basic, 2);
        let mut names = BTreeSet::new();
        while let Some(task) = tasks.next().await.unwrap() {
            names.insert(task.name);
        }
        assert_eq!(names.len(), 5);
        assert!(names.contains(&made.name));

        client.run_task(&made.name).await.unwrap();
        assert_eq!(
            handler.next().await.headers["x-cloudtasks-taskname"],
            "mine"
        );
        names.remove(&made.name);
        for name in &names {
            client.delete_task(name).await.unwrap();
            let gone = client.delete_task(name).await.unwrap_err();
            assert_eq!(gone.code(), Code::NotFound);
        }
        // The answer is recorded a moment after it was given.
        let attempts = soon(async {
            loop {
                let mut attempts = client.list_attempts(&made.name, View::Full, 0);
                match attempts.next().await.unwrap() {
                    Some(attempt) => return attempt,
                    None => tokio::task::yield_now().await,
                }
            }
        });
        let attempt = attempts.await;
        assert_eq!(
            (attempt.task.as_str(), attempt.dispatch),
            (made.name.as_str(), 1)
        );
        assert_eq!(
            (attempt.http_status, attempt.excerpt.as_str()),
            (Some(200), "says 200")
        );
        let of_queue = client
            .list_attempts(&queue, View::Basic, 1)
            .all()
            .await
            .unwrap();
        assert_eq!(of_queue.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_and_batches_become_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let server = dev(folder.path()).await;
    let mut handler = Handler::start(&[]).await;
    for version in VERSIONS {
        let client = client(&server, version);
        let mut queue = Queue::named(PLACE, &format!("q-{}", version.as_str()));
        let address = handler.url.strip_prefix("http://").unwrap();
        let (host, port) = address.split_once(':').unwrap();
        queue.http_target = Some(HttpTarget {
            uri_override: Some(UriOverride {
                scheme: Some("HTTP".to_owned()),
                host: Some(host.to_owned()),
                port: Some(port.to_owned()),
                ..UriOverride::default()
            }),
            ..HttpTarget::default()
        });
        let queue = client.create_queue(PLACE, &queue).await.unwrap().name;
        for id in ["", "mine"] {
            let made = client
                .buffer_task(&queue, id, "text/plain", "hi")
                .await
                .unwrap();
            assert!(made.name.starts_with(&format!("{queue}/tasks/{id}")));
            let received = handler.next().await;
            assert_eq!(received.body, "hi");
            assert_eq!(received.headers["content-type"], "text/plain");
        }

        let request_id = "0d5a9b5e-6a0e-4e36-9d5b-0f3f4c9c1b11";
        let request_id = format!("{}{}", &request_id[..35], version as u8);
        let tasks = [later("https://example.com/"), later("https://example.com/")];
        let batch = client
            .batch_create_tasks(&queue, &tasks, &request_id)
            .await
            .unwrap();
        let again = client.get_operation(&batch.name).await.unwrap();
        assert_eq!(again.outcome(), batch.outcome());
        let OperationOutcome::Done(answer) = batch.outcome() else {
            unreachable!("{batch:?}");
        };
        let made = answer["tasks"].as_array().unwrap();
        let mut names: Vec<String> = made
            .iter()
            .map(|task| task["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(names.len(), 2);
        let repeated = client
            .batch_create_tasks(&queue, &tasks, &request_id)
            .await
            .unwrap();
        assert_eq!(repeated.name, batch.name);
        names.push(format!("{queue}/tasks/none"));
        let deleted = client.batch_delete_tasks(&queue, &names, "").await.unwrap();
        assert!(
            matches!(deleted.outcome(), OperationOutcome::Done(_)),
            "{deleted:?}"
        );
        let left = client
            .list_tasks(&queue, View::Basic, 0)
            .all()
            .await
            .unwrap();
        assert!(left.iter().all(|task| !names.contains(&task.name)));
        let nothing = client
            .batch_delete_tasks(&queue, &names[2..], "")
            .await
            .unwrap();
        let OperationOutcome::Failed(status) = nothing.outcome() else {
            unreachable!("{nothing:?}");
        };
        assert_ne!(status.code, Code::Ok);
    }
}

#[tokio::test]
async fn leases_are_taken_renewed_given_back_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let server = dev(folder.path()).await;
    let client = client(&server, Version::V2Beta2);
    let mut queue = Queue::named(PLACE, "pull");
    queue.pull_target = Some(PullTarget::default());
    let queue = client.create_queue(PLACE, &queue).await.unwrap().name;
    for tag in ["a", "b"] {
        client
            .create_task(&queue, &Task::pull("hi", tag))
            .await
            .unwrap();
    }
    let mut request = LeaseRequest::full(10, 60);
    "tag=b".clone_into(&mut request.filter);
    let leased = client.lease_tasks(&queue, &request).await.unwrap();
    assert_eq!(leased.len(), 1);
    let message = leased[0].pull_message.clone().unwrap();
    assert_eq!(
        (message.tag.as_str(), message.payload.unwrap().0),
        ("b", b"hi".to_vec())
    );
    let first = Lease::from(&leased[0]);
    let renewed = client.renew_lease(&first, "90s").await.unwrap();
    let stale = client.acknowledge_task(&first).await.unwrap_err();
    assert_eq!(stale.code(), Code::FailedPrecondition);
    let back = client.cancel_lease(&Lease::from(&renewed)).await.unwrap();
    assert_eq!(back.name, first.name);
    let again = client
        .lease_tasks(&queue, &LeaseRequest::full(10, 60))
        .await
        .unwrap();
    assert_eq!(again.len(), 2);
    for task in &again {
        client.acknowledge_task(&Lease::from(task)).await.unwrap();
    }
    let left = client
        .list_tasks(&queue, View::Basic, 0)
        .all()
        .await
        .unwrap();
    assert!(left.is_empty(), "{left:?}");

    let file = "queue:\n- name: filed\n  rate: 5/s\n";
    client.upload_queue_yaml("p", file).await.unwrap();
    let wrong = client
        .upload_queue_yaml("p", "queue: 7\n")
        .await
        .unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn policies_places_and_keys_are_read_and_changed() {
    let folder = tempfile::tempdir().unwrap();
    let server = dev(folder.path()).await;
    for version in VERSIONS {
        let client = client(&server, version);
        let mut queue = Queue::named(PLACE, &format!("q-{}", version.as_str()));
        if version == Version::V2Beta3 {
            queue.app_engine_http_queue = Some(AppEngineQueue::default());
        }
        let queue = client.create_queue(PLACE, &queue).await.unwrap().name;
        let before = client.get_iam_policy(&queue).await.unwrap();
        let policy = Policy {
            bindings: vec![Binding {
                role: "roles/cloudtasks.viewer".to_owned(),
                members: vec!["user:a@example.com".to_owned()],
                condition: None,
            }],
            ..before.clone()
        };
        let set = client.set_iam_policy(&queue, &policy).await.unwrap();
        assert_eq!(set.bindings, policy.bindings);
        assert_eq!(client.get_iam_policy(&queue).await.unwrap(), set);
        let stale = client.set_iam_policy(&queue, &before).await.unwrap_err();
        assert_eq!(stale.code(), Code::Aborted);
        let asked = ["cloudtasks.tasks.create", "cloudtasks.queues.get"];
        let granted = client.test_iam_permissions(&queue, &asked).await.unwrap();
        assert_eq!(granted, asked);
        let star = client.test_iam_permissions(&queue, &["cloudtasks.*"]).await;
        assert_eq!(star.unwrap_err().code(), Code::InvalidArgument);
        let nowhere = format!("{PLACE}/queues/none");
        let granted = client.test_iam_permissions(&nowhere, &asked).await.unwrap();
        assert!(granted.is_empty(), "{granted:?}");

        let places = client.list_locations("projects/p", Listing::default());
        let places = places.all().await.unwrap();
        assert!(places.iter().any(|it| it.location_id == "l"), "{places:?}");
        assert_eq!(client.get_location(PLACE).await.unwrap().name, PLACE);
        let name = format!("{PLACE}/cmekConfig");
        assert_eq!(client.get_cmek_config(PLACE).await.unwrap().name, name);
        let key = "projects/p/locations/l/keyRings/r/cryptoKeys/k";
        for kms_key in [key, ""] {
            let config = CmekConfig {
                name: name.clone(),
                kms_key: kms_key.to_owned(),
            };
            assert_eq!(client.update_cmek_config(&config).await.unwrap(), config);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_waits_for_a_server_that_comes_back_and_a_creation_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = dev(folder.path()).await;
    let calls = CallOptions {
        get_queue: CallSettings {
            timeout: crate::server::PATIENCE,
            ..CallSettings::repeated()
        },
        ..CallOptions::default()
    };
    let options = Options::at(&server.url).with_calls(calls);
    let client = CloudTasks::new(options).unwrap();
    let queue = Queue::named(PLACE, "q");
    client.create_queue(PLACE, &queue).await.unwrap();
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    server.kill().await;

    let refused = client
        .create_task(&queue.name, &later("https://example.com/"))
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
    let (reader, name) = (client.clone(), queue.name.clone());
    let read = tokio::spawn(async move { reader.get_queue(&name).await });
    let _server = Server::start_at(&address, &folder.path().join("data"), &["--dev"]).await;
    let found = soon(read).await.unwrap().unwrap();
    assert_eq!(found.name, queue.name);
    let tasks = client
        .list_tasks(&queue.name, View::Basic, 0)
        .all()
        .await
        .unwrap();
    assert!(tasks.is_empty(), "what was refused was not done: {tasks:?}");
}

#[tokio::test]
async fn a_refusal_tells_who_is_asked_for_and_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(&folder.path().join("data")).await;
    let stranger = client(&server, Version::V2);
    let queue = Queue::named(PLACE, "q");
    let refused = stranger.create_queue(PLACE, &queue).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let status = refused.status().unwrap();
    assert_eq!(status.http_status, 401);
    assert_eq!(status.details[0]["reason"], "CREDENTIALS_MISSING");

    let token = TokenSource::fixed(format!("{ROOT}:{TOKEN}"));
    let root = CloudTasks::new(Options::at(&server.url).with_token(token)).unwrap();
    root.create_queue(PLACE, &queue).await.unwrap();
    let wrong = root.get_queue("projects/p/queues/q").await.unwrap_err();
    assert!(
        matches!(wrong.code(), Code::NotFound | Code::InvalidArgument),
        "{wrong}"
    );
    let task = Task::http(HttpRequest::post("ftp://example.com/", ""));
    let wrong = root.create_task(&queue.name, &task).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    let nobody = root
        .get_queue(&format!("{PLACE}/queues/none"))
        .await
        .unwrap_err();
    assert_eq!(nobody.code(), Code::NotFound);
}
