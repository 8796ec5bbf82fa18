//! How much of the server one client may hold.

use std::time::Duration;

/// What the listener grants. The defaults suit a server on the open internet.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Time to send the head of a request, counted on HTTP/1.1 from the end of the one before; so
    /// it also ends connections that idle.
    pub header_read: Duration,
    /// How often an HTTP/2 connection is asked whether it still lives.
    pub keep_alive_interval: Duration,
    /// Time to answer that question.
    pub keep_alive_timeout: Duration,
    /// Requests in flight on one HTTP/2 connection.
    pub concurrent_streams: u32,
    /// Connections open at once; further ones wait in the system's queue.
    pub connections: usize,
    /// How long a client that still sends may go on after the answer that refuses it.
    pub linger: Duration,
    /// How long a shutdown waits for requests in flight.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_read: Duration::from_secs(10),
            keep_alive_interval: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(20),
            concurrent_streams: 256,
            connections: 10_000,
            linger: Duration::from_secs(2),
            shutdown: Duration::from_secs(30),
        }
    }
}
