use std::path::PathBuf;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use taskyard_client::slugid;

use crate::{
    fields::Fields,
    payload::{
        Bounds,
        place::{check_name, relative},
    },
};

/// Longest text of a file given in the payload.
const MAX_INLINE_BYTES: usize = 65_536;

/// A file that is there before the first command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Path below the task's directory.
    pub file: PathBuf,
    /// Where its content comes from.
    pub content: MountContent,
}

/// Where a mounted file's content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountContent {
    /// An artifact of a task that this one depends on.
    Artifact {
        /// The task.
        task_id: String,
        /// Name of the artifact.
        artifact: String,
        /// Lower-case hex digest that it must have.
        sha256: Option<String>,
    },
    /// A download.
    Url {
        /// The address.
        url: String,
        /// Lower-case hex digest that it must have.
        sha256: Option<String>,
    },
    /// The bytes themselves.
    Bytes(Vec<u8>),
}

/// Reads `mounts`.
pub(crate) fn mounts(value: Option<&Value>, bounds: &Bounds<'_>) -> Result<Vec<Mount>, String> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let items = value.as_array().ok_or("`mounts` must be a list")?;
    items
        .iter()
        .enumerate()
        .map(|(index, item)| mount(&format!("mounts[{index}]"), item, bounds))
        .collect()
}

fn mount(place: &str, value: &Value, bounds: &Bounds<'_>) -> Result<Mount, String> {
    for (key, what) in [
        ("cacheName", "writable caches are"),
        ("directory", "mounted directories are"),
        ("format", "unpacking mounts is"),
    ] {
        if value.get(key).is_some() {
            return Err(format!(
                "`{place}.{key}`: {what} not supported by this worker yet"
            ));
        }
    }
    let fields = Fields::new(place, value, &["file", "content"])?;
    let file = relative(&fields.path("file"), fields.required_string("file")?)?;
    let content = content(
        &format!("{place}.content"),
        fields.required("content")?,
        bounds,
    )?;
    Ok(Mount { file, content })
}

fn content(place: &str, value: &Value, bounds: &Bounds<'_>) -> Result<MountContent, String> {
    let known = ["taskId", "artifact", "url", "raw", "base64", "sha256"];
    if value.get("namespace").is_some() {
        return Err(format!(
            "`{place}.namespace`: looking up indexed artifacts is not supported by this worker yet"
        ));
    }
    let fields = Fields::new(place, value, &known)?;
    let kinds: Vec<&str> = ["artifact", "url", "raw", "base64"]
        .into_iter()
        .filter(|key| fields.get(key).is_some())
        .collect();
    let &[kind] = kinds.as_slice() else {
        return Err(format!(
            "`{place}` must have exactly one of `artifact` (with `taskId`), `url`, `raw` and `base64`"
        ));
    };
    if kind != "artifact" && fields.get("taskId").is_some() {
        return Err(format!(
            "`{place}.taskId` belongs to `artifact`, which is missing"
        ));
    }
    let sha256 = digest(&fields)?;
    if sha256.is_some() && matches!(kind, "raw" | "base64") {
        return Err(format!("`{place}.sha256` is only for downloads"));
    }
    match kind {
        "artifact" => {
            let task_id = fields.required_string("taskId")?.to_owned();
            if !slugid::is_valid(&task_id) {
                return Err(format!("`{place}.taskId` is not a task id"));
            }
            if !bounds.dependencies.contains(&task_id) {
                return Err(format!(
                    "`{place}.taskId`: the task must depend on {task_id} to use its artifacts"
                ));
            }
            let artifact = fields.required_string("artifact")?.to_owned();
            check_name(&fields.path("artifact"), &artifact)?;
            Ok(MountContent::Artifact {
                task_id,
                artifact,
                sha256,
            })
        }
        "url" => {
            let url = fields.required_string("url")?;
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return Err(format!("`{place}.url` must start with http:// or https://"));
            }
            Ok(MountContent::Url {
                url: url.to_owned(),
                sha256,
            })
        }
        key => {
            let text = fields.string(key)?.unwrap_or_default();
            if text.len() > MAX_INLINE_BYTES {
                return Err(format!(
                    "`{place}.{key}` must not be longer than {MAX_INLINE_BYTES} characters"
                ));
            }
            if key == "raw" {
                return Ok(MountContent::Bytes(text.as_bytes().to_vec()));
            }
            BASE64_STANDARD
                .decode(text)
                .map(MountContent::Bytes)
                .map_err(|_| format!("`{place}.base64` is not base64"))
        }
    }
}

fn digest(fields: &Fields<'_>) -> Result<Option<String>, String> {
    let Some(text) = fields.string("sha256")? else {
        return Ok(None);
    };
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(Some(text.to_ascii_lowercase()))
    } else {
        Err(format!(
            "{} must be 64 hexadecimal digits",
            fields.path("sha256")
        ))
    }
}
