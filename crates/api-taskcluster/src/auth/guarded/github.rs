//! Tokens for repositories at GitHub, made by apps of ours that their owners have installed.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde_json::{Value, json};
use taskyard_access::{Param, Secret};
use taskyard_engine::Timestamp;

use super::super::Auth;
use super::remembered::Remembered;
use crate::call::Call;
use crate::date_time;
use crate::error::{ApiError, Code};
use crate::outside::{Answer, Outside, OutsideError};
use crate::reply::Reply;

/// So long ago an app's assertion seems to be made, in case GitHub's clock is behind ours, in
/// seconds.
const EARLIER_S: i64 = 60;

/// How long an app's assertion is good from now, in seconds. GitHub takes none of more than ten
/// minutes.
const ASSERTION_S: i64 = 9 * 60;

/// How long it is remembered where an app is installed.
const KNOWN: Duration = Duration::from_mins(10);

/// How much of what GitHub says about a request is passed on, in characters.
const PASSED_ON: usize = 300;

/// An app at GitHub.
#[derive(Debug, Clone)]
pub struct GithubApp {
    /// The number that GitHub gave it.
    pub id: String,
    /// What it signs with.
    pub key: GithubKey,
    /// Where GitHub's interface is, such as `https://api.github.com`; without a final slash.
    pub api_url: String,
}

/// The private key of an app.
#[derive(Clone)]
pub struct GithubKey(EncodingKey);

impl std::fmt::Debug for GithubKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GithubKey").finish_non_exhaustive()
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the app is not installed there")]
    NotInstalled,
    /// What the owner is called now, if GitHub says so.
    #[error("the installation belongs to another owner")]
    OtherOwner(Option<String>),
    /// With GitHub's own words.
    #[error("the request was rejected: {0}")]
    Rejected(String),
    #[error("the app has made too many requests")]
    TooMany,
    #[error(transparent)]
    Outside(#[from] OutsideError),
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
    account: Option<Account>,
}

#[derive(Deserialize)]
struct Account {
    /// Enterprises have none.
    login: Option<String>,
}

#[derive(Deserialize)]
struct Token {
    token: Secret,
    expires_at: String,
}

/// What GitHub says about a request that it does not like.
#[derive(Deserialize)]
struct Complaint {
    message: String,
}

impl GithubKey {
    /// Reads a key in PEM, as GitHub gives it out.
    ///
    /// # Errors
    /// What is wrong with it, without any of what it says.
    pub fn read(pem: &str) -> Result<GithubKey, &'static str> {
        let key = EncodingKey::from_rsa_pem(pem.as_bytes())
            .map(GithubKey)
            .map_err(|_| "is no RSA key in PEM")?;
        // A key that is damaged inside shows when it signs.
        key.sign("0", 0).map_err(|_| "has a key that cannot sign")?;
        Ok(key)
    }

    /// What says to GitHub that we are the app `id`.
    fn sign(&self, id: &str, now_s: i64) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = json!({"iss": id, "iat": now_s - EARLIER_S, "exp": now_s + ASSERTION_S});
        encode(&Header::new(Algorithm::RS256), &claims, &self.0)
    }
}

pub(in crate::auth) async fn github_repo_token(
    auth: Arc<Auth>,
    mut call: Call,
) -> Result<Reply, ApiError> {
    // GitHub's names are the same in any case; scopes are compared in lower case.
    for (name, value) in Arc::make_mut(&mut call.params) {
        if *name == "owner" {
            value.make_ascii_lowercase();
        }
    }
    let repositories = repositories(&call.payload);
    let permissions = &call.payload["permissions"];
    let asked = asked(&repositories, permissions);
    call.authorize(&[("repoPerms", Param::from(asked))])?;
    let (name, owner) = (call.param("appName"), call.param("owner"));
    let app = auth.guarded.github.get(name).ok_or_else(|| {
        ApiError::not_found(format!(
            "This deployment has no GitHub app called '{name}'."
        ))
    })?;
    let asker = Asker {
        app,
        outside: &auth.outside,
        now: call.now,
    };
    let wanted = json!({"repositories": repositories, "permissions": permissions});
    let token = asker
        .token(&auth.github_installations, name, owner, &wanted)
        .await
        .map_err(|refusal| refusal.told(name, owner))?;
    let expires = date_time::parse(&token.expires_at)
        .ok_or_else(|| ApiError::internal("GitHub names no time at which its token expires"))?;
    Ok(Reply::json(&json!({
        "token": token.token.expose(),
        "expires": expires.to_iso(),
    })))
}

/// The repositories that a token is wanted for, as scopes name them.
fn repositories(payload: &Value) -> Vec<String> {
    let given = payload.get("repositories").and_then(Value::as_array);
    given
        .into_iter()
        .flatten()
        .filter_map(|name| Some(name.as_str()?.to_ascii_lowercase()))
        .collect()
}

/// Every repository with every permission, as the scopes name them.
fn asked(repositories: &[String], permissions: &Value) -> Vec<String> {
    let permissions = permissions.as_object();
    repositories
        .iter()
        .flat_map(|repository| {
            permissions
                .into_iter()
                .flatten()
                .filter_map(move |(name, level)| {
                    Some(format!("{repository}:{name}:{}", level.as_str()?))
                })
        })
        .collect()
}

/// An app that asks GitHub for something.
struct Asker<'a> {
    app: &'a GithubApp,
    outside: &'a Outside,
    now: Timestamp,
}

impl Asker<'_> {
    /// A token as it is `wanted`, for repositories of `owner`.
    async fn token(
        &self,
        known: &Remembered<u64>,
        name: &str,
        owner: &str,
        wanted: &Value,
    ) -> Result<Token, Refusal> {
        let place = format!("{name}/{owner}");
        let installation = if let Some(id) = known.get(&place, self.now) {
            id
        } else {
            let id = self.installation(owner).await?;
            known.put(place.clone(), id, self.now, self.now.plus(KNOWN));
            id
        };
        let url = format!(
            "{}/app/installations/{installation}/access_tokens",
            self.app.api_url
        );
        let request = self.outside.client()?.post(url).json(wanted);
        let answer = self.answer(request).await?;
        match answer.status {
            StatusCode::NOT_FOUND => {
                known.forget(&place);
                Err(Refusal::NotInstalled)
            }
            StatusCode::UNPROCESSABLE_ENTITY => Err(Refusal::Rejected(complaint(&answer))),
            _ => Ok(answer.good()?.json()?),
        }
    }

    /// The number of the app's installation at `owner`, an organization or a user.
    async fn installation(&self, owner: &str) -> Result<u64, Refusal> {
        // In an address these are no names but ways to other places; nobody is called so.
        if owner == "." || owner == ".." {
            return Err(Refusal::NotInstalled);
        }
        let mut answer = self.look("orgs", owner).await?;
        if answer.status == StatusCode::NOT_FOUND {
            answer = self.look("users", owner).await?;
        }
        if answer.status == StatusCode::NOT_FOUND {
            return Err(Refusal::NotInstalled);
        }
        // So GitHub tells of a new name.
        if answer.status.is_redirection() {
            return Err(Refusal::OtherOwner(None));
        }
        let found: Installation = answer.good()?.json()?;
        // Scopes name the owner that was asked for, so a token for any other must not be had.
        let login = found.account.and_then(|account| account.login);
        match login {
            Some(login) if login.eq_ignore_ascii_case(owner) => Ok(found.id),
            login => Err(Refusal::OtherOwner(login)),
        }
    }

    async fn look(&self, kind: &str, owner: &str) -> Result<Answer, Refusal> {
        let url = format!("{}/{kind}/{owner}/installation", self.app.api_url);
        self.answer(self.outside.client()?.get(url)).await
    }

    /// What GitHub answers the app, unless it has been asked too often.
    async fn answer(&self, request: RequestBuilder) -> Result<Answer, Refusal> {
        let now_s = self.now.millis().div_euclid(1000);
        let assertion = self
            .app
            .key
            .sign(&self.app.id, now_s)
            .map_err(|error| OutsideError::Unanswered(format!("cannot sign: {error}")))?;
        let request = request
            .bearer_auth(assertion)
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28");
        let answer = Answer::to(request).await?;
        if is_limit(&answer) {
            return Err(Refusal::TooMany);
        }
        Ok(answer)
    }
}

/// Whether GitHub refuses because of how often it was asked. It has a limit of requests an hour,
/// and others that it tells of only by a pause or in words.
fn is_limit(answer: &Answer) -> bool {
    let headers = &answer.headers;
    match answer.status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => {
            headers
                .get("x-ratelimit-remaining")
                .is_some_and(|left| left == "0")
                || headers.contains_key("retry-after")
                || complaint(answer).contains("secondary rate limit")
        }
        _ => false,
    }
}

/// GitHub's own words, shortened.
fn complaint(answer: &Answer) -> String {
    let said = answer.json::<Complaint>();
    said.map_or_else(
        |_| "no reason given".to_owned(),
        |said| said.message.chars().take(PASSED_ON).collect(),
    )
}

impl Refusal {
    /// The refusal as the caller of the app `name` is told about it.
    fn told(self, name: &str, owner: &str) -> ApiError {
        match self {
            Refusal::NotInstalled => ApiError::not_found(format!(
                "The GitHub app '{name}' is not installed at '{owner}'."
            )),
            Refusal::OtherOwner(login) => {
                let login = login.map_or_else(
                    || "another name".to_owned(),
                    |login| format!("the name '{login}'"),
                );
                ApiError::input(format!(
                    "GitHub knows the owner '{owner}' by {login}; ask for it as it is called now."
                ))
            }
            Refusal::Rejected(text) => {
                ApiError::input(format!("GitHub does not give such a token: {text}"))
            }
            Refusal::TooMany => {
                tracing::warn!(
                    app = name,
                    "GitHub takes no more requests of an app for now"
                );
                ApiError::new(
                    Code::TooManyRequests,
                    format!(
                        "GitHub takes no more requests of the app '{name}' for now; try later."
                    ),
                )
            }
            Refusal::Outside(error) => error.of("GitHub"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_is_asked_for_every_repository() {
        let payload = json!({
            "repositories": ["A.b", "c"],
            "permissions": {"contents": "write", "checks": "read"},
        });
        assert_eq!(
            asked(&repositories(&payload), &payload["permissions"]),
            [
                "a.b:contents:write",
                "a.b:checks:read",
                "c:contents:write",
                "c:checks:read"
            ]
        );
    }
}
