//! The services of a Taskcluster deployment.

mod artifact;
mod auth;
mod claim;
mod events;
pub mod exchange;
mod hooks;
mod index;
mod notify;
mod object;
mod page;
mod purge_cache;
mod queue;
mod secrets;
mod status;
mod task;

pub use artifact::{
    Artifact, ArtifactContent, ArtifactRequest, ArtifactResponse, ArtifactsPage, BlobPart,
    BlobRequest, Redirect, UploadRequest,
};
pub use auth::{Auth, Client, ClientDefinition, ClientWithToken, Role, RoleDefinition};
pub use claim::{Claim, ClaimWorkRequest, ClaimWorkResponse, ExceptionReason, Reclaim};
pub use events::{EventMessage, Events, Heard, Subscription};
pub use exchange::{
    AuthEvents, AwsProvisionerEvents, Binding, Exchange, GithubEvents, HooksEvents, NotifyEvents,
    PurgeCacheEvents, QueueEvents, TreeherderEvents, WorkerManagerEvents,
};
pub use hooks::{
    FireResult, FiredBy, Hook, HookDefinition, HookFire, HookFiresPage, HookMetadata, HookStatus,
    Hooks, LastFire,
};
pub use index::{Index, IndexedTask, IndexedTasksPage, Namespace, NamespacesPage, NewIndexedTask};
pub use notify::{
    DenylistPage, DenylistedAddress, Email, EmailLink, EmailTemplate, MatrixMessage,
    MatrixMessageType, Notification, NotificationState, NotificationType, Notified, Notify,
    OutboxPage, SlackMessage,
};
pub use object::{NewUpload, Object, ObjectInfo};
pub use page::Page;
pub use purge_cache::{PurgeCache, PurgeRequest, PurgeRequestsPage};
pub use queue::{PendingTasks, Ping, Queue};
pub use secrets::{Secret, Secrets, SecretsPage};
pub use status::{Run, RunState, TaskState, TaskStatus, TaskStatusResponse};
pub use task::{
    DependentsPage, Metadata, Priority, Requires, TaskAndStatus, TaskDefinition, TaskGroupPage,
};
