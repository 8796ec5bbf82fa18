//! The official JavaScript client and a Node that can run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{apt, step, workspace};

/// The oldest Node whose language the client's dependencies are written in.
const OLDEST_NODE: u32 = 20;
/// Installed beside the client where the machine's Node is older.
const NEWER_NODE: &str = "node@22";

/// Installs what is missing; returns the variables to set for the tests.
pub(crate) fn install() -> Result<Vec<(&'static str, PathBuf)>> {
    if workspace::program("node").is_none() || workspace::program("npm").is_none() {
        apt::install(&["nodejs", "npm"], "node or npm is missing")?;
    }
    let system = workspace::program("node").context("Node was installed, yet there is no node")?;
    let version = step::output(Command::new(&system).arg("--version"))?;
    let needs_newer = major(&version).is_none_or(|major| major < OLDEST_NODE);
    let folder = workspace::installed().join("node");
    install_client("node", version.trim(), needs_newer)?;
    install_client("node-cloudtasks", version.trim(), false)?;
    let cloudtasks = workspace::installed().join("node-cloudtasks");
    let modules = folder.join("node_modules");
    let node = if needs_newer {
        modules.join("node/bin/node")
    } else {
        system
    };
    Ok(vec![
        ("TASKYARD_TEST_NODE", node),
        ("TASKYARD_TEST_NODE_MODULES", modules),
        (
            "TASKYARD_TEST_NODE_CLOUDTASKS_MODULES",
            cloudtasks.join("node_modules"),
        ),
    ])
}

/// Installs what the package of this name in `conformance/` asks for.
fn install_client(name: &str, version: &str, needs_newer: bool) -> Result<()> {
    let source = workspace::root().join("conformance").join(name);
    let folder = &workspace::installed().join(name);
    let names = ["package.json", "package-lock.json"];
    let mut wanted = format!("{version}\n");
    for file in names {
        wanted += &fs::read_to_string(source.join(file))
            .with_context(|| format!("could not read conformance/{name}/{file}"))?;
    }
    // The stamp is what the folder was made from, so any change makes it anew.
    let stamp = folder.join("made-from");
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted) {
        return Ok(());
    }
    step::step(&format!("install the JavaScript clients of {name}"), || {
        fs::create_dir_all(folder).context("could not make the folder of node modules")?;
        for file in names {
            fs::copy(source.join(file), folder.join(file))
                .with_context(|| format!("could not copy {file}"))?;
        }
        step::run(&mut npm(folder, &["ci"]))?;
        if needs_newer {
            step::run(&mut npm(folder, &["install", "--no-save", NEWER_NODE]))?;
        }
        fs::write(&stamp, &wanted).context("could not write the stamp")
    })
}

/// A command of npm's in `folder`.
pub(crate) fn npm(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(folder).args(arguments);
    command.args([
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--loglevel=error",
    ]);
    command
}

/// `v20.11.1` → 20.
fn major(version: &str) -> Option<u32> {
    version
        .trim()
        .strip_prefix('v')?
        .split('.')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn the_major_version_is_read_from_what_node_prints() {
        assert_eq!(major("v18.20.4\n"), Some(18));
        assert_eq!(major("unknown"), None);
    }
}
