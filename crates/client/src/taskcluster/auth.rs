use std::fmt;

use reqwest::Method;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Call, Credentials, Options, Result, Service, Timestamp, error::found};

/// The auth service: clients, roles, scopes. Clones share connections.
#[derive(Debug, Clone)]
pub struct Auth {
    service: Service,
}

/// A client as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    /// Its name.
    pub client_id: String,
    /// What it is for.
    pub description: String,
    /// From then on it is refused.
    pub expires: Timestamp,
    /// Whether it is deleted some time after that; absent on old deployments.
    #[serde(default)]
    pub delete_on_expiration: bool,
    /// What it was given.
    pub scopes: Vec<String>,
    /// The same with what roles add.
    pub expanded_scopes: Vec<String>,
    /// Whether somebody switched it off.
    pub disabled: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub last_modified: Timestamp,
    /// When it last signed a request, to within some hours.
    pub last_date_used: Timestamp,
    /// When it last got a new access token.
    pub last_rotated: Timestamp,
}

/// What a client is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientDefinition {
    /// What it is for.
    pub description: String,
    /// When it is to expire.
    pub expires: Timestamp,
    /// What it may do; `None` gives a new client nothing, and leaves an old one what it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Whether it is deleted some time after it has expired. An update sets this too.
    pub delete_on_expiration: bool,
}

/// A client with its secret, which is told once.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientWithToken {
    /// The client.
    #[serde(flatten)]
    pub client: Client,
    access_token: String,
}

/// A role as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    /// Its name.
    pub role_id: String,
    /// What it is for.
    pub description: String,
    /// What it grants.
    pub scopes: Vec<String>,
    /// The same with what other roles add.
    pub expanded_scopes: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub last_modified: Timestamp,
}

/// What a role is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoleDefinition {
    /// What it is for.
    pub description: String,
    /// What it grants.
    pub scopes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientsPage {
    clients: Vec<Client>,
    continuation_token: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Scopes {
    scopes: Vec<String>,
}

// === impl ClientWithToken ===

impl ClientWithToken {
    /// What the client signs with.
    pub fn credentials(&self) -> Credentials {
        Credentials::new(&self.client.client_id, &self.access_token)
    }

    /// The secret itself, for showing it to whoever asked for it.
    pub fn access_token(&self) -> &str {
        &self.access_token
    }
}

impl fmt::Debug for ClientWithToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientWithToken")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

// === impl Auth ===

impl Auth {
    /// A client of the auth service.
    ///
    /// # Errors
    /// `Usage` when an option is wrong.
    pub fn new(options: Options) -> Result<Self> {
        Ok(Self {
            service: Service::new("auth", "v1", options)?,
        })
    }

    /// The service beneath, for addresses and methods that have no function here.
    pub fn service(&self) -> &Service {
        &self.service
    }

    async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T> {
        self.service.send(call).await?.json()
    }

    /// All clients whose ids begin with `prefix`, by id.
    pub async fn list_clients_all(&self, prefix: &str) -> Result<Vec<Client>> {
        let mut all = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut call = Call::get(&["clients"]);
            if !prefix.is_empty() {
                call = call.query("prefix", prefix);
            }
            if let Some(token) = &token {
                call = call.query("continuationToken", token);
            }
            let page: ClientsPage = self.call(call).await?;
            all.extend(page.clients);
            match page.continuation_token.filter(|token| !token.is_empty()) {
                Some(next) => token = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// One client; `None` if there is none of this id.
    pub async fn client(&self, client_id: &str) -> Result<Option<Client>> {
        found(self.call(Call::get(&["clients", client_id])).await)
    }

    /// Creates a client. Repeating it within a quarter of an hour finds the same one.
    pub async fn create_client(
        &self,
        client_id: &str,
        definition: &ClientDefinition,
    ) -> Result<ClientWithToken> {
        self.call(Call::put(&["clients", client_id]).json(definition)?)
            .await
    }

    /// Changes a client.
    pub async fn update_client(
        &self,
        client_id: &str,
        definition: &ClientDefinition,
    ) -> Result<Client> {
        self.call(Call::post(&["clients", client_id]).json(definition)?)
            .await
    }

    /// Gives a client a new access token; the old one is worth nothing from then on.
    pub async fn reset_access_token(&self, client_id: &str) -> Result<ClientWithToken> {
        self.call(Call::post(&["clients", client_id, "reset"]))
            .await
    }

    /// Takes back that a client was disabled.
    pub async fn enable_client(&self, client_id: &str) -> Result<Client> {
        self.call(Call::post(&["clients", client_id, "enable"]))
            .await
    }

    /// Refuses a client, and all credentials it has issued, until it is enabled again.
    pub async fn disable_client(&self, client_id: &str) -> Result<Client> {
        self.call(Call::post(&["clients", client_id, "disable"]))
            .await
    }

    /// Deletes a client, if there is one.
    pub async fn delete_client(&self, client_id: &str) -> Result<()> {
        let path = ["clients", client_id];
        self.service
            .send(Call::new(Method::DELETE, &path))
            .await
            .map(drop)
    }

    /// All roles, by id.
    pub async fn list_roles(&self) -> Result<Vec<Role>> {
        self.call(Call::get(&["roles"])).await
    }

    /// One role; `None` if there is none of this id.
    pub async fn role(&self, role_id: &str) -> Result<Option<Role>> {
        found(self.call(Call::get(&["roles", role_id])).await)
    }

    /// Creates a role. The same definition again finds it.
    pub async fn create_role(&self, role_id: &str, definition: &RoleDefinition) -> Result<Role> {
        self.call(Call::put(&["roles", role_id]).json(definition)?)
            .await
    }

    /// Changes a role.
    pub async fn update_role(&self, role_id: &str, definition: &RoleDefinition) -> Result<Role> {
        self.call(Call::post(&["roles", role_id]).json(definition)?)
            .await
    }

    /// Deletes a role, if there is one.
    pub async fn delete_role(&self, role_id: &str) -> Result<()> {
        let path = ["roles", role_id];
        self.service
            .send(Call::new(Method::DELETE, &path))
            .await
            .map(drop)
    }

    /// Scopes with all that roles add to them.
    pub async fn expand_scopes(&self, scopes: &[String]) -> Result<Vec<String>> {
        let body = Scopes {
            scopes: scopes.to_vec(),
        };
        let call = Call::post(&["scopes", "expand"]).json(&body)?;
        Ok(self.call::<Scopes>(call).await?.scopes)
    }

    /// Everything that these credentials may do.
    pub async fn current_scopes(&self) -> Result<Vec<String>> {
        let call = Call::get(&["scopes", "current"]);
        Ok(self.call::<Scopes>(call).await?.scopes)
    }
}
