//! Tokens of services that are reached with a JSON Web Token: measurements and tunnels.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;
use serde_json::json;
use taskyard_access::{Secret, slugid};

use super::{Auth, iso};
use crate::call::Call;
use crate::error::ApiError;
use crate::reply::Reply;

const HOUR_S: i64 = 3600;

/// Tunnels' tokens: four days.
const TUNNEL_S: i64 = 96 * HOUR_S;

/// How far a tunnel's clock may be behind: 15 minutes.
const SKEW_S: i64 = HOUR_S / 4;

/// Who tunnels are told the tokens are from.
const ISSUER: &str = "taskcluster-auth";

/// What a tunnel's token says.
#[derive(Serialize)]
struct TunnelClaims<'a> {
    tid: &'a str,
    sub: &'a str,
    iat: i64,
    exp: i64,
    nbf: i64,
    iss: &'static str,
    aud: &'a str,
}

impl<'a> TunnelClaims<'a> {
    fn new(call: &'a Call, tid: &'a str, aud: &'a str) -> Self {
        let now = call.now.millis().div_euclid(1000);
        TunnelClaims {
            tid,
            sub: call.caller.name(),
            iat: now,
            exp: now + TUNNEL_S,
            nbf: now - SKEW_S,
            iss: ISSUER,
            aud,
        }
    }
}

fn sign(claims: &impl Serialize, secret: &Secret) -> Result<String, ApiError> {
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    encode(&Header::new(Algorithm::HS256), claims, &key).map_err(ApiError::internal)
}

fn not_configured(what: &str) -> ApiError {
    ApiError::not_found(format!("This deployment is not connected to {what}."))
}

pub(super) async fn statsum_token(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    let statsum = auth
        .guarded
        .statsum
        .as_ref()
        .ok_or_else(|| not_configured("a statsum"))?;
    let project = call.param("project");
    let now = call.now.millis().div_euclid(1000);
    // An hour longer than is told, for clocks and slow callers.
    let claims = json!({"project": project, "iat": now, "exp": now + 25 * HOUR_S});
    Ok(Reply::json(&json!({
        "project": project,
        "token": sign(&claims, &statsum.secret)?,
        "baseUrl": statsum.base_url,
        "expires": iso(call.now.millis() + 24 * HOUR_S * 1000),
    })))
}

pub(super) async fn webhooktunnel_token(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    let tunnel = auth.guarded.webhooktunnel.as_ref();
    let tunnel = tunnel.ok_or_else(|| not_configured("a webhook tunnel"))?;
    // It becomes a part of a host name, where case is lost.
    let tunnel_id = (slugid::nice() + &slugid::nice()).to_ascii_lowercase();
    let claims = TunnelClaims::new(&call, &tunnel_id, "webhooktunnel");
    Ok(Reply::json(&json!({
        "tunnelId": tunnel_id,
        "token": sign(&claims, &tunnel.secret)?,
        "proxyUrl": tunnel.proxy_url,
    })))
}

pub(super) async fn websocktunnel_token(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    let secret = auth.guarded.websocktunnel.as_ref();
    let secret = secret.ok_or_else(|| not_configured("a websocket tunnel"))?;
    let (client, audience) = (call.param("wstClient"), call.param("wstAudience"));
    let claims = TunnelClaims::new(&call, client, audience);
    Ok(Reply::json(&json!({
        "wstClient": client,
        "wstAudience": audience,
        "token": sign(&claims, secret)?,
        "expires": iso(claims.exp * 1000),
    })))
}
