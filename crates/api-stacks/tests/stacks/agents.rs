//! An agent runs a job, call by call, as the program does.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use taskyard_engine::artifact::StorageType;
use taskyard_engine::task::State;
use taskyard_store::on_both_databases;

use crate::raw::Answer;
use crate::yard::{Wanted, Yard, task_id};

const VERSION: &str = "User-Agent: buildkite-agent/3.137.0.12345 (linux; amd64)";

/// An agent that has registered, and the job it has.
pub(crate) struct Agent<'a> {
    pub(crate) yard: &'a Yard,
    pub(crate) access: String,
    /// The job's UUID and token.
    pub(crate) job: String,
    pub(crate) token: String,
}

pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("it is written");
    encoder.finish().expect("it ends")
}

impl<'a> Agent<'a> {
    /// Registers for one job.
    pub(crate) async fn new(yard: &'a Yard, job: &str) -> Self {
        let body = json!({
            "name": "%hostname-%pid", "hostname": "box", "os": "linux", "arch": "amd64",
            "script_eval_enabled": true, "ignore_in_dispatches": true, "version": "3.137.0",
            "build": "12345", "meta_data": ["queue=default"], "pid": 7, "machine_id": "m",
            "features": ["acquire-job", "streaming-pings", "disconnect-after-job"],
        });
        let answer = yard
            .call(&yard.token, "POST", "register", Some(&body))
            .await
            .expect(200);
        assert_eq!(answer["name"], "box-7");
        for field in ["ping_interval", "job_status_interval", "heartbeat_interval"] {
            assert!(
                answer[field].as_i64().is_some_and(|seconds| seconds >= 1),
                "{field}"
            );
        }
        assert_eq!(answer["meta_data"], json!(["queue=default"]));
        assert!(
            answer["endpoint"]
                .as_str()
                .is_some_and(|it| it.ends_with("/v3"))
        );
        Agent {
            yard,
            access: answer["access_token"].as_str().expect("a token").to_owned(),
            job: job.to_owned(),
            token: String::new(),
        }
    }

    /// A call without a body, of the agent itself.
    async fn bare(&self, method: &str, path: &str) -> Answer {
        let line = format!("{method} /v3/{path} HTTP/1.1");
        let authorization = format!("Authorization: Token {}", self.access);
        let head = [
            line.as_str(),
            authorization.as_str(),
            VERSION,
            "Content-Length: 0",
        ];
        self.yard.raw(&head, b"").await
    }

    pub(crate) async fn acquire(&mut self) -> Answer {
        let line = format!("PUT /v3/jobs/{}/acquire HTTP/1.1", self.job);
        let authorization = format!("Authorization: Token {}", self.access);
        let head = [
            line.as_str(),
            authorization.as_str(),
            VERSION,
            "X-Buildkite-Lock-Acquire-Job: 1",
            "X-Buildkite-Backoff-Sequence: 0",
            "Content-Length: 0",
        ];
        let answer = self.yard.raw(&head, b"").await;
        if answer.status == 200 {
            let token = answer.json()["token"].as_str().expect("a token").to_owned();
            self.token = token;
        }
        answer
    }

    /// A call about the job, with its token.
    pub(crate) async fn job_call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let path = format!("jobs/{}{path}", self.job);
        self.yard.call(&self.token, method, &path, Some(body)).await
    }

    async fn start(&self) -> Answer {
        let at = self.yard.now().to_iso();
        self.job_call("PUT", "/start", &json!({"started_at": at}))
            .await
    }

    async fn chunk(&self, sequence: i64, offset: usize, text: &[u8]) -> Answer {
        let line = format!(
            "POST /v3/jobs/{}/chunks?sequence={sequence}&offset={offset}&size={} HTTP/1.1",
            self.job,
            text.len()
        );
        let authorization = format!("Authorization: Token {}", self.token);
        let body = gzip(text);
        let length = format!("Content-Length: {}", body.len());
        let head = [
            line.as_str(),
            authorization.as_str(),
            VERSION,
            "Content-Type: text/plain",
            "Content-Encoding: gzip",
            length.as_str(),
        ];
        self.yard.raw(&head, &body).await
    }

    pub(crate) async fn state(&self) -> Value {
        let path = format!("jobs/{}", self.job);
        let answer = self.yard.call(&self.token, "GET", &path, None).await;
        answer.expect(200)["state"].clone()
    }

    pub(crate) async fn finish(&self, more: Value) -> Answer {
        let mut body = json!({
            "exit_status": "0", "finished_at": self.yard.now().to_iso(), "chunks_failed_count": 0,
        });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        self.job_call("PUT", "/finish", &body).await
    }

    /// Registers, takes its job and starts it.
    pub(crate) async fn started(yard: &'a Yard, job: &str) -> Self {
        let mut agent = Agent::new(yard, job).await;
        agent.acquire().await.expect(200);
        agent.start().await.expect(200);
        agent
    }
}

/// What can be read of a growing log.
async fn live_log(yard: &Yard, job: &str) -> String {
    let live = yard
        .artifact(job, 0, "public/logs/live.log")
        .await
        .expect("a live log");
    assert_eq!(live.storage_type, StorageType::Reference);
    let details: Value = serde_json::from_str(&live.details).expect("JSON");
    let url = details["url"].as_str().expect("a URL");
    let path = &url[url.find("/v3").expect("a path")..];
    let line = format!("GET {path} HTTP/1.1");
    let answer = yard.raw(&[line.as_str()], b"").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    answer.text()
}

on_both_databases! {
    async fn a_job_is_run_from_the_first_call_to_the_last(kind) {
        let yard = Yard::new(kind).await;
        let job = yard.job(Wanted::default()).await;
        let mut agent = Agent::new(&yard, &job).await;
        agent.bare("POST", "connect").await.expect(200);
        let beat = json!({"sent_at": "2026-01-01T00:00:00.123456789Z"});
        let answer = yard.call(&agent.access, "POST", "heartbeat", Some(&beat)).await.expect(200);
        assert_eq!(answer["sent_at"], beat["sent_at"]);
        assert!(answer["received_at"].is_string());

        let told = agent.acquire().await.expect(200);
        assert_eq!((&told["id"], &told["state"]), (&json!(job), &json!("accepted")));
        assert_eq!(told["chunks_max_size_bytes"], 102_400);
        for name in [
            "BUILDKITE_JOB_ID", "BUILDKITE_REPO", "BUILDKITE_COMMIT", "BUILDKITE_BRANCH",
            "BUILDKITE_AGENT_NAME", "BUILDKITE_ORGANIZATION_SLUG", "BUILDKITE_PIPELINE_SLUG",
            "BUILDKITE_PIPELINE_PROVIDER", "BUILDKITE_COMMAND",
        ] {
            assert!(told["env"][name].as_str().is_some_and(|it| !it.is_empty()), "{name}");
        }
        assert_eq!(yard.state(&job).await, "accepted");
        // The answer was lost: the agent asks again, and goes on with what it is told then.
        let lost = agent.token.clone();
        agent.acquire().await.expect(200);
        let path = format!("jobs/{job}");
        yard.call(&lost, "GET", &path, None).await.refused(401);
        for _ in 0..2 {
            assert_eq!(agent.start().await.expect(200), json!({}));
        }
        assert_eq!(yard.state(&job).await, "running");

        // Three uploaders at once: out of order, and one of them again.
        assert_eq!(agent.chunk(3, 12, b"third\n").await.expect(201), json!({}));
        assert_eq!(live_log(&yard, &job).await, "");
        agent.chunk(1, 0, b"first\n").await.expect(201);
        assert_eq!(live_log(&yard, &job).await, "first\n");
        agent.chunk(2, 6, b"secnd\n").await.expect(201);
        agent.chunk(2, 6, b"secnd\n").await.expect(201);
        assert_eq!(live_log(&yard, &job).await, "first\nsecnd\nthird\n");
        let times = json!({"header_times": {"0": "2026-01-01T00:00:00.123456789Z"}});
        agent.job_call("POST", "/header_times", &times).await.expect(200);
        assert_eq!(agent.state().await, "running");

        agent.finish(json!({})).await.expect(200);
        assert_eq!(yard.runs(&job).await, [(State::Completed, Some("completed"))]);
        assert_eq!(yard.state(&job).await, "finished");
        for _ in 0..2 {
            agent.finish(json!({})).await.expect(200);
        }
        let log = yard.kept(&job, 0, "public/logs/live_backing.log");
        assert_eq!(log.as_deref(), Some(&b"first\nsecnd\nthird\n"[..]));
        let backing = yard.artifact(&job, 0, "public/logs/live_backing.log").await;
        assert_eq!(backing.expect("a log").content_length, Some(18));
        let live = yard.artifact(&job, 0, "public/logs/live.log").await.expect("a link");
        assert_eq!(live.storage_type, StorageType::Link);
        let kept = yard.kept(&job, 0, "public/logs/header_times.json").expect("times");
        assert_eq!(serde_json::from_slice::<Value>(&kept).expect("JSON"), times);
        // The job's token ends with the job.
        agent.chunk(4, 18, b"late").await.refused(401);

        assert_eq!(agent.bare("GET", "ping").await.expect(200), json!({}));
        for _ in 0..2 {
            agent.bare("POST", "disconnect").await.expect(200);
        }
        agent.bare("GET", "ping").await.refused(401);
        // Chunks that became a file are forgotten after a while; the artifact stays.
        yard.advance(Duration::from_mins(45));
        let now = yard.now().minus(Duration::from_mins(30));
        yard.write(move |tx| taskyard_engine::stacks::forget(tx, now, 100)).await;
        let id = task_id(&job);
        let size = yard.store.read(move |tx| taskyard_engine::stacks::log_size(tx, (&id, 0))).await;
        assert_eq!(size.expect("it is read"), None);
    }

    async fn a_cancel_reaches_the_agent(kind) {
        let yard = Yard::new(kind).await;
        let job = yard.job(Wanted::default()).await;
        let agent = Agent::started(&yard, &job).await;
        yard.cancel(&job).await;
        assert_eq!(agent.state().await, "canceling");
        assert_eq!(yard.state(&job).await, "canceling");
        agent.chunk(1, 0, b"interrupted\n").await.expect(201);
        let report = json!({"exit_status": "-1", "signal": "SIGTERM", "signal_reason": "cancel"});
        agent.finish(report).await.expect(200);
        assert_eq!(yard.runs(&job).await, [(State::Exception, Some("canceled"))]);
        assert_eq!(yard.state(&job).await, "canceled");
        let log = yard.kept(&job, 0, "public/logs/live_backing.log");
        assert_eq!(log.as_deref(), Some(&b"interrupted\n"[..]));
        let backing = yard.artifact(&job, 0, "public/logs/live_backing.log").await;
        assert!(backing.is_some(), "a cancelled run takes its log");
    }

    async fn an_agent_that_falls_silent_loses_its_job(kind) {
        let yard = Yard::new(kind).await;
        let job = yard.job(Wanted::default()).await;
        let agent = Agent::started(&yard, &job).await;
        // As long as it is heard of, all is well.
        for _ in 0..3 {
            yard.advance(Duration::from_mins(2));
            yard.call(&agent.access, "POST", "heartbeat", Some(&json!({}))).await.expect(200);
            yard.sweep().await;
            assert_eq!(yard.state(&job).await, "running");
        }
        yard.advance(Duration::from_secs(181));
        yard.sweep().await;
        let lost = (State::Exception, Some("claim-expired"));
        assert_eq!(yard.runs(&job).await, [lost, (State::Pending, None)]);
        assert_eq!(yard.listed().await, std::slice::from_ref(&job));
        // When it is back it is told to stop, and what it says changes nothing.
        yard.call(&agent.access, "POST", "heartbeat", Some(&json!({}))).await.expect(200);
        assert_eq!(agent.state().await, "canceled");
        let mut other = Agent::new(&yard, &job).await;
        other.acquire().await.expect(200);
        agent.finish(json!({})).await.expect(200);
        assert_eq!(yard.runs(&job).await, [lost, (State::Running, None)]);
        other.start().await.expect(200);
        other.finish(json!({})).await.expect(200);
        assert_eq!(yard.runs(&job).await, [lost, (State::Completed, Some("completed"))]);
    }

    async fn a_job_that_takes_too_long_is_stopped(kind) {
        let yard = Yard::new(kind).await;
        let definition = json!({"payload": {"command": "sleep 1000", "maxRunTime": 60}});
        let job = yard.job(Wanted { definition, ..Wanted::default() }).await;
        let agent = Agent::started(&yard, &job).await;
        agent.job_call("PUT", "", &json!({"timeout_in_minutes": "2"})).await.expect(200);
        agent.job_call("PUT", "", &json!({"priority": "2"})).await.refused(422);
        yard.advance(Duration::from_secs(90));
        assert_eq!(agent.state().await, "running");
        yard.advance(Duration::from_secs(31));
        assert_eq!(agent.state().await, "timing_out");
        assert_eq!(yard.state(&job).await, "timing_out");
        agent.chunk(1, 0, b"late\n").await.expect(201);
        agent.finish(json!({"exit_status": "-1", "signal_reason": "cancel"})).await.expect(200);
        assert_eq!(yard.runs(&job).await, [(State::Failed, Some("failed"))]);
        assert_eq!(yard.state(&job).await, "timed_out");
    }

    async fn how_an_agent_ends_a_job_decides_how_its_run_ends(kind) {
        let yard = Yard::new(kind).await;
        let exception = |reason| (State::Exception, Some(reason));
        for (report, first) in [
            (json!({"exit_status": "0"}), (State::Completed, Some("completed"))),
            (json!({"exit_status": "1"}), (State::Failed, Some("failed"))),
            (json!({"exit_status": 1}), (State::Failed, Some("failed"))),
            (json!({"exit_status": "-1", "signal": "SIGKILL"}), (State::Failed, Some("failed"))),
            (json!({"exit_status": "75"}), exception("intermittent-task")),
            (json!({"exit_status": "-1", "signal_reason": "cancel"}), exception("canceled")),
            (json!({"exit_status": "-1", "signal_reason": "agent_stop"}),
                exception("worker-shutdown")),
            (json!({"exit_status": "-1", "signal_reason": "agent_refused"}),
                exception("malformed-payload")),
            (json!({"exit_status": "-1", "signal_reason": "signature_rejected"}),
                exception("malformed-payload")),
            (json!({"exit_status": "-1", "signal_reason": "process_run_error"}),
                exception("internal-error")),
        ] {
            let definition = json!({
                "payload": {"command": "x", "onExitStatus": {"retry": [75]}},
            });
            let job = yard.job(Wanted { definition, retries: 1, ..Wanted::default() }).await;
            let agent = Agent::started(&yard, &job).await;
            agent.finish(report.clone()).await.expect(200);
            assert_eq!(yard.runs(&job).await[0], first, "{report}");
            let events = yard.get(&format!("jobs/{job}/events")).await.expect(200);
            assert_eq!(events["events"][0]["kind"], "finished");
        }
        let job = yard.job(Wanted::default()).await;
        let agent = Agent::started(&yard, &job).await;
        for report in [json!({"exit_status": "x"}), json!({"exit_status": null})] {
            agent.finish(report).await.refused(422);
        }
        assert_eq!(agent.state().await, "running");
    }

    /// Whatever keeps an agent from a job must make it give up, or try again, and not idle.
    async fn a_job_that_is_not_to_be_had_is_refused_as_agents_understand_it(kind) {
        let yard = Yard::new(kind).await;
        let taken = yard.job(Wanted::default()).await;
        let holder = Agent::started(&yard, &taken).await;
        let canceled = yard.job(Wanted::default()).await;
        yard.cancel(&canceled).await;
        let waits = yard.job(Wanted {
            dependencies: vec![task_id(&taken)],
            ..Wanted::default()
        }).await;
        for (job, status) in [
            (taken.as_str(), 422),
            (canceled.as_str(), 422),
            (waits.as_str(), 423),
            ("01234567-89ab-4def-8123-456789abcdef", 422),
            ("x", 422),
        ] {
            Agent::new(&yard, job).await.acquire().await.refused(status);
        }
        // A run that was cancelled before its start is not begun.
        let job = yard.job(Wanted::default()).await;
        let mut agent = Agent::new(&yard, &job).await;
        agent.acquire().await.expect(200);
        yard.cancel(&job).await;
        agent.start().await.refused(422);
        // Others' jobs are none of an agent's business.
        let path = format!("jobs/{taken}");
        for token in [&agent.token, &agent.access] {
            yard.call(token, "GET", &path, None).await.refused(404);
        }
        // Its access token does for the job as well.
        let answer = yard.call(&holder.access, "GET", &path, None).await.expect(200);
        assert_eq!(answer["state"], "running");
        yard.call(&yard.token, "POST", "heartbeat", None).await.refused(401);
        yard.call(&holder.access, "POST", "register", Some(&json!({}))).await.refused(401);
    }

    async fn chunks_are_taken_as_they_should_be(kind) {
        let yard = Yard::new(kind).await;
        let job = yard.job(Wanted::default()).await;
        let agent = Agent::started(&yard, &job).await;
        let send = async |query: &str, encoding: &str, body: &[u8]| {
            let line = format!("POST /v3/jobs/{job}/chunks?{query} HTTP/1.1");
            let authorization = format!("Authorization: Token {}", agent.token);
            let length = format!("Content-Length: {}", body.len());
            let encoding = format!("Content-Encoding: {encoding}");
            let head = [line.as_str(), authorization.as_str(), encoding.as_str(), length.as_str()];
            yard.raw(&head, body).await
        };
        let text = gzip(b"text");
        for (query, encoding, body, status) in [
            ("offset=0&size=4", "gzip", &text[..], 400),
            ("sequence=1&size=4", "gzip", &text, 400),
            ("sequence=-1&offset=0&size=4", "gzip", &text, 400),
            ("sequence=1&offset=0&size=5", "gzip", &text, 422),
            ("sequence=1&offset=0&size=4", "gzip", b"no gzip", 400),
            ("sequence=1&offset=134217725&size=4", "gzip", &text, 422),
            ("sequence=1&offset=9223372036854775807&size=4", "gzip", &text, 422),
            ("sequence=1&offset=0", "gzip", &gzip(&vec![0; 2 << 20]), 413),
        ] {
            send(query, encoding, body).await.refused(status);
        }
        send("sequence=1&offset=0&size=4", "identity", b"text").await.expect(201);
        // What never came is told in the end.
        send("sequence=3&offset=10&size=4", "gzip", &text).await.expect(201);
        agent.finish(json!({"chunks_failed_count": 1})).await.expect(200);
        let log = yard.kept(&job, 0, "public/logs/live_backing.log").expect("a log");
        let log = String::from_utf8(log).expect("text");
        assert_eq!(log, "text\n[taskyard] 6 bytes of the log were lost here\ntext");
        let line = "GET /v3/logs?token=x HTTP/1.1";
        yard.raw(&[line], b"").await.refused(403);
    }

    async fn an_agent_is_told_to_pause_and_to_leave(kind) {
        let yard = Yard::new(kind).await;
        let job = yard.job(Wanted::default()).await;
        let agent = Agent::started(&yard, &job).await;
        for (path, action) in [
            ("pause", json!("pause")),
            ("resume", Value::Null),
            ("stop", json!("disconnect")),
        ] {
            yard.call(&agent.token, "POST", path, Some(&json!({}))).await.expect(200);
            let answer = agent.bare("GET", "ping").await.expect(200);
            assert_eq!(answer["action"], action);
        }
    }
}
