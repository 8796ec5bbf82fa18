//! Buckets of a server that speaks as Amazon S3 does, and is none of ours.

use std::time::Duration;

use taskyard_access::{Secret, slugid};
use taskyard_api_taskcluster::queue::Bucket;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Names the server, such as `http://127.0.0.1:5000`.
const VARIABLE: &str = "TASKYARD_TEST_S3_URL";

/// An empty bucket.
pub(crate) async fn new() -> Bucket {
    let url = std::env::var(VARIABLE)
        .unwrap_or_else(|_| panic!("{VARIABLE} is not set: run the tests with `cargo xtask test`"));
    let host = url.trim_start_matches("http://").to_owned();
    let name = format!(
        "b{}",
        slugid::nice().to_lowercase().replace(['_', '-'], "0")
    );
    let request = format!(
        "PUT /{name} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let mut answer = String::new();
    let made = tokio::time::timeout(Duration::from_secs(20), async {
        let mut stream = TcpStream::connect(&host).await?;
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_string(&mut answer).await
    });
    made.await.expect("it answers").expect("it is there");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Bucket {
        name,
        prefix: "kept/here".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: Some(url),
        credentials: Some(("somebody".to_owned(), Secret::new("something"))),
    }
}
