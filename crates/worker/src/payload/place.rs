//! Where things stand: paths on disk and names of artifacts.

use std::path::{Component, Path, PathBuf};

/// Longest name of an artifact.
const MAX_NAME_BYTES: usize = 1024;

/// A path that stays below the task's directory.
pub(super) fn relative(place: &str, text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    let inside = path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if inside && !text.contains('\0') {
        Ok(path
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .collect())
    } else {
        Err(format!(
            "{place} must be a path below the task's directory, without `..`: `{text}`"
        ))
    }
}

/// What the queue accepts as a name of an artifact.
pub(crate) fn check_name(place: &str, name: &str) -> Result<(), String> {
    let printable = name.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if printable && (1..=MAX_NAME_BYTES).contains(&name.len()) {
        Ok(())
    } else {
        Err(format!(
            "{place} must be 1 to {MAX_NAME_BYTES} printable ASCII characters: `{name}`"
        ))
    }
}
