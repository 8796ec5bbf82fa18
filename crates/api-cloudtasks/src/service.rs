//! The service: finds out who calls and hands each method to its function.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts as Head;
use http::{HeaderMap, Method, Request, header};
use prost_reflect::DynamicMessage;
use taskyard_access::Directory;
use taskyard_engine::Timestamp;
use taskyard_engine::clock::Clock;
use taskyard_engine::cloud::dispatch::Dispatch;
use taskyard_store::Store;

use crate::caller::Caller;
use crate::draft::Draft;
use crate::failure::Failure;
use crate::received::Received;
use crate::rest::Routes;
use crate::rpc::Rpc;
use crate::schema::{Call, Schema, SchemaError};
use crate::{cmek, grpc, history, iam, location, operation, queue, rest, task};

/// What the service works with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Where queues and tasks are.
    pub store: Store,
    /// The server's clock.
    pub clock: Clock,
    /// Who may do what.
    pub directory: Arc<Directory>,
    /// Whether tokens of others count as none, as emulators do it.
    pub dev: bool,
    /// How long the name of a deleted queue cannot be used again.
    pub queue_name_reserve: std::time::Duration,
    /// The locations there are; with none, every location is one.
    pub locations: Vec<String>,
    /// Whether a token can only be sent to `https://` addresses.
    pub tokens_need_https: bool,
    /// What the server says about the tokens it signs: the discovery document of OpenID Connect
    /// and the public keys.
    pub identity: Identity,
    /// Sends tasks that are run by a call.
    pub runner: Runner,
}

/// What sends a task at once.
#[derive(Clone)]
pub struct Runner {
    /// Under which name it holds tasks.
    pub node: String,
    send: Arc<dyn Fn(Dispatch) + Send + Sync>,
}

impl Runner {
    /// A sender of the name `node`. `send` only takes a task over; it does not wait for anything.
    pub fn new(node: impl Into<String>, send: impl Fn(Dispatch) + Send + Sync + 'static) -> Self {
        Runner {
            node: node.into(),
            send: Arc::new(send),
        }
    }

    pub(crate) fn send(&self, dispatch: Dispatch) {
        (self.send)(dispatch);
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Runner").field(&self.node).finish()
    }
}

/// What verifiers of the server's tokens look up.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// For `/.well-known/openid-configuration`.
    pub discovery: serde_json::Value,
    /// For `/jwks`.
    pub keys: serde_json::Value,
}

/// Cloud Tasks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CloudTasks {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    parts: Parts,
    schema: Schema,
    routes: Routes,
}

/// A call whose sender is known.
#[derive(Debug)]
pub(crate) struct Asked<M = DynamicMessage> {
    pub(crate) call: Arc<Call>,
    pub(crate) caller: Caller,
    pub(crate) message: M,
    /// The request itself, for methods over REST that take it as it comes.
    pub(crate) raw: Option<Raw>,
    /// Whether it came over REST, where every method has a version.
    pub(crate) by_rest: bool,
}

/// A request that is not only a message.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What a method answers.
pub(crate) type Answer = Result<Answered, Failure>;

/// A message of the method's answer.
#[derive(Debug)]
pub(crate) enum Answered {
    Kept(DynamicMessage),
    /// As the wire has it.
    Written(Vec<u8>),
}

impl From<DynamicMessage> for Answered {
    fn from(message: DynamicMessage) -> Self {
        Answered::Kept(message)
    }
}

impl From<Draft<'_>> for Answered {
    fn from(draft: Draft<'_>) -> Self {
        Answered::Written(draft.into_bytes())
    }
}

impl<M> Asked<M> {
    /// A call that came as gRPC.
    pub(crate) fn by_grpc(call: Arc<Call>, caller: Caller, message: M) -> Self {
        Asked {
            call,
            caller,
            message,
            raw: None,
            by_rest: false,
        }
    }

    /// An empty message of the method's answer.
    pub(crate) fn answer(&self) -> DynamicMessage {
        DynamicMessage::new(self.call.output.clone())
    }
}

impl CloudTasks {
    /// A service over `parts`.
    ///
    /// # Errors
    /// When its own message descriptors are broken.
    pub fn new(parts: Parts) -> Result<Self, SchemaError> {
        let schema = Schema::load()?;
        let routes = Routes::new(&schema);
        let inner = Inner {
            parts,
            schema,
            routes,
        };
        Ok(CloudTasks {
            inner: Arc::new(inner),
        })
    }

    /// Whether a path belongs to this API.
    pub fn takes(path: &str) -> bool {
        const PREFIXES: [&str; 8] = [
            "/v1/projects/",
            "/v2/",
            "/v2beta3/",
            "/v2beta2/",
            "/google.cloud.tasks.",
            "/google.cloud.location.",
            "/google.longrunning.",
            "/taskyard.cloudtasks.",
        ];
        const PATHS: [&str; 3] = [
            "/api/queue/update",
            "/.well-known/openid-configuration",
            "/jwks",
        ];
        let is_unversioned = path.starts_with("/projects/") && path.contains("/locations/");
        PREFIXES.iter().any(|prefix| path.starts_with(prefix))
            || PATHS.contains(&path)
            || is_unversioned
    }

    /// Answers a request to one of the paths it [takes](CloudTasks::takes), or any request of gRPC
    /// that nobody else takes.
    pub async fn answer(&self, request: Request<Body>) -> Response {
        if CloudTasks::is_grpc(&request) {
            Box::pin(grpc::answer(self, request)).await
        } else {
            Box::pin(rest::answer(self, request)).await
        }
    }

    /// Whether a request is one of gRPC.
    pub fn is_grpc(request: &Request<Body>) -> bool {
        request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|it| it.as_bytes().starts_with(b"application/grpc"))
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.inner.parts
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.inner.schema
    }

    pub(crate) fn routes(&self) -> &Routes {
        &self.inner.routes
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.parts.store
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.parts.clock.now()
    }

    /// Who sent a request.
    pub(crate) fn caller(&self, head: &Head, call: &Arc<Call>) -> Result<Caller, Failure> {
        let parts = self.parts();
        Caller::of(head, self.now(), &parts.directory, parts.dev, call)
    }

    /// Hands a call whose request is only read once to the function of its name, which is
    /// `CreateTask`.
    pub(crate) async fn handle_received(&self, asked: Asked<Received>) -> Answer {
        task::create_task(self, asked).await
    }

    /// Hands a call to the function of its name.
    pub(crate) async fn handle(&self, asked: Asked) -> Answer {
        match asked.call.row.rpc {
            Rpc::ListQueues => queue::list_queues(self, asked).await,
            Rpc::GetQueue => queue::get_queue(self, asked).await,
            Rpc::CreateQueue => queue::create_queue(self, asked).await,
            Rpc::UpdateQueue => queue::update_queue(self, asked).await,
            Rpc::DeleteQueue => queue::delete_queue(self, asked).await,
            Rpc::PurgeQueue => queue::purge_queue(self, asked).await,
            Rpc::PauseQueue => queue::pause_queue(self, asked).await,
            Rpc::ResumeQueue => queue::resume_queue(self, asked).await,
            Rpc::UploadQueueYaml => queue::upload_queue_yaml(self, asked).await,
            Rpc::GetIamPolicy => iam::methods::get_iam_policy(self, asked).await,
            Rpc::SetIamPolicy => iam::methods::set_iam_policy(self, asked).await,
            Rpc::TestIamPermissions => iam::methods::test_iam_permissions(self, asked).await,
            Rpc::ListTasks => task::list_tasks(self, asked).await,
            Rpc::GetTask => task::get_task(self, asked).await,
            Rpc::CreateTask => task::create_task(self, asked).await,
            Rpc::DeleteTask => task::delete_task(self, asked).await,
            Rpc::LeaseTasks => task::lease_tasks(self, asked).await,
            Rpc::AcknowledgeTask => task::acknowledge_task(self, asked).await,
            Rpc::RenewLease => task::renew_lease(self, asked).await,
            Rpc::CancelLease => task::cancel_lease(self, asked).await,
            Rpc::RunTask => task::run_task(self, asked).await,
            Rpc::BatchCreateTasks => task::batch_create_tasks(self, asked).await,
            Rpc::BatchDeleteTasks => task::batch_delete_tasks(self, asked).await,
            Rpc::BufferTask => task::buffer_task(self, asked).await,
            Rpc::GetCmekConfig => cmek::get_cmek_config(self, asked).await,
            Rpc::UpdateCmekConfig => cmek::update_cmek_config(self, asked).await,
            Rpc::ListLocations => location::list_locations(self, asked).await,
            Rpc::GetLocation => location::get_location(self, asked),
            Rpc::GetOperation => operation::get_operation(self, asked).await,
            Rpc::ListAttempts => history::list_attempts(self, asked).await,
            Rpc::ListFailures => history::list_failures(self, asked).await,
        }
    }
}
