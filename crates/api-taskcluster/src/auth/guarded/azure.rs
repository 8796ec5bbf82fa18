//! Access to tables and containers of Azure storage accounts: shared access signatures, made here
//! with the accounts' keys.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use taskyard_access::Secret;
use taskyard_engine::Timestamp;

use super::super::Auth;
use super::authorize_level;
use crate::call::Call;
use crate::error::ApiError;
use crate::outside::{Answer, Outside, OutsideError, form};
use crate::reply::Reply;

/// The version of the storage services that is spoken and signed for.
const VERSION: &str = "2018-11-09";

/// Signatures hold from a while ago, for clocks that are behind.
const SKEW: Duration = Duration::from_mins(15);

/// Signatures that are given out end then.
const LIFETIME: Duration = Duration::from_mins(25);

/// Signatures of our own requests end then.
const OWN_LIFETIME: Duration = Duration::from_mins(5);

/// Something that was made is not made again for so long.
const MADE_AGAIN: Duration = Duration::from_hours(6);

/// A storage account.
#[derive(Debug, Clone)]
pub struct AzureAccount {
    /// Its key, in base64 as the portal shows it.
    pub key: Secret,
    /// Where its tables are, such as `https://name.table.core.windows.net`; without a final slash.
    pub table_url: String,
    /// Where its containers are, such as `https://name.blob.core.windows.net`; without a final
    /// slash.
    pub blob_url: String,
}

/// Whether a text is a key of a storage account.
pub fn is_azure_key(text: &str) -> bool {
    STANDARD.decode(text).is_ok_and(|key| key.len() >= 16)
}

/// Tables or containers.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Table,
    Container,
}

/// An account, and what it is called.
#[derive(Debug, Clone, Copy)]
struct Named<'a> {
    name: &'a str,
    account: &'a AzureAccount,
}

pub(in crate::auth) async fn azure_accounts(
    auth: Arc<Auth>,
    _call: Call,
) -> Result<Reply, ApiError> {
    let names: Vec<&String> = auth.guarded.azure.keys().collect();
    Ok(Reply::json(&json!({"accounts": names})))
}

pub(in crate::auth) async fn azure_tables(auth: Arc<Auth>, call: Call) -> Result<Reply, ApiError> {
    let named = account(&auth, &call)?;
    let after = call.query("continuationToken");
    let (tables, next) = named
        .tables(&auth.outside, after, call.now)
        .await
        .map_err(|error| error.of("Azure's tables"))?;
    Ok(page("tables", &tables, next))
}

pub(in crate::auth) async fn azure_containers(
    auth: Arc<Auth>,
    call: Call,
) -> Result<Reply, ApiError> {
    let named = account(&auth, &call)?;
    let after = call.query("continuationToken");
    let (containers, next) = named
        .containers(&auth.outside, after, call.now)
        .await
        .map_err(|error| error.of("Azure's containers"))?;
    Ok(page("containers", &containers, next))
}

pub(in crate::auth) async fn azure_table_sas(
    auth: Arc<Auth>,
    call: Call,
) -> Result<Reply, ApiError> {
    signature(&auth, &call, Kind::Table, "table").await
}

pub(in crate::auth) async fn azure_container_sas(
    auth: Arc<Auth>,
    call: Call,
) -> Result<Reply, ApiError> {
    signature(&auth, &call, Kind::Container, "container").await
}

async fn signature(
    auth: &Auth,
    call: &Call,
    kind: Kind,
    parameter: &str,
) -> Result<Reply, ApiError> {
    authorize_level(call)?;
    let (named, name) = (account(auth, call)?, call.param(parameter));
    let may_write = call.param("level") == "read-write";
    if may_write {
        make(auth, named, kind, name, call.now).await?;
    }
    let expiry = call.now.plus(LIFETIME);
    let (from, until) = (seconds(call.now.minus(SKEW)), seconds(expiry));
    let sas = match kind {
        Kind::Table => named.table_sas(name, may_write, &from, &until),
        Kind::Container => named.container_sas(name, may_write, &from, &until),
    };
    Ok(Reply::json(&json!({"sas": sas, "expiry": expiry.to_iso()})))
}

/// Makes a table or container if there is none. It is not looked for again for hours.
async fn make(
    auth: &Auth,
    named: Named<'_>,
    kind: Kind,
    name: &str,
    now: Timestamp,
) -> Result<(), ApiError> {
    let path = format!("{}/{kind:?}/{name}", named.name);
    if auth.made_in_azure.get(&path, now).is_some() {
        return Ok(());
    }
    named
        .create(&auth.outside, kind, name, now)
        .await
        .map_err(|error| error.of("Azure"))?;
    let until = now.plus(MADE_AGAIN);
    auth.made_in_azure.put(path, (), now, until);
    Ok(())
}

fn account<'a>(auth: &'a Auth, call: &Call) -> Result<Named<'a>, ApiError> {
    let name = call.param("account");
    let found = auth.guarded.azure.get_key_value(name);
    let (name, account) = found.ok_or_else(|| {
        ApiError::not_found(format!(
            "This deployment has no credentials for the storage account '{name}'."
        ))
    })?;
    Ok(Named { name, account })
}

fn page(what: &str, names: &[String], next: Option<String>) -> Reply {
    let mut body = json!({what: names});
    if let Some(next) = next {
        body["continuationToken"] = next.into();
    }
    Reply::json(&body)
}

/// A time to the second, as signatures have it.
fn seconds(time: Timestamp) -> String {
    time.to_utc().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

// === impl Named ===

#[derive(Deserialize)]
struct TableList {
    value: Vec<Table>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Table {
    table_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerList {
    #[serde(default)]
    containers: Containers,
    #[serde(default)]
    next_marker: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Containers {
    #[serde(default)]
    container: Vec<Container>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    name: String,
}

impl Named<'_> {
    /// base64(HMAC-SHA256) of lines, by the account's key.
    fn sign(&self, text: &str) -> String {
        // The configuration has been checked: see `is_azure_key`.
        let key = STANDARD
            .decode(self.account.key.expose())
            .unwrap_or_default();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        STANDARD.encode(hmac::sign(&key, text.as_bytes()))
    }

    /// The signature for one table.
    fn table_sas(&self, table: &str, may_write: bool, from: &str, until: &str) -> String {
        let permissions = if may_write { "raud" } else { "r" };
        let resource = format!("/table/{}/{}", self.name, table.to_ascii_lowercase());
        // Empty: identifier, addresses, protocols; then the first and last keys of a range.
        let text = [
            permissions,
            from,
            until,
            &resource,
            "",
            "",
            "",
            VERSION,
            "",
            "",
            "",
            "",
        ]
        .join("\n");
        form(&[
            ("sv", VERSION),
            ("tn", table),
            ("st", from),
            ("se", until),
            ("sp", permissions),
            ("sig", &self.sign(&text)),
        ])
    }

    /// The signature for one container and what is in it.
    fn container_sas(&self, container: &str, may_write: bool, from: &str, until: &str) -> String {
        let permissions = if may_write { "racwdl" } else { "rl" };
        let resource = format!("/blob/{}/{container}", self.name);
        // Empty: identifier, addresses, protocols; then the snapshot and five response headers.
        let text = [
            permissions,
            from,
            until,
            &resource,
            "",
            "",
            "",
            VERSION,
            "c",
            "",
            "",
            "",
            "",
            "",
            "",
        ]
        .join("\n");
        form(&[
            ("sv", VERSION),
            ("sr", "c"),
            ("st", from),
            ("se", until),
            ("sp", permissions),
            ("sig", &self.sign(&text)),
        ])
    }

    /// The signature of a request of our own, for `kind` and with `permissions`.
    fn own_sas(&self, kind: Kind, permissions: &str, now: Timestamp) -> String {
        let service = match kind {
            Kind::Table => "t",
            Kind::Container => "b",
        };
        let (from, until) = (seconds(now.minus(SKEW)), seconds(now.plus(OWN_LIFETIME)));
        // `sco`: the service itself, containers and tables, and what is in them. The empty lines
        // are addresses and protocols.
        let text = [
            self.name,
            permissions,
            service,
            "sco",
            &from,
            &until,
            "",
            "",
            VERSION,
            "",
        ]
        .join("\n");
        form(&[
            ("sv", VERSION),
            ("ss", service),
            ("srt", "sco"),
            ("st", &from),
            ("se", &until),
            ("sp", permissions),
            ("sig", &self.sign(&text)),
        ])
    }

    async fn tables(
        &self,
        outside: &Outside,
        after: Option<&str>,
        now: Timestamp,
    ) -> Result<(Vec<String>, Option<String>), OutsideError> {
        let base = &self.account.table_url;
        let mut url = format!("{base}/Tables?{}", self.own_sas(Kind::Table, "rl", now));
        if let Some(after) = after {
            url = format!("{url}&{}", form(&[("NextTableName", after)]));
        }
        let request = outside
            .client()?
            .get(url)
            .header("accept", "application/json;odata=nometadata")
            .header("x-ms-version", VERSION);
        let answer = Answer::to(request).await?.good()?;
        let list: TableList = answer.json()?;
        let next = answer.headers.get("x-ms-continuation-nexttablename");
        let next = next.and_then(|next| next.to_str().ok());
        Ok((
            list.value.into_iter().map(|it| it.table_name).collect(),
            next.filter(|next| !next.is_empty()).map(str::to_owned),
        ))
    }

    async fn containers(
        &self,
        outside: &Outside,
        after: Option<&str>,
        now: Timestamp,
    ) -> Result<(Vec<String>, Option<String>), OutsideError> {
        let base = &self.account.blob_url;
        let sas = self.own_sas(Kind::Container, "l", now);
        let mut url = format!("{base}/?comp=list&{sas}");
        if let Some(after) = after {
            url = format!("{url}&{}", form(&[("marker", after)]));
        }
        let request = outside.client()?.get(url).header("x-ms-version", VERSION);
        let list: ContainerList = Answer::to(request).await?.good()?.xml()?;
        let next = Some(list.next_marker).filter(|next| !next.is_empty());
        let containers = list.containers.container.into_iter();
        Ok((containers.map(|it| it.name).collect(), next))
    }

    /// Creates a table or container; one that is there already is fine.
    async fn create(
        &self,
        outside: &Outside,
        kind: Kind,
        name: &str,
        now: Timestamp,
    ) -> Result<(), OutsideError> {
        let client = outside.client()?;
        let sas = self.own_sas(kind, "rwac", now);
        let (request, exists) = match kind {
            Kind::Table => {
                let url = format!("{}/Tables?{sas}", self.account.table_url);
                let request = client
                    .post(url)
                    .header("accept", "application/json;odata=nometadata")
                    .header("prefer", "return-no-content")
                    .json(&json!({"TableName": name}));
                (request, "TableAlreadyExists")
            }
            Kind::Container => {
                let base = &self.account.blob_url;
                let url = format!("{base}/{name}?restype=container&{sas}");
                (
                    client.put(url).header("content-length", "0"),
                    "ContainerAlreadyExists",
                )
            }
        };
        let answer = Answer::to(request.header("x-ms-version", VERSION)).await?;
        let is_there = answer.status == StatusCode::CONFLICT
            && String::from_utf8_lossy(&answer.body).contains(exists);
        if is_there {
            return Ok(());
        }
        answer.good().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "2026-01-01T00:00:00Z";
    const UNTIL: &str = "2026-01-01T00:40:00Z";

    fn account() -> AzureAccount {
        AzureAccount {
            key: STANDARD.encode([7; 32]).into(),
            table_url: String::new(),
            blob_url: String::new(),
        }
    }

    #[test]
    fn a_signature_covers_name_level_and_time() {
        let account = account();
        let named = Named {
            name: "acct",
            account: &account,
        };
        let table = |name, write, until| named.table_sas(name, write, FROM, until);
        let good = table("Table1", true, UNTIL);
        assert!(good.starts_with("sv=2018-11-09&tn=Table1&st=2026-01-01T00%3A00%3A00Z&se="));
        assert!(good.contains("&sp=raud&sig="), "{good}");
        let sig = |sas: &str| sas.split("sig=").nth(1).unwrap().to_owned();
        for other in [
            table("Table2", true, UNTIL),
            table("Table1", false, UNTIL),
            table("Table1", true, FROM),
            named.container_sas("table1", true, FROM, UNTIL),
        ] {
            assert_ne!(sig(&good), sig(&other), "{other}");
        }
        let read = named.container_sas("box", false, FROM, UNTIL);
        assert!(
            read.contains("&sr=c&") && read.contains("&sp=rl&"),
            "{read}"
        );
    }

    #[test]
    fn a_key_is_base64_of_some_length() {
        assert!(is_azure_key(account().key.expose()));
        assert!(!is_azure_key("") && !is_azure_key("AAAA") && !is_azure_key("not base64 at all!"));
    }

    #[test]
    fn a_list_of_containers_may_be_empty() {
        let empty = "<EnumerationResults><Containers/><NextMarker/></EnumerationResults>";
        let list: ContainerList = quick_xml::de::from_str(empty).unwrap();
        assert!(list.containers.container.is_empty() && list.next_marker.is_empty());
    }
}
