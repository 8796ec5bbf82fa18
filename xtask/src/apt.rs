//! Debian packages that the tests need.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{account, step, workspace};

/// Installs Debian packages; `reason` says which program is missing.
///
/// Fails with the command to run by hand when there is no `apt-get`, or no right to use it.
pub(crate) fn install(packages: &[&str], reason: &str) -> Result<()> {
    let list = packages.join(" ");
    if workspace::program("apt-get").is_none() {
        bail!("{reason}, and there is no apt-get here: install the equivalent of `{list}`");
    }
    let root = account::is_root()?;
    if !root && !may_sudo() {
        bail!("{reason}: run `sudo apt-get install {list}`, then start again");
    }
    let apt = |arguments: &[&str]| {
        let mut command = if root {
            Command::new("env")
        } else {
            Command::new("sudo")
        };
        if !root {
            command.args(["-n", "env"]);
        }
        // RUNLEVEL=1 keeps Debian from starting the services it installs: tests run their own.
        command.args([
            "DEBIAN_FRONTEND=noninteractive",
            "RUNLEVEL=1",
            "apt-get",
            "-q",
            "-y",
        ]);
        command.args(arguments);
        command
    };
    step::step(&format!("install {list} ({reason})"), || {
        step::run(&mut apt(&["update"]))?;
        let mut install = apt(&["install", "--no-install-recommends"]);
        step::run(install.args(packages))
    })
}

fn may_sudo() -> bool {
    workspace::program("sudo").is_some()
        && step::output(Command::new("sudo").args(["-n", "true"])).is_ok()
}
