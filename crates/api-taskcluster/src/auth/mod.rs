//! Auth: who there is, what they may do, and credentials for guarded services.

mod clients;
mod exchanges;
mod guarded;
mod hawk;
mod history;
mod methods;
mod roles;
mod scopes;
mod test_authenticate;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use taskyard_access::directory::{Deed, SERVER};
use taskyard_access::{Directory, DirectoryError, Secret};
use taskyard_engine::Timestamp;
use taskyard_engine::clock::Clock;

use crate::call::Call;
use crate::error::ApiError;
use crate::monitoring::Monitored;
use crate::service::{Context, Service};

pub(crate) use exchanges::{AuthMessages, EXCHANGES};
pub use guarded::{
    AzureAccount, BucketKeys, GcpKey, GcpProject, GithubApp, GithubKey, Guarded, Sentry, Statsum,
    Webhooktunnel, is_azure_key,
};

use crate::outside::Outside;
use guarded::remembered::Remembered;
use guarded::sentry::Key;

/// How often expired clients and old history are cleared away.
const UPKEEP: Duration = Duration::from_hours(1);

/// What the handlers of the auth service share.
#[derive(Debug)]
pub struct Auth {
    directory: Arc<Directory>,
    clock: Clock,
    guarded: Guarded,
    outside: Outside,
    /// Tables and containers that are known to exist.
    made_in_azure: Remembered<()>,
    /// Tokens of our own service accounts, by their names.
    gcp_tokens: Remembered<Secret>,
    /// Where our apps at GitHub are installed, by app and owner.
    github_installations: Remembered<u64>,
    /// Keys at Sentry, by project.
    sentry_keys: Remembered<Key>,
    started: Timestamp,
}

impl Auth {
    /// The auth service, with `guarded` services that it gives credentials for.
    pub fn service(guarded: Guarded, context: Context) -> Service<Auth> {
        let auth = Auth {
            directory: Arc::clone(&context.directory),
            clock: context.clock.clone(),
            guarded,
            outside: Outside::default(),
            made_in_azure: Remembered::default(),
            gcp_tokens: Remembered::default(),
            github_installations: Remembered::default(),
            sentry_keys: Remembered::default(),
            started: context.clock.now(),
        };
        Service::new("auth", methods::ABOUT, methods::methods(), auth, context)
    }
}

impl Monitored for Auth {
    fn uptime(&self) -> Duration {
        self.clock.now().since(self.started)
    }
}

/// Deletes clients that have expired and asked for it, and history that is old, now and every hour
/// on `clock`, for ever.
pub async fn upkeep(directory: Arc<Directory>, clock: Clock) {
    loop {
        let now = clock.now();
        if let Err(error) = clear(&directory, now.millis()).await {
            tracing::warn!(%error, "expired clients and old history stay for another hour");
        }
        clock.reaches(now.plus(UPKEEP)).await;
    }
}

async fn clear(directory: &Directory, now_ms: i64) -> Result<(), DirectoryError> {
    let deed = Deed {
        actor: SERVER,
        now_ms,
    };
    while directory.delete_expired_clients(deed).await? > 0 {}
    directory.forget_old_history(now_ms).await?;
    Ok(())
}

/// A time as answers write it.
fn iso(millis: i64) -> String {
    Timestamp::from_millis(millis).to_iso()
}

/// The scopes of a body's list.
fn list(call: &Call, name: &str) -> Option<Vec<String>> {
    let scopes = call.payload.get(name)?.as_array()?;
    Some(
        scopes
            .iter()
            .filter_map(|scope| scope.as_str().map(str::to_owned))
            .collect(),
    )
}

/// New scopes must not end in two stars, which look like more than one star and are less.
fn refuse_double_stars(scopes: &[String]) -> Result<(), ApiError> {
    match scopes.iter().find(|scope| scope.ends_with("**")) {
        Some(scope) => Err(ApiError::input(format!(
            "The scope '{scope}' ends in '**'; one star at the end is enough."
        ))),
        None => Ok(()),
    }
}
