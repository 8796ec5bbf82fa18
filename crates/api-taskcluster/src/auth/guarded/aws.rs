//! Access to a part of a bucket: a federated user's credentials, from AWS's Security Token Service.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use serde::Deserialize;
use serde_json::{Value, json};
use taskyard_access::Secret;
use taskyard_engine::Timestamp;

use super::super::Auth;
use super::authorize_level;
use crate::call::Call;
use crate::date_time;
use crate::error::ApiError;
use crate::outside::{Answer, Outside, OutsideError, form};
use crate::reply::Reply;

/// The federated user. Policies of buckets may name it, so it is the one that Taskcluster uses.
const USER: &str = "TemporaryS3ReadWriteCredentials";

/// How long the credentials are good: an hour, in seconds.
const LIFETIME_S: &str = "3600";

/// The longest key that S3 has, in bytes.
const LONGEST_KEY: usize = 1024;

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// The keys of an AWS user, and the buckets that it gives access to.
#[derive(Debug, Clone)]
pub struct BucketKeys {
    /// Name of the key.
    pub access_key_id: String,
    /// The key itself.
    pub secret_access_key: Secret,
    /// The buckets that callers may be let into.
    pub buckets: Vec<String>,
    /// Where the Security Token Service is, such as `https://sts.amazonaws.com`.
    pub sts_url: String,
    /// The region that requests to it are signed for.
    pub region: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    get_federation_token_result: GivenResult,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GivenResult {
    credentials: GivenCredentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GivenCredentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}

impl std::fmt::Debug for GivenCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GivenCredentials").finish_non_exhaustive()
    }
}

pub(in crate::auth) async fn aws_s3_credentials(
    auth: Arc<Auth>,
    call: Call,
) -> Result<Reply, ApiError> {
    authorize_level(&call)?;
    let (bucket, prefix) = (call.param("bucket"), call.param("prefix"));
    let all = &auth.guarded.s3;
    let keys = all.iter().find(|keys| keys.has(bucket)).ok_or_else(|| {
        ApiError::not_found(format!(
            "This deployment has no credentials for the bucket '{bucket}'."
        ))
    })?;
    if prefix.starts_with('/') {
        return Err(ApiError::input(format!(
            "The prefix must not begin with a slash, as '{prefix}' does."
        )));
    }
    if prefix.len() > LONGEST_KEY {
        return Err(ApiError::input(format!(
            "The prefix has {} bytes; no key in S3 has more than {LONGEST_KEY}.",
            prefix.len()
        )));
    }
    let policy = policy(bucket, prefix, call.param("level") == "read-write");
    let given = keys
        .federate(&auth.outside, &policy, call.now)
        .await
        .map_err(|error| error.of("AWS's Security Token Service"))?;
    let expires = date_time::parse(&given.expiration)
        .ok_or_else(|| ApiError::internal("STS names no time at which its credentials expire"))?
        .to_iso();
    Ok(Reply::json(&if call.query("format").is_some() {
        // As machines at Amazon get their own credentials.
        json!({
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": call.now.to_iso(),
            "AccessKeyId": given.access_key_id,
            "SecretAccessKey": given.secret_access_key,
            "Token": given.session_token,
            "Expiration": expires,
        })
    } else {
        json!({
            "credentials": {
                "accessKeyId": given.access_key_id,
                "secretAccessKey": given.secret_access_key,
                "sessionToken": given.session_token,
            },
            "expires": expires,
        })
    }))
}

impl BucketKeys {
    fn has(&self, bucket: &str) -> bool {
        self.buckets.iter().any(|known| known == bucket)
    }

    /// Asks for credentials that may do what `policy` says.
    async fn federate(
        &self,
        outside: &Outside,
        policy: &Value,
        now: Timestamp,
    ) -> Result<GivenCredentials, OutsideError> {
        let body = form(&[
            ("Action", "GetFederationToken"),
            ("Version", "2011-06-15"),
            ("Name", USER),
            ("DurationSeconds", LIFETIME_S),
            ("Policy", &policy.to_string()),
        ]);
        let mut request = outside.client()?.post(&self.sts_url);
        for (name, value) in self.signature(&body, now)? {
            request = request.header(name, value);
        }
        let request = request.header("content-type", FORM).body(body);
        let given: Given = Answer::to(request).await?.good()?.xml()?;
        Ok(given.get_federation_token_result.credentials)
    }

    /// The headers that sign a form sent to the service.
    fn signature(&self, body: &str, now: Timestamp) -> Result<Vec<(String, String)>, OutsideError> {
        let unsigned = |error: &dyn std::fmt::Display| {
            OutsideError::Unanswered(format!("the request cannot be signed: {error}"))
        };
        let secret = self.secret_access_key.expose();
        let who = Credentials::new(&self.access_key_id, secret, None, None, "taskyard").into();
        let millis = u64::try_from(now.millis()).unwrap_or_default();
        let parameters = v4::SigningParams::builder()
            .identity(&who)
            .region(&self.region)
            .name("sts")
            .time(UNIX_EPOCH + Duration::from_millis(millis))
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsigned(&error))?
            .into();
        let request = SignableRequest::new(
            "POST",
            &self.sts_url,
            [("content-type", FORM)].into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        )
        .map_err(|error| unsigned(&error))?;
        let signed = sign(request, &parameters).map_err(|error| unsigned(&error))?;
        let (instructions, _) = signed.into_parts();
        let headers = instructions.headers();
        Ok(headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }
}

/// What the credentials may do: objects whose keys begin with `prefix`, and lists of them.
fn policy(bucket: &str, prefix: &str, may_write: bool) -> Value {
    let objects: &[&str] = if may_write {
        &["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    } else {
        &["s3:GetObject"]
    };
    let prefix = literally(prefix);
    let itself = format!("arn:aws:s3:::{bucket}");
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Objects",
                "Effect": "Allow",
                "Action": objects,
                "Resource": [format!("{itself}/{prefix}*")],
            },
            {
                "Sid": "Lists",
                "Effect": "Allow",
                "Action": ["s3:ListBucket"],
                "Resource": [itself],
                "Condition": {"StringLike": {"s3:prefix": [format!("{prefix}*")]}},
            },
            {
                "Sid": "Location",
                "Effect": "Allow",
                "Action": ["s3:GetBucketLocation"],
                "Resource": [itself],
            },
        ],
    })
}

/// A text as policies match it and nothing else: stars, question marks and variables mean
/// themselves.
fn literally(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for next in text.chars() {
        match next {
            '*' | '?' | '$' => {
                escaped.push_str("${");
                escaped.push(next);
                escaped.push('}');
            }
            _ => escaped.push(next),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_lets_into_what_begins_with_the_prefix_and_nowhere_else() {
        let read = policy("bucket", "a/b?*", false);
        let statements = read["Statement"].as_array().unwrap();
        assert_eq!(statements[0]["Action"], json!(["s3:GetObject"]));
        assert_eq!(
            statements[0]["Resource"],
            json!(["arn:aws:s3:::bucket/a/b${?}${*}*"])
        );
        assert_eq!(
            statements[1]["Condition"]["StringLike"]["s3:prefix"],
            json!(["a/b${?}${*}*"])
        );
        let write = policy("bucket", "", true);
        let actions = json!(["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]);
        assert_eq!(write["Statement"][0]["Action"], actions);
        assert_eq!(
            write["Statement"][0]["Resource"],
            json!(["arn:aws:s3:::bucket/*"])
        );
    }
}
