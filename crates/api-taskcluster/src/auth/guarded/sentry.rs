//! Addresses to which projects send reports of their failures: keys at Sentry, made when they are
//! asked for and replaced before they end.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde_json::json;
use taskyard_access::Secret;
use taskyard_engine::Timestamp;

use super::super::Auth;
use crate::call::Call;
use crate::date_time;
use crate::error::ApiError;
use crate::outside::{Answer, Outside, OutsideError};
use crate::reply::Reply;

/// How long a new key is used.
const LIFETIME: Duration = Duration::from_hours(48);

/// A key is given out as long as it has more than this left.
const RESERVE: Duration = Duration::from_hours(25);

/// A Sentry organization.
#[derive(Debug, Clone)]
pub struct Sentry {
    /// Where Sentry is, such as `https://sentry.io`; without a final slash.
    pub url: String,
    /// The organization's slug.
    pub organization: String,
    /// The slug of the team that new projects belong to.
    pub team: String,
    /// A token that may read and write projects.
    pub token: Secret,
    /// What the names of our keys begin with.
    pub key_prefix: String,
}

/// A key, and when it is to end.
#[derive(Debug, Clone)]
pub(in crate::auth) struct Key {
    dsn: Dsn,
    expires: Timestamp,
}

/// The addresses that go with a key.
#[derive(Debug, Clone, Deserialize)]
struct Dsn {
    secret: Secret,
    public: String,
}

/// A key as Sentry tells it.
#[derive(Debug, Deserialize)]
struct Known {
    id: String,
    /// The name that it was made with; older releases say only the label.
    name: Option<String>,
    label: Option<String>,
    dsn: Dsn,
}

pub(in crate::auth) async fn sentry_dsn(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    let project = call.param("project");
    let sentry = auth.guarded.sentry.as_ref().ok_or_else(|| {
        ApiError::not_found(format!(
            "This deployment is not connected to Sentry, so there is no key for the project \
             '{project}'."
        ))
    })?;
    let known = auth.sentry_keys.get(project, call.now);
    let key = if let Some(key) = known {
        key
    } else {
        let key = sentry
            .key(&auth.outside, project, call.now)
            .await
            .map_err(|error| error.of("Sentry"))?;
        let until = key.expires.minus(RESERVE);
        let (name, known) = (project.to_owned(), key.clone());
        auth.sentry_keys.put(name, known, call.now, until);
        key
    };
    Ok(Reply::json(&json!({
        "project": project,
        "dsn": {"secret": key.dsn.secret.expose(), "public": key.dsn.public},
        "expires": key.expires.to_iso(),
    })))
}

impl Sentry {
    /// The key that ends last, or a new one if it ends soon. Keys of ours that have ended are
    /// removed when a new one is made.
    async fn key(
        &self,
        outside: &Outside,
        project: &str,
        now: Timestamp,
    ) -> Result<Key, OutsideError> {
        let ours: Vec<(String, Key)> = self
            .keys(outside, project)
            .await?
            .into_iter()
            .filter_map(|known| self.ours(known))
            .collect();
        let (ended, live): (Vec<_>, Vec<_>) =
            ours.into_iter().partition(|(_, key)| key.expires <= now);
        let last = live.into_iter().map(|(_, key)| key);
        if let Some(key) = last.max_by_key(|key| key.expires)
            && key.expires > now.plus(RESERVE)
        {
            return Ok(key);
        }
        let expires = now.plus(LIFETIME).trunc_millis();
        let path = format!("projects/{}/{project}/keys/", self.organization);
        let request = self.request(outside, Method::POST, &path)?;
        let request = request.json(&json!({"name": self.name(expires)}));
        let made: Known = Answer::to(request).await?.good()?.json()?;
        for (id, _) in ended {
            let request = self.request(outside, Method::DELETE, &format!("{path}{id}/"))?;
            if let Err(error) = Answer::to(request).await.and_then(Answer::good) {
                tracing::warn!(project, %error, "a key at Sentry that has ended stays");
            }
        }
        Ok(Key {
            dsn: made.dsn,
            expires,
        })
    }

    /// All keys of a project, which is created if there is none.
    async fn keys(&self, outside: &Outside, project: &str) -> Result<Vec<Known>, OutsideError> {
        let path = format!("projects/{}/{project}/keys/", self.organization);
        let list = || self.request(outside, Method::GET, &path);
        let answer = Answer::to(list()?).await?;
        if answer.status != StatusCode::NOT_FOUND {
            return answer.good()?.json();
        }
        let teams = format!("teams/{}/{}/projects/", self.organization, self.team);
        let create = self.request(outside, Method::POST, &teams)?;
        let create = create.json(&json!({"name": project, "slug": project}));
        let created = Answer::to(create).await?;
        // Somebody else may have made it in the same moment.
        if created.status != StatusCode::CONFLICT {
            created.good()?;
        }
        Answer::to(list()?).await?.good()?.json()
    }

    fn request(
        &self,
        outside: &Outside,
        method: Method,
        path: &str,
    ) -> Result<RequestBuilder, OutsideError> {
        let url = format!("{}/api/0/{path}", self.url);
        let request = outside.client()?.request(method, url);
        Ok(request.bearer_auth(self.token.expose()))
    }

    /// The name of a key. Its end stands there, because Sentry knows none.
    fn name(&self, expires: Timestamp) -> String {
        format!(
            "{} managed (expires-at:{})",
            self.key_prefix,
            expires.to_iso()
        )
    }

    /// A key, if its name says that it is one of ours; with its id.
    fn ours(&self, known: Known) -> Option<(String, Key)> {
        let end = known.name.or(known.label)?;
        let end = end
            .strip_prefix(&self.key_prefix)?
            .strip_prefix(" managed (expires-at:")?
            .strip_suffix(')')?;
        let expires = date_time::parse(end)?;
        Some((
            known.id,
            Key {
                dsn: known.dsn,
                expires,
            },
        ))
    }
}
