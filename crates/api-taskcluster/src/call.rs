//! A request that got as far as its handler.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use serde_json::Value;
use taskyard_access::{Deed, Expression, Param, Rendered, ScopeSet};
use taskyard_engine::Timestamp;

use crate::error::{ApiError, Code};
use crate::route::Params;

/// What somebody without credentials is called.
const NOBODY: &str = "auth-failed:no-auth";

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// `None` without credentials.
    pub(crate) client_id: Option<String>,
    /// Everything the caller may do.
    pub(crate) scopes: ScopeSet,
}

/// A request that got as far as its handler: parameters, query and body are valid, and what could
/// be authorized from the URL is.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) now: Timestamp,
    pub(crate) caller: Caller,
    /// What the method requires, for handlers that must look something up first.
    pub(crate) scopes: Option<Arc<Expression>>,
    pub(crate) params: Arc<Params>,
    pub(crate) query: Vec<(String, String)>,
    /// The body with defaults filled in; an empty object if there is none.
    pub(crate) payload: Arc<Value>,
    /// The request itself, for methods that judge it on their own.
    pub(crate) original: Option<Arc<Original>>,
}

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Original {
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
    pub(crate) trust_forwarded: bool,
}

impl Caller {
    /// What the caller is called.
    pub(crate) fn name(&self) -> &str {
        self.client_id.as_deref().unwrap_or(NOBODY)
    }
}

impl Call {
    /// Who makes the change that it asks for.
    pub(crate) fn deed(&self) -> Deed<'_> {
        Deed {
            actor: self.caller.name(),
            now_ms: self.now.millis(),
        }
    }

    /// A URL parameter of the method's route.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params
            .iter()
            .find(|(known, _)| *known == name)
            .map_or("", |(_, value)| value)
    }

    /// The number of a run. Its pattern allows numbers that no run can have; those become the
    /// largest there is.
    pub(crate) fn run_id(&self) -> usize {
        self.param("runId").parse().unwrap_or(usize::MAX)
    }

    /// A query value.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Reads the query's `limit` and `continuationToken` from the body as well.
    pub(crate) fn with_page_of_body(mut self) -> Self {
        for name in ["limit", "continuationToken"] {
            let told = match self.payload.get(name) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                _ => continue,
            };
            self.query.push((name.to_owned(), told));
        }
        self
    }

    /// A string of the body.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.payload
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Checks the method's scopes, with `more` parameters beside those of the URL.
    pub(crate) fn authorize(&self, more: &[(&str, Param<'_>)]) -> Result<(), ApiError> {
        match &self.scopes {
            Some(expression) => authorize(&self.caller, expression, &self.params, more),
            None => Ok(()),
        }
    }
}

/// Checks that `caller` may do what `expression` requires.
pub(crate) fn authorize(
    caller: &Caller,
    expression: &Expression,
    params: &Params,
    more: &[(&str, Param<'_>)],
) -> Result<(), ApiError> {
    let find = |name: &str| {
        more.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.clone())
            .or_else(|| {
                params
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| Param::from(value.clone()))
            })
    };
    match expression.render(&find).map_err(ApiError::internal)? {
        Some(required) => require(caller, &required),
        None => Ok(()),
    }
}

/// Checks that `caller` has what is required.
pub(crate) fn require(caller: &Caller, required: &Rendered) -> Result<(), ApiError> {
    if required.satisfied_by(&caller.scopes) {
        return Ok(());
    }
    let message = match (&caller.client_id, required.missing(&caller.scopes)) {
        (Some(client_id), Some(missing)) => format!(
            "Client ID {client_id} does not have sufficient scopes and is missing the following \
             scopes:\n\n```\n{missing}\n```\n\nThis request requires the client to satisfy the \
             following scope expression:\n\n```\n{required}\n```"
        ),
        _ => format!(
            "This request requires the caller to satisfy the following scope expression, and it \
             was made without credentials:\n\n```\n{required}\n```"
        ),
    };
    Err(ApiError::new(Code::InsufficientScopes, message))
}
