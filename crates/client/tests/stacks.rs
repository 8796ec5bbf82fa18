//! What the client of stacks says over the wire, and what it makes of the answers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod stand_in;

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stand_in::{Answer, Seen, StandIn, json};
use taskyard_client::stacks::agent::{JobEnd, NewAgent, NewArtifact};
use taskyard_client::stacks::{
    ClusterTokens, Error, FinishedJob, JobState, NewClusterToken, NewStack, Notification, Options,
    Retry, ScheduledJobs, StackState, Stacks, blocking,
};

const JOB: &str = "01234567-89ab-4def-8123-456789abcdef";
const OTHER: &str = "d6c1f2a4-3b7e-4c59-9a10-5f0e2b8c7d61";

fn options(server: &StandIn) -> Options {
    Options::new("bkct_secret")
        .with_base_url(format!("{}/v3/", server.root_url))
        .with_retry(Retry::constant(5, Duration::from_millis(1)))
}

fn stacks(server: &StandIn) -> Stacks {
    Stacks::new(options(server)).unwrap()
}

async fn answering(body: &str) -> StandIn {
    StandIn::start(vec![json("200 OK", body)]).await
}

/// The line, the headers that every request has, and the body as text.
fn said(seen: &Seen) -> (String, String) {
    let headers = [
        ("authorization", "Token bkct_secret"),
        ("accept", "application/json"),
        ("content-type", "application/json"),
    ];
    for (name, value) in headers {
        assert_eq!(seen.headers.get(name).map(String::as_str), Some(value));
    }
    let agent = &seen.headers["user-agent"];
    assert!(agent.starts_with("taskyard-stacks/"), "{agent}");
    (
        format!("{} {}", seen.method, seen.target),
        String::from_utf8(seen.body.clone()).unwrap(),
    )
}

fn expect(server: &StandIn, line: &str, body: &str) {
    let seen = server.seen();
    assert_eq!(
        said(seen.last().unwrap()),
        (line.to_owned(), body.to_owned())
    );
}

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
async fn what_may_pass_is_repeated_five_times_in_all() {
    let busy = |status| json(status, r#"{"message":"busy"}"#);
    let answers = vec![
        busy("429 Too Many Requests"),
        busy("503 Service Unavailable"),
        ("200 OK", String::new(), b"<html>".to_vec()),
        ("204 No Content", String::new(), Vec::new()),
        json("200 OK", r#"{"uuid":"u"}"#),
    ];
    let server = StandIn::start(answers).await;
    assert_eq!(stacks(&server).token().await.unwrap().uuid, "u");
    assert_eq!(server.seen().len(), 5);

    let server = StandIn::start(vec![busy("500 Internal Server Error")]).await;
    let error = stacks(&server).token().await.unwrap_err();
    assert_eq!((error.status(), server.seen().len()), (Some(500), 5));
    let error = stacks(&server).without_retry().token().await.unwrap_err();
    assert_eq!((error.status(), server.seen().len()), (Some(500), 6));
}

#[tokio::test]
async fn a_refusal_is_not_repeated_and_keeps_its_body() {
    let server = StandIn::start(vec![json(
        "404 Not Found",
        r#"{"message":"No such stack"}"#,
    )])
    .await;
    let error = stacks(&server).deregister("s").await.unwrap_err();
    let shown = format!(
        "POST {}/v3/stacks/s/deregister: 404 No such stack",
        server.root_url
    );
    assert_eq!(error.to_string(), shown);
    assert_eq!(
        error.refusal().unwrap().body,
        r#"{"message":"No such stack"}"#
    );
    assert_eq!(server.seen().len(), 1);

    let page = ("403 Forbidden", String::new(), b"<html>no</html>".to_vec());
    let server = StandIn::start(vec![page]).await;
    let error = stacks(&server).token().await.unwrap_err();
    assert_eq!(error.refusal().unwrap().body, "<html>no</html>");
    assert_eq!((error.status(), server.seen().len()), (Some(403), 1));
}

#[tokio::test]
async fn the_servers_own_pause_takes_the_place_of_the_clients() {
    let pause: Answer = (
        "429 Too Many Requests",
        "Retry-After: 0.01\r\n".to_owned(),
        b"{}".to_vec(),
    );
    let server = StandIn::start(vec![pause, json("200 OK", r#"{"uuid":"u"}"#)]).await;
    // With the client's own pause this test would not end.
    let patient = Retry::constant(2, Duration::from_hours(1));
    let stacks = stacks(&server).with_retry(patient);
    assert_eq!(stacks.token().await.unwrap().uuid, "u");
}

#[tokio::test]
async fn nobody_listening_is_no_refusal() {
    let options = Options::new("t")
        .with_base_url("http://127.0.0.1:9/v3")
        .with_retry(Retry::constant(2, Duration::ZERO));
    let error = Stacks::new(options).unwrap().token().await.unwrap_err();
    assert!(error.is_transient() && error.refusal().is_none(), "{error}");
    let wrong = Options::new("t").with_base_url("ftp://host/v3");
    assert!(Stacks::new(wrong).is_err());
}

#[tokio::test]
async fn an_agent_takes_a_job_and_reports_it() {
    let registered = r#"{"id":"7f3c","name":"host-1","access_token":"bkaa_x","endpoint":"",
        "request_headers":{"Buildkite-Shard":"7","Authorization":"no"},
        "ping_interval":2,"job_status_interval":3,"heartbeat_interval":0}"#;
    let taken = format!(
        r#"{{"id":"{JOB}","state":"accepted","token":"bkaj_y","chunks_max_size_bytes":102400,
        "env":{{"BUILDKITE_COMMAND":"echo hi"}}}}"#
    );
    let server = StandIn::start(vec![
        json("200 OK", registered),
        json("200 OK", "{}"),
        (
            "423 Locked",
            "Retry-After: 0.01\r\n".to_owned(),
            b"{}".to_vec(),
        ),
        json("200 OK", &taken),
        json("200 OK", "{}"),
        json("201 Created", ""),
        json("200 OK", r#"{"state":"canceling"}"#),
        json("200 OK", "{}"),
        json("200 OK", "{}"),
        json("200 OK", "{}"),
    ])
    .await;
    let new = NewAgent {
        name: "host-%pid".to_owned(),
        hostname: "host".to_owned(),
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        script_eval_enabled: true,
        ignore_in_dispatches: true,
        version: "1".to_owned(),
        build: "x".to_owned(),
        meta_data: vec!["queue=default".to_owned()],
        pid: 17,
        features: vec!["acquire-job".to_owned()],
    };
    let agents = stacks(&server).agents().unwrap();
    let agent = agents.register(&new).await.unwrap();
    assert_eq!(agent.heartbeat_interval, Duration::from_secs(1));
    agent.connect().await.unwrap();
    let job = agent.acquire(JOB).await.unwrap().unwrap();
    assert_eq!(job.job.command(), "echo hi");
    job.start().await.unwrap();
    job.chunk(2, 5, b"hello\n").await.unwrap();
    assert!(job.state().await.unwrap().must_stop());
    let end = JobEnd {
        exit_status: -1,
        signal: Some("SIGTERM".to_owned()),
        signal_reason: Some("cancel".to_owned()),
        chunks_failed_count: 0,
    };
    job.finish(&end).await.unwrap();
    assert_eq!(agent.ping().await.unwrap().action, "");
    agent.disconnect().await.unwrap();

    let seen = server.seen();
    let lines: Vec<String> = seen
        .iter()
        .map(|it| {
            format!(
                "{} {} {}",
                it.method, it.target, it.headers["authorization"]
            )
        })
        .collect();
    let job = format!("/v3/jobs/{JOB}");
    assert_eq!(
        lines,
        [
            "POST /v3/register Token bkct_secret".to_owned(),
            "POST /v3/connect Token bkaa_x".to_owned(),
            format!("PUT {job}/acquire Token bkaa_x"),
            format!("PUT {job}/acquire Token bkaa_x"),
            format!("PUT {job}/start Token bkaj_y"),
            format!("POST {job}/chunks?sequence=2&offset=5&size=6 Token bkaj_y"),
            format!("GET {job} Token bkaj_y"),
            format!("PUT {job}/finish Token bkaj_y"),
            "GET /v3/ping Token bkaa_x".to_owned(),
            "POST /v3/disconnect Token bkaa_x".to_owned(),
        ]
    );
    assert_eq!(
        seen[0].body,
        br#"{"name":"host-%pid","hostname":"host","os":"linux","arch":"amd64","script_eval_enabled":true,"ignore_in_dispatches":true,"version":"1","build":"x","meta_data":["queue=default"],"pid":17,"features":["acquire-job"]}"#
    );
    assert!(
        seen[1..]
            .iter()
            .all(|it| it.headers["buildkite-shard"] == "7")
    );
    assert_eq!(seen[3].headers["x-buildkite-lock-acquire-job"], "1");
    assert_eq!(seen[3].headers["x-buildkite-backoff-sequence"], "2");
    assert_eq!(
        (
            seen[5].headers["content-type"].as_str(),
            seen[5].headers["content-encoding"].as_str()
        ),
        ("text/plain", "gzip")
    );
    let mut log = String::new();
    flate2::read::GzDecoder::new(&seen[5].body[..])
        .read_to_string(&mut log)
        .unwrap();
    assert_eq!(log, "hello\n");
    let finished = String::from_utf8(seen[7].body.clone()).unwrap();
    assert!(
        finished.starts_with(
            r#"{"exit_status":"-1","signal":"SIGTERM","signal_reason":"cancel","finished_at":"2"#
        ) && finished.ends_with(r#"Z","chunks_failed_count":0}"#),
        "{finished}"
    );
}

#[tokio::test]
async fn a_job_that_cannot_be_had_is_no_error() {
    let registered = r#"{"access_token":"bkaa_x"}"#;
    let gone = json("422 Unprocessable Entity", r#"{"message":"taken"}"#);
    let server = StandIn::start(vec![json("200 OK", registered), gone]).await;
    let agents = stacks(&server).agents().unwrap();
    let new = NewAgent {
        name: "n".to_owned(),
        hostname: String::new(),
        os: String::new(),
        arch: String::new(),
        script_eval_enabled: true,
        ignore_in_dispatches: true,
        version: String::new(),
        build: String::new(),
        meta_data: Vec::new(),
        pid: 1,
        features: Vec::new(),
    };
    let agent = agents.register(&new).await.unwrap();
    assert!(agent.acquire(JOB).await.unwrap().is_none());
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_file_is_uploaded_as_a_form_to_where_the_server_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.txt");
    std::fs::write(&path, "all is well").unwrap();
    let bucket = StandIn::start(vec![json("201 Created", "")]).await;
    let announced = format!(
        r#"{{"id":"b","artifact_ids":["a1"],"upload_instructions":{{"action":{{"url":"{}/ignored","method":"POST","path":"/up","file_input":"file"}},"data":{{"key":"${{artifact:path}}"}}}}}}"#,
        bucket.root_url
    );
    let server = StandIn::start(vec![
        json("200 OK", r#"{"access_token":"bkaa_x"}"#),
        json("200 OK", &format!(r#"{{"id":"{JOB}"}}"#)),
        json("201 Created", &announced),
        json("200 OK", "{}"),
    ])
    .await;
    let new = NewAgent {
        name: "n".to_owned(),
        hostname: String::new(),
        os: String::new(),
        arch: String::new(),
        script_eval_enabled: true,
        ignore_in_dispatches: true,
        version: String::new(),
        build: String::new(),
        meta_data: Vec::new(),
        pid: 1,
        features: Vec::new(),
    };
    let agent = stacks(&server)
        .agents()
        .unwrap()
        .register(&new)
        .await
        .unwrap();
    let job = agent.acquire(JOB).await.unwrap().unwrap();
    let artifact = NewArtifact {
        path: "out/report.txt".to_owned(),
        absolute_path: PathBuf::from(&path),
        glob_path: "out/*".to_owned(),
        file_size: 11,
        sha1sum: "1".to_owned(),
        sha256sum: "2".to_owned(),
        content_type: "text/plain".to_owned(),
    };
    job.upload(&[artifact]).await.unwrap();

    let form = &bucket.seen()[0];
    assert_eq!(
        (form.method.as_str(), form.target.as_str()),
        ("POST", "/up")
    );
    assert!(!form.headers.contains_key("authorization"));
    let body = String::from_utf8(form.body.clone()).unwrap();
    assert!(
        body.contains("name=\"key\"\r\n\r\nout/report.txt\r\n")
            && body.contains(
                "filename=\"report.txt\"\r\nContent-Type: text/plain\r\n\r\nall is well\r\n--"
            ),
        "{body}"
    );
    let seen = server.seen();
    assert_eq!(seen[3].method, "PUT");
    assert_eq!(
        seen[3].body,
        br#"{"artifacts":[{"id":"a1","state":"finished"}]}"#
    );
}

/// Calls everything there is, with `.await` or without.
macro_rules! call_everything {
    ($stacks:expr $(, $await:ident)?) => {{
        let stacks = $stacks;
        let stack = NewStack::new("s", "default").metadata("a", "b");
        let ids = vec![JOB.to_owned(), OTHER.to_owned()];
        let minute = Some(Duration::from_mins(1));
        assert_eq!(stacks.register(&stack)$(.$await)?.unwrap().key, "s");
        let page = stacks.scheduled_jobs(&ScheduledJobs::new("s", "default"))$(.$await)?.unwrap();
        assert_eq!(page.jobs.len(), 0);
        let reserved = stacks.reserve("s", ids.clone(), minute)$(.$await)?.unwrap();
        assert_eq!(reserved.reserved, [JOB]);
        assert_eq!(stacks.job("s", JOB)$(.$await)?.unwrap().command, "x");
        let states = stacks.job_states("s", &ids)$(.$await)?.unwrap();
        assert_eq!(states.get(JOB), Some(&JobState::Running));
        let state = stacks.job_state("s", JOB)$(.$await)?.unwrap();
        assert_eq!(state.value, Some(JobState::Running));
        stacks.finish("s", JOB, &FinishedJob::exited(0, "done"))$(.$await)?.unwrap();
        let told = stacks.notify("s", &[Notification::new(JOB, "note")])$(.$await)?.unwrap();
        assert_eq!(told.errors.len(), 0);
        let tokens = stacks.job_acquisition_tokens("s", ids, minute)$(.$await)?.unwrap();
        assert_eq!(tokens.not_issued, [OTHER]);
        assert_eq!(stacks.token()$(.$await)?.unwrap().uuid, "u");
        assert_eq!(stacks.metrics()$(.$await)?.unwrap().jobs.all.total, 7);
        stacks.deregister("s")$(.$await)?.unwrap();
        // Refused by the server, and by the client itself.
        assert_eq!(stacks.without_retry().token()$(.$await)?.unwrap_err().status(), Some(500));
        let never = stacks.with_retry(Retry::never()).with_timeout(Duration::from_secs(9));
        assert_eq!(never.token()$(.$await)?.unwrap_err().status(), Some(500));
        assert!(stacks.deregister("")$(.$await)?.is_err());
    }};
}

#[test]
fn the_same_works_without_async() {
    let ok = |body: &str| json("200 OK", body);
    let failed = || json("500 Internal Server Error", "{}");
    let states = format!(r#"{{"states":{{"{JOB}":"running"}}}}"#);
    let once = [
        json(
            "201 Created",
            r#"{"id":"i","organization_uuid":"o","cluster_queue_key":"default","key":"s","type":"custom","metadata":{},"last_connected_on":null,"state":"connected"}"#,
        ),
        ok(
            r#"{"jobs":[],"cluster_queue":{"id":"q"},"page_info":{"has_next_page":false,"end_cursor":null}}"#,
        ),
        ok(&format!(
            r#"{{"reserved":["{JOB}"],"not_reserved":["{OTHER}"]}}"#
        )),
        ok(r#"{"id":"j","env":{},"command":"x"}"#),
        ok(&states),
        ok(&states),
        ok("{}"),
        ok(r#"{"errors":[]}"#),
        json(
            "201 Created",
            &format!(r#"{{"job_acquisition_tokens":[],"not_issued":["{OTHER}"]}}"#),
        ),
        ok(r#"{"uuid":"u"}"#),
        ok(r#"{"jobs":{"total":7}}"#),
        ("204 No Content", String::new(), Vec::new()),
        failed(),
        failed(),
    ];
    let answers = once.iter().chain(&once).cloned().collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(StandIn::start(answers));
    runtime.block_on(async { call_everything!(stacks(&server), await) });
    call_everything!(blocking::Stacks::new(options(&server)).unwrap());
    let seen: Vec<(String, String)> = server.seen().iter().map(said).collect();
    assert_eq!(seen.len(), 2 * once.len());
    assert_eq!(seen[..once.len()], seen[once.len()..]);
}

#[tokio::test]
async fn a_program_names_itself_and_waits_no_longer_than_it_wants_to() {
    let server = answering(r#"{"uuid":"u"}"#).await;
    let named = options(&server).with_user_agent_prefix("controller/1");
    Stacks::new(named).unwrap().token().await.unwrap();
    let agent = &server.seen()[0].headers["user-agent"];
    assert!(
        agent.starts_with("controller/1 taskyard-stacks/"),
        "{agent}"
    );

    // Somebody who takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v3", silent.local_addr().unwrap());
    let moment = Duration::from_millis(20);
    let impatient = Options::new("t")
        .with_base_url(base)
        .with_timeout(moment)
        .with_retry(Retry::never());
    let stacks = Stacks::new(impatient).unwrap();
    let error = stacks.token().await.unwrap_err();
    assert!(error.is_transient() && error.status().is_none(), "{error}");
    // Of a single call, too.
    let error = stacks.with_timeout(moment).metrics().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn an_agent_accepts_the_job_that_it_is_handed() {
    let server = StandIn::start(vec![
        json("200 OK", r#"{"access_token":"bkaa_x"}"#),
        json(
            "200 OK",
            &format!(r#"{{"job":{{"id":"{JOB}","state":"assigned"}}}}"#),
        ),
        json("200 OK", &format!(r#"{{"id":"{JOB}","token":"bkaj_y"}}"#)),
        json("422 Unprocessable Entity", r#"{"message":"gone"}"#),
    ])
    .await;
    let new = NewAgent {
        name: "n".to_owned(),
        hostname: String::new(),
        os: String::new(),
        arch: String::new(),
        script_eval_enabled: true,
        ignore_in_dispatches: false,
        version: String::new(),
        build: String::new(),
        meta_data: Vec::new(),
        pid: 1,
        features: Vec::new(),
    };
    let agent = stacks(&server)
        .agents()
        .unwrap()
        .register(&new)
        .await
        .unwrap();
    let handed = agent.ping().await.unwrap().job.unwrap();
    assert_eq!(handed.id, JOB);
    assert_eq!(agent.accept(&handed.id).await.unwrap().unwrap().job.id, JOB);
    assert!(agent.accept(OTHER).await.unwrap().is_none());
    let seen = server.seen();
    assert_eq!(
        (seen[2].method.as_str(), seen[2].target.as_str()),
        ("PUT", format!("/v3/jobs/{JOB}/accept").as_str())
    );
    assert_eq!(seen[2].headers["authorization"], "Token bkaa_x");
}

/// Lines of the log, as they would be shown.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn requests_and_answers_are_logged_without_their_secrets() {
    let server = answering(r#"{"id":"j","env":{"PASSWORD":"hunter2"},"command":"echo hi"}"#).await;
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let stacks = Stacks::new(options(&server).with_payload_log()).unwrap();
    stacks.job("s", JOB).await.unwrap();
    stacks
        .reserve("s", vec![JOB.to_owned()], None)
        .await
        .unwrap();
    drop(guard);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(
        text.contains("echo hi") && text.contains("PASSWORD") && text.contains(JOB),
        "{text}"
    );
    assert!(
        !text.contains("hunter2") && !text.contains("bkct_secret"),
        "{text}"
    );
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
