//! Tokens of Google Cloud's service accounts, which our own service account may impersonate.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Deserialize;
use serde_json::json;
use taskyard_access::Secret;
use taskyard_engine::Timestamp;

use super::super::Auth;
use super::remembered::Remembered;
use crate::call::Call;
use crate::date_time;
use crate::error::{ApiError, Code};
use crate::outside::{Answer, Outside, OutsideError, form};
use crate::reply::Reply;

/// What the tokens are for: all that the service account may do.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// How long the tokens are good: an hour.
const LIFETIME: &str = "3600s";

/// How long what we ask for our own token with is good: an hour, in seconds.
const ASSERTION_S: i64 = 3600;

/// Our own token is renewed so long before its end.
const RESERVE: Duration = Duration::from_mins(5);

/// A project of Google Cloud.
#[derive(Debug, Clone)]
pub struct GcpProject {
    /// Its id.
    pub project_id: String,
    /// The key of our own service account in it.
    pub key: GcpKey,
    /// The service accounts that callers may be given tokens of.
    pub service_accounts: Vec<String>,
    /// Where tokens are generated, such as `https://iamcredentials.googleapis.com`; without a
    /// final slash.
    pub iam_url: String,
}

/// The key of a service account.
#[derive(Clone)]
pub struct GcpKey {
    email: String,
    id: Option<String>,
    /// Where it is exchanged for a token.
    token_url: String,
    key: EncodingKey,
}

impl std::fmt::Debug for GcpKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GcpKey")
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}

/// The key file, as Google's console makes it.
#[derive(Deserialize)]
struct KeyFile {
    project_id: String,
    client_email: String,
    private_key_id: Option<String>,
    private_key: String,
    token_uri: String,
}

#[derive(Deserialize)]
struct OwnToken {
    access_token: Secret,
    expires_in: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Generated {
    access_token: String,
    expire_time: String,
}

impl GcpKey {
    /// Reads a key file; its project's id and the key.
    ///
    /// # Errors
    /// What is wrong with it, without any of what it says.
    pub fn read(json: &str) -> Result<(String, GcpKey), &'static str> {
        let file: KeyFile = serde_json::from_str(json)
            .map_err(|_| "is no JSON with project_id, client_email, private_key and token_uri")?;
        let key = EncodingKey::from_rsa_pem(file.private_key.as_bytes())
            .map_err(|_| "has a private_key that is no RSA key in PEM")?;
        if !file.token_uri.starts_with("https://") && !file.token_uri.starts_with("http://") {
            return Err("has a token_uri that is no web address");
        }
        let read = GcpKey {
            email: file.client_email,
            id: file.private_key_id,
            token_url: file.token_uri,
            key,
        };
        // A key that is damaged inside shows when it signs.
        read.assertion(0)
            .map_err(|_| "has a private_key that cannot sign")?;
        Ok((file.project_id, read))
    }

    /// What says to Google that we are the service account.
    fn assertion(&self, now_s: i64) -> Result<String, jsonwebtoken::errors::Error> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid.clone_from(&self.id);
        let claims = json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.token_url,
            "iat": now_s,
            "exp": now_s + ASSERTION_S,
        });
        encode(&header, &claims, &self.key)
    }

    /// A token of our own service account, the last one while it is good.
    async fn token(
        &self,
        outside: &Outside,
        known: &Remembered<Secret>,
        now: Timestamp,
    ) -> Result<Secret, OutsideError> {
        if let Some(token) = known.get(&self.email, now) {
            return Ok(token);
        }
        let assertion = self
            .assertion(now.millis().div_euclid(1000))
            .map_err(|error| OutsideError::Unanswered(format!("cannot sign: {error}")))?;
        let request = outside
            .client()?
            .post(&self.token_url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form(&[
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("assertion", &assertion),
            ]));
        let own: OwnToken = Answer::to(request).await?.good()?.json()?;
        let until = now
            .plus(Duration::from_secs(own.expires_in.into()))
            .minus(RESERVE);
        known.put(self.email.clone(), own.access_token.clone(), now, until);
        Ok(own.access_token)
    }
}

pub(in crate::auth) async fn gcp_credentials(
    auth: Arc<Auth>,
    call: Call,
) -> Result<Reply, ApiError> {
    let (project_id, account) = (call.param("projectId"), call.param("serviceAccount"));
    let projects = &auth.guarded.gcp;
    if !projects.iter().any(|project| project.gives(account)) {
        return Err(ApiError::new(
            Code::InvalidRequestArguments,
            format!(
                "The service account '{account}' is not among those that this deployment gives out."
            ),
        ));
    }
    let project = projects
        .iter()
        .find(|project| project.project_id == project_id && project.gives(account))
        .ok_or_else(|| {
            ApiError::not_found(format!(
                "This deployment has no credentials for the project '{project_id}' with this \
                 service account."
            ))
        })?;
    let generated = project
        .generate(&auth.outside, &auth.gcp_tokens, account, call.now)
        .await
        .map_err(|error| {
            tracing::warn!(project_id, account, %error, "Google Cloud gave no token");
            ApiError::not_found(format!(
                "Google Cloud gave no token for the service account '{account}'; the server's log \
                 has its reason."
            ))
        })?;
    let expires = date_time::parse(&generated.expire_time)
        .ok_or_else(|| ApiError::internal("Google Cloud names no time at which its token expires"))?
        .to_iso();
    Ok(Reply::json(&json!({
        "accessToken": generated.access_token,
        "expireTime": expires,
    })))
}

impl GcpProject {
    fn gives(&self, account: &str) -> bool {
        self.service_accounts.iter().any(|known| known == account)
    }

    async fn generate(
        &self,
        outside: &Outside,
        known: &Remembered<Secret>,
        account: &str,
        now: Timestamp,
    ) -> Result<Generated, OutsideError> {
        let own = self.key.token(outside, known, now).await?;
        // The account is one of those configured, so it needs no escaping. Its project is that of
        // our own account, whatever it is called.
        let url = format!(
            "{}/v1/projects/-/serviceAccounts/{account}:generateAccessToken",
            self.iam_url
        );
        let request = outside
            .client()?
            .post(url)
            .bearer_auth(own.expose())
            .json(&json!({"scope": [SCOPE], "delegates": [], "lifetime": LIFETIME}));
        Answer::to(request).await?.good()?.json()
    }
}
