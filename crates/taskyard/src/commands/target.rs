//! The server that a command talks to, and in whose name.

use taskyard_client::{Credentials, Options};

/// What `--help` says of credentials, and something more.
macro_rules! credentials {
    ($($more:literal)?) => {
        concat!(
            "Calls are signed with TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and \
             TASKCLUSTER_CERTIFICATE,\nor anonymous when these are not set.",
            $($more)?
        )
    };
}
pub(crate) use credentials;

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
