//! Where the bytes of artifacts are kept: a folder, or a bucket.

use std::path::PathBuf;

use taskyard_api_taskcluster::queue::Bucket;

use super::Error;
use super::sources::Sources;
use super::value;

/// Where the bytes of artifacts are kept.
#[derive(Debug, Clone)]
pub(crate) enum Artifacts {
    /// A folder; `None` is the one in the data folder.
    Folder(Option<PathBuf>),
    /// A bucket.
    Bucket(Bucket),
}

const FOLDER: &str = "artifacts-folder";
const BUCKET: &str = "artifacts-bucket";
const PREFIX: &str = "artifacts-prefix";
const ENDPOINT: &str = "artifacts-endpoint";
const REGION: &str = "artifacts-region";
const KEY_ID: &str = "artifacts-access-key-id";
const SECRET: &str = "artifacts-secret-access-key";

/// Reads the settings of the place for artifacts.
pub(super) fn from_sources(sources: &Sources) -> Result<Artifacts, Error> {
    let text = |key, allowed| sources.optional(key, allowed, value::word);
    let folder = sources.optional(FOLDER, "a folder", value::folder)?;
    let name = text(BUCKET, "the name of a bucket")?;
    let prefix = text(PREFIX, "a prefix without spaces, such as taskyard")?;
    let endpoint = sources.optional(
        ENDPOINT,
        "http:// or https:// with a host, such as https://s3.example.com",
        value::http_address,
    )?;
    let region = text(REGION, "a region, such as eu-central-1")?;
    let id = text(KEY_ID, "the id of an access key")?;
    let secret = text(SECRET, "the secret of an access key")?;
    let Some(name) = name else {
        let others = [
            (PREFIX, prefix.is_some()),
            (ENDPOINT, endpoint.is_some()),
            (REGION, region.is_some()),
            (KEY_ID, id.is_some()),
            (SECRET, secret.is_some()),
        ];
        return match others.into_iter().find(|(_, given)| *given) {
            Some((given, _)) => Err(Error::Half {
                given,
                missing: BUCKET,
            }),
            None => Ok(Artifacts::Folder(folder)),
        };
    };
    if folder.is_some() {
        return Err(Error::Both {
            one: FOLDER,
            other: BUCKET,
        });
    }
    let credentials = match (id, secret) {
        (Some(id), Some(secret)) => Some((id, secret.into())),
        (None, None) => None,
        (Some(_), None) => {
            return Err(Error::Half {
                given: KEY_ID,
                missing: SECRET,
            });
        }
        (None, Some(_)) => {
            return Err(Error::Half {
                given: SECRET,
                missing: KEY_ID,
            });
        }
    };
    Ok(Artifacts::Bucket(Bucket {
        name,
        prefix: prefix.unwrap_or_else(|| "taskyard".to_owned()),
        region: region.unwrap_or_else(|| "us-east-1".to_owned()),
        endpoint,
        credentials,
    }))
}
