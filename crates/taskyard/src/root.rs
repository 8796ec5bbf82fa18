//! The clients and roles that every installation has.

use anyhow::Context as _;
use taskyard_access::Directory;
use taskyard_api_taskcluster::queue::ISSUER;
use taskyard_client::Credentials;
use taskyard_engine::clock::Clock;

use crate::config::{ServeConfig, Standing};

/// The client that may do everything.
const ROOT: &str = "static/taskcluster/root";

/// What everybody may do unless the operator says otherwise: read what is public, as clients that
/// never sent credentials expect.
const ANONYMOUS: &[&str] = &[
    "auth:current-scopes",
    "auth:expand-scopes",
    "auth:get-client:*",
    "auth:get-role:*",
    "auth:list-clients",
    "auth:list-roles",
    "github:get-badge:*",
    "github:get-repository:*",
    "github:latest-status:*",
    "github:list-builds",
    "hooks:get:*",
    "hooks:list-hooks:*",
    "hooks:list-last-fires:*",
    "hooks:status:*",
    "index:find-task:*",
    "index:list-namespaces:*",
    "index:list-tasks:*",
    "purge-cache:all-purge-requests",
    "purge-cache:purge-requests:*",
    "queue:claimed-count:*",
    "queue:claimed-list:*",
    "queue:create-task:project:none",
    "queue:get-artifact:public/*",
    "queue:get-provisioner:*",
    "queue:get-task-queue:*",
    "queue:get-task:*",
    "queue:get-worker-type:*",
    "queue:get-worker:*",
    "queue:list-artifacts:*",
    "queue:list-dependent-tasks:*",
    "queue:list-provisioners",
    "queue:list-task-group:*",
    "queue:list-task-queues",
    "queue:list-worker-types:*",
    "queue:list-workers:*",
    "queue:pending-count:*",
    "queue:pending-list:*",
    "queue:status:*",
    "secrets:list-secrets",
    "web:read-pulse",
    "worker-manager:get-worker-pool:*",
    "worker-manager:get-worker:*",
    "worker-manager:list-providers",
    "worker-manager:list-worker-pool-errors:*",
    "worker-manager:list-worker-pools",
    "worker-manager:list-workers:*",
    "worker-manager:should-worker-terminate:*",
];

/// Makes sure of them. Returns the root client's credentials and whether they are new, so that its
/// token must be shown now or never.
pub(crate) async fn ensure(
    directory: &Directory,
    clock: &Clock,
    config: &ServeConfig,
) -> anyhow::Result<(Credentials, bool)> {
    let now_ms = clock.now().millis();
    let configured = config
        .root_access_token
        .as_ref()
        .map(|token| token.reveal().into());
    let about = "May do everything. Made by the server.";
    let (token, is_new) = directory
        .ensure_client(now_ms, ROOT, &["*"], about, configured.as_ref())
        .await?;
    let about = "Issues the credentials of tasks. Made by the server.";
    directory
        .ensure_client(now_ms, ISSUER, &["*"], about, None)
        .await?;
    let about = "What everybody may do. Made by the server; change it as you like.";
    directory
        .ensure_role(now_ms, "anonymous", ANONYMOUS, about)
        .await?;
    Ok((
        Credentials::new(ROOT, token.expose()),
        is_new && configured.is_none(),
    ))
}

/// Makes the clients and roles of the configuration what they are there.
pub(crate) async fn stand(
    directory: &Directory,
    clock: &Clock,
    standing: &Standing,
) -> anyhow::Result<()> {
    directory
        .apply_standing(clock.now().millis(), &standing.clients, &standing.roles)
        .await?
        .context("the roles of the configuration do not go with those that there are")
}
