//! In whose name a connection speaks to the server: signs requests as any client does.

use anyhow::Result;
use bytes::Bytes;
use http::Method;
use std::net::SocketAddr;
use taskyard_access::sign::{self, Credentials, Destination, Payload, Signer};

/// Credentials for one server.
#[derive(Debug)]
pub(crate) struct Identity {
    signer: Signer,
    address: SocketAddr,
    /// The address as it stands in the `Host` header, without port.
    host: String,
}

impl Identity {
    /// Who `credentials` name, towards the server at `address`.
    ///
    /// # Errors
    /// Credentials that cannot be used for signing.
    pub(crate) fn new(address: SocketAddr, credentials: &Credentials) -> Result<Self> {
        let signer = Signer::new(credentials, None)?;
        Ok(Self {
            signer,
            address,
            host: address.ip().to_string(),
        })
    }

    /// Another identity towards the same server.
    ///
    /// # Errors
    /// Credentials that cannot be used for signing.
    pub(crate) fn with(&self, credentials: &Credentials) -> Result<Self> {
        Self::new(self.address, credentials)
    }

    /// The `Authorization` header of one request at `now_ms`; `body` is JSON, and its hash is
    /// signed along.
    pub(crate) fn sign(
        &self,
        method: &Method,
        target: &str,
        body: Option<&Bytes>,
        now_ms: i64,
    ) -> String {
        let to = Destination {
            target,
            host: &self.host,
            port: self.address.port(),
        };
        let payload = body.map(|body| Payload {
            content_type: "application/json",
            body,
        });
        self.signer.authorization_header(
            method.as_str(),
            &to,
            now_ms.div_euclid(1000),
            &sign::nonce(),
            payload,
        )
    }
}
