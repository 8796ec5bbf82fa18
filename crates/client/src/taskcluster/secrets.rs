use std::fmt;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::page::{Listing, Page, list, list_all};
use crate::{Call, Options, Result, Service, Timestamp, error::found};

/// The secrets service: JSON under a name, for those who have the scope. Clones share connections.
#[derive(Debug, Clone)]
pub struct Secrets {
    service: Service,
}

/// A secret. It is not shown by `Debug`.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
pub struct Secret {
    /// A JSON object.
    pub secret: Value,
    /// From then on nobody can read it.
    pub expires: Timestamp,
}

/// A page of the names of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretsPage {
    /// The names, in order.
    pub secrets: Vec<String>,
    /// Where to go on.
    pub continuation_token: Option<String>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Listing for SecretsPage {
    type Item = String;

    fn into_parts(self) -> (Vec<String>, Option<String>) {
        (self.secrets, self.continuation_token)
    }
}

// === impl Secrets ===

impl Secrets {
    /// A client of the secrets service.
    ///
    /// # Errors
    /// `Usage` when an option is wrong.
    pub fn new(options: Options) -> Result<Self> {
        Ok(Self {
            service: Service::new("secrets", "v1", options)?,
        })
    }

    /// The service beneath, for addresses and methods that have no function here.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Keeps a secret, in place of one of the same name.
    pub async fn set(&self, name: &str, secret: &Secret) -> Result<()> {
        let path = ["secret", name];
        let call = Call::put(&path).json(secret)?;
        self.service.send(call).await.map(drop)
    }

    /// A secret; `None` if there is none of this name. One that has expired is an error (410).
    pub async fn get(&self, name: &str) -> Result<Option<Secret>> {
        let answer = self.service.send(Call::get(&["secret", name])).await;
        found(answer.and_then(|answer| answer.json()))
    }

    /// Removes a secret; none being there is fine.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let path = ["secret", name];
        let call = Call::new(Method::DELETE, &path);
        self.service.send(call).await.map(drop)
    }

    /// A page of the names of secrets.
    pub async fn list(&self, page: &Page) -> Result<SecretsPage> {
        list(&self.service, &["secrets"], page).await
    }

    /// All names.
    pub async fn list_all(&self) -> Result<Vec<String>> {
        list_all::<SecretsPage>(&self.service, &["secrets"]).await
    }
}
