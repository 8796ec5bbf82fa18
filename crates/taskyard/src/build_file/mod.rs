//! The build file of `taskyard run`: a graph of tasks, read strictly and turned into the task
//! definitions that the queue takes.
//!
//! Text → `document` (its shape) → `check` and `graph` (its meaning) → [`BuildFile`] →
//! [`definition`]. What `format.txt` says is what users are told.

pub(crate) mod check;
pub(crate) mod definition;
pub(crate) mod document;
pub(crate) mod duration;
pub(crate) mod graph;
pub(crate) mod parse;
pub(crate) mod refusal;
pub(crate) mod suggestion;
mod task;
mod value;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

pub(crate) use refusal::Refusal;
#[cfg(test)]
pub(crate) use task::Priority;
pub(crate) use task::{BuildFile, Task};

/// What a build file may say, for `taskyard run --help`.
pub(crate) const FORMAT: &str = include_str!("format.txt");

/// No file written by hand is larger; one that is was named by mistake.
const MAX_SIZE: u64 = 1024 * 1024;

/// Why there is no build to run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be read.
    #[error("cannot read the build file {}: {cause}", path.display())]
    Read { path: PathBuf, cause: io::Error },
    /// The file is far larger than a build file can be.
    #[error("{} is larger than 1 MiB, which no build file is: was another file meant?", path.display())]
    TooLarge { path: PathBuf },
    /// The file says something that cannot be run.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Reads and checks a build file.
pub(crate) fn load(path: &Path) -> Result<BuildFile, Error> {
    let text = text_of(path)?;
    let absolute = path
        .canonicalize()
        .map_err(|cause| unreadable(path, cause))?;
    Ok(read(&text, path, &absolute)?)
}

/// The text of a file that somebody has written by hand.
pub(crate) fn text_of(path: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SIZE + 1).read_to_end(&mut bytes))
        .map_err(|cause| unreadable(path, cause))?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(Error::TooLarge {
            path: path.to_owned(),
        });
    }
    String::from_utf8(bytes).map_err(|_| {
        let cause = io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text");
        unreadable(path, cause)
    })
}

fn unreadable(path: &Path, cause: io::Error) -> Error {
    Error::Read {
        path: path.to_owned(),
        cause,
    }
}

/// Checks the text of a build file. `shown` is what messages call the file, `absolute` where it is.
fn read(text: &str, shown: &Path, absolute: &Path) -> Result<BuildFile, Refusal> {
    parse::parse(text)
        .map_err(|mistake| vec![mistake])
        .and_then(|document| check::check(document, absolute))
        .map_err(|mistakes| Refusal::new(shown.to_owned(), text.to_owned(), mistakes))
}

#[cfg(test)]
mod tests;
