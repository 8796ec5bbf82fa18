//! Who calls, and what they may do.

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use taskyard_access::{
    Directory, HawkRequest, Outcome, ScopeSet, Token, authenticate, host_and_port,
    payload_hash_matches,
};
use taskyard_engine::Timestamp;

use crate::problem::Problem;

/// Something that is done to a group. The scope is `taskstore:<what>:<group>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    Read,
    Update,
    Claim,
}

impl Right {
    fn word(self) -> &'static str {
        match self {
            Right::Read => "read",
            Right::Update => "update",
            Right::Claim => "claim",
        }
    }

    /// The scope for `group`, or for every group if that is `*`.
    fn scope(self, group: &str) -> String {
        format!("taskstore:{}:{group}", self.word())
    }
}

/// The sender of a request. Its `clientid` is another thing: anyone may choose any.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    is_known: bool,
    scopes: ScopeSet,
}

impl Caller {
    /// Finds out who sent a request. `trust_forwarded` believes the headers of a proxy.
    pub(crate) fn of(
        parts: &Parts,
        body: &[u8],
        now: Timestamp,
        directory: &Directory,
        trust_forwarded: bool,
    ) -> Result<Self, Problem> {
        let refused = |text: &str| Problem::Unauthorized(text.to_owned());
        let mut authorizations = parts.headers.get_all(AUTHORIZATION).iter();
        let authorization = authorizations.next().map(HeaderValue::to_str).transpose();
        let authorization = authorization.map_err(|_| refused("Invalid header syntax"))?;
        if authorizations.next().is_some() {
            return Err(refused("several Authorization headers"));
        }
        let known = directory.snapshot();
        let outcome = if let Some(token) = authorization.and_then(Token::read) {
            token.check(now.millis(), &known)
        } else {
            let header = |name: &str| parts.headers.get(name).and_then(|it| it.to_str().ok());
            let forwarded = |name: &str| header(name).filter(|_| trust_forwarded);
            // HTTP/2 has the host in the target.
            let host = parts
                .uri
                .authority()
                .map_or_else(|| header("host"), |it| Some(it.as_str()));
            let port = forwarded("x-forwarded-port");
            let at = host_and_port(host, port, forwarded("x-forwarded-proto"), false)
                .map_err(|error| Problem::Unauthorized(error.to_string()))?;
            let request = HawkRequest {
                method: parts.method.as_str(),
                target: parts
                    .uri
                    .path_and_query()
                    .map_or("/", |target| target.as_str()),
                host: &at.host,
                port: at.port,
                authorization,
            };
            if request.has_two_schemes() {
                return Err(refused("Cannot use two schemes of authentication at once."));
            }
            let find = |client_id: &str| known.client(client_id);
            authenticate(&request, now.millis(), &find, &known.roles)
        };
        match outcome {
            Outcome::Anonymous { scopes, .. } => Ok(Caller {
                is_known: false,
                scopes,
            }),
            Outcome::Failed { message } => Err(Problem::Unauthorized(message)),
            Outcome::Success(sender) => {
                if let Some(hash) = &sender.hash {
                    let content_type = parts.headers.get(CONTENT_TYPE);
                    let content_type = content_type.and_then(|it| it.to_str().ok());
                    if !payload_hash_matches(hash, content_type.unwrap_or_default(), body) {
                        return Err(refused("Invalid payload hash"));
                    }
                }
                Ok(Caller {
                    is_known: true,
                    scopes: sender.scopes,
                })
            }
        }
    }

    /// Whether the caller has `right` on `group`.
    pub(crate) fn may(&self, right: Right, group: &str) -> bool {
        self.scopes.satisfies(&right.scope(group))
    }

    /// Whether the caller has `right` on all groups.
    pub(crate) fn may_everywhere(&self, right: Right) -> bool {
        self.may(right, "*")
    }

    /// Whether the caller has `right` on any group at all.
    fn may_somewhere(&self, right: Right) -> bool {
        let start = right.scope("");
        self.scopes.iter().any(|scope| {
            scope.starts_with(&start)
                || scope
                    .strip_suffix('*')
                    .is_some_and(|stem| start.starts_with(stem))
        })
    }

    /// Makes sure of `right` on `group`.
    pub(crate) fn require(&self, right: Right, group: &str) -> Result<(), Problem> {
        if self.may(right, group) {
            return Ok(());
        }
        Err(self.refusal(&right.scope(group)))
    }

    /// Makes sure of `right` on some group: enough to be told that something is not there.
    pub(crate) fn require_somewhere(&self, right: Right) -> Result<(), Problem> {
        if self.may_somewhere(right) {
            return Ok(());
        }
        Err(self.refusal(&right.scope("GROUP")))
    }

    /// Makes sure that one of `rights` holds on the group of the task `id`, whose name stays
    /// untold.
    pub(crate) fn require_for_task(
        &self,
        rights: &[Right],
        id: i64,
        group: &str,
    ) -> Result<(), Problem> {
        if rights.iter().any(|right| self.may(*right, group)) {
            return Ok(());
        }
        let scopes: Vec<String> = rights.iter().map(|right| right.scope("GROUP")).collect();
        Err(self.refusal(&format!(
            "{} for the group of task {id}",
            scopes.join(" or ")
        )))
    }

    fn refusal(&self, needed: &str) -> Problem {
        if self.is_known {
            Problem::Forbidden(format!(
                "this needs the scope {needed}, which you do not have"
            ))
        } else {
            Problem::Unauthorized(format!("this needs credentials with the scope {needed}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(scopes: &[&str]) -> Caller {
        Caller {
            is_known: true,
            scopes: ScopeSet::new(scopes.iter().copied()),
        }
    }

    #[test]
    fn rights_hold_on_the_groups_that_the_scopes_name() {
        let caller = caller(&["taskstore:claim:map", "taskstore:read:re*"]);
        assert!(caller.may(Right::Claim, "map") && !caller.may(Right::Claim, "map2"));
        assert!(caller.may(Right::Read, "reduce") && !caller.may(Right::Update, "reduce"));
        assert!(!caller.may_everywhere(Right::Read));
    }

    #[test]
    fn a_right_somewhere_may_be_one_on_everything() {
        for scopes in ["*", "taskstore:*", "taskstore:read:*", "taskstore:read:a"] {
            assert!(
                caller(&[scopes]).require_somewhere(Right::Read).is_ok(),
                "{scopes}"
            );
        }
        assert!(
            caller(&["taskstore:claim:*"])
                .require_somewhere(Right::Read)
                .is_err()
        );
    }
}
