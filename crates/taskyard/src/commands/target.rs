//! The server that a command talks to, and in whose name.

use taskyard_client::{Credentials, Options};

/// Where the server is; credentials are in the environment.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// Address of the server
    #[arg(
        long,
        value_name = "URL",
        env = "TASKCLUSTER_ROOT_URL",
        global = true,
        default_value = "http://127.0.0.1:8080"
    )]
    root_url: String,
}

impl Target {
    /// How to call it.
    pub(crate) fn options(self) -> anyhow::Result<Options> {
        let mut options = Options::new(self.root_url);
        options.credentials = Credentials::from_env()?;
        Ok(options)
    }
}
