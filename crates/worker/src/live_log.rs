//! Serves the logs of running tasks, each under an address that nobody can guess.

use std::{collections::HashMap, io, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use parking_lot::Mutex;
use taskyard_client::slugid;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{Config, log::TaskLog};

type Logs = Arc<Mutex<HashMap<String, TaskLog>>>;

/// Headers of every log: it is a stranger's text, not a page.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "sandbox"),
    (header::CACHE_CONTROL, "no-store"),
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
];

/// The listener of a worker.
#[derive(Debug)]
pub(crate) struct LiveLogs {
    base_url: String,
    logs: Logs,
    stop: CancellationToken,
    _server: AbortOnDropHandle<()>,
}

/// A log that can be read as long as this lives. Readers that are connected read on to its end.
#[derive(Debug)]
pub(crate) struct Published {
    /// Where it can be read.
    pub(crate) url: String,
    secret: String,
    logs: Logs,
}

// === impl LiveLogs ===

impl LiveLogs {
    /// Starts listening.
    ///
    /// # Errors
    /// When the address is taken or not this machine's.
    pub(crate) async fn start(config: &Config) -> io::Result<Self> {
        let listener = TcpListener::bind(config.live_log_address).await?;
        let base_url = match &config.live_log_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", listener.local_addr()?),
        };
        let logs = Logs::default();
        let router = Router::new()
            .route("/log/{secret}", get(read))
            .with_state(Arc::clone(&logs));
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let server = tokio::spawn(async move {
            let served = axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .await;
            if let Err(error) = served {
                tracing::error!(%error, "live logs are no longer served");
            }
        });
        Ok(Self {
            base_url,
            logs,
            stop,
            _server: AbortOnDropHandle::new(server),
        })
    }

    /// Makes a log readable.
    pub(crate) fn publish(&self, log: TaskLog) -> Published {
        let secret = slugid::v4();
        self.logs.lock().insert(secret.clone(), log);
        let url = format!("{}/log/{secret}", self.base_url);
        Published {
            url,
            secret,
            logs: Arc::clone(&self.logs),
        }
    }

    /// Accepts no more readers.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.logs.lock().remove(&self.secret);
    }
}

async fn read(State(logs): State<Logs>, Path(secret): Path<String>) -> Response {
    let log = logs.lock().get(&secret).cloned();
    match log {
        Some(log) => (HEADERS, Body::from_stream(log.follow())).into_response(),
        None => (
            StatusCode::NOT_FOUND,
            "no such log, or its task has ended\n",
        )
            .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use taskyard_client::{Options, taskcluster::Queue};

    use super::*;

    #[tokio::test]
    async fn a_published_log_is_read_to_its_end_and_then_gone() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::new("http://127.0.0.1:9", "p/w", "g", "w", folder.path());
        let live_logs = LiveLogs::start(&config).await.unwrap();
        let log = TaskLog::create(&folder.path().join("live.log"), 1000)
            .await
            .unwrap();
        let published = live_logs.publish(log.clone());
        let queue = Queue::new(Options::new("http://127.0.0.1:9")).unwrap();
        log.output(b"before ").await;

        let mut text = Vec::new();
        let writing = async {
            log.output(b"during").await;
            log.close().await;
        };
        let reading = queue.service().download(&published.url, &mut text);
        let (read, ()) = tokio::join!(reading, writing);
        assert_eq!(
            read.unwrap().content_type.as_deref(),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(text, b"before during");

        let url = published.url.clone();
        drop(published);
        let gone = queue.service().download(&url, &mut Vec::new()).await;
        assert_eq!(gone.unwrap_err().status(), Some(404));
    }
}
