//! The queues of one server, and what is done to them.

use crate::connection::Connection;
use crate::load::Connect as _;
use crate::server;
use anyhow::Result;
use http::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Queues that send their tasks at once. A queue sends 500 a second at most, so it takes several to
/// send as many as a server can.
pub(crate) const BUSY: usize = 16;

/// Where all queues are.
const LOCATION: &str = "projects/bench/locations/here";

/// Calls that make and change queues. Connections that are long idle are closed, so none is kept.
#[derive(Debug)]
struct Calls {
    connection: Connection,
    authorization: String,
}

/// The name of the `number`th of the queues that send at once.
pub(crate) fn busy(number: usize) -> String {
    format!("{LOCATION}/queues/busy-{}", number % BUSY)
}

/// The name of the queue that is paused.
pub(crate) fn parked() -> String {
    format!("{LOCATION}/queues/parked")
}

/// The `Authorization` of whoever may do everything.
pub(crate) fn authorization() -> String {
    format!(
        "Bearer {}:{}",
        server::ROOT_CLIENT_ID,
        server::ROOT_ACCESS_TOKEN
    )
}

/// Makes all queues.
///
/// # Errors
/// The server refuses.
pub(crate) async fn create(address: SocketAddr) -> Result<()> {
    let mut calls = Calls::to(address).await?;
    for name in (0..BUSY).map(busy).chain([parked()]) {
        let limits = json!({ "maxDispatchesPerSecond": 500, "maxConcurrentDispatches": 5000 });
        let queue = json!({ "name": name, "rateLimits": limits });
        calls
            .send(Method::POST, &format!("{LOCATION}/queues"), &queue)
            .await?;
    }
    let pause = format!("{}:pause", parked());
    calls.send(Method::POST, &pause, &json!({})).await
}

/// Lets the paused queue send so many tasks a second.
///
/// # Errors
/// The server refuses.
pub(crate) async fn resume(address: SocketAddr, per_second: f64) -> Result<()> {
    let mut calls = Calls::to(address).await?;
    let queue = json!({ "rateLimits": { "maxDispatchesPerSecond": per_second } });
    let path = format!("{}?updateMask=rateLimits.maxDispatchesPerSecond", parked());
    calls.send(Method::PATCH, &path, &queue).await?;
    let resume = format!("{}:resume", parked());
    calls.send(Method::POST, &resume, &json!({})).await
}

impl Calls {
    async fn to(address: SocketAddr) -> Result<Self> {
        Ok(Self {
            connection: Connection::connect(address).await?,
            authorization: authorization(),
        })
    }

    async fn send(&mut self, method: Method, path: &str, body: &Value) -> Result<()> {
        let (target, body) = (format!("/v2/{path}"), body.to_string().into());
        let sent = self
            .connection
            .send(method, &target, Some(&self.authorization), Some(body));
        sent.await.map(drop)
    }
}
