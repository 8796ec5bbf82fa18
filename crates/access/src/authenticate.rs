//! Who sent this request, and what may it do?

use std::sync::Arc;

use thiserror::Error;

use crate::bewit::{self, Bewit};
use crate::certificate::{self, Certificate};
use crate::client::{Client, Secret};
use crate::ext::Ext;
use crate::hawk::{Header, Purpose, Signed};
use crate::role::Roles;
use crate::scope_set::{ScopeList, ScopeSet};

/// How far the clocks of client and server may differ: 15 minutes, in milliseconds.
const SKEW_MS: f64 = 900_000.0;

/// How long the answer for a request without credentials holds: 15 minutes, in milliseconds.
const ANONYMOUS_MS: i64 = 900_000;

/// The parts of a request that a signature covers.
#[derive(Debug, Clone, Copy)]
pub struct HawkRequest<'a> {
    /// In any case.
    pub method: &'a str,
    /// Path and query exactly as received, before any decoding or rewriting.
    pub target: &'a str,
    /// From [`host_and_port`](crate::host_and_port).
    pub host: &'a str,
    /// From [`host_and_port`](crate::host_and_port).
    pub port: u16,
    /// The value of the `Authorization` header.
    pub authorization: Option<&'a str>,
}

/// What a request's credentials are worth.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Signed by a client, or with credentials that one issued.
    Success(Authenticated),
    /// Without credentials.
    Anonymous {
        /// What everyone may do.
        scopes: ScopeSet,
        /// Until when this may be relied on, in milliseconds since 1970.
        expires_ms: i64,
    },
    /// With credentials that are not valid.
    Failed {
        /// Why, for the sender to read.
        message: String,
    },
}

/// The sender of a valid request.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// The client, or the name of the temporary credentials.
    pub client_id: String,
    /// All that the request may do: expanded by roles, with what everyone may do.
    pub scopes: ScopeSet,
    /// The same before roles and everyone's scopes are added, in the order they were given in.
    pub unexpanded: ScopeList,
    /// When the credentials end, in milliseconds since 1970.
    pub expires_ms: i64,
    /// The hash of the body that the sender claims. The caller must compare it:
    /// [`payload_hash_matches`](crate::payload_hash_matches).
    pub hash: Option<String>,
}

/// Why credentials are not valid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub(crate) struct Refusal(String);

/// What credentials are worth if the request's own signature is right.
struct Claim {
    key: Secret,
    scopes: ScopeList,
    authorized_scopes: Option<ScopeList>,
    expires_ms: i64,
}

/// Decides who sent `request`.
///
/// `now_ms` is in milliseconds since 1970; `find_client` looks up a client by its id. When there
/// is both a header and a bewit, the header counts; whoever serves the request itself should
/// refuse that first, see [`HawkRequest::has_two_schemes`].
pub fn authenticate(
    request: &HawkRequest<'_>,
    now_ms: i64,
    find_client: &dyn Fn(&str) -> Option<Arc<Client>>,
    roles: &Roles,
) -> Outcome {
    let context = Context {
        request,
        now_ms,
        find_client,
        roles,
    };
    let authenticated = match request.authorization() {
        Some(header) => context.check_header(header),
        None if bewit::is_present(request.target) => context.check_bewit(),
        None => {
            return Outcome::Anonymous {
                scopes: roles.effective(&ScopeList::default()),
                expires_ms: now_ms.saturating_add(ANONYMOUS_MS),
            };
        }
    };
    match authenticated {
        Ok(authenticated) => Outcome::Success(authenticated),
        Err(Refusal(message)) => Outcome::Failed { message },
    }
}

// === impl HawkRequest ===

impl<'a> HawkRequest<'a> {
    /// An empty header is as good as none.
    fn authorization(&self) -> Option<&'a str> {
        self.authorization.filter(|header| !header.is_empty())
    }

    /// Whether the request has both an `Authorization` header and a bewit, which no server accepts.
    pub fn has_two_schemes(&self) -> bool {
        self.authorization().is_some() && bewit::is_present(self.target)
    }
}

// === impl Refusal ===

impl Refusal {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

// === impl Context ===

struct Context<'a> {
    request: &'a HawkRequest<'a>,
    now_ms: i64,
    find_client: &'a dyn Fn(&str) -> Option<Arc<Client>>,
    roles: &'a Roles,
}

impl Context<'_> {
    fn check_header(&self, header: &str) -> Result<Authenticated, Refusal> {
        let header = Header::parse(header).map_err(|error| Refusal::new(error.to_string()))?;
        let claim = self.claim(header.id, header.ext)?;
        let signed = Signed {
            purpose: Purpose::Header,
            ts: header.ts,
            nonce: header.nonce,
            method: self.request.method,
            target: self.request.target,
            host: self.request.host,
            port: self.request.port,
            hash: header.hash,
            ext: header.ext,
            app: header.app,
            dlg: header.dlg,
        };
        if !signed.is_signed_by(claim.key.expose(), header.mac) {
            return Err(Refusal::new("Unauthorized: Bad mac"));
        }
        // A time that is no number would never go stale.
        let ts = header
            .ts
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|ts| ts.is_finite());
        if !ts.is_some_and(|ts| (ts * 1000.0 - self.now_ms as f64).abs() <= SKEW_MS) {
            return Err(Refusal::new("Unauthorized: Stale timestamp"));
        }
        self.grant(header.id, claim, header.hash.map(str::to_owned))
    }

    fn check_bewit(&self) -> Result<Authenticated, Refusal> {
        let bewit = Bewit::read(self.request.method, self.request.target)?;
        let claim = self.claim(&bewit.id, bewit.ext())?;
        if !bewit.is_signed_by(claim.key.expose(), self.request.host, self.request.port) {
            return Err(Refusal::new("Unauthorized: Bad mac"));
        }
        if bewit.has_expired(self.now_ms) {
            return Err(Refusal::new("Unauthorized: Access expired"));
        }
        self.grant(&bewit.id, claim, None)
    }

    /// Finds the key with which a request by `id` must be signed, and what it would be worth.
    fn claim(&self, id: &str, ext: Option<&str>) -> Result<Claim, Refusal> {
        let ext = Ext::parse(ext)?;
        let issuer = match &ext.certificate {
            Some(certificate) => certificate::issuer(certificate, id)?,
            None => None,
        };
        let client = self.load(issuer.unwrap_or(id))?;
        let mut claim = Claim {
            key: client.access_token.clone(),
            scopes: client.scopes.clone(),
            authorized_scopes: None,
            expires_ms: client.expires_ms,
        };
        if let Some(certificate) = &ext.certificate {
            let certificate = Certificate::read(certificate, self.now_ms)?;
            certificate.verify(id, &client, &self.roles.expand_list(&client.scopes))?;
            claim.key = certificate.access_token(&client);
            claim.scopes = certificate.scopes.clone();
            claim.expires_ms = client.expires_ms.min(certificate.expiry_ms());
        }
        claim.authorized_scopes = ext.authorized_scopes()?;
        Ok(claim)
    }

    fn load(&self, client_id: &str) -> Result<Arc<Client>, Refusal> {
        let client = (self.find_client)(client_id)
            .ok_or_else(|| Refusal::new(format!("Client with clientId '{client_id}' not found")))?;
        if client.disabled {
            return Err(Refusal::new(format!(
                "Client with clientId '{client_id}' is disabled"
            )));
        }
        if client.expires_ms < self.now_ms {
            return Err(Refusal::new(format!(
                "Client with clientId: '{client_id}' has expired"
            )));
        }
        Ok(client)
    }

    /// Works out what a request may do whose signature is right.
    ///
    /// Only now may a refusal tell what scopes there are: before, anyone could have asked.
    fn grant(
        &self,
        id: &str,
        claim: Claim,
        hash: Option<String>,
    ) -> Result<Authenticated, Refusal> {
        let held = self.roles.effective(&claim.scopes);
        let (scopes, unexpanded) = match claim.authorized_scopes {
            None => (held, claim.scopes),
            Some(authorized) if held.satisfies_all(authorized.as_slice()) => {
                (self.roles.effective(&authorized), authorized)
            }
            Some(authorized) => {
                return Err(Refusal::new(format!(
                    "The credentials don't have all scopes of authorizedScopes. They have:\n\n\
                     ```\n{}\n```\n\nauthorizedScopes are:\n\n```\n{}\n```",
                    held.to_vec().join("\n"),
                    authorized.as_slice().join("\n"),
                )));
            }
        };
        Ok(Authenticated {
            client_id: id.to_owned(),
            scopes,
            unexpanded,
            expires_ms: claim.expires_ms,
            hash,
        })
    }
}
