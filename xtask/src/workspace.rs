//! Where things are in this workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder that holds the root `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// What is installed once and kept: virtual environments, node modules.
pub(crate) fn installed() -> PathBuf {
    target().join("xtask").join("installed")
}

/// What lives only while one `cargo xtask` runs: databases, brokers.
pub(crate) fn running() -> PathBuf {
    target().join("xtask").join("running")
}

/// The cargo that started us, run in the workspace's root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Finds a program in `PATH`.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
