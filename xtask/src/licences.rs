//! Licences, sources and bans of all dependencies, checked against `deny.toml`.
//!
//! cargo-deny reads the same file and checks more; this needs nothing but cargo itself.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::spdx::Expression;
use crate::{step, workspace};

/// The part of `deny.toml` that is checked here.
#[derive(Debug, Deserialize)]
struct Policy {
    licenses: Licences,
    #[serde(default)]
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licences {
    /// Licences any package may have.
    allow: Vec<String>,
    /// Further licences of single packages.
    #[serde(default)]
    exceptions: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Bans {
    /// Packages that must not occur.
    #[serde(default)]
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
}

/// Checks every package in `Cargo.lock`; the error lists all that break the policy.
pub(crate) fn check() -> Result<()> {
    let file = workspace::root().join("deny.toml");
    let text = std::fs::read_to_string(&file).context("could not read deny.toml")?;
    let policy: Policy = toml::from_str(&text).context("deny.toml is not understood")?;
    let mut metadata = workspace::cargo();
    metadata.args([
        "metadata",
        "--locked",
        "--format-version=1",
        "--all-features",
    ]);
    let metadata: Value = serde_json::from_str(&step::output(&mut metadata)?)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let faults: Vec<String> = packages
        .iter()
        .flat_map(|package| policy.faults(package, &workspace::root()))
        .collect();
    if !faults.is_empty() {
        bail!(
            "{} faults, see deny.toml:\n  {}",
            faults.len(),
            faults.join("\n  ")
        );
    }
    eprintln!("    {} packages", packages.len());
    Ok(())
}

// === impl Policy ===

impl Policy {
    /// What is wrong with one package of `cargo metadata`.
    fn faults(&self, package: &Value, root: &Path) -> Vec<String> {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let (name, version) = (text("name"), text("version"));
        let mut faults = Vec::new();
        if self.bans.deny.iter().any(|ban| ban.name == name) {
            faults.push(format!("{name} {version} is banned"));
        }
        let is_ours = Path::new(text("manifest_path")).starts_with(root);
        match text("source") {
            "" if is_ours => {}
            source if source.starts_with("registry+") && source.ends_with("/crates.io-index") => {}
            source => faults.push(format!("{name} {version} comes from {source:?}")),
        }
        let exceptions = self.licenses.exceptions.iter().filter(|it| it.name == name);
        let further: Vec<&String> = exceptions.flat_map(|exception| &exception.allow).collect();
        let is_allowed = |licence: &str| {
            self.licenses
                .allow
                .iter()
                .chain(further.iter().copied())
                .any(|it| it == licence)
        };
        match Expression::parse(text("license")) {
            Ok(expression) if expression.is_met(&is_allowed) => {}
            Ok(_) => faults.push(format!(
                "{name} {version} has licence {:?}",
                text("license")
            )),
            Err(error) => faults.push(format!("{name} {version}: {error}")),
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const POLICY: &str = r#"
        [licenses]
        allow = ["MIT"]
        exceptions = [{ crate = "odd", allow = ["MPL-2.0"] }]
        [bans]
        deny = [{ crate = "openssl-sys" }]
    "#;
    const REGISTRY: &str = "registry+https://example.com/crates.io-index";

    fn faults(name: &str, licence: &str, source: Option<&str>) -> usize {
        let package = json!({
            "name": name, "version": "1.0.0", "license": licence, "source": source,
            "manifest_path": "/project/x/Cargo.toml",
        });
        toml::from_str::<Policy>(POLICY)
            .unwrap()
            .faults(&package, Path::new("/project"))
            .len()
    }

    #[test]
    fn an_allowed_licence_from_the_registry_passes() {
        assert_eq!(faults("a", "MIT OR Apache-2.0", Some(REGISTRY)), 0);
        assert_eq!(faults("a", "MIT", None), 0);
    }

    #[test]
    fn a_licence_outside_the_list_fails_unless_the_package_is_an_exception() {
        assert_eq!(faults("a", "MPL-2.0", Some(REGISTRY)), 1);
        assert_eq!(faults("odd", "MPL-2.0", Some(REGISTRY)), 0);
    }

    #[test]
    fn a_package_without_a_licence_fails() {
        assert_eq!(faults("a", "", Some(REGISTRY)), 1);
    }

    #[test]
    fn a_git_source_and_a_banned_package_fail() {
        assert_eq!(faults("a", "MIT", Some("git+https://example.com/a")), 1);
        assert_eq!(faults("openssl-sys", "MIT", Some(REGISTRY)), 1);
    }
}
