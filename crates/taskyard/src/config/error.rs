//! Why a configuration is refused.

use std::net::SocketAddr;
use std::path::PathBuf;

/// A configuration that is not accepted. The text says where, and what is allowed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A value outside what its key allows.
    #[error("{origin}: {key} = {value} is not allowed; expected {allowed}")]
    Value {
        /// The key, as in the file.
        key: &'static str,
        /// The refused value in quotes, or a stand-in for a secret.
        value: String,
        /// Where the value was given: a flag, a variable, or file and line.
        origin: String,
        /// What would be accepted.
        allowed: &'static str,
    },
    /// An environment variable that is not UTF-8.
    #[error("{variable} is not valid UTF-8; {key} must be text")]
    NotText {
        /// Name of the variable.
        variable: String,
        /// The key it sets.
        key: &'static str,
    },
    /// The configuration file can't be read.
    #[error("cannot read the configuration file {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The configuration file is not TOML.
    #[error("{}:{line}: not valid TOML: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// A key of the configuration file that means nothing.
    #[error("{}:{line}: unknown key \"{key}\"; the keys are {known}", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// The key as written.
        key: String,
        /// Every key there is.
        known: String,
    },
    /// A value of the configuration file that is a list or a table.
    #[error("{}:{line}: {key} must be a string, a number or a boolean", path.display())]
    NotScalar {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// The key.
        key: &'static str,
    },
    /// A table, or what stands under one of its keys, is not accepted. The value is not repeated,
    /// for it may be a secret.
    #[error("{}:{line}: {key} is not allowed as it is; expected {allowed}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// The table and the key in it.
        key: String,
        /// What would be accepted.
        allowed: String,
    },
    /// A table lacks a key.
    #[error("{}:{line}: {section} needs {key}: {allowed}", path.display())]
    Lacking {
        /// The file.
        path: PathBuf,
        /// Line of the table, counted from 1.
        line: usize,
        /// The table.
        section: String,
        /// What it lacks.
        key: String,
        /// What would be accepted.
        allowed: String,
    },
    /// One of two settings that mean nothing without each other.
    #[error("{given} is set, but {missing} is not; set both, or neither")]
    Half {
        /// The key that has a value.
        given: &'static str,
        /// The key that lacks one.
        missing: &'static str,
    },
    /// Two settings that exclude each other.
    #[error("{one} and {other} are both set; set one of them")]
    Both {
        /// A key that has a value.
        one: &'static str,
        /// Another one.
        other: &'static str,
    },
    /// Anonymous callers with every right must not come from other machines.
    #[error(
        "dev grants every caller everything, so listen must be a loopback address such as \
         127.0.0.1:8080, not {listen}"
    )]
    DevBeyondLoopback {
        /// The refused address.
        listen: SocketAddr,
    },
}
