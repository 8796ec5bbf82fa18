//! One figure of the server's own.

use anyhow::{Context as _, Result};
use http::Method;
use std::net::SocketAddr;

use crate::connection::Connection;
use crate::load::Connect as _;

/// Messages that the broker was given.
pub(crate) const PUBLISHED: &str = "taskyard_events_published_total";

/// The figure `name` as the server tells it; 0 if it does not yet.
///
/// # Errors
/// The server did not answer.
pub(crate) async fn read(address: SocketAddr, name: &str) -> Result<f64> {
    let mut connection = Connection::connect(address).await?;
    let answer = connection.send(Method::GET, "/metrics", None, None).await?;
    let text = String::from_utf8_lossy(&answer.body);
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|rest| rest.split_whitespace().last());
    value.map_or(Ok(0.0), |value| {
        value.parse().with_context(|| format!("{name} is {value}"))
    })
}
