//! A network between a store and its PostgreSQL server that fails on demand.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use postgres::config::Host;
use taskyard_store::testing::{Database, Kind};
use taskyard_store::{Config, PostgresConfig};

/// The simple-query message that commits.
pub(crate) const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";
/// An Execute message of the unnamed portal, all rows.
pub(crate) const EXECUTE: &[u8] = b"E\0\0\0\x09\0\0\0\0\0";

/// A connection that breaks at the worst moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    /// What must pass on one connection, one after the other; the last one is where it breaks.
    pub(crate) after: &'static [&'static [u8]],
    /// How it breaks.
    pub(crate) breaks: Breaks,
}

/// What the server knows of a broken connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breaks {
    /// The server never gets the message.
    RequestLost,
    /// The server never gets the message and believes the client to be still there.
    Unnoticed,
    /// The server has done what was asked, but its answer is lost.
    AnswerLost,
}

/// A listener on loopback that forwards to the server.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    wires: Arc<Wires>,
}

#[derive(Debug, Default)]
struct Wires {
    server: (String, u16),
    away: AtomicBool,
    closed: AtomicBool,
    /// Faults to come, and whether the server goes away with them.
    faults: Mutex<VecDeque<(Fault, bool)>>,
    connections: Mutex<Vec<Ends>>,
}

impl Proxy {
    /// A proxy before the server of `database`, and how to open the database through it.
    pub(crate) fn before(database: &Database) -> (Self, Config) {
        let Config::Postgres(direct) = database.config() else {
            panic!("{:?}", Kind::Postgres)
        };
        let parsed: postgres::Config = direct.url.parse().expect("the URL is readable");
        let Some(Host::Tcp(host)) = parsed.get_hosts().first() else {
            panic!("the tests' server is reached by TCP")
        };
        let port = parsed.get_ports().first().copied().unwrap_or(5432);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let wires = Arc::new(Wires {
            server: (host.clone(), port),
            ..Wires::default()
        });
        let accepting = Arc::clone(&wires);
        std::thread::spawn(move || accepting.accept(&listener));
        let mut url = format!("host=127.0.0.1 port={}", address.port());
        for (key, value) in [("user", parsed.get_user()), ("dbname", parsed.get_dbname())] {
            url.push_str(
                &value
                    .map(|value| format!(" {key}='{value}'"))
                    .unwrap_or_default(),
            );
        }
        if let Some(password) = parsed.get_password() {
            write!(url, " password='{}'", String::from_utf8_lossy(password)).expect("text");
        }
        let config = PostgresConfig {
            writers: 2,
            readers: 2,
            ..PostgresConfig::new(url)
        };
        (Proxy { address, wires }, Config::Postgres(config))
    }

    /// Lets `fault` happen to the first connection that comes to its place.
    pub(crate) fn inject(&self, fault: Fault) {
        self.wires.faults.lock().push_back((fault, false));
    }

    /// As [`Proxy::inject`]; from that moment on no new connections are made.
    pub(crate) fn inject_and_go_away(&self, fault: Fault) {
        self.wires.faults.lock().push_back((fault, true));
    }

    /// Whether every injected fault has happened.
    pub(crate) fn is_done(&self) -> bool {
        self.wires.faults.lock().is_empty()
    }

    /// The server goes away: connections break and no new ones are made.
    pub(crate) fn goes_away(&self) {
        self.wires.away.store(true, Ordering::SeqCst);
        self.wires.cut_all();
    }

    /// The server is back.
    pub(crate) fn comes_back(&self) {
        self.wires.away.store(false, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wires.closed.store(true, Ordering::SeqCst);
        self.wires.cut_all();
        // Wakes the accepting thread, which then ends.
        drop(TcpStream::connect(self.address));
    }
}

impl Wires {
    fn cut_all(&self) {
        for connection in self.connections.lock().drain(..) {
            connection.cut();
        }
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.closed.load(Ordering::SeqCst) {
                return;
            }
            let client = client.expect("a connection");
            if self.away.load(Ordering::SeqCst) {
                continue;
            }
            let (host, port) = &self.server;
            let server = TcpStream::connect((host.as_str(), *port)).expect("the server answers");
            self.join(client, server);
        }
    }

    fn join(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let ends = Ends { client, server };
        ends.client.set_nodelay(true).expect("a socket");
        ends.server.set_nodelay(true).expect("a socket");
        self.connections.lock().push(ends.clone());
        if self.away.load(Ordering::SeqCst) {
            self.cut_all();
        }
        let deaf = Arc::new(AtomicBool::new(false));
        let (back, ear, wires) = (ends.clone(), Arc::clone(&deaf), Arc::clone(self));
        std::thread::spawn(move || wires.carry_there(ends, &deaf));
        std::thread::spawn(move || carry_back(back, &ear));
    }

    fn carry_there(&self, mut ends: Ends, deaf: &AtomicBool) {
        let mut buffer = vec![0; 1 << 16];
        let mut passed = 0;
        while let Ok(length @ 1..) = ends.client.read(&mut buffer) {
            let chunk = &buffer[..length];
            match self.fault_at(chunk, &mut passed) {
                Some(Breaks::RequestLost) => break,
                Some(Breaks::Unnoticed) => return cut(&ends.client),
                Some(Breaks::AnswerLost) => deaf.store(true, Ordering::SeqCst),
                None => {}
            }
            if ends.server.write_all(chunk).is_err() {
                break;
            }
            if deaf.load(Ordering::SeqCst) {
                // The server has it; the other thread breaks the connection at the answer.
                return;
            }
        }
        ends.cut();
    }

    /// The fault that `chunk` runs into; `passed` counts what the connection has passed of it.
    fn fault_at(&self, mut chunk: &[u8], passed: &mut usize) -> Option<Breaks> {
        let mut faults = self.faults.lock();
        let (fault, goes_away) = *faults.front()?;
        while let Some(awaited) = fault.after.get(*passed) {
            let at = chunk
                .windows(awaited.len())
                .position(|window| window == *awaited)?;
            chunk = &chunk[at + awaited.len()..];
            *passed += 1;
        }
        *passed = 0;
        faults.pop_front();
        if goes_away {
            self.away.store(true, Ordering::SeqCst);
        }
        Some(fault.breaks)
    }
}

fn carry_back(mut ends: Ends, deaf: &AtomicBool) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = ends.server.read(&mut buffer) {
        if deaf.load(Ordering::SeqCst) || ends.client.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    ends.cut();
}

/// Both ends of a forwarded connection.
#[derive(Debug)]
struct Ends {
    client: TcpStream,
    server: TcpStream,
}

impl Ends {
    fn clone(&self) -> Self {
        let clone = |end: &TcpStream| end.try_clone().expect("a socket");
        Ends {
            client: clone(&self.client),
            server: clone(&self.server),
        }
    }

    fn cut(&self) {
        cut(&self.client);
        cut(&self.server);
    }
}

fn cut(end: &TcpStream) {
    // It may be closed already.
    drop(end.shutdown(Shutdown::Both));
}
