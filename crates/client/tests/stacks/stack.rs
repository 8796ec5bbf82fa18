//! Stacks, their jobs and their tokens.

use std::time::Duration;

use taskyard_client::stacks::{
    ClusterTokens, Error, FinishedJob, JobState, NewClusterToken, NewStack, Notification,
    ScheduledJobs, StackState,
};

use crate::stand_in::{StandIn, json};
use crate::{JOB, OTHER, answering, expect, stacks};

#[tokio::test]
async fn a_stack_is_registered_with_all_of_its_fields() {
    let body = r#"{"id":"a1b2c3d4-e5f6-4890-abcd-ef1234567890",
        "organization_uuid":"12345678-abcd-4f01-8345-6789abcdef01","cluster_queue_key":"default",
        "key":"my-stack","type":"custom","metadata":{"version":"1.0.0"},
        "last_connected_on":"2025-10-01T12:00:00.000Z","state":"connected"}"#;
    let server = StandIn::start(vec![json("201 Created", body)]).await;
    let stack = NewStack::new("my-stack", "default").metadata("version", "1.0.0");
    let stack = stacks(&server).register(&stack).await.unwrap();
    expect(
        &server,
        "POST /v3/stacks/register",
        r#"{"key":"my-stack","type":"custom","queue_key":"default","metadata":{"version":"1.0.0"}}"#,
    );
    assert_eq!(stack.state, StackState::Connected);
    assert_eq!(stack.cluster_queue_key, "default");
    assert_eq!(
        stack.last_connected_on.unwrap().to_string(),
        "2025-10-01T12:00:00.000Z"
    );
}

#[tokio::test]
async fn a_key_is_escaped_with_its_dots_and_deregistering_needs_no_answer() {
    let server = StandIn::start(vec![("204 No Content", String::new(), Vec::new())]).await;
    stacks(&server).deregister("my.stack/a b%é~").await.unwrap();
    expect(
        &server,
        "POST /v3/stacks/my%2Estack%2Fa%20b%25%C3%A9~/deregister",
        "",
    );
    let seen = &server.seen()[0];
    assert_eq!(seen.headers["content-length"], "0");
    let refused = stacks(&server).deregister("..").await.unwrap_err();
    assert!(matches!(refused, Error::Call(_)), "{refused}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn jobs_are_listed_page_by_page() {
    let body = r#"{"jobs":[{"id":"01234567-89ab-4def-8123-456789abcdef","priority":1,
        "agent_query_rules":["queue=default","os=linux"],
        "runnable_at":"2023-10-01T12:00:01.000Z","scheduled_at":"2023-10-01T12:00:00.000Z",
        "pipeline":{"slug":"my-pipeline","uuid":null},
        "build":{"uuid":"u","number":123,"branch":null},"step":{"key":null}}],
        "cluster_queue":{"id":"q","paused":false,"dispatch_paused":true},
        "page_info":{"has_next_page":true,"end_cursor":"MTIz"}}"#;
    let headers = "Content-Type: application/json\r\nRetry-After: 2.5\r\n\
                   RateLimit-Scope: list-scheduled-jobs\r\nRateLimit-Limit: 10\r\n\
                   RateLimit-Remaining: 9\r\nRateLimit-Reset: 1\r\n";
    let answer = ("200 OK", headers.to_owned(), body.as_bytes().to_vec());
    let server = StandIn::start(vec![answer]).await;
    let wanted = ScheduledJobs::new("my-stack", "a b/c&d");
    let page = stacks(&server).scheduled_jobs(&wanted).await.unwrap();
    expect(
        &server,
        "GET /v3/stacks/my-stack/scheduled-jobs?queue_key=a+b%2Fc%26d",
        "",
    );
    let job = &page.jobs[0];
    assert_eq!((job.id.as_str(), job.priority), (JOB, 1));
    assert_eq!(job.agent_query_rules, ["queue=default", "os=linux"]);
    assert_eq!((job.build.number, job.build.branch.as_str()), (123, ""));
    assert_eq!(
        (job.pipeline.slug.as_str(), job.step.key.as_str()),
        ("my-pipeline", "")
    );
    assert!(page.cluster_queue.is_paused());
    assert_eq!(page.retry_after(), Some(Duration::from_millis(2500)));
    assert_eq!(page.rate_limit().unwrap().remaining, 9);

    let cursor = page.page_info.end_cursor.clone().unwrap();
    let next = wanted.limit(1000).after(cursor);
    stacks(&server).scheduled_jobs(&next).await.unwrap();
    expect(
        &server,
        "GET /v3/stacks/my-stack/scheduled-jobs?after=MTIz&limit=1000&queue_key=a+b%2Fc%26d",
        "",
    );
}

#[tokio::test]
async fn jobs_are_reserved_in_one_request() {
    let server = answering(r#"{"reserved":["a"],"not_reserved":["b"]}"#).await;
    let ids = vec!["a".to_owned(), "b".to_owned()];
    let stacks = stacks(&server);
    let jobs = stacks.reserve("s", ids.clone(), None).await.unwrap();
    let line = "PUT /v3/stacks/s/scheduled-jobs/batch-reserve";
    expect(&server, line, r#"{"job_uuids":["a","b"]}"#);
    assert_eq!(
        (&jobs.reserved[..], &jobs.not_reserved[..]),
        (&ids[..1], &ids[1..])
    );
    let hour = Some(Duration::from_hours(1));
    stacks.reserve("s", ids, hour).await.unwrap();
    expect(
        &server,
        line,
        r#"{"job_uuids":["a","b"],"reservation_expiry_seconds":3600}"#,
    );
}

#[tokio::test]
async fn a_job_and_the_states_of_jobs_are_asked_for() {
    let server = answering(r#"{"id":"j","env":{"K":"V"},"command":"echo hi"}"#).await;
    let job = stacks(&server).job("s", JOB).await.unwrap();
    expect(&server, &format!("GET /v3/stacks/s/jobs/{JOB}"), "");
    assert_eq!(
        (job.env["K"].as_str(), job.command.as_str()),
        ("V", "echo hi")
    );

    let server = answering(&format!(r#"{{"states":{{"{JOB}":"timing_out"}}}}"#)).await;
    let ids = [JOB.to_owned(), OTHER.to_owned()];
    let states = stacks(&server).job_states("s", &ids).await.unwrap();
    expect(
        &server,
        "POST /v3/stacks/s/jobs/get-states",
        &format!(r#"{{"job_uuids":["{JOB}","{OTHER}"]}}"#),
    );
    assert_eq!(states.get(JOB), Some(&JobState::TimingOut));
    assert_eq!(states.get(OTHER), None);
    let one = stacks(&server).job_state("s", OTHER).await.unwrap();
    assert_eq!(one.value, None);
}

#[tokio::test]
async fn a_job_is_finished_with_its_exit_status_even_if_that_is_zero() {
    let server = StandIn::start(vec![("204 No Content", String::new(), Vec::new())]).await;
    let client = stacks(&server);
    let line = format!("POST /v3/stacks/s/jobs/{JOB}/finish");
    client
        .finish("s", JOB, &FinishedJob::exited(0, "nothing to do"))
        .await
        .unwrap();
    expect(
        &server,
        &line,
        r#"{"exit_status":0,"detail":"nothing to do"}"#,
    );
    client
        .finish("s", JOB, &FinishedJob::stack_error("no room"))
        .await
        .unwrap();
    expect(
        &server,
        &line,
        r#"{"exit_status":-1,"detail":"no room","signal_reason":"stack_error"}"#,
    );
}

#[tokio::test]
async fn notifications_go_together_and_their_errors_are_told_apart() {
    let server = answering(r#"{"errors":[{"error":"detail is required","indexes":[1]}]}"#).await;
    let first = Notification::new(JOB, "starting").at("2026-03-01T10:00:00.5Z".parse().unwrap());
    let notes = [first, Notification::new(OTHER, "")];
    let errors = stacks(&server).notify("s", &notes).await.unwrap();
    expect(
        &server,
        "POST /v3/stacks/s/notifications",
        &format!(
            r#"{{"notifications":[{{"job_uuid":"{JOB}","detail":"starting","timestamp":"2026-03-01T10:00:00.500Z"}},{{"job_uuid":"{OTHER}","detail":""}}]}}"#
        ),
    );
    assert_eq!(errors.errors[0].error, "detail is required");
    assert_eq!(errors.errors[0].indexes, [1]);
}

#[tokio::test]
async fn tokens_are_issued_and_asked_about() {
    let body = r#"{"job_acquisition_tokens":[{"job_uuid":"a","job_acquisition_token":"bkjat_x",
        "expires_at":"2026-08-20T00:15:00Z"}],"not_issued":["b"]}"#;
    let server = StandIn::start(vec![json("201 Created", body)]).await;
    let ids = vec!["a".to_owned(), "b".to_owned()];
    let lifetime = Some(Duration::from_mins(10));
    let tokens = stacks(&server)
        .job_acquisition_tokens("s", ids, lifetime)
        .await
        .unwrap();
    expect(
        &server,
        "POST /v3/stacks/s/job-acquisition-tokens",
        r#"{"job_uuids":["a","b"],"token_lifetime_seconds":600}"#,
    );
    assert_eq!(tokens.job_acquisition_tokens[0].token, "bkjat_x");
    assert_eq!(tokens.not_issued, ["b"]);
    assert!(!format!("{:?}", tokens.value).contains("bkjat_x"));

    let server =
        answering(r#"{"uuid":"u","cluster_uuid":"c","organization_queue_key":null}"#).await;
    let identity = stacks(&server).token().await.unwrap();
    expect(&server, "GET /v3/token", "");
    assert_eq!(identity.cluster_uuid, "c");
    let server = answering(r#"{"jobs":{"scheduled":5}}"#).await;
    let metrics = stacks(&server).metrics().await.unwrap();
    expect(&server, "GET /v3/metrics", "");
    assert_eq!(metrics.jobs.all.scheduled, 5);
}

#[tokio::test]
async fn cluster_tokens_are_made_listed_and_revoked_by_a_client() {
    let made = r#"{"id":"t1","description":"d","queues":["gpu"],"created_by":"me",
        "created_at":"2026-01-01T00:00:00.000Z","expires_at":null,"token":"bkct_new"}"#;
    let page = |next: bool| {
        let (id, cursor) = if next {
            ("t1", "\"t1\"")
        } else {
            ("t2", "null")
        };
        let page = format!(
            r#"{{"tokens":[{{"id":"{id}","description":"","queues":[],"created_by":"me",
            "created_at":"2026-01-01T00:00:00Z","expires_at":null}}],
            "page_info":{{"has_next_page":{next},"end_cursor":{cursor}}}}}"#
        );
        json("200 OK", &page)
    };
    let gone = ("204 No Content", String::new(), Vec::new());
    let server = StandIn::start(vec![
        json("201 Created", made),
        page(true),
        page(false),
        gone,
    ])
    .await;
    let options = taskyard_client::Options::new(&server.root_url)
        .with_credentials(taskyard_client::Credentials::new("me", "secret"));
    let tokens = ClusterTokens::new(options).unwrap();
    let new = NewClusterToken {
        description: "d".to_owned(),
        queues: vec!["gpu".to_owned()],
        expires_at: None,
    };
    let made = tokens.create(&new).await.unwrap();
    assert_eq!(
        (made.known.id.as_str(), made.token.as_str()),
        ("t1", "bkct_new")
    );
    assert!(!format!("{made:?}").contains("bkct_new"));
    let ids: Vec<String> = tokens
        .list()
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.id)
        .collect();
    assert_eq!(ids, ["t1", "t2"]);
    tokens.revoke("t1").await.unwrap();

    let seen = server.seen();
    let lines: Vec<String> = seen
        .iter()
        .map(|it| format!("{} {}", it.method, it.target))
        .collect();
    assert_eq!(
        lines,
        [
            "POST /v3/stack-tokens",
            "GET /v3/stack-tokens",
            "GET /v3/stack-tokens?after=t1",
            "DELETE /v3/stack-tokens/t1",
        ]
    );
    assert_eq!(seen[0].body, br#"{"description":"d","queues":["gpu"]}"#);
    assert!(
        seen.iter()
            .all(|it| it.headers["authorization"] == "Basic bWU6c2VjcmV0")
    );
}
