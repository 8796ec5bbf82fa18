//! What tasks are sent to: writes down what it gets, and answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use tokio::sync::mpsc;

use crate::server::soon;

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

pub(crate) struct Handler {
    pub(crate) url: String,
    received: mpsc::UnboundedReceiver<Received>,
}

impl Handler {
    /// Answers with these statuses first, and then with 200.
    pub(crate) async fn start(statuses: &[u16]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, received) = mpsc::unbounded_channel();
        let statuses = Arc::new(Mutex::new(VecDeque::from(statuses.to_vec())));
        let router = Router::new().fallback(move |request: Request| {
            let (sender, statuses) = (sender.clone(), Arc::clone(&statuses));
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let Parts {
                    method,
                    uri,
                    headers,
                    ..
                } = parts;
                let status = statuses.lock().unwrap().pop_front().unwrap_or(200);
                let _ = sender.send(Received {
                    method,
                    path: uri.to_string(),
                    headers,
                    body,
                });
                (
                    StatusCode::from_u16(status).unwrap(),
                    format!("says {status}"),
                )
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Handler { url, received }
    }

    pub(crate) async fn next(&mut self) -> Received {
        soon(self.received.recv()).await.expect("the handler runs")
    }
}
