//! What `cargo xtask test` prepares and names in the environment.

use anyhow::{Result, bail};

/// The value of the variable `name`; the error says how to get it.
pub fn surrounding(name: &str) -> Result<String> {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value),
        _ => bail!("{name} is not set: run the tests with `cargo xtask test`"),
    }
}
