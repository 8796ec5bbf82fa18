//! The agent endpoints.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use taskyard_client::stacks::agent::{Agent, JobEnd, NewAgent, NewArtifact};

use crate::stand_in::{StandIn, json};
use crate::{JOB, OTHER, stacks};

/// An agent that says no more of itself than it must.
fn agent(ignore_in_dispatches: bool) -> NewAgent {
    NewAgent {
        name: "n".to_owned(),
        hostname: String::new(),
        os: String::new(),
        arch: String::new(),
        script_eval_enabled: true,
        ignore_in_dispatches,
        version: String::new(),
        build: String::new(),
        meta_data: Vec::new(),
        pid: 1,
        features: Vec::new(),
    }
}

async fn register(server: &StandIn, new: &NewAgent) -> Agent {
    let agents = stacks(server).agents().unwrap();
    agents.register(new).await.unwrap()
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
    let agent = register(&server, &new).await;
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
    let agent = register(&server, &agent(true)).await;
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
    let agent = register(&server, &agent(true)).await;
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
    let agent = register(&server, &agent(false)).await;
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
