//! The handler that does nothing: the ceiling of a listener on this machine.

use crate::connection::Connection;
use crate::latency::Samples;
use crate::load::Client;
use anyhow::Result;
use http::Method;

/// The phase that others are compared with.
pub(crate) const EMPTY: &str = "empty";

/// Calls the handler that does nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Empty;

impl Client for Empty {
    type Connection = Connection;

    async fn step(&mut self, connection: &mut Connection, samples: &mut Samples) -> Result<()> {
        let answer = connection
            .send(Method::GET, "/bench/empty", None, None)
            .await?;
        samples.request(EMPTY, answer.elapsed)
    }
}
