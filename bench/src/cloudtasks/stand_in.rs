//! A tiny Cloud Tasks that answers as the real one does, to test the generator against.

use super::*;
use crate::channel::framed;
use crate::cloudtasks::message::CreateTaskRequest;
use crate::connection::Connection;
use crate::load::Connect as _;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use prost::Message as _;
use std::convert::Infallible;
use std::sync::Mutex;
use tokio::net::TcpListener;

/// What the server remembers.
#[derive(Debug, Default)]
struct Memory {
    /// Calls of the empty method.
    empty: u64,
    /// Tasks in the paused queue.
    parked: u64,
    /// Tasks in each of the other queues.
    busy: [u64; queues::BUSY],
    /// Calls over REST.
    rest: Vec<String>,
}

type Remembered = Arc<Mutex<Memory>>;

/// A bench of a server that lives until the test's runtime ends.
async fn bench(duration: Duration) -> (Bench, Remembered) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let remembered = Remembered::default();
    let memory = Arc::clone(&remembered);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let memory = Arc::clone(&memory);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(Arc::clone(&memory), request));
                let server = auto::Builder::new(TokioExecutor::new());
                server.serve_connection(TokioIo::new(stream), service).await
            });
        }
    });
    let yard = Yard::at(address, std::process::id(), duration).unwrap();
    (Bench::new(yard).await.unwrap(), remembered)
}

async fn answer(
    memory: Remembered,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let path = head.uri.path_and_query().unwrap().as_str();
    if !head.headers.contains_key(header::TE) {
        let text = str::from_utf8(&body).unwrap();
        let call = format!("{} {path} {text}", head.method);
        memory.lock().unwrap().rest.push(call);
        return Ok(Response::new(Full::from("{}").boxed()));
    }
    if path == "/taskyard.bench.v1.Bench/Empty" {
        memory.lock().unwrap().empty += 1;
    } else {
        assert_eq!(path, "/google.cloud.tasks.v2.CloudTasks/CreateTask");
        assert_eq!(head.headers[header::AUTHORIZATION], queues::authorization());
        create(&memory, CreateTaskRequest::decode(&body[5..]).unwrap());
    }
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
    let body = Full::new(framed(&()));
    let body = body.with_trailers(async { Some(Ok(trailers)) });
    Ok(Response::new(body.boxed()))
}

fn create(memory: &Remembered, request: CreateTaskRequest) {
    let mut memory = memory.lock().unwrap();
    if request.parent == queues::parked() {
        memory.parked += 1;
        return;
    }
    let queue = (0..queues::BUSY).find(|number| queues::busy(*number) == request.parent);
    memory.busy[queue.unwrap()] += 1;
    let task = request.task.unwrap().http_request.unwrap();
    let address = task.url.strip_prefix("http://").unwrap();
    let address = address.strip_suffix('/').unwrap().parse().unwrap();
    tokio::spawn(async move {
        let mut connection = Connection::connect(address).await.unwrap();
        let sent = connection.send(Method::POST, "/", None, Some(task.body));
        sent.await.unwrap();
    });
}

#[tokio::test]
async fn parked_tasks_and_empty_calls_are_counted_once() {
    let (bench, memory) = bench(Duration::from_millis(250)).await;
    assert_eq!(bench.park(150).await.unwrap(), 150);
    let phases = bench.create(150, 4).await.unwrap();
    let [empty, created] = &phases[..] else {
        panic!("not two phases: {phases:?}")
    };
    let memory = memory.lock().unwrap();
    assert_eq!((empty.name, empty.requests), ("empty", memory.empty));
    assert_eq!(
        (created.name, created.requests + 150),
        ("create", memory.parked)
    );
    assert!(created.requests > 0 && created.share_of_first.unwrap() > 0.0);
    assert_eq!(memory.busy, [0; queues::BUSY]);
}

#[tokio::test]
async fn at_a_fixed_rate_every_task_is_created_and_delivered() {
    let (bench, memory) = bench(Duration::from_secs(1)).await;
    let phase = bench.steady(0, 320).await.unwrap();
    assert_eq!(phase.operations["create"].count, 320);
    assert_eq!(phase.operations["deliver"].count, 320);
    // The last of them was planned for the end of the second.
    assert!(phase.seconds >= 0.99, "{} s", phase.seconds);
    assert_eq!(memory.lock().unwrap().busy.iter().sum::<u64>(), 320);
}

#[tokio::test]
async fn a_cycle_ends_with_the_delivery_and_all_queues_have_their_part() {
    let (bench, memory) = bench(Duration::from_millis(50)).await;
    let phases = cycles(&[&bench]).await.unwrap();
    let [phase] = &phases[..] else {
        panic!("{} phases for one server", phases.len())
    };
    let cycle = phase.cycle.unwrap();
    assert_eq!(cycle.count, phase.operations["create"].count);
    assert!(cycle.p50_ms >= phase.operations["create"].p50_ms);
    assert_eq!(
        bench.handler.counter().arrived(),
        memory.lock().unwrap().busy.iter().sum::<u64>()
    );
    assert!(memory.lock().unwrap().busy.iter().all(|tasks| *tasks > 0));
}

#[tokio::test]
async fn the_paused_queue_is_resumed_with_its_rate() {
    let (bench, memory) = bench(Duration::ZERO).await;
    queues::resume(bench.yard.address, 400.0).await.unwrap();
    let memory = memory.lock().unwrap();
    let queue = "/v2/projects/bench/locations/here/queues/parked";
    assert_eq!(
        memory.rest[queues::BUSY + 1..],
        [
            format!("POST {queue}:pause {{}}"),
            format!(
                "PATCH {queue}?updateMask=rateLimits.maxDispatchesPerSecond \
                 {{\"rateLimits\":{{\"maxDispatchesPerSecond\":400.0}}}}"
            ),
            format!("POST {queue}:resume {{}}"),
        ]
    );
}
