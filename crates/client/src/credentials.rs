use std::fmt;

use serde::{Deserialize, Serialize};
use taskyard_access::{Signer, sign};

use crate::Error;

/// Who a client is, and how it proves it. `Debug` shows neither the token nor the certificate.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// Name of the client.
    pub client_id: String,
    /// The secret that signs requests.
    pub access_token: String,
    /// JSON text of the certificate that makes these credentials temporary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

impl Credentials {
    /// Permanent credentials.
    pub fn new(client_id: impl Into<String>, access_token: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            access_token: access_token.into(),
            certificate: None,
        }
    }

    /// The credentials in `TASKCLUSTER_CLIENT_ID`, `TASKCLUSTER_ACCESS_TOKEN` and
    /// `TASKCLUSTER_CERTIFICATE`; `None` when the environment names no client.
    ///
    /// # Errors
    /// `Usage` when only one of client id and access token is set.
    pub fn from_env() -> Result<Option<Self>, Error> {
        Self::from_variables(&|name| std::env::var(name).ok())
    }

    /// As [`Credentials::from_env`], with `variable` in place of the environment.
    pub(crate) fn from_variables(
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, Error> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        match (set("TASKCLUSTER_CLIENT_ID"), set("TASKCLUSTER_ACCESS_TOKEN")) {
            (Some(client_id), Some(access_token)) => Ok(Some(Self {
                client_id,
                access_token,
                certificate: set("TASKCLUSTER_CERTIFICATE"),
            })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(Error::Usage(
                "TASKCLUSTER_CLIENT_ID is set without TASKCLUSTER_ACCESS_TOKEN; set both or neither"
                    .to_owned(),
            )),
            (None, Some(_)) => Err(Error::Usage(
                "TASKCLUSTER_ACCESS_TOKEN is set without TASKCLUSTER_CLIENT_ID; set both or neither"
                    .to_owned(),
            )),
        }
    }

    /// What signs requests with these credentials, limited to `authorized_scopes`.
    pub(crate) fn signer(&self, authorized_scopes: Option<&[String]>) -> Result<Signer, Error> {
        if self.access_token.is_empty() {
            return Err(Error::Usage("credentials need an access token".to_owned()));
        }
        let credentials = sign::Credentials {
            client_id: self.client_id.clone(),
            access_token: self.access_token.clone().into(),
            certificate: self.certificate.clone(),
        };
        Signer::new(&credentials, authorized_scopes)
            .map_err(|error| Error::Usage(error.to_string()))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("client_id", &self.client_id)
            .field("temporary", &self.certificate.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Result<Option<Credentials>, Error> {
        Credentials::from_variables(&|name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let found = from(&[
            ("TASKCLUSTER_CLIENT_ID", "me"),
            ("TASKCLUSTER_ACCESS_TOKEN", "secret"),
            ("TASKCLUSTER_CERTIFICATE", ""),
        ]);
        assert_eq!(found.unwrap().unwrap(), Credentials::new("me", "secret"));
        assert_eq!(from(&[("TASKCLUSTER_CLIENT_ID", "")]).unwrap(), None);
    }

    #[test]
    fn half_a_set_of_credentials_is_refused() {
        let error = from(&[("TASKCLUSTER_CLIENT_ID", "me")])
            .unwrap_err()
            .to_string();
        assert!(error.contains("TASKCLUSTER_ACCESS_TOKEN"), "{error}");
    }

    #[test]
    fn debug_output_hides_the_secrets() {
        let mut credentials = Credentials::new("me", "hush-token");
        credentials.certificate = Some("hush-certificate".to_owned());
        let shown = format!("{credentials:?}");
        assert!(shown.contains("me") && !shown.contains("hush"), "{shown}");
    }
}
