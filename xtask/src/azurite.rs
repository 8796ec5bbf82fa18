//! Azurite, which stands in for Azure's storage.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{node, step, workspace};

/// The release, which decides what of Azure's checks there is.
const RELEASE: &str = "azurite@3.35.0";

/// Installs it if it is missing; the program, to be run by Node.
pub(crate) fn install() -> Result<PathBuf> {
    let folder = workspace::installed().join("azurite");
    let program = folder.join("node_modules/azurite/dist/src/azurite.js");
    let stamp = folder.join("made-from");
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == RELEASE) {
        return Ok(program);
    }
    step::step("install azurite", || {
        fs::create_dir_all(&folder).context("could not make the folder of azurite")?;
        // Without this npm would look for a package in the folders above.
        fs::write(folder.join("package.json"), "{\"private\": true}\n")?;
        let mut npm: Command = node::npm(&folder, &["install", "--no-save", RELEASE]);
        step::run(&mut npm)?;
        fs::write(&stamp, RELEASE).context("could not write the stamp")
    })?;
    Ok(program)
}
