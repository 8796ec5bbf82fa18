//! The services of a Taskcluster deployment.

mod artifact;
mod auth;
mod claim;
mod queue;
mod status;
mod task;

pub use artifact::{
    Artifact, ArtifactContent, ArtifactRequest, ArtifactResponse, ArtifactsPage, Redirect,
};
pub use auth::{Auth, Client, ClientDefinition, ClientWithToken, Role, RoleDefinition};
pub use claim::{Claim, ClaimWorkRequest, ClaimWorkResponse, ExceptionReason, Reclaim};
pub use queue::{Page, PendingTasks, Ping, Queue};
pub use status::{Run, RunState, TaskState, TaskStatus, TaskStatusResponse};
pub use task::{
    DependentsPage, Metadata, Priority, Requires, TaskAndStatus, TaskDefinition, TaskGroupPage,
};
