//! Who calls, and what they may do.
//!
//! A caller is a client of the access directory. What it may do is said in two places: by scopes
//! `cloudtasks:PERMISSION:RESOURCE`, which hold for whatever they name (a project, with a star at
//! the end), and by the IAM policy of a queue, which holds for the queue and its tasks.

use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderValue};
use http::request::Parts;
use taskyard_access::{Directory, Outcome, ScopeList, ScopeSet, Token};
use taskyard_engine::Timestamp;
use taskyard_store::{Error, Tx};

use crate::failure::Failure;
use crate::iam::{Permission, policy};
use crate::name::QueueName;
use crate::rpc;
use crate::schema::Call;

/// The sender of a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The client; `None` for who sends no credentials.
    pub(crate) client_id: Option<Arc<str>>,
    scopes: ScopeSet,
    call: Arc<Call>,
}

impl Caller {
    /// Finds out who sent a request. With `open_to_all`, as development servers are, tokens that
    /// are not ours count as none: clients of emulators send all kinds.
    pub(crate) fn of(
        head: &Parts,
        now: Timestamp,
        directory: &Directory,
        open_to_all: bool,
        call: &Arc<Call>,
    ) -> Result<Self, Failure> {
        let refused = |why: &str| Failure::bad_credentials(why, call.full_name());
        let mut headers = head.headers.get_all(AUTHORIZATION).iter();
        let header = headers.next().map(HeaderValue::to_str).transpose();
        let header = header.map_err(|_| refused("the header cannot be read"))?;
        if headers.next().is_some() {
            return Err(refused("there are several Authorization headers"));
        }
        let known = directory.snapshot();
        let token = match header.filter(|header| !header.trim().is_empty()) {
            None => None,
            Some(header) => match Token::read(header) {
                Some(Token::Opaque(_)) if open_to_all => None,
                Some(token) => Some(token),
                None => return Err(refused("use the scheme Bearer or Basic")),
            },
        };
        let Some(token) = token else {
            return Ok(Caller {
                client_id: None,
                scopes: known.roles.effective(&ScopeList::default()),
                call: Arc::clone(call),
            });
        };
        match token.check(now.millis(), &known) {
            Outcome::Success(sender) => {
                directory.note_use(&sender.client_id, now.millis());
                Ok(Caller {
                    client_id: Some(sender.client_id.into()),
                    scopes: sender.scopes,
                    call: Arc::clone(call),
                })
            }
            Outcome::Anonymous { scopes, .. } => Ok(Caller {
                client_id: None,
                scopes,
                call: Arc::clone(call),
            }),
            Outcome::Failed { message } => Err(refused(&message)),
        }
    }

    /// How large a message the caller may send: with no right of its own, no larger than a task.
    pub(crate) fn limit(&self) -> usize {
        let limit = self.call.row.limit;
        if self.client_id.is_none() && self.scopes.is_empty() {
            return limit.min(rpc::ONE);
        }
        limit
    }

    /// Whether a scope gives `permission` on `resource`.
    pub(crate) fn has(&self, permission: Permission, resource: &str) -> bool {
        self.scopes.satisfies(&permission.scope(resource))
    }

    /// Whether the caller takes the role `name` of the directory, which is what groups are here.
    pub(crate) fn is_in(&self, name: &str) -> bool {
        self.scopes.satisfies(&format!("assume:{name}"))
    }

    /// Makes sure that a scope gives `permission` on `resource`, where no policy can.
    pub(crate) fn require(&self, permission: Permission, resource: &str) -> Result<(), Failure> {
        if self.has(permission, resource) {
            return Ok(());
        }
        Err(self.refusal(permission, resource))
    }

    /// What must hold before anything is done to a queue or its tasks.
    pub(crate) fn needs(&self, queue: &QueueName, permissions: &[Permission]) -> Needs {
        let by_policy = permissions
            .iter()
            .copied()
            .filter(|permission| !self.has(*permission, queue.as_str()));
        Needs {
            by_policy: by_policy.collect(),
            queue: queue.clone(),
            caller: self.clone(),
        }
    }

    pub(crate) fn refusal(&self, permission: Permission, resource: &str) -> Failure {
        match self.client_id {
            Some(_) => Failure::denied(permission.as_str(), resource),
            None => Failure::no_credentials(self.call.full_name()),
        }
    }
}

/// Permissions on a queue of which some are still to be found in its policy.
#[derive(Debug, Clone)]
pub(crate) struct Needs {
    by_policy: Vec<Permission>,
    queue: QueueName,
    caller: Caller,
}

impl Needs {
    /// Looks into the queue's policy for what scopes do not give. A queue that is not there gives
    /// nothing, so nobody learns of it.
    pub(crate) fn check(&self, tx: &mut Tx<'_>) -> Result<Result<(), Failure>, Error> {
        if self.by_policy.is_empty() {
            return Ok(Ok(()));
        }
        let policy = policy::of(tx, &self.queue)?;
        let lacking = self
            .by_policy
            .iter()
            .find(|permission| !policy.grants(**permission, &self.caller));
        Ok(match lacking {
            None => Ok(()),
            Some(permission) => Err(self.caller.refusal(*permission, self.queue.as_str())),
        })
    }
}
