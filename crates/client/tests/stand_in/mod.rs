//! A server that speaks just enough HTTP to answer a client and remember what it said.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// Status line, extra headers and body of an answer.
pub(crate) type Answer = (&'static str, String, Vec<u8>);

/// Answers requests in order, one per connection, and remembers them.
pub(crate) struct StandIn {
    pub(crate) root_url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl StandIn {
    /// The last of `answers` is repeated.
    pub(crate) async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let root_url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        tokio::spawn(async move {
            let mut answers = answers.into_iter();
            let mut last = None;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                last = answers.next().or(last);
                let (status, headers, body) = last.clone().unwrap();
                answer(stream, status, &headers, &body, &record).await;
            }
        });
        Self { root_url, seen }
    }

    /// The requests so far. A client that has its answer finds its request here.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(
    stream: TcpStream,
    status: &str,
    headers: &str,
    body: &[u8],
    record: &Mutex<Vec<Seen>>,
) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    let mut words = line.split(' ').map(str::to_owned);
    let mut seen = Seen {
        method: words.next().unwrap(),
        target: words.next().unwrap(),
        ..Seen::default()
    };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        let former = seen.headers.insert(name.to_lowercase(), value.to_owned());
        assert_eq!(former, None, "the header {name} was sent twice");
    }
    let length = seen
        .headers
        .get("content-length")
        .map_or(0, |text| text.parse().unwrap());
    seen.body.resize(length, 0);
    stream.read_exact(&mut seen.body).await.unwrap();
    record.lock().unwrap().push(seen);
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    stream.shutdown().await.unwrap();
}

/// An answer in JSON.
pub(crate) fn json(status: &'static str, body: &str) -> Answer {
    (
        status,
        "Content-Type: application/json\r\n".to_owned(),
        body.as_bytes().to_vec(),
    )
}
