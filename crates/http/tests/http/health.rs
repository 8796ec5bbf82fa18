use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use taskyard_http::Draining;
use taskyard_http::health::Health;
use tower::ServiceExt as _;

async fn ask(router: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.into()).unwrap())
}

#[tokio::test]
async fn a_server_whose_checks_pass_is_ready() {
    let health = Health::new(Draining::new()).check("database", async || Ok(()));
    let (status, body) = ask(&health.routes(), "/readyz").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body, r#"{"status":"ready","checks":{"database":"ok"}}"#);
}

#[tokio::test]
async fn a_failed_check_makes_the_server_unready_but_not_dead() {
    let router = Health::new(Draining::new())
        .check("database", async || Err("no connection".to_owned()))
        .check("events", async || Ok(()))
        .routes();
    let (status, body) = ask(&router, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        body,
        r#"{"status":"not ready","checks":{"database":"no connection","events":"ok"}}"#
    );
    assert_eq!(ask(&router, "/healthz").await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_has_failed() {
    let health = Health::new(Draining::new()).check("database", std::future::pending);
    let (status, body) = ask(&health.routes(), "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        body,
        r#"{"status":"not ready","checks":{"database":"no answer within 2 s"}}"#
    );
}

#[tokio::test]
async fn a_server_that_shuts_down_is_not_ready() {
    let draining = Draining::new();
    let router = Health::new(draining.clone()).routes();
    assert_eq!(ask(&router, "/readyz").await.0, StatusCode::OK);
    draining.cancel();
    let (status, body) = ask(&router, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("shutting down"), "{body}");
}
