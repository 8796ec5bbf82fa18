//! The user account a service runs as. PostgreSQL refuses to run as root, so root hands its
//! services to an unprivileged account; anybody else runs them as themselves.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::step;

/// An account by its numbers; absent numbers mean the account that runs us.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    ids: Option<(u32, u32)>,
}

impl Account {
    /// The account that runs us.
    pub(crate) fn own() -> Self {
        Self { ids: None }
    }

    /// The account `name` (or `nobody`) when we are root, otherwise our own.
    pub(crate) fn for_service(name: &str) -> Result<Self> {
        if !is_root()? {
            return Ok(Self { ids: None });
        }
        let name = if lookup("-u", name).is_ok() {
            name
        } else {
            "nobody"
        };
        Ok(Self {
            ids: Some((lookup("-u", name)?, lookup("-g", name)?)),
        })
    }

    /// A command that runs `program` as this account and gets `signal` when we die, whatever the
    /// cause, so that no service outlives its run.
    pub(crate) fn command(&self, program: &Path, signal: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", signal]);
        if let Some((user, group)) = self.ids {
            command
                .arg(format!("--reuid={user}"))
                .arg(format!("--regid={group}"));
            command.arg("--clear-groups");
        }
        command.arg("--").arg(program);
        command
    }

    /// Makes `folder` and gives it to this account.
    pub(crate) fn create_folder(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)
            .with_context(|| format!("could not make {}", folder.display()))?;
        if let Some((user, group)) = self.ids {
            chown(folder, Some(user), Some(group))
                .with_context(|| format!("could not give {} away", folder.display()))?;
        }
        Ok(())
    }

    /// Whether this account can write into `folder`: a folder above may be closed to it.
    pub(crate) fn reaches(&self, folder: &Path) -> bool {
        self.command(Path::new("test"), "KILL")
            .arg("-w")
            .arg(folder)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

/// Whether we run as root.
pub(crate) fn is_root() -> Result<bool> {
    Ok(step::output(Command::new("id").arg("-u"))?.trim() == "0")
}

fn lookup(kind: &str, name: &str) -> Result<u32> {
    let text = step::output(Command::new("id").args([kind, name]))?;
    text.trim()
        .parse()
        .with_context(|| format!("`id {kind} {name}` printed {text:?}"))
}
