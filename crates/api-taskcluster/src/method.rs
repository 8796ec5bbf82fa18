//! A method of a service, declared once: from here come its route, its checks and its reference.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use taskyard_access::Expression;

use crate::call::Call;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::route::Route;

/// HTTP verbs that methods use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

impl Verb {
    /// Lower case, as in reference documents.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::Post => "post",
            Verb::Put => "put",
            Verb::Delete => "delete",
        }
    }

    pub(crate) fn is(self, method: &http::Method) -> bool {
        match self {
            // HEAD is served by the GET handler.
            Verb::Get => method == http::Method::GET || method == http::Method::HEAD,
            Verb::Post => method == http::Method::POST,
            Verb::Put => method == http::Method::PUT,
            Verb::Delete => method == http::Method::DELETE,
        }
    }
}

/// How sure clients may be of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stability {
    Stable,
    Experimental,
    Deprecated,
}

impl Stability {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Stability::Stable => "stable",
            Stability::Experimental => "experimental",
            Stability::Deprecated => "deprecated",
        }
    }
}

/// What a method answers, as reference documents tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// Nothing that a schema could describe.
    Nothing,
    /// A document of this schema.
    Schema(&'static str),
}

/// Runs a method.
pub(crate) type Handler<S> = fn(Arc<S>, Call) -> BoxFuture<'static, Result<Reply, ApiError>>;

/// One method, as its service's table of contents declares it.
pub(crate) struct Method<S> {
    /// What clients call it.
    pub(crate) name: &'static str,
    pub(crate) verb: Verb,
    /// As in reference documents.
    pub(crate) path: &'static str,
    pub(crate) route: Route,
    /// Allowed query names.
    pub(crate) query: &'static [&'static str],
    /// What a caller needs; nothing means anybody may call.
    pub(crate) scopes: Option<Arc<Expression>>,
    /// Schema of the body, such as `v1/create-task-request.json#`.
    pub(crate) input: Option<&'static str>,
    pub(crate) output: Output,
    pub(crate) stability: Stability,
    pub(crate) category: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    pub(crate) handler: Handler<S>,
    /// Whether the scopes can be checked from the URL alone, before anything else is looked at.
    pub(crate) early: bool,
    /// Whether the handler gets the request itself, to judge it on its own.
    pub(crate) sees_original: bool,
    /// The URL parameter, or the field of the body, that no error repeats.
    pub(crate) secret: Option<&'static str>,
    /// Whether the reference tells of it.
    pub(crate) published: bool,
    /// The field of the body that tells it from a method of the same verb and route.
    pub(crate) told_by: Option<&'static str>,
}

impl<S> std::fmt::Debug for Method<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Method")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<S> Method<S> {
    /// A stable method without scopes, query, input or output.
    pub(crate) fn new(
        name: &'static str,
        verb: Verb,
        path: &'static str,
        handler: Handler<S>,
    ) -> Self {
        Method {
            name,
            verb,
            path,
            route: Route::new(path),
            query: &[],
            scopes: None,
            input: None,
            output: Output::Nothing,
            stability: Stability::Stable,
            category: "",
            title: "",
            description: "",
            handler,
            early: false,
            sees_original: false,
            secret: None,
            published: true,
            told_by: None,
        }
    }

    /// Requires scopes, in the JSON form of reference documents.
    ///
    /// # Panics
    /// On an expression that is none; the tables are built by tests, so a release has none.
    #[expect(
        clippy::expect_used,
        reason = "tables are constants, and every test builds them"
    )]
    pub(crate) fn scopes(mut self, expression: serde_json::Value) -> Self {
        let expression =
            Expression::try_from(expression).expect("a scope expression in a table of contents");
        self.early = expression
            .parameters()
            .iter()
            .all(|parameter| self.route.has_plain_parameter(parameter));
        self.scopes = Some(Arc::new(expression));
        self
    }

    pub(crate) fn query(mut self, names: &'static [&'static str]) -> Self {
        self.query = names;
        self
    }

    pub(crate) fn input(mut self, schema: &'static str) -> Self {
        self.input = Some(schema);
        self
    }

    pub(crate) fn output(mut self, schema: &'static str) -> Self {
        self.output = Output::Schema(schema);
        self
    }

    /// Gives the handler the request itself, to find out on its own who sent it.
    pub(crate) fn sees_original(mut self) -> Self {
        self.sees_original = true;
        self
    }

    /// Tells it from another method of the same verb and route by a field of the body that only
    /// this one has. Bodies with none of them belong to the one that comes first.
    pub(crate) fn told_by(mut self, field: &'static str) -> Self {
        self.told_by = Some(field);
        self
    }

    /// Keeps a URL parameter, or a field of the body, out of errors.
    pub(crate) fn secret(mut self, name: &'static str) -> Self {
        self.secret = Some(name);
        self
    }

    /// Keeps it out of the reference: it is there for callers that know it anyway.
    pub(crate) fn unpublished(mut self) -> Self {
        self.published = false;
        self
    }

    pub(crate) fn deprecated(mut self) -> Self {
        self.stability = Stability::Deprecated;
        self
    }

    pub(crate) fn experimental(mut self) -> Self {
        self.stability = Stability::Experimental;
        self
    }

    /// For readers of the reference.
    pub(crate) fn about(
        mut self,
        category: &'static str,
        title: &'static str,
        description: &'static str,
    ) -> Self {
        self.category = category;
        self.title = title;
        self.description = description;
        self
    }
}

/// `handler!(f)` makes an `async fn f(Arc<S>, Call)` a [`Handler`].
macro_rules! handler {
    ($function:path) => {
        |service, call| Box::pin($function(service, call))
    };
}
pub(crate) use handler;
