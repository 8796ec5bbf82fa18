//! Requests byte for byte as each release of the clients writes them, on one connection as they
//! keep it, and the exact answers.

use std::time::Duration;

use serde_json::{Value, json};
use taskyard_engine::task::State;
use taskyard_store::on_both_databases;

use crate::agents::gzip;
use crate::raw::{Answer, Line};
use crate::yard::{Options, Wanted, Yard};

const UNKNOWN: &str = "01234567-89ab-4def-8123-456789abcdef";

/// A program that talks to the server.
struct Program<'a> {
    line: Line,
    host: &'a str,
    agent: &'static str,
    /// What it sends as its token.
    token: String,
    /// Whether it says in requests without a body, too, that it speaks JSON.
    always_json: bool,
}

impl<'a> Program<'a> {
    /// The Go client of stacks, in every release: what the header says is a misspelling of old.
    async fn stack(yard: &'a Yard) -> Self {
        Program {
            line: Line::open(yard.address()).await,
            host: yard.address(),
            agent: "stackspi/v1.0.0",
            token: yard.token.clone(),
            always_json: true,
        }
    }

    async fn agent(yard: &'a Yard) -> Self {
        Program {
            agent: "buildkite-agent/3.137.0.12345 (linux; amd64)",
            always_json: false,
            ..Self::stack(yard).await
        }
    }

    /// The lines of a head in the order in which Go's `net/http` writes them: framing behind the
    /// name of the program, the rest by name.
    fn head(&self, start: &str, framing: &str, json: bool, more: &str) -> String {
        let Program {
            host, agent, token, ..
        } = self;
        let framing = if framing.is_empty() {
            String::new()
        } else {
            format!("{framing}\r\n")
        };
        let (accept, kind) = match (self.always_json, json) {
            (true, _) => (
                "Accept: application/json\r\n",
                "Content-Type: application/json\r\n",
            ),
            (false, true) => ("", "Content-Type: application/json\r\n"),
            (false, false) => ("", ""),
        };
        format!(
            "{start} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n{framing}{accept}\
             Authorization: Token {token}\r\n{kind}{more}Accept-Encoding: gzip\r\n\r\n"
        )
    }

    async fn get(&mut self, path: &str) -> Answer {
        let head = self.head(&format!("GET /v3/{path}"), "", false, "");
        self.line.send(head.as_bytes()).await
    }

    async fn send(&mut self, verb: &str, path: &str, body: &str) -> Answer {
        let framing = format!("Content-Length: {}", body.len());
        let head = self.head(&format!("{verb} /v3/{path}"), &framing, true, "");
        self.line.send(format!("{head}{body}").as_bytes()).await
    }

    /// A request without a body that has a method of which a body is expected.
    async fn bare(&mut self, verb: &str, path: &str, more: &str) -> Answer {
        let start = format!("{verb} /v3/{path}");
        let head = self.head(&start, "Content-Length: 0", false, more);
        self.line.send(head.as_bytes()).await
    }

    /// A request whose body is in chunks, of which there are none.
    async fn chunked(&mut self, verb: &str, path: &str) -> Answer {
        let start = format!("{verb} /v3/{path}");
        let head = self.head(&start, "Transfer-Encoding: chunked", false, "");
        self.line.send(format!("{head}0\r\n\r\n").as_bytes()).await
    }

    /// A piece of a log.
    async fn log(&mut self, job: &str, sequence: u32, offset: usize, text: &[u8]) -> Answer {
        let body = gzip(text);
        let start = format!(
            "POST /v3/jobs/{job}/chunks?sequence={sequence}&offset={offset}&size={}",
            text.len()
        );
        let framing = format!("Content-Length: {}", body.len());
        let more = "Content-Encoding: gzip\r\nContent-Type: text/plain\r\n";
        let mut request = self.head(&start, &framing, false, more).into_bytes();
        request.extend_from_slice(&body);
        self.line.send(&request).await
    }
}

/// Asserts that an answer is this status with exactly this JSON, and no header but those that tell
/// of it.
#[track_caller]
fn exactly(answer: &Answer, status: u16, body: &Value) {
    assert_eq!((answer.status, &answer.json()), (status, body));
    let mut names: Vec<&str> = answer
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["content-length", "content-type", "date", "x-for-request-id"]
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

on_both_databases! {
    async fn a_stack_of_the_newest_release_is_understood_and_answered(kind) {
        let yard = Yard::with(kind, Options::default()).await;
        let jobs = yard.jobs(vec![Wanted::default(); 3]).await;
        let [first, second, third] = &jobs[..] else { panic!("three jobs") };
        let mut stack = Program::stack(&yard).await;

        let identity = stack.get("token").await.expect(200);
        assert!(identity["cluster_uuid"].as_str().is_some_and(|it| !it.is_empty()));
        let body = r#"{"key":"my-stack","type":"custom","queue_key":"_default","metadata":null}"#;
        let answer = stack.send("POST", "stacks/register", body).await;
        let made = answer.json();
        exactly(&answer, 201, &json!({
            "id": made["id"], "organization_uuid": identity["organization_uuid"],
            "cluster_queue_key": "default", "key": "my-stack", "type": "custom", "metadata": {},
            "last_connected_on": made["last_connected_on"], "state": "connected",
        }));

        let answer = stack.get("stacks/my-stack/scheduled-jobs?limit=2&queue_key=default").await;
        let page = answer.json();
        let mut listed = Vec::new();
        for id in [first, second] {
            let since = yard.task(id).await.runs[0].scheduled.to_iso();
            listed.push(json!({
                "id": id, "priority": 0, "agent_query_rules": ["queue=default"],
                "scheduled_at": since, "runnable_at": since,
                "pipeline": {"slug": "default", "uuid": page["jobs"][0]["pipeline"]["uuid"]},
                "build": {"uuid": id, "number": 0, "branch": null},
                "step": {"key": "test"},
            }));
        }
        let cursor = page["page_info"]["end_cursor"].as_str().expect("a cursor").to_owned();
        exactly(&answer, 200, &json!({
            "jobs": listed,
            "cluster_queue": {
                "id": page["cluster_queue"]["id"], "paused": false, "dispatch_paused": false,
            },
            "page_info": {"has_next_page": true, "end_cursor": cursor},
        }));
        let path = format!("stacks/my-stack/scheduled-jobs?after={cursor}&limit=2&queue_key=default");
        let page = stack.get(&path).await.expect(200);
        assert_eq!((&page["jobs"][0]["id"], &page["page_info"]["has_next_page"]),
            (&json!(third), &json!(false)));

        let body = format!(r#"{{"job_uuids":["{first}","{UNKNOWN}","{second}"]}}"#);
        let answer = stack.send("PUT", "stacks/my-stack/scheduled-jobs/batch-reserve", &body).await;
        exactly(&answer, 200, &json!({"reserved": [first, second], "not_reserved": [UNKNOWN]}));
        let answer = stack.get(&format!("stacks/my-stack/jobs/{first}")).await;
        let job = answer.json();
        exactly(&answer, 200, &json!({"id": first, "env": job["env"], "command": "echo hi"}));
        assert_eq!(job["env"]["BUILDKITE_COMMAND"], "echo hi");
        let body = format!(r#"{{"job_uuids":["{first}","{third}","{UNKNOWN}"]}}"#);
        let answer = stack.send("POST", "stacks/my-stack/jobs/get-states", &body).await;
        exactly(&answer, 200, &json!({"states": {first: "reserved", third: "scheduled"}}));
        // A nil slice.
        let answer = stack.send("POST", "stacks/my-stack/jobs/get-states", r#"{"job_uuids":null}"#);
        exactly(&answer.await, 200, &json!({"states": {}}));

        let at = yard.now().to_iso().replace('Z', "123456Z");
        let body = format!(
            r#"{{"notifications":[{{"job_uuid":"{first}","detail":"Pod created","timestamp":"{at}"}},{{"job_uuid":"{first}","detail":""}}]}}"#
        );
        let answer = stack.send("POST", "stacks/my-stack/notifications", &body).await;
        exactly(&answer, 200,
            &json!({"errors": [{"error": "detail is required", "indexes": [1]}]}));
        let body = format!(r#"{{"job_uuids":["{first}","{third}"]}}"#);
        let before = yard.now().millis();
        let answer = stack.send("POST", "stacks/my-stack/job-acquisition-tokens", &body).await;
        let issued = answer.json()["job_acquisition_tokens"][0].clone();
        let until = issued["expires_at"].as_str().expect("a time");
        let until = chrono::DateTime::parse_from_rfc3339(until).expect("a time").timestamp_millis();
        let window = before + 899_000..=yard.now().millis() + 900_000;
        assert!(window.contains(&until), "{until} instead of {window:?}");
        exactly(&answer, 201, &json!({
            "job_acquisition_tokens": [{
                "job_uuid": first, "job_acquisition_token": issued["job_acquisition_token"],
                "expires_at": issued["expires_at"],
            }],
            "not_issued": [third],
        }));

        // The client leaves out a status of 0, and what is left out is -1.
        let body = r#"{"detail":"no room","signal_reason":"stack_error"}"#;
        let path = format!("stacks/my-stack/jobs/{first}/finish");
        exactly(&stack.send("POST", &path, body).await, 200, &json!({}));
        assert_eq!(yard.runs(first).await, [(State::Exception, Some("resource-unavailable"))]);
        let answer = stack.chunked("POST", "stacks/my-stack/deregister").await;
        assert_eq!((answer.status, answer.text().as_str()), (204, ""));
        let answer = stack.chunked("POST", "stacks/my%2Estack%2Fa%20b%25%C3%A9~/deregister").await;
        let message = answer.json()["message"].clone();
        exactly(&answer, 404, &json!({ "message": message }));
        assert!(message.as_str().is_some_and(|it| it.contains("my.stack/a b%é~")), "{message}");
        "bkct_wrong".clone_into(&mut stack.token);
        let answer = stack.get("token").await;
        exactly(&answer, 401, &json!({"message": answer.json()["message"]}));
    }

    /// With underscores, `fail` and single notes, as before the first release.
    async fn a_stack_of_the_oldest_release_is_understood_and_answered(kind) {
        let yard = Yard::with(kind, Options::default()).await;
        let jobs = yard.jobs(vec![Wanted::default(); 2]).await;
        let [first, second] = &jobs[..] else { panic!("two jobs") };
        let mut stack = Program::stack(&yard).await;
        let body = r#"{"key":"k","type":"kubernetes","queue_key":"__default__","metadata":{}}"#;
        for status in [201, 200] {
            let known = stack.send("POST", "stacks/register", body).await.expect(status);
            assert_eq!(known["cluster_queue_key"], "default");
        }
        let page = stack.get("stacks/k/scheduled_jobs?queue_key=default").await.expect(200);
        assert_eq!(page["jobs"].as_array().map(Vec::len), Some(2));
        let body = format!(
            r#"{{"job_uuids":["{first}","{second}"],"reservation_expiry_seconds":300}}"#
        );
        let answer = stack.send("PUT", "stacks/k/scheduled_jobs/batch_reserve", &body).await;
        exactly(&answer, 200, &json!({"reserved": [first, second], "not_reserved": []}));
        let path = format!("stacks/k/jobs/{first}/stack_notifications");
        let answer = stack.send("POST", &path, r#"{"detail":"Pod created"}"#).await;
        exactly(&answer, 200, &json!({}));
        let path = format!("stacks/k/jobs/{first}/fail");
        let body = r#"{"exit_status":1,"error_detail":"no image"}"#;
        for _ in 0..2 {
            exactly(&stack.send("POST", &path, body).await, 200, &json!({}));
        }
        let body = format!(r#"{{"job_uuids":["{first}","{second}"]}}"#);
        let answer = stack.send("POST", "stacks/k/jobs/get-states", &body).await;
        exactly(&answer, 200, &json!({"states": {first: "finished", second: "reserved"}}));
    }

    async fn an_agent_is_understood_and_answered(kind) {
        let yard = Yard::with(kind, Options::default()).await;
        let jobs = yard.jobs(vec![Wanted { retries: 0, ..Wanted::default() }; 3]).await;
        let [whole, canceled, lost] = &jobs[..] else { panic!("three jobs") };
        for (job, end) in [(whole, "finished"), (canceled, "canceled"), (lost, "lost")] {
            let mut agent = Program::agent(&yard).await;
            let body = r#"{"name":"%hostname-%pid","hostname":"box","os":"linux","arch":"amd64","script_eval_enabled":true,"ignore_in_dispatches":true,"version":"3.137.0","build":"12345","meta_data":["queue=default"],"pid":7,"machine_id":"m","features":["acquire-job","streaming-pings"]}"#;
            let answer = agent.send("POST", "register", body).await;
            let made = answer.json();
            exactly(&answer, 200, &json!({
                "id": made["id"], "name": "box-7", "access_token": made["access_token"],
                "endpoint": format!("http://{}/v3", yard.address()), "request_headers": {},
                "ping_interval": 2, "job_status_interval": 3, "heartbeat_interval": 60,
                "meta_data": ["queue=default"],
            }));
            agent.token = made["access_token"].as_str().expect("a token").to_owned();
            exactly(&agent.bare("POST", "connect", "").await, 200, &json!({}));
            let beat = r#"{"sent_at":"2026-01-01T00:00:00.123456789Z"}"#;
            let answer = agent.send("POST", "heartbeat", beat).await;
            exactly(&answer, 200, &json!({
                "sent_at": "2026-01-01T00:00:00.123456789Z",
                "received_at": answer.json()["received_at"],
            }));

            let more = "X-Buildkite-Backoff-Sequence: 0\r\nX-Buildkite-Lock-Acquire-Job: 1\r\n";
            let answer = agent.bare("PUT", &format!("jobs/{job}/acquire"), more).await;
            let taken = answer.json();
            exactly(&answer, 200, &json!({
                "id": job, "state": "accepted", "env": taken["env"], "token": taken["token"],
                "chunks_max_size_bytes": 102_400, "chunks_interval_seconds": 1,
                "log_max_size_bytes": taken["log_max_size_bytes"], "priority": 0,
                "runnable_at": yard.task(job).await.runs[0].scheduled.to_iso(),
            }));
            assert!(taken["log_max_size_bytes"].as_u64().is_some_and(|bytes| bytes > 0));
            let access = std::mem::replace(
                &mut agent.token,
                taken["token"].as_str().expect("a token").to_owned(),
            );
            let started = r#"{"started_at":"2026-01-01T00:00:01.5Z"}"#;
            let answer = agent.send("PUT", &format!("jobs/{job}/start"), started).await;
            exactly(&answer, 200, &json!({}));

            // Three uploaders: out of order, and one of them again.
            let pieces = [(3, 12, "third\n"), (1, 0, "first\n"), (3, 12, "third\n"), (2, 6, "secnd\n")];
            for (sequence, offset, text) in pieces {
                let answer = agent.log(job, sequence, offset, text.as_bytes()).await;
                exactly(&answer, 201, &json!({}));
            }
            let times = r#"{"header_times":{"0":"2026-01-01T00:00:01.500000001Z"}}"#;
            let answer = agent.send("POST", &format!("jobs/{job}/header_times"), times).await;
            exactly(&answer, 200, &json!({}));
            let state = agent.get(&format!("jobs/{job}")).await;
            exactly(&state, 200, &json!({"id": job, "state": "running"}));

            let (told, report, runs) = match end {
                "canceled" => {
                    yard.cancel(job).await;
                    ("canceling",
                        r#"{"exit_status":"-1","signal":"SIGTERM","signal_reason":"cancel","finished_at":"2026-01-01T00:00:02Z","chunks_failed_count":0}"#,
                        (State::Exception, Some("canceled")))
                }
                "lost" => {
                    yard.advance(Duration::from_secs(181));
                    yard.sweep().await;
                    ("canceled",
                        r#"{"exit_status":"0","finished_at":"2026-01-01T00:00:02Z","chunks_failed_count":1}"#,
                        (State::Exception, Some("claim-expired")))
                }
                _ => ("running",
                    r#"{"exit_status":"0","finished_at":"2026-01-01T00:00:02Z","chunks_failed_count":0,"ignore_agent_in_dispatches":true}"#,
                    (State::Completed, Some("completed"))),
            };
            let state = agent.get(&format!("jobs/{job}")).await;
            exactly(&state, 200, &json!({"id": job, "state": told}));
            let answer = agent.log(job, 4, 18, b"fourth\n").await;
            exactly(&answer, 201, &json!({}));
            for _ in 0..2 {
                let answer = agent.send("PUT", &format!("jobs/{job}/finish"), report).await;
                exactly(&answer, 200, &json!({}));
            }
            assert_eq!(yard.runs(job).await, [runs]);
            let log = yard.kept(job, 0, "public/logs/live_backing.log").expect("a log");
            assert_eq!(String::from_utf8_lossy(&log), "first\nsecnd\nthird\nfourth\n");

            agent.token = access;
            exactly(&agent.get("ping").await, 200, &json!({}));
            let answer = agent.send("POST", "heartbeat", beat).await;
            assert_eq!(answer.status, 200, "a connected agent is never refused");
            exactly(&agent.bare("POST", "disconnect", "").await, 200, &json!({}));
        }
    }
}
