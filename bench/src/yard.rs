//! The server under load as phases see it: where it is, who speaks to it, and for how long.

use crate::empty::Empty;
use crate::identity::Identity;
use crate::load::{self, Client, Limit, Outcome};
use crate::server::{self, Server};
use crate::turns::TURNS;
use anyhow::Result;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use taskyard_access::sign::Credentials;

/// A server, and who speaks to it.
#[derive(Debug, Clone)]
pub(crate) struct Yard {
    pub(crate) address: SocketAddr,
    pid: u32,
    /// The client that may do everything.
    pub(crate) root: Arc<Identity>,
    /// The length of a phase.
    pub(crate) duration: Duration,
}

impl Yard {
    /// Puts load on `server` for `duration` at a time.
    ///
    /// # Errors
    /// The root client cannot sign.
    pub(crate) fn of(server: &Server, duration: Duration) -> Result<Self> {
        Self::at(server.address(), server.pid(), duration)
    }

    /// The same with whoever listens at `address`; what the process `pid` uses is counted as the
    /// server's.
    ///
    /// # Errors
    /// The root client cannot sign.
    pub(crate) fn at(address: SocketAddr, pid: u32, duration: Duration) -> Result<Self> {
        let root = Credentials {
            client_id: server::ROOT_CLIENT_ID.to_owned(),
            access_token: server::ROOT_ACCESS_TOKEN.into(),
            certificate: None,
        };
        Ok(Self {
            address,
            pid,
            root: Arc::new(Identity::new(address, &root)?),
            duration,
        })
    }

    /// As long as a phase takes.
    pub(crate) fn timed(&self) -> Limit {
        Limit::time(self.duration)
    }

    /// As long as one turn of a phase takes.
    pub(crate) fn turn(&self) -> Limit {
        Limit::time(self.duration / TURNS)
    }

    /// Runs each of `clients` on a connection of its own.
    ///
    /// # Errors
    /// The first failure of any connection ends the run.
    pub(crate) async fn load<C: Client>(
        &self,
        clients: impl IntoIterator<Item = C>,
        limit: Limit,
    ) -> Result<Outcome> {
        let clients = clients.into_iter().collect();
        load::run(self.address, self.pid, clients, limit).await
    }

    /// Calls the handler that others are compared with.
    ///
    /// # Errors
    /// As [`Yard::load`].
    pub(crate) async fn empty(&self, connections: usize, limit: Limit) -> Result<Outcome> {
        self.load(std::iter::repeat_n(Empty, connections), limit)
            .await
    }
}
