//! The service: finds the route, finds out who calls, reads the body, and answers.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::Request;
use taskyard_access::{Directory, Sealer};
use taskyard_engine::Timestamp;
use taskyard_engine::clock::Clock;
use taskyard_engine::stacks::{self as engine, Stack};
use taskyard_http::body::{self, IDLE};
use taskyard_store::{Key, Store};

use crate::artifacts::ArtifactStore;
use crate::caller::{Caller, Right};
use crate::limit::{self, Limits, Scope};
use crate::problem::Problem;
use crate::queue::QueueMap;
use crate::reply::Reply;
use crate::request::Payload;
use crate::route::{self, Call};
use crate::runs::Taking;
use crate::{
    agents, annotations, artifacts, finish, jobs, log, meta_data, metrics, notifications, runs,
    stacks, tokens,
};

/// Largest request body, but for uploads: 4 MiB, inclusive.
const BODY_LIMIT: usize = 4 * 1024 * 1024;
/// How often it is written down that a stack is heard of.
const TOUCH_EVERY: Duration = Duration::from_secs(30);
/// How often expired things are looked for, and how many are forgotten at a time.
const UPKEEP_EVERY: Duration = Duration::from_mins(10);
const UPKEEP_PORTION: usize = 500;
/// What has expired is kept this much longer, for readers that are under way.
const EXPIRY_DELAY: Duration = Duration::from_mins(30);

/// What the service works with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Where tasks are.
    pub store: Store,
    /// The server's clock.
    pub clock: Clock,
    /// Who may do what.
    pub directory: Arc<Directory>,
    /// Seals the addresses of logs and uploads.
    pub sealer: Arc<Sealer>,
    /// Where the bytes of logs and other artifacts go.
    pub artifacts: Arc<dyn ArtifactStore>,
    /// How clients reach this server, without a slash at its end.
    pub root_url: String,
    /// Which task queues are behind the queues of jobs.
    pub queues: QueueMap,
    /// Whether stacks are held to the documented rates.
    pub rate_limits: bool,
    /// Whether tokens that nobody knows are as good as none.
    pub dev: bool,
}

/// The Stacks API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stacks {
    shared: Arc<Shared>,
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) parts: Parts,
    limits: Limits,
}

/// A request whose sender is known.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) now: Timestamp,
    pub(crate) caller: Caller,
    pub(crate) head: &'a http::request::Parts,
    pub(crate) body: Bytes,
    /// The decoded segments that the route leaves open.
    open: Vec<String>,
    pub(crate) call: Call,
}

impl Stacks {
    /// A service over `parts`.
    pub fn new(parts: Parts) -> Self {
        Stacks {
            shared: Arc::new(Shared {
                parts,
                limits: Limits::default(),
            }),
        }
    }

    /// Answers a request whose path begins with `prefix`, which has no slash at its end; routes
    /// are below it.
    pub async fn answer(&self, prefix: &str, request: Request<Body>) -> Response {
        let (head, body) = request.into_parts();
        let mut standing = None;
        let reply = self
            .shared
            .dispatch(prefix, &head, body, &mut standing)
            .await
            .unwrap_or_else(Problem::into_reply);
        let reply = match standing {
            Some(standing) => standing.write(reply),
            None => reply,
        };
        reply.into_response()
    }

    /// Forgets what has expired, now and then, for as long as it is polled.
    pub async fn upkeep(self) {
        loop {
            let parts = &self.shared.parts;
            let now = parts.clock.now();
            let by = now.minus(EXPIRY_DELAY);
            let forgotten = parts
                .store
                .write(Key::of("stacks-expiry"), move |tx| {
                    engine::forget(tx, by, UPKEEP_PORTION)
                })
                .await;
            match forgotten {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "what expired of stacks is not forgotten yet"),
            }
            parts.clock.reaches(now.plus(UPKEEP_EVERY)).await;
        }
    }
}

impl Shared {
    async fn dispatch(
        &self,
        prefix: &str,
        head: &http::request::Parts,
        body: Body,
        standing: &mut Option<limit::Standing>,
    ) -> Result<Reply, Problem> {
        let path = head.uri.path().strip_prefix(prefix).unwrap_or_default();
        let (call, open) = route::find(&head.method, path)?;
        let now = self.parts.clock.now();
        match call {
            // These carry their own permission.
            Call::UploadArtifact => return artifacts::upload(self, now, head, body).await,
            Call::ReadLog => return log::read(self, now, head),
            _ => {}
        }
        let (store, directory) = (&self.parts.store, &self.parts.directory);
        let caller = Caller::of(&head.headers, now, store, directory, self.parts.dev).await?;
        if let Some(scope) = scope(call) {
            caller.require_stack()?;
            let key = open.first().map_or("", String::as_str);
            self.count(key, scope, now, standing)?;
        }
        let body = body::read(body, BODY_LIMIT, IDLE).await?;
        let asked = Asked {
            shared: self,
            now,
            caller,
            head,
            body,
            open,
            call,
        };
        asked.answer().await
    }

    fn count(
        &self,
        key: &str,
        scope: Scope,
        now: Timestamp,
        standing: &mut Option<limit::Standing>,
    ) -> Result<(), Problem> {
        if !self.parts.rate_limits {
            return Ok(());
        }
        match self.limits.count(key, scope, now) {
            Ok(counted) => {
                *standing = Some(counted);
                Ok(())
            }
            Err(exceeded) => {
                *standing = Some(exceeded.into());
                Err(Problem::Limited(exceeded))
            }
        }
    }
}

/// What a call of a stack is counted as.
fn scope(call: Call) -> Option<Scope> {
    Some(match call {
        Call::ScheduledJobs => Scope::ListScheduledJobs,
        Call::BatchReserve => Scope::BatchReserve,
        Call::GetJob => Scope::ShowJob,
        Call::GetStates => Scope::BatchLoadJobStates,
        Call::FinishJob | Call::FailJob => Scope::FinishJob,
        Call::Notify | Call::NotifyJob => Scope::StackNotification,
        Call::DeregisterStack | Call::AcquisitionTokens => Scope::Default,
        _ => return None,
    })
}

impl Asked<'_> {
    async fn answer(&self) -> Result<Reply, Problem> {
        match self.call {
            Call::RegisterStack => stacks::register(self).await,
            Call::DeregisterStack => stacks::deregister(self).await,
            Call::ScheduledJobs => jobs::scheduled_jobs(self).await,
            Call::BatchReserve => jobs::batch_reserve(self).await,
            Call::GetStates => jobs::get_states(self).await,
            Call::GetJob => jobs::get_job(self).await,
            Call::FinishJob => finish::finish_job(self).await,
            Call::FailJob => finish::fail_job(self).await,
            Call::Notify => notifications::notify(self).await,
            Call::NotifyJob => notifications::notify_job(self).await,
            Call::AcquisitionTokens => tokens::job_acquisition_tokens(self).await,
            Call::Token => tokens::token(self),
            Call::CreateToken => tokens::create(self).await,
            Call::ListTokens => tokens::list(self).await,
            Call::RevokeToken => tokens::revoke(self).await,
            Call::Metrics => metrics::metrics(self).await,
            Call::PauseQueue => stacks::pause_queue(self, true).await,
            Call::ResumeQueue => stacks::pause_queue(self, false).await,
            Call::RegisterAgent => agents::register(self).await,
            Call::ConnectAgent => agents::connect(self).await,
            Call::Heartbeat => agents::heartbeat(self).await,
            Call::Ping => agents::ping(self).await,
            Call::DisconnectAgent => agents::disconnect(self).await,
            Call::StopAgent => agents::wish(self, engine::Wish::Disconnect).await,
            Call::PauseAgent => agents::wish(self, engine::Wish::Pause).await,
            Call::ResumeAgent => agents::wish(self, engine::Wish::Nothing).await,
            Call::AcquireJob => runs::take(self, Taking::ByName).await,
            Call::AcceptJob => runs::take(self, Taking::Assigned).await,
            Call::StartJob => runs::start(self).await,
            Call::JobState => runs::state(self).await,
            Call::UpdateJob => runs::update(self).await,
            Call::EndJob => runs::finish(self).await,
            Call::JobEvents => notifications::events(self).await,
            Call::LogChunk => log::chunk(self).await,
            Call::HeaderTimes => log::header_times(self).await,
            Call::SetData => meta_data::set(self).await,
            Call::SetDataBatch => meta_data::set_batch(self).await,
            Call::GetData | Call::GetBuildData => meta_data::get(self).await,
            Call::DataExists | Call::BuildDataExists => meta_data::exists(self).await,
            Call::DataKeys | Call::BuildDataKeys => meta_data::keys(self).await,
            Call::AnnounceArtifacts => artifacts::announce(self).await,
            Call::UpdateArtifacts => artifacts::update(self).await,
            Call::SearchArtifacts => artifacts::search(self).await,
            Call::Annotate => annotations::annotate(self).await,
            Call::RemoveAnnotation => annotations::remove(self).await,
            Call::BuildAnnotations => annotations::list(self).await,
            Call::UploadArtifact | Call::ReadLog => Err(Problem::internal("answered before")),
        }
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.shared.parts
    }

    pub(crate) fn store(&self) -> &Store {
        &self.shared.parts.store
    }

    /// The decoded segment of the path that the route leaves open as its `at`th.
    pub(crate) fn segment(&self, at: usize) -> &str {
        self.open.get(at).map_or("", String::as_str)
    }

    pub(crate) fn payload(&self) -> Result<Payload, Problem> {
        Payload::read(&self.body)
    }

    pub(crate) fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    /// Whether the caller may use the jobs of a task queue as a stack.
    pub(crate) fn stack_may(&self) -> impl Fn(&str) -> bool + Send + Sync + 'static {
        let (caller, queues) = (self.caller.clone(), self.parts().queues.clone());
        move |task_queue_id| caller.may(Right::Stack, &queues.key(task_queue_id))
    }

    /// The stack that the path names. That it is heard of is written down.
    pub(crate) async fn stack(&self) -> Result<Stack, Problem> {
        let key = self.segment(0).to_owned();
        if key.contains('\0') {
            return Err(no_stack(&key));
        }
        let asked = key.clone();
        let stack = self
            .store()
            .read(move |tx| engine::stack(tx, &asked))
            .await?
            .ok_or_else(|| no_stack(&key))?;
        let now = self.now;
        if !stack.is_connected || stack.last_connected_at.plus(TOUCH_EVERY) < now {
            self.store()
                .write(Key::of(("stack", &key)), move |tx| {
                    engine::touch(tx, now, &key)
                })
                .await?;
        }
        Ok(stack)
    }
}

/// No stack of this key.
pub(crate) fn no_stack(key: &str) -> Problem {
    Problem::NotFound(format!("No stack found with the key {key:?}; register it"))
}
