//! Events on their way to a broker: nodes that share the way, a broker that is away, and TLS.

use std::collections::HashMap;
use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{
    BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, ExchangeKind};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use taskyard_client::slugid;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::ChildStderr;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::caller::Caller;
use crate::postgres::Remote;
use crate::process::{Ground, PATIENCE, Server, soon};

const EXCHANGE: &str = "exchange/taskcluster-queue/v1/task-defined";

fn broker() -> String {
    std::env::var("TASKYARD_TEST_AMQP_URL")
        .expect("TASKYARD_TEST_AMQP_URL is not set: run the tests with `cargo xtask test`")
}

/// Somebody who hears from the broker which tasks of a group are defined.
struct Listener {
    deliveries: lapin::Consumer,
    /// How often each task was heard of.
    heard: HashMap<String, usize>,
    _connection: Connection,
    /// Keeps others from stopping the broker. Shared with all who only use it.
    _uses: File,
}

impl Listener {
    async fn start(group: &str) -> Self {
        let uses = tokio::task::spawn_blocking(|| {
            let file = File::create(std::env::temp_dir().join("taskyard-broker.lock"))?;
            file.lock_shared().map(|()| file)
        });
        let uses = uses.await.unwrap().unwrap();
        let connection = Connection::connect(&broker(), ConnectionProperties::default()).await;
        let connection = connection.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        let none = FieldTable::default;
        channel
            .exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, none())
            .await
            .unwrap();
        let exclusive = QueueDeclareOptions {
            exclusive: true,
            ..QueueDeclareOptions::default()
        };
        let queue = format!("queue/tests/{}", slugid::nice());
        channel
            .queue_declare(queue.as_str().into(), exclusive, none())
            .await
            .unwrap();
        let key = format!("primary.*.*.*.*.*.*.*.{group}.#");
        channel
            .queue_bind(
                queue.as_str().into(),
                EXCHANGE.into(),
                key.as_str().into(),
                QueueBindOptions::default(),
                none(),
            )
            .await
            .unwrap();
        let unacknowledged = BasicConsumeOptions {
            no_ack: true,
            ..BasicConsumeOptions::default()
        };
        let deliveries = channel
            .basic_consume(queue.as_str().into(), "".into(), unacknowledged, none())
            .await
            .unwrap();
        Listener {
            deliveries,
            heard: HashMap::new(),
            _connection: connection,
            _uses: uses,
        }
    }

    /// Listens until each of these tasks was heard of.
    async fn hear(&mut self, ids: &[String]) {
        let all = async {
            while !ids.iter().all(|id| self.heard.contains_key(id)) {
                let delivery = self.deliveries.next().await.unwrap().unwrap();
                let payload: Value = serde_json::from_slice(&delivery.data).unwrap();
                let id = payload["status"]["taskId"].as_str().unwrap();
                *self.heard.entry(id.to_owned()).or_default() += 1;
            }
        };
        tokio::time::timeout(2 * PATIENCE, all)
            .await
            .expect("all is heard");
    }
}

/// Creates tasks of a group, at one server after the other.
async fn create(callers: &[Caller], group: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for at in 0..count {
        let id = slugid::nice();
        let caller = &callers[at % callers.len()];
        caller
            .create(&id, json!({"taskGroupId": group}))
            .await
            .unwrap();
        ids.push(id);
    }
    ids
}

/// What a server logs.
struct Log(Lines<BufReader<ChildStderr>>);

impl Log {
    fn of(server: &mut Server) -> Self {
        Log(BufReader::new(server.process.stderr.take().unwrap()).lines())
    }

    /// The first line with this text.
    async fn until(&mut self, text: &str) -> String {
        loop {
            let line = self
                .0
                .next_line()
                .await
                .unwrap()
                .expect("the server goes on");
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Reads on, so that the server can go on writing.
    fn drain(mut self) {
        tokio::spawn(async move { while let Ok(Some(_)) = self.0.next_line().await {} });
    }
}

/// How many events wait for the broker, as a server tells who watches it; `None` before it says.
async fn backlog(server: &Server) -> Option<f64> {
    let (_, text) = server.get("/metrics").await;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("taskyard_events_backlog "));
    line.and_then(|number| number.parse().ok())
}

async fn until_backlog(server: &Server, wanted: impl Fn(f64) -> bool) {
    soon(async {
        while !backlog(server).await.is_some_and(&wanted) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// Waits until it is stored that everything so far is published. What a server tells of its backlog
/// may be older than the newest events.
async fn until_stored(remote: &Remote) {
    let stored = "SELECT ((SELECT max(id) FROM events) <= position)::text \
                  FROM event_cursors WHERE reader = 'amqp'";
    soon(async {
        while remote.text(stored).await != "true" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// The way to the broker: it can be closed, and have TLS at its beginning.
struct Road {
    address: SocketAddr,
    open: watch::Sender<bool>,
    /// How many connections are on it.
    carried: Arc<watch::Sender<usize>>,
}

impl Road {
    async fn build(is_open: bool, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, is_open) = watch::channel(is_open);
        let carried = Arc::new(watch::Sender::new(0));
        let authority = broker();
        let authority = authority.split('@').next_back().unwrap();
        let broker = authority.split('/').next().unwrap().to_owned();
        let counted = Arc::clone(&carried);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (tls, broker, mut open) = (tls.clone(), broker.clone(), is_open.clone());
                counted.send_modify(|count| *count += 1);
                let counted = Arc::clone(&counted);
                tokio::spawn(async move {
                    let there_and_back = async {
                        let far = TcpStream::connect(broker).await?;
                        match tls {
                            Some(tls) => carry(tls.accept(near).await?, far).await,
                            None => carry(near, far).await,
                        }
                    };
                    tokio::select! {
                        biased;
                        _closed = open.wait_for(|open| !open) => {}
                        _ended = there_and_back => {}
                    }
                    counted.send_modify(|count| *count -= 1);
                });
            }
        });
        Road {
            address,
            open,
            carried,
        }
    }

    fn open(&self) {
        self.open.send_replace(true);
    }

    /// Lets nobody through any more; who is on it is cut off when this returns.
    async fn close(&self) {
        self.open.send_replace(false);
        soon(self.carried.subscribe().wait_for(|count| *count == 0))
            .await
            .unwrap();
    }

    fn url(&self, scheme: &str) -> String {
        format!(
            "{scheme}://guest:guest@localhost:{}/%2f",
            self.address.port()
        )
    }
}

async fn carry(
    mut near: impl AsyncRead + AsyncWrite + Unpin,
    mut far: TcpStream,
) -> std::io::Result<()> {
    tokio::io::copy_bidirectional(&mut near, &mut far)
        .await
        .map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_nodes_publishes_and_the_other_goes_on_when_it_is_killed() {
    let remote = Remote::new().await;
    let grounds = [(); 2].map(|()| Ground::on_postgres(&remote.url));
    let key = grounds[0].path().join("shared.key");
    let group = slugid::nice();
    let mut listener = Listener::start(&group).await;
    let mut servers = Vec::new();
    for ground in &grounds {
        let mut command = ground.command(&[]);
        command.env("TASKYARD_SECRET_KEY_FILE", &key);
        command.env("TASKYARD_AMQP_URL", broker());
        servers.push(Server::spawn(command).await);
    }
    let callers = [0, 1].map(|at| Caller::root(&servers[at].url));
    let mut first = create(&callers, &group, 60).await;
    listener.hear(&first).await;
    // Messages come in order, so another one of an earlier task would have come by now.
    first.extend(create(&callers, &group, 2).await);
    listener.hear(&first).await;
    assert!(
        listener.heard.values().all(|times| *times == 1),
        "{:?}",
        listener.heard
    );

    // One of them publishes, and says how far it is.
    let mut logs: Vec<Log> = servers.iter_mut().map(Log::of).collect();
    let says = "this node publishes events to the broker";
    let (one, other) = logs.split_at_mut(1);
    let publishing = soon(async {
        tokio::select! {
            _line = one[0].until(says) => 0,
            _line = other[0].until(says) => 1,
        }
    })
    .await;
    logs.into_iter().for_each(Log::drain);
    until_stored(&remote).await;
    let under_way = create(&callers, &group, 40).await;
    servers.remove(publishing).kill().await;
    let left = std::slice::from_ref(&callers[1 - publishing]);
    let later = create(left, &group, 20).await;
    listener.hear(&under_way).await;
    listener.hear(&later).await;
    // What was on its way when the node died may come again, and nothing else does.
    for id in first.iter().chain(&later) {
        assert_eq!(listener.heard[id], 1, "{id}");
    }
    assert!(under_way.iter().all(|id| listener.heard[id] <= 2));
    until_backlog(&servers[0], |backlog| backlog == 0.0).await;
    drop(servers);
    remote.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_leaves_the_relay_to_whoever_comes_first() {
    let remote = Remote::new().await;
    let grounds = [(); 2].map(|()| Ground::on_postgres(&remote.url));
    let key = grounds[0].path().join("shared.key");
    let group = slugid::nice();
    let mut listener = Listener::start(&group).await;
    let mut ids = Vec::new();
    for ground in &grounds {
        let mut command = ground.command(&["--log-level", "error"]);
        command.env("TASKYARD_SECRET_KEY_FILE", &key);
        command.env("TASKYARD_AMQP_URL", broker());
        let server = Server::spawn(command).await;
        ids.extend(create(&[Caller::root(&server.url)], &group, 20).await);
        listener.hear(&ids).await;
        until_backlog(&server, |backlog| backlog == 0.0).await;
        server.signal("TERM").await;
        assert!(server.ended().await.status.success());
        assert_eq!(remote.text("SELECT holder FROM event_cursors").await, "");
    }
    assert!(
        listener.heard.values().all(|times| *times == 1),
        "{:?}",
        listener.heard
    );
    remote.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_broker_that_is_away_can_be_seen_and_is_told_when_it_is_back() {
    let group = slugid::nice();
    let mut listener = Listener::start(&group).await;
    let road = Road::build(false, None).await;
    let ground = Ground::new();
    let mut command = ground.command(&["--log-level", "error"]);
    command.env("TASKYARD_AMQP_URL", road.url("amqp"));
    let server = Server::spawn(command).await;
    let callers = [Caller::root(&server.url)];
    for round in 0..2 {
        let ids = create(&callers, &group, 20).await;
        until_backlog(&server, |backlog| backlog >= 20.0).await;
        assert_eq!(listener.heard.len(), 20 * round);
        road.open();
        listener.hear(&ids).await;
        until_backlog(&server, |backlog| backlog == 0.0).await;
        road.close().await;
    }
    assert!(
        listener.heard.values().all(|times| *times == 1),
        "{:?}",
        listener.heard
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_behind_tls_is_used_if_its_certificate_is_trusted() {
    let group = slugid::nice();
    let mut listener = Listener::start(&group).await;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let road = Road::build(true, Some(TlsAcceptor::from(Arc::new(tls)))).await;
    let ground = Ground::new();
    let trusted = ground.path().join("trusted.pem");
    std::fs::write(&trusted, made.cert.pem()).unwrap();
    let serve = async |trusted: Option<&std::path::Path>| {
        let mut command = ground.command(&[]);
        command.env("TASKYARD_AMQP_URL", road.url("amqps"));
        command
            .env_remove("SSL_CERT_DIR")
            .env_remove("SSL_CERT_FILE");
        if let Some(trusted) = trusted {
            command.env("SSL_CERT_FILE", trusted);
        }
        Server::spawn(command).await
    };
    let mut stranger = serve(None).await;
    let line = soon(Log::of(&mut stranger).until("events wait for the broker")).await;
    assert!(
        line.contains("certificate") && !line.contains("guest:guest"),
        "{line}"
    );
    stranger.kill().await;

    let server = serve(Some(&trusted)).await;
    let ids = create(&[Caller::root(&server.url)], &group, 3).await;
    listener.hear(&ids).await;
}
