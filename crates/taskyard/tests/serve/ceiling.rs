//! What benchmarks compare with: there with `TASKYARD_BENCH` only.

use crate::process::{Ground, Server, soon};

/// Calls the empty method of gRPC: the status of gRPC if there was no message, and the message.
async fn call(server: &Server) -> (Option<String>, Vec<u8>) {
    let client = reqwest::Client::builder().http2_prior_knowledge();
    let sent = client
        .build()
        .unwrap()
        .post(format!("{}/taskyard.bench.v1.Bench/Empty", server.url))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(vec![0; 5])
        .send();
    let answer = soon(sent).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let status = answer.headers().get("grpc-status");
    let status = status.map(|status| status.to_str().unwrap().to_owned());
    (status, soon(answer.bytes()).await.unwrap().to_vec())
}

#[tokio::test]
async fn where_it_is_measured_a_server_has_a_handler_and_a_method_that_do_nothing() {
    let ground = Ground::new();
    let mut command = ground.command(&[]);
    command.env("TASKYARD_BENCH", "1");
    let server = Server::spawn(command).await;
    assert_eq!(server.get("/bench/empty").await, (204, String::new()));
    // A frame without a message; the status comes behind it.
    assert_eq!(call(&server).await, (None, vec![0; 5]));
}

#[tokio::test]
async fn elsewhere_there_is_nothing_to_measure_against() {
    let ground = Ground::new();
    let server = ground.serve(&[]).await;
    assert_eq!(server.get("/bench/empty").await.0, 404);
    assert_eq!(call(&server).await, (Some("12".to_owned()), Vec::new()));
}
