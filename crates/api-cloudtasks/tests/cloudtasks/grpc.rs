//! gRPC as it is on the wire.

use bytes::Bytes;
use taskyard_store::on_both_databases;

use crate::yard::Yard;

/// What a call came to: its status, its text as it is escaped, what is said beside it in base64,
/// and the message.
pub(crate) struct Reply {
    pub(crate) status: String,
    pub(crate) text: String,
    pub(crate) details: String,
    body: Bytes,
}

/// A client that speaks HTTP/2 from the first byte, as gRPC's do.
pub(crate) fn http2() -> reqwest::Client {
    let client = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .build();
    client.expect("a client")
}

/// Calls a method with an encoded message.
pub(crate) async fn call(yard: &Yard, http: &reqwest::Client, path: &str, message: &[u8]) -> Reply {
    let mut frame = vec![0];
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(message);
    let mut request = http
        .post(format!("{}{path}", yard.url))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(caller) = yard.caller() {
        request = request.header("authorization", caller);
    }
    let response = request.body(frame).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let header = |name: &str| {
        let value = response.headers().get(name);
        value.map_or_else(String::new, |it| it.to_str().expect("text").to_owned())
    };
    Reply {
        status: header("grpc-status"),
        text: header("grpc-message"),
        details: header("grpc-status-details-bin"),
        body: response.bytes().await.expect("a body"),
    }
}

on_both_databases! {
    async fn unknown_methods_are_unimplemented(kind) {
        let yard = Yard::new(kind).await;
        for path in ["/google.cloud.tasks.v2.CloudTasks/Dance", "/google.cloud.tasks.v9.CloudTasks/GetQueue", "/a.B/C"] {
            assert_eq!(call(&yard, &http2(), path, b"").await.status, "12", "{path}");
        }
    }

    async fn messages_that_cannot_be_read_are_refused(kind) {
        let yard = Yard::new(kind).await;
        let path = "/google.cloud.tasks.v2.CloudTasks/GetQueue";
        assert_eq!(call(&yard, &http2(), path, b"\x0a\xff\xff").await.status, "3");
        let Reply { status, text, .. } = call(&yard, &http2(), path, b"\x0a\x01x").await;
        assert_eq!((status.as_str(), text.as_str()), ("3", "Invalid%20resource%20field%20value%20in%20the%20request."));
        // Larger than a message of this method may be.
        let large = vec![0; 5 * 1024 * 1024];
        assert_eq!(call(&yard, &http2(), path, &large).await.status, "8");
    }

    async fn a_call_is_answered_with_a_message(kind) {
        let yard = Yard::new(kind).await;
        let parent = b"projects/p/locations/l";
        let mut request = vec![0x0a, parent.len() as u8];
        request.extend_from_slice(parent);
        let path = "/google.cloud.tasks.v2beta3.CloudTasks/ListQueues";
        let Reply { status, body, .. } = call(&yard, &http2(), path, &request).await;
        // Good calls have their status in the trailers, and this one has an empty message.
        assert_eq!((status.as_str(), body.as_ref()), ("", &[0_u8; 5][..]));
    }
}
