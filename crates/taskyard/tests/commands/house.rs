//! A server that asks for credentials, and a folder for it and for files.

use tempfile::TempDir;
use tokio::process::Command;

use crate::server::{Server, taskyard_as_root};

pub(crate) struct House {
    pub(crate) server: Server,
    pub(crate) folder: TempDir,
}

impl House {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&folder.path().join("data"), &[]).await;
        Self { server, folder }
    }

    /// `taskyard SUBCOMMAND` for this server, in the name of the root client.
    pub(crate) fn command(&self, subcommand: &str, arguments: &[&str]) -> Command {
        let mut command = taskyard_as_root();
        command
            .args([subcommand, "--root-url", &self.server.url])
            .args(arguments);
        command
    }
}
