//! Where the scenario's tasks are sent.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};

/// Everything but a hang is over long before.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers with 200 to everything and tells what came.
pub(crate) struct Handler {
    address: String,
    seen: mpsc::UnboundedReceiver<String>,
}

impl Handler {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (tell, seen) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(connection, tell.clone()));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn next(&mut self) -> String {
        timeout(PATIENCE, self.seen.recv()).await.unwrap().unwrap()
    }
}

/// Serves one request, whose body is the four bytes of `work`.
async fn answer(mut connection: TcpStream, tell: mpsc::UnboundedSender<String>) {
    let (mut text, mut bytes) = (String::new(), [0; 4096]);
    while !text.ends_with("\r\n\r\nwork") {
        let count = connection.read(&mut bytes).await.unwrap();
        assert_ne!(count, 0, "it broke off after {text}");
        text += std::str::from_utf8(&bytes[..count]).unwrap();
    }
    let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    connection.write_all(reply).await.unwrap();
    tell.send(text).unwrap();
}
