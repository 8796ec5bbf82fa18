//! A service outside, as far as a test needs one: it writes down what it is asked, and answers what
//! it was told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, Request};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Something that was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Verb, path and query.
    pub(crate) what: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

#[derive(Default)]
struct Script {
    asked: Vec<Asked>,
    answers: VecDeque<Told>,
}

/// Something to answer.
struct Told {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
}

pub(crate) struct StandIn {
    /// Where it is, without a final slash.
    pub(crate) url: String,
    script: Arc<Mutex<Script>>,
    serving: JoinHandle<()>,
}

impl StandIn {
    pub(crate) async fn start() -> Self {
        let script: Arc<Mutex<Script>> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let told = Arc::clone(&script);
        let router = Router::new().fallback(move |request: Request<Body>| {
            let told = Arc::clone(&told);
            async move { answer(&told, request).await }
        });
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        StandIn {
            url,
            script,
            serving,
        }
    }

    /// What it answers next, after what it was told to before.
    pub(crate) fn answers(&self, status: u16, body: impl ToString) {
        self.answers_with(status, &[], body);
    }

    /// The same, with headers.
    pub(crate) fn answers_with(
        &self,
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: impl ToString,
    ) {
        let mut script = self.script.lock().unwrap();
        script.answers.push_back(Told {
            status,
            headers: headers.to_vec(),
            body: body.to_string(),
        });
    }

    /// What it was asked since this was last called.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.script.lock().unwrap().asked)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }
}

async fn answer(script: &Mutex<Script>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let Parts {
        method,
        uri,
        headers,
        ..
    } = parts;
    let mut script = script.lock().unwrap();
    script.asked.push(Asked {
        what: format!("{method} {uri}"),
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let told = script.answers.pop_front();
    let told = told.unwrap_or_else(|| Told {
        status: 500,
        headers: Vec::new(),
        body: "not in the script".to_owned(),
    });
    let mut response = Response::builder().status(told.status);
    for (name, value) in told.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(told.body)).unwrap()
}
