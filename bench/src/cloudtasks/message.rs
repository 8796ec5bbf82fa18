//! The messages that are sent, as far as they say something.

/// Asks for a task.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CreateTaskRequest {
    /// The queue.
    #[prost(string, tag = "1")]
    pub(crate) parent: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) task: Option<Task>,
}

/// A task that calls a handler.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Task {
    #[prost(message, optional, tag = "3")]
    pub(crate) http_request: Option<HttpRequest>,
}

/// What the handler is sent.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HttpRequest {
    #[prost(string, tag = "1")]
    pub(crate) url: String,
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) body: bytes::Bytes,
}

impl CreateTaskRequest {
    /// Asks for a task in `queue` that sends `body` to `url` by POST.
    pub(crate) fn new(queue: &str, url: &str, body: impl Into<bytes::Bytes>) -> Self {
        let http_request = HttpRequest {
            url: url.to_owned(),
            body: body.into(),
        };
        Self {
            parent: queue.to_owned(),
            task: Some(Task {
                http_request: Some(http_request),
            }),
        }
    }
}
