//! The secrets service: JSON under a name, for those who have the scope.

mod methods;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use taskyard_access::secrets::{OpenSecret, Secrets as Kept, SecretsError};
use taskyard_engine::Timestamp;
use taskyard_engine::clock::Clock;

use crate::call::Call;
use crate::date_time;
use crate::error::{ApiError, Code};
use crate::monitoring::Monitored;
use crate::paging;
use crate::reply::Reply;
use crate::service::{Context, Service};

/// How often expired secrets are removed.
const UPKEEP: Duration = Duration::from_hours(1);
/// How long callers are told that a secret has expired, at least.
const TOLD: Duration = Duration::from_secs(30);

/// What the handlers of the secrets service share.
#[derive(Debug)]
pub struct Secrets {
    kept: Kept,
    clock: Clock,
    started: Timestamp,
}

impl Secrets {
    /// The secrets service over what is `kept`.
    pub fn service(kept: Kept, context: Context) -> Service<Secrets> {
        let secrets = Secrets {
            kept,
            clock: context.clock.clone(),
            started: context.clock.now(),
        };
        Service::new(
            "secrets",
            methods::ABOUT,
            methods::methods(),
            secrets,
            context,
        )
    }
}

impl Monitored for Secrets {
    fn uptime(&self) -> Duration {
        self.clock.now().since(self.started)
    }
}

/// Removes secrets that have expired, now and every hour on `clock`, for ever.
pub async fn upkeep(kept: Kept, clock: Clock) {
    loop {
        let now = clock.now();
        if let Err(error) = kept.expire(now.minus(TOLD).millis(), now.millis()).await {
            tracing::warn!(%error, "expired secrets stay for another hour");
        }
        clock.reaches(now.plus(UPKEEP)).await;
    }
}

impl From<SecretsError> for ApiError {
    fn from(error: SecretsError) -> Self {
        match error {
            SecretsError::Store(error) => error.into(),
            SecretsError::Seal(error) => Self::internal(error),
        }
    }
}

fn nothing() -> Reply {
    Reply::json(&Value::Object(Map::new()))
}

async fn set(secrets: Arc<Secrets>, call: Call) -> Result<Reply, ApiError> {
    let expires = date_time::parse(call.text("expires"))
        .ok_or_else(|| ApiError::input("`expires` is no moment that exists."))?;
    let secret = OpenSecret {
        text: call
            .payload
            .get("secret")
            .unwrap_or(&Value::Null)
            .to_string(),
        expires_ms: expires.millis(),
    };
    secrets
        .kept
        .set(call.param("name"), &secret, call.deed())
        .await?;
    Ok(nothing())
}

async fn remove(secrets: Arc<Secrets>, call: Call) -> Result<Reply, ApiError> {
    secrets.kept.remove(call.param("name"), call.deed()).await?;
    Ok(nothing())
}

async fn get(secrets: Arc<Secrets>, call: Call) -> Result<Reply, ApiError> {
    #[derive(Serialize)]
    struct Body {
        secret: Box<RawValue>,
        expires: String,
    }
    let found = secrets.kept.get(call.param("name")).await?;
    let found = found.ok_or_else(|| ApiError::not_found("Secret not found"))?;
    let expires = Timestamp::from_millis(found.expires_ms);
    if expires <= call.now {
        return Err(ApiError::new(
            Code::ResourceExpired,
            "The requested resource has expired.",
        ));
    }
    Ok(Reply::json(&Body {
        secret: RawValue::from_string(found.text).map_err(ApiError::internal)?,
        expires: expires.to_iso(),
    }))
}

async fn list(secrets: Arc<Secrets>, call: Call) -> Result<Reply, ApiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Page {
        secrets: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        continuation_token: Option<String>,
    }
    let (limit, after) = (
        paging::limit(&call),
        paging::position(&call, String::new())?,
    );
    let mut names = secrets
        .kept
        .names(call.now.millis(), after, limit + 1)
        .await?;
    let continuation_token = paging::cut(&mut names, limit, String::clone);
    Ok(Reply::json(&Page {
        secrets: names,
        continuation_token,
    }))
}
