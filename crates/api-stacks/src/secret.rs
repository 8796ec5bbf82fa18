//! Tokens that are made here, and what is kept of them.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::{Builder, Uuid};

use crate::problem::Problem;

/// What a token is for, as its beginning tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Stacks, and agents that register.
    Cluster,
    /// An agent that has registered.
    Agent,
    /// A job that runs.
    Job,
    /// An agent that is to acquire one job.
    Acquisition,
}

impl Purpose {
    const ALL: [Purpose; 4] = [
        Purpose::Cluster,
        Purpose::Agent,
        Purpose::Job,
        Purpose::Acquisition,
    ];

    fn prefix(self) -> &'static str {
        match self {
            Purpose::Cluster => "bkct_",
            Purpose::Agent => "bkaa_",
            Purpose::Job => "bkaj_",
            Purpose::Acquisition => "bkjat_",
        }
    }

    /// What a token of ours is for.
    pub(crate) fn of(token: &str) -> Option<Self> {
        Purpose::ALL
            .into_iter()
            .find(|purpose| token.starts_with(purpose.prefix()))
    }
}

/// A new token: 256 random bits.
pub(crate) fn new_token(purpose: Purpose) -> Result<String, Problem> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| Problem::internal("there are no random bytes"))?;
    Ok(format!(
        "{}{}",
        purpose.prefix(),
        URL_SAFE_NO_PAD.encode(bytes)
    ))
}

/// What is kept of a token. Nobody can guess 256 bits, so the plain hash is enough, and looking it
/// up tells nothing by the time it takes.
pub(crate) fn hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()))
}

/// A UUID that always belongs to the same `name`.
pub(crate) fn uuid_of(name: &str) -> Uuid {
    let hash = digest(&SHA256, name.as_bytes());
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(hash.as_ref()) {
        *byte = *hashed;
    }
    Builder::from_random_bytes(bytes).into_uuid()
}
