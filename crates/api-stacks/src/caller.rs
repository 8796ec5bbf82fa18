//! Who calls, and what they may do.
//!
//! | scope | what for |
//! |---|---|
//! | `stacks:stack:<queueKey>` | what a stack does: register, list, reserve, read, finish and notify about jobs of the queue |
//! | `stacks:agent:<queueKey>` | what an agent does: register and acquire jobs of the queue |
//! | `stacks:pause-queue:<queueKey>` | pause and resume a queue |
//! | `stacks:manage-tokens` | make, list and revoke cluster tokens; a token's scopes must be held too |
//!
//! A cluster token has the first two for its queues. An agent's access token and a job's token are
//! good for that agent and that job.

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use taskyard_access::{Directory, Outcome, ScopeList, ScopeSet, Token as AccessToken};
use taskyard_engine::Timestamp;
use taskyard_engine::stacks::{self, Agent, AgentJob, Token};
use taskyard_store::Store;

use crate::problem::Problem;
use crate::secret::{self, Purpose};

/// What a caller wants to do with a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    Stack,
    Agent,
    Pause,
}

impl Right {
    pub(crate) fn scope(self, queue_key: &str) -> String {
        let word = match self {
            Right::Stack => "stack",
            Right::Agent => "agent",
            Right::Pause => "pause-queue",
        };
        format!("stacks:{word}:{queue_key}")
    }
}

/// The scope of those who manage tokens.
pub(crate) const MANAGE_TOKENS: &str = "stacks:manage-tokens";

/// What a caller came with.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    /// Nothing: everybody's scopes.
    Anonymous,
    /// The access token of a client.
    Client(String),
    /// A cluster token.
    Cluster(Token),
    /// A token for one job.
    Acquisition(String),
    /// An agent's access token.
    Agent(Agent),
    /// A running job's token.
    Job(AgentJob),
}

/// The sender of a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) who: Who,
    scopes: ScopeSet,
}

impl Caller {
    /// Finds out who sent a request. In `dev` mode tokens that nobody knows are as good as none.
    pub(crate) async fn of(
        headers: &HeaderMap,
        now: Timestamp,
        store: &Store,
        directory: &Directory,
        dev: bool,
    ) -> Result<Self, Problem> {
        let refused = |text: &str| Problem::Unauthorized(text.to_owned());
        let mut authorizations = headers.get_all(AUTHORIZATION).iter();
        let authorization = authorizations.next().map(HeaderValue::to_str).transpose();
        let authorization =
            authorization.map_err(|_| refused("the Authorization header is not readable"))?;
        if authorizations.next().is_some() {
            return Err(refused("there are several Authorization headers"));
        }
        let anonymous = || Caller {
            who: Who::Anonymous,
            scopes: directory.snapshot().roles.effective(&ScopeList::default()),
        };
        let Some(text) = authorization.filter(|text| !text.trim().is_empty()) else {
            return Ok(anonymous());
        };
        let token = opaque(text);
        let found = match token.and_then(|token| Some((token, Purpose::of(token)?))) {
            Some((token, purpose)) => Self::of_token(token, purpose, now, store).await?,
            None => None,
        };
        if let Some(caller) = found {
            return Ok(caller);
        }
        // `Token clientId:accessToken` is a client as in the schemes that others know.
        let as_bearer = token
            .filter(|token| token.contains(':'))
            .map(|token| format!("Bearer {token}"));
        let access_token = AccessToken::read(as_bearer.as_deref().unwrap_or(text));
        let known = directory.snapshot();
        match access_token.map(|it| it.check(now.millis(), &known)) {
            Some(Outcome::Success(sender)) => Ok(Caller {
                who: Who::Client(sender.client_id),
                scopes: sender.scopes,
            }),
            _ if dev => Ok(anonymous()),
            _ => Err(refused("the token is missing, not valid, or not any more")),
        }
    }

    async fn of_token(
        token: &str,
        purpose: Purpose,
        now: Timestamp,
        store: &Store,
    ) -> Result<Option<Self>, Problem> {
        let hash = secret::hash(token);
        let caller = |who, scopes: Vec<String>| Caller {
            who,
            scopes: ScopeSet::new(scopes),
        };
        Ok(match purpose {
            Purpose::Cluster => store
                .read(move |tx| stacks::token_by_hash(tx, now, &hash))
                .await?
                .map(|token| {
                    let scopes = token_scopes(&token);
                    caller(Who::Cluster(token), scopes)
                }),
            Purpose::Acquisition => store
                .read(move |tx| stacks::job_token(tx, now, &hash))
                .await?
                .map(|token| caller(Who::Acquisition(token.task_id), Vec::new())),
            Purpose::Agent => store
                .read(move |tx| stacks::agent_by_token(tx, &hash))
                .await?
                .map(|agent| {
                    let scopes = registrant_scopes(&agent.registrant);
                    caller(Who::Agent(agent), scopes)
                }),
            Purpose::Job => store
                .read(move |tx| stacks::job_by_token(tx, &hash))
                .await?
                .map(|job| caller(Who::Job(job), Vec::new())),
        })
    }

    /// What to call the caller in records.
    pub(crate) fn name(&self) -> String {
        match &self.who {
            Who::Anonymous => "anonymous".to_owned(),
            Who::Client(id) => id.clone(),
            Who::Cluster(token) => format!("stack-token/{}", token.id),
            Who::Acquisition(task_id) => format!("job-token/{task_id}"),
            Who::Agent(agent) => format!("agent/{}", agent.id),
            Who::Job(job) => format!("agent/{}", job.agent_id),
        }
    }

    pub(crate) fn may(&self, right: Right, queue_key: &str) -> bool {
        self.scopes.satisfies(&right.scope(queue_key))
    }

    /// Whether the caller holds `scope`.
    pub(crate) fn holds(&self, scope: &str) -> bool {
        self.scopes.satisfies(scope)
    }

    /// Makes sure of `right` on a queue.
    pub(crate) fn require(&self, right: Right, queue_key: &str) -> Result<(), Problem> {
        self.require_scope(&right.scope(queue_key))
    }

    /// Makes sure of `scope`.
    pub(crate) fn require_scope(&self, scope: &str) -> Result<(), Problem> {
        if self.holds(scope) {
            return Ok(());
        }
        Err(match self.who {
            Who::Anonymous => {
                Problem::Unauthorized(format!("this needs a token with the scope {scope}"))
            }
            _ => Problem::Forbidden(format!(
                "this needs the scope {scope}, which the token does not have"
            )),
        })
    }

    /// Whether the caller has `right` on any queue at all.
    fn may_somewhere(&self, right: Right) -> bool {
        let start = right.scope("");
        self.scopes.iter().any(|scope| {
            scope.starts_with(&start)
                || scope
                    .strip_suffix('*')
                    .is_some_and(|stem| start.starts_with(stem))
        })
    }

    /// Whether agents of the caller may take jobs of any queue.
    pub(crate) fn may_be_agent(&self) -> bool {
        self.may_somewhere(Right::Agent)
    }

    /// Makes sure that the caller is a stack, of any queue.
    pub(crate) fn require_stack(&self) -> Result<(), Problem> {
        if self.may_somewhere(Right::Stack) {
            return Ok(());
        }
        self.require_scope(&Right::Stack.scope("<queue>"))
    }

    /// The scopes of agents that this caller vouches for, to be kept with them.
    pub(crate) fn vouch(&self) -> String {
        let agent = Right::Agent.scope("");
        let all = format!("{agent}*");
        let scopes: Vec<&str> = if self.holds(&all) {
            vec![&all]
        } else {
            self.scopes
                .iter()
                .filter(|scope| scope.starts_with(&agent))
                .collect()
        };
        json!({"who": self.name(), "scopes": scopes}).to_string()
    }
}

/// The token in `Token X` and `Bearer X`.
fn opaque(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let is_known = scheme.eq_ignore_ascii_case("token") || scheme.eq_ignore_ascii_case("bearer");
    is_known.then(|| token.trim())
}

/// What a cluster token may do.
fn token_scopes(token: &Token) -> Vec<String> {
    queue_scopes(
        &serde_json::from_str::<Vec<String>>(&token.queues).unwrap_or_else(|_| {
            // Unreadable means no queue, not every one.
            vec![String::new()]
        }),
    )
}

/// What a token for these queues may do; none means all.
pub(crate) fn queue_scopes(queues: &[String]) -> Vec<String> {
    let rights = [Right::Stack, Right::Agent];
    if queues.is_empty() {
        return rights.map(|right| right.scope("*")).to_vec();
    }
    queues
        .iter()
        .flat_map(|queue| rights.map(|right| right.scope(queue)))
        .collect()
}

fn registrant_scopes(registrant: &str) -> Vec<String> {
    let known: Value = serde_json::from_str(registrant).unwrap_or_default();
    let scopes = known.get("scopes").and_then(Value::as_array);
    scopes
        .into_iter()
        .flatten()
        .filter_map(|scope| scope.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(scopes: &[&str]) -> Caller {
        Caller {
            who: Who::Client("me".to_owned()),
            scopes: ScopeSet::new(scopes.iter().copied()),
        }
    }

    #[test]
    fn a_token_is_good_for_its_queues_alone() {
        let scopes = queue_scopes(&["gpu".to_owned()]);
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let caller = caller(&scopes);
        assert!(caller.may(Right::Stack, "gpu") && caller.may(Right::Agent, "gpu"));
        assert!(!caller.may(Right::Stack, "gpu2") && !caller.may(Right::Pause, "gpu"));
        assert!(caller.require_stack().is_ok());
    }

    #[test]
    fn who_may_use_agents_only_is_no_stack() {
        assert!(caller(&["stacks:agent:*"]).require_stack().is_err());
        for scopes in ["*", "stacks:*", "stacks:stack:*", "stacks:stack:a"] {
            assert!(caller(&[scopes]).require_stack().is_ok(), "{scopes}");
        }
    }

    #[test]
    fn an_agent_gets_no_more_than_its_registrant_has() {
        for (held, vouched) in [
            (vec!["*"], vec!["stacks:agent:*"]),
            (vec!["stacks:*"], vec!["stacks:agent:*"]),
            (
                vec!["stacks:agent:a", "stacks:stack:a"],
                vec!["stacks:agent:a"],
            ),
            (vec!["queue:*"], vec![]),
        ] {
            assert_eq!(registrant_scopes(&caller(&held).vouch()), vouched);
        }
    }

    #[test]
    fn tokens_come_in_two_schemes() {
        assert_eq!(opaque("Token abc"), Some("abc"));
        assert_eq!(opaque("bearer  abc "), Some("abc"));
        assert_eq!(opaque("Basic abc"), None);
        assert_eq!(opaque("abc"), None);
    }
}
