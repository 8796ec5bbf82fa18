//! A tiny queue that answers as the real one does, to test the generator against.

use super::*;
use crate::clock;
use crate::empty::Empty;
use crate::server;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Mutex;
use taskyard_access::temporary::{self, TemporaryCredentials};
use taskyard_access::{Client, HawkRequest, Outcome, Roles, authenticate, payload_hash_matches};
use tokio::net::{TcpListener, TcpSocket};

/// What the queue remembers.
#[derive(Debug, Default)]
struct Memory {
    pending: VecDeque<String>,
    running: HashSet<String>,
    empty: u64,
    /// Tasks that are only listed.
    listed: u64,
    /// After so many tasks createTask is refused.
    refuse_after: Option<usize>,
}

impl Memory {
    fn create(&mut self, task_id: &str) -> (StatusCode, Value) {
        if self
            .refuse_after
            .is_some_and(|limit| self.pending.len() >= limit)
        {
            return (
                StatusCode::FORBIDDEN,
                json!({ "code": "InsufficientScopes" }),
            );
        }
        self.pending.push_back(task_id.to_owned());
        (StatusCode::OK, json!({ "status": { "taskId": task_id } }))
    }

    fn claim(&mut self) -> Option<Value> {
        let task_id = self.pending.pop_front()?;
        let credentials = claim_credentials(&task_id);
        self.running.insert(task_id.clone());
        Some(json!({
            "status": { "taskId": task_id, "state": "running" },
            "runId": 0,
            "task": { "payload": { "text": "a \"quoted\" text" } },
            "credentials": {
                "clientId": credentials.client_id,
                "accessToken": credentials.access_token.expose(),
                "certificate": credentials.certificate,
            },
        }))
    }

    fn complete(&mut self, task_id: &str) -> (StatusCode, Value) {
        if self.running.remove(task_id) {
            (StatusCode::OK, json!({ "status": { "taskId": task_id } }))
        } else {
            (StatusCode::CONFLICT, json!({ "code": "RequestConflict" }))
        }
    }
}

type Shared = Arc<Mutex<Memory>>;

/// Serves until the test's runtime ends.
async fn serve(memory: Memory) -> (SocketAddr, Shared) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::new(Mutex::new(memory));
    let memory = shared.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let memory = memory.clone();
            let service = service_fn(move |request| answer(memory.clone(), request));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (address, shared)
}

async fn answer(
    memory: Shared,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let sender = sender(&head, &body);
    let path = head.uri.path();
    let path = path.strip_prefix("/api/queue/v1").unwrap_or(path);
    let mut memory = memory.lock().unwrap();
    let (status, json) = match (head.method.as_str(), path) {
        ("GET", "/bench/empty") => {
            memory.empty += 1;
            (StatusCode::OK, Value::Null)
        }
        ("POST", "/claim-work/bench%2Fworker") => {
            assert_eq!(sender, server::ROOT_CLIENT_ID);
            let claims: Vec<Value> = memory.claim().into_iter().collect();
            (StatusCode::OK, json!({ "tasks": claims }))
        }
        ("PUT", path) => {
            assert_eq!(sender, server::ROOT_CLIENT_ID);
            let definition: Value = serde_json::from_slice(&body).unwrap();
            if definition["taskQueueId"] == "bench/listed" {
                memory.listed += 1;
                (StatusCode::OK, json!({ "status": {} }))
            } else {
                assert_eq!(definition["taskQueueId"], "bench/worker");
                memory.create(path.strip_prefix("/task/").unwrap())
            }
        }
        ("GET", path) if path.starts_with("/task-group/") => {
            assert_eq!(sender, server::ROOT_CLIENT_ID);
            let query = head.uri.query().unwrap_or("continuationToken=0");
            let after: u64 = query
                .strip_prefix("continuationToken=")
                .unwrap()
                .parse()
                .unwrap();
            let next = (after + 100).min(memory.listed);
            let tasks: Vec<u64> = (after..next).collect();
            if next == memory.listed {
                (StatusCode::OK, json!({ "tasks": tasks }))
            } else {
                let token = next.to_string();
                (
                    StatusCode::OK,
                    json!({ "tasks": tasks, "continuationToken": token }),
                )
            }
        }
        (_, path) => {
            let task_id = path.strip_prefix("/task/").unwrap();
            let task_id = task_id.strip_suffix("/runs/0/completed").unwrap();
            assert_eq!(sender, format!("task-client/{task_id}"));
            memory.complete(task_id)
        }
    };
    let mut response = Response::new(Full::new(json.to_string().into()));
    *response.status_mut() = status;
    Ok(response)
}

/// Who signed the request, body included.
fn sender(head: &Parts, body: &[u8]) -> String {
    let text = |name| head.headers.get(name).map(|value| value.to_str().unwrap());
    let (host, port) = text(header::HOST).unwrap().split_once(':').unwrap();
    let request = HawkRequest {
        method: head.method.as_str(),
        target: head.uri.path_and_query().unwrap().as_str(),
        host,
        port: port.parse().unwrap(),
        authorization: text(header::AUTHORIZATION),
    };
    let root = Client {
        client_id: server::ROOT_CLIENT_ID.into(),
        access_token: server::ROOT_ACCESS_TOKEN.into(),
        expires_ms: i64::MAX,
        disabled: false,
        scopes: vec!["*".to_owned()].into(),
    };
    let root = Arc::new(root);
    let find_client = |id: &str| (id == root.client_id).then(|| root.clone());
    match authenticate(&request, clock::now_ms(), &find_client, &Roles::new(&[])) {
        Outcome::Success(sender) => {
            let hash_matches = sender
                .hash
                .map(|hash| payload_hash_matches(&hash, text(header::CONTENT_TYPE).unwrap(), body));
            assert_eq!(hash_matches, (!body.is_empty()).then_some(true));
            sender.client_id
        }
        Outcome::Anonymous { .. } => "anonymous".to_owned(),
        Outcome::Failed { message } => panic!("{message}"),
    }
}

/// What the real queue gives out with a claim.
fn claim_credentials(task_id: &str) -> TemporaryCredentials {
    let now_ms = clock::now_ms();
    temporary::create(
        server::ROOT_CLIENT_ID,
        server::ROOT_ACCESS_TOKEN,
        Some(&format!("task-client/{task_id}")),
        now_ms,
        now_ms + 1_200_000,
        &[format!("queue:resolve-task:{task_id}/0")],
        &temporary::new_seed(),
    )
    .unwrap()
}

fn bench(address: SocketAddr) -> Bench {
    let duration = Duration::from_millis(200);
    Bench::new(Yard::at(address, std::process::id(), duration).unwrap())
}

#[tokio::test]
async fn every_request_the_server_answers_is_counted_once() {
    let (address, memory) = serve(Memory::default()).await;
    let limit = Limit::time(Duration::from_millis(200));
    let outcome = bench(address).yard.load([Empty; 8], limit).await.unwrap();
    assert!(outcome.samples.request_count() > 0);
    assert_eq!(
        memory.lock().unwrap().empty,
        outcome.samples.request_count()
    );
    assert!(outcome.elapsed >= limit.duration);
}

#[tokio::test]
async fn a_run_ends_at_its_count_of_steps() {
    let (address, memory) = serve(Memory::default()).await;
    let limit = Limit {
        duration: Duration::from_mins(1),
        steps: 1003,
    };
    let outcome = bench(address).yard.load([Empty; 4], limit).await.unwrap();
    assert_eq!(outcome.samples.request_count(), 1003);
    assert_eq!(memory.lock().unwrap().empty, 1003);
}

#[tokio::test]
async fn the_backlog_keeps_its_size_through_all_phases() {
    let (address, memory) = serve(Memory::default()).await;
    let mut bench = bench(address);
    assert_eq!(bench.fill(500).await.unwrap(), 500);
    let phases = bench.create_and_work(500, &[1, 4]).await.unwrap();

    let memory = memory.lock().unwrap();
    assert_eq!((memory.pending.len(), memory.running.len()), (500, 0));
    let names: Vec<_> = phases
        .iter()
        .map(|phase| (phase.name, phase.connections))
        .collect();
    assert_eq!(
        names,
        [1, 4]
            .map(|n| ["empty", "create", "work", "cycle"].map(|name| (name, n)))
            .concat()
    );
    for cycle in phases.iter().filter(|phase| phase.name == "cycle") {
        let count = |operation| cycle.operations[operation].count;
        assert!(count("create") > 0);
        assert_eq!(count("create"), count("claim"));
        assert_eq!(count("claim"), count("complete"));
        assert_eq!(cycle.requests, 3 * count("create"));
        assert!(cycle.share_of_first.unwrap() > 0.0);
    }
}

#[tokio::test]
async fn a_group_is_made_once_and_listed_page_by_page() {
    let (address, memory) = serve(Memory::default()).await;
    let mut bench = bench(address);
    // Enough for three pages, even on a machine that stands still for a while.
    bench.yard.duration = Duration::from_secs(2);
    for _ in 0..2 {
        let phase = bench.list(250).await.unwrap();
        assert_eq!((phase.name, phase.connections), ("list", 1));
        assert!(phase.operations["page"].count >= 3);
        assert_eq!(phase.requests, phase.operations["page"].count);
    }
    assert_eq!(memory.lock().unwrap().listed, 250);
    assert_eq!(bench.backlog, 0);
}

#[tokio::test]
async fn a_claim_that_finds_no_work_is_not_taken_for_a_fast_one() {
    let (address, _) = serve(Memory::default()).await;
    let limit = Limit {
        duration: Duration::from_mins(1),
        steps: 10,
    };
    let outcome = bench(address).load(Step::Work, 2, limit).await.unwrap();
    assert_eq!(outcome.samples.fruitless, 10);
    assert!(outcome.samples.operations().is_empty());
}

#[tokio::test]
async fn a_refused_request_ends_the_run_with_the_servers_words() {
    let memory = Memory {
        refuse_after: Some(50),
        ..Memory::default()
    };
    let (address, _) = serve(memory).await;
    let error = bench(address).fill(100).await.unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.contains("403 Forbidden") && text.contains("InsufficientScopes"),
        "{text}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_ends_the_run() {
    // Bound to a port, which nobody else gets meanwhile, but not listening.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let error = bench(address).fill(1).await.unwrap_err();
    assert!(format!("{error:#}").contains("cannot connect"), "{error:#}");
}
