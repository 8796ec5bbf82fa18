use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{HeaderMap, HeaderName, Request, Version};
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use taskyard_http::{Api, Entrance, RequestId, Traffic};
use tokio::sync::mpsc;

use crate::served::{Served, soon};

fn router() -> Router {
    Router::new()
        .route("/", get(async || "hello"))
        .route(
            "/id",
            get(async |Extension(id): Extension<RequestId>| id.to_string()),
        )
        .route(
            "/panic",
            get(async || -> &'static str { panic!("as the test wants it") }),
        )
}

#[tokio::test]
async fn http1_and_http2_are_answered_on_one_port() {
    let served = Served::start(router()).await;

    let mut http1 = served.connect().await;
    assert_eq!(http1.get("/").await.body, "hello");

    let stream = served.connect().await.stream;
    let (mut http2, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("http://test/").body(Body::empty()).unwrap();
    let response = soon(http2.send_request(request)).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "hello"
    );

    drop((http1, http2));
    soon(connection).await.unwrap().unwrap();
    assert_eq!(served.stop().await.cut_off, 0);
}

#[tokio::test]
async fn every_response_carries_the_fresh_id_that_its_handler_saw() {
    let served = Served::start(router()).await;
    let mut client = served.connect().await;
    let first = client.get("/id").await;
    let second = client.get("/id").await;
    let lost = client.get("/no/such/path").await;

    assert_eq!(first.header("x-for-request-id"), first.body);
    assert_eq!(second.header("x-for-request-id"), second.body);
    assert_ne!(first.body, second.body);
    assert_eq!(
        first.body.as_bytes()[14],
        b'4',
        "a UUID of version 4: {}",
        first.body
    );
    assert_eq!(lost.status, 404);
    assert_eq!(lost.header("x-for-request-id").len(), 36);
}

#[tokio::test]
async fn a_panicking_handler_answers_500_and_its_connection_goes_on() {
    let served = Served::start(router()).await;
    let mut client = served.connect().await;

    let failed = client.get("/panic").await;
    assert_eq!(failed.status, 500);
    assert_eq!(
        failed.header("content-type"),
        "application/json; charset=utf-8"
    );
    assert!(
        failed.body.contains(r#""code":"InternalServerError""#),
        "{}",
        failed.body
    );
    assert!(
        failed.body.contains(failed.header("x-for-request-id")),
        "{}",
        failed.body
    );
    assert!(
        !failed.body.contains("as the test wants it"),
        "{}",
        failed.body
    );

    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn a_handler_is_dropped_when_its_client_hangs_up() {
    struct Gone(mpsc::UnboundedSender<&'static str>);
    impl Drop for Gone {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }
    let (sender, mut events) = mpsc::unbounded_channel();
    let router = Router::new().route(
        "/wait",
        get(async move || {
            let _gone = Gone(sender.clone());
            let _ = sender.send("waiting");
            std::future::pending::<&'static str>().await
        }),
    );
    let served = Served::start(router).await;
    let mut client = served.connect().await;
    client
        .send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
        .await;
    assert_eq!(soon(events.recv()).await, Some("waiting"));

    drop(client);
    assert_eq!(soon(events.recv()).await, Some("dropped"));
}

#[test]
fn figures_are_told_apart_by_api_and_class_and_by_nothing_a_client_chooses() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let figures = recorder.handle();
    let traffic = metrics::with_local_recorder(&recorder, || {
        Traffic::of(&[Api {
            prefix: "/api/queue/",
            name: "queue",
        }])
    });

    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let router = Router::new().route("/api/queue/v1/ping", get(async || "pong"));
            let served = Served::start_entrance(Entrance::new(router, traffic)).await;
            let mut client = served.connect().await;
            for path in [
                "/api/queue/v1/ping",
                "/api/queue/v1/ping",
                "/api/queue/v1/x",
                "/a",
                "/b",
            ] {
                client.get(path).await;
            }
        });

    let text = figures.render();
    for line in [
        r#"taskyard_http_requests_total{api="queue",status="2xx"} 2"#,
        r#"taskyard_http_requests_total{api="queue",status="4xx"} 1"#,
        r#"taskyard_http_requests_total{api="other",status="4xx"} 2"#,
        r#"taskyard_http_request_seconds_count{api="queue"} 3"#,
    ] {
        assert!(text.contains(line), "{line} is missing from\n{text}");
    }
    assert!(!text.contains("/a"), "a path became a label:\n{text}");
}

#[tokio::test]
async fn only_a_trusted_proxy_says_how_a_request_reached_it() {
    let told = Router::new().route(
        "/",
        get(async |headers: HeaderMap| {
            let names = headers.keys().map(HeaderName::as_str);
            let told: Vec<_> = names.filter(|name| name.starts_with("x-f")).collect();
            told.join(" ")
        }),
    );
    for (proxies, expected) in [
        ("", "x-for-ages"),
        ("10.0.0.0/8,192.0.2.1/32", "x-for-ages"),
        (
            "10.0.0.0/8,127.0.0.0/8",
            "x-forwarded-port x-forwarded-proto x-for-ages",
        ),
    ] {
        let proxies: Vec<_> = proxies
            .split(',')
            .filter_map(|network| network.parse().ok())
            .collect();
        let entrance = Entrance::from(told.clone()).trusting(&proxies);
        let served = Served::start_entrance(entrance).await;
        let mut client = served.connect().await;
        // Twice the same, in two spellings: one that stays behind would be believed.
        let headers = "X-Forwarded-Port: 443\r\nx-forwarded-proto: https\r\n\
                       X-Forwarded-Proto: http\r\nX-For-Ages: x\r\n";
        let request = format!("GET / HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
        client.send(&request).await;
        assert_eq!(client.answer().await.body, expected, "{proxies:?}");
        served.stop().await;
    }
}
