//! A request, before it is sent.

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use serde_json::Value;
use taskyard_access::sign::{Destination, nonce};
use taskyard_access::{Payload, Signer};
use taskyard_engine::Timestamp;

use crate::who::Who;

/// The host that requests are made to.
const HOST: &str = "queue.test";

/// A request, before it is sent.
#[derive(Debug)]
pub(crate) struct Ask {
    verb: String,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Sent in place of `body`, which only counts for the signature then.
    stream: Option<Body>,
    who: Who,
}

impl Ask {
    pub(crate) fn new(verb: &str, target: &str) -> Self {
        let target = target
            .strip_prefix(crate::house::ROOT_URL)
            .unwrap_or(target)
            .to_owned();
        let (headers, body) = (Vec::new(), Vec::new());
        Ask {
            verb: verb.to_owned(),
            target,
            headers,
            body,
            stream: None,
            who: Who::Nobody,
        }
    }

    pub(crate) fn by(mut self, who: Who) -> Self {
        self.who = who;
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.json_text(body.to_string())
    }

    pub(crate) fn json_text(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", "application/json")
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A body that comes in these parts; an error is a sender that hangs up.
    pub(crate) fn parts(mut self, parts: Vec<std::io::Result<Bytes>>) -> Self {
        self.stream = Some(Body::from_stream(futures_util::stream::iter(parts)));
        self
    }

    /// The request, signed at `now`.
    pub(crate) fn sign(self, now: Timestamp) -> Request<Body> {
        let mut request = Request::builder()
            .method(self.verb.as_str())
            .uri(&self.target)
            .header("host", HOST);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let (credentials, scopes) = match &self.who {
            Who::Nobody => (None, None),
            Who::Holder(credentials) => (Some(credentials), None),
            Who::Restricted(credentials, scopes) => (Some(credentials), Some(scopes.as_slice())),
        };
        if let Some(credentials) = credentials {
            let signer = Signer::new(credentials, scopes).expect("usable credentials");
            let to = Destination {
                target: &self.target,
                host: HOST,
                port: 80,
            };
            let json = self.headers.iter().any(|(name, _)| *name == "content-type");
            let payload = json.then_some(Payload {
                content_type: "application/json",
                body: &self.body,
            });
            let seconds = now.millis() / 1000;
            let header = signer.authorization_header(&self.verb, &to, seconds, &nonce(), payload);
            request = request.header("authorization", header);
        }
        let body = self.stream.unwrap_or_else(|| Body::from(self.body));
        request.body(body).expect("a request")
    }
}
