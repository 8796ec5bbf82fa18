use std::path::PathBuf;

use serde_json::Value;
use taskyard_client::Timestamp;

use crate::{
    fields::Fields,
    payload::{
        Bounds,
        place::{check_name, relative},
    },
};

/// A file or directory that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// File or directory.
    pub kind: ArtifactKind,
    /// Path below the task's directory.
    pub path: PathBuf,
    /// Name of the artifact, or the first part of its files' names.
    pub name: String,
    /// When it may be deleted; `None` with the task.
    pub expires: Option<Timestamp>,
    /// Media type; `None` by extension.
    pub content_type: Option<String>,
    /// Whether it is stored compressed with gzip, and served so.
    pub gzip: bool,
    /// Whether it may be missing.
    pub optional: bool,
}

/// Kind of what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArtifactKind {
    /// One file.
    File,
    /// Every file below a directory.
    Directory,
}

/// Reads `artifacts`, in either of its forms.
pub(super) fn artifacts(
    value: Option<&Value>,
    bounds: &Bounds<'_>,
) -> Result<Vec<Artifact>, String> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(index, item)| artifact(&format!("artifacts[{index}]"), item, None, bounds))
            .collect(),
        Some(Value::Object(map)) => map
            .iter()
            .map(|(name, item)| artifact(&format!("artifacts[{name:?}]"), item, Some(name), bounds))
            .collect(),
        Some(_) => Err("`artifacts` must be a list, or an object of artifacts by name".to_owned()),
    }
}

fn artifact(
    place: &str,
    value: &Value,
    given_name: Option<&str>,
    bounds: &Bounds<'_>,
) -> Result<Artifact, String> {
    let mut known = vec![
        "type",
        "path",
        "expires",
        "contentType",
        "contentEncoding",
        "optional",
    ];
    if given_name.is_none() {
        known.push("name");
    }
    let fields = Fields::new(place, value, &known)?;
    let kind = match fields.required_string("type")? {
        "file" => ArtifactKind::File,
        "directory" => ArtifactKind::Directory,
        other => {
            return Err(format!(
                "{} must be `file` or `directory`, not `{other}`",
                fields.path("type")
            ));
        }
    };
    let gzip = match fields.string("contentEncoding")? {
        None | Some("identity") => false,
        Some("gzip") => true,
        Some(_) => {
            return Err(format!(
                "{} must be `identity` or `gzip`",
                fields.path("contentEncoding")
            ));
        }
    };
    let text = fields.required_string("path")?;
    let path = relative(&fields.path("path"), text)?;
    let name = match given_name {
        Some(name) => name,
        None => fields.string("name")?.unwrap_or(text),
    };
    check_name(&fields.path("name"), name)?;
    let expires = fields.time("expires")?;
    if expires.is_some_and(|expires| expires > bounds.task_expires) {
        return Err(format!(
            "{} must not be later than the task's own expiry, {}",
            fields.path("expires"),
            bounds.task_expires
        ));
    }
    Ok(Artifact {
        kind,
        path,
        name: name.to_owned(),
        expires,
        content_type: fields.string("contentType")?.map(str::to_owned),
        gzip,
        optional: fields.flag("optional", false)?,
    })
}
