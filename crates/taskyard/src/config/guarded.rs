//! The services outside that the auth service gives tokens for. Each has a secret in common with
//! the server; without one, its method answers that it is not configured.

use taskyard_api_taskcluster::auth::{Guarded, Statsum, Webhooktunnel};

use super::Error;
use super::sources::Sources;
use super::value;

/// What the secrets are.
const SECRET: &str = "a secret of 16 characters or more";

/// What the addresses are.
const ADDRESS: &str = "an address, such as https://tunnel.example.com";

/// Reads the settings of all of them.
pub(super) fn from_sources(sources: &Sources) -> Result<Guarded, Error> {
    let secret = |key| sources.optional(key, SECRET, value::shared_secret);
    let pair = |address: &'static str, key: &'static str| match (
        sources.optional(address, ADDRESS, value::web_address)?,
        secret(key)?,
    ) {
        (Some(address), Some(secret)) => Ok(Some((address, secret))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Error::Half {
            given: address,
            missing: key,
        }),
        (None, Some(_)) => Err(Error::Half {
            given: key,
            missing: address,
        }),
    };
    Ok(Guarded {
        statsum: pair("statsum-url", "statsum-secret")?
            .map(|(base_url, secret)| Statsum { base_url, secret }),
        webhooktunnel: pair("webhooktunnel-url", "webhooktunnel-secret")?
            .map(|(proxy_url, secret)| Webhooktunnel { proxy_url, secret }),
        websocktunnel: secret("websocktunnel-secret")?,
    })
}
