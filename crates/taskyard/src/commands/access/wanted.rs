//! The file that says who is to be there: clients and roles as an operator wants them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

/// The form of the file, for the command's help.
pub(super) const FORMAT: &str = "\
The file has a table for each client and role:

  [clients.\"project/builder\"]
  description = \"Builds the project\"
  scopes = [\"assume:project:builder\"]
  expires = \"2030-01-01T00:00:00Z\"       # or an offset for a new client, such as \"1 year\"
  disabled = false

  [roles.\"project:builder\"]
  description = \"What builders may do\"
  scopes = [\"queue:create-task:*\"]

Roles are made before clients. New clients' access tokens are printed, once.";

/// Clients and roles as they are wanted.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default)]
    pub(super) clients: BTreeMap<String, WantedClient>,
    #[serde(default)]
    pub(super) roles: BTreeMap<String, WantedRole>,
}

/// A client; what is left out stays as it is.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WantedClient {
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    pub(super) expires: Option<String>,
    #[serde(default)]
    pub(super) delete_on_expiration: bool,
    #[serde(default)]
    pub(super) disabled: bool,
}

/// A role.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WantedRole {
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) scopes: Vec<String>,
}

impl Wanted {
    /// Reads the file.
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        toml::from_str(&text).with_context(|| format!("cannot understand {}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_in_the_help_is_understood() {
        let example: String = FORMAT
            .lines()
            .filter(|line| line.starts_with("  "))
            .fold(String::new(), |text, line| text + line + "\n");
        let wanted: Wanted = toml::from_str(&example).unwrap();
        assert_eq!(
            wanted.clients["project/builder"].scopes,
            ["assume:project:builder"]
        );
        assert_eq!(
            wanted.roles["project:builder"].scopes,
            ["queue:create-task:*"]
        );
    }

    #[test]
    fn a_word_that_means_nothing_is_refused() {
        let wanted: Result<Wanted, _> = toml::from_str("[roles.a]\nscope = []");
        assert!(wanted.unwrap_err().to_string().contains("scope"));
    }
}
