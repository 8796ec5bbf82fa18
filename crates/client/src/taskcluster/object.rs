use std::{collections::BTreeMap, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::AsyncWrite;

use crate::{
    Call, Content, Credentials, Downloaded, Error, Options, Result, Service, Timestamp,
    hashes::{Hasher, Hashing},
    transfer::{create, into_file},
};

/// Contents shorter than this are sent along with the request that begins the upload.
const MAX_INLINE_BYTES: u64 = 8192;

/// The object service: named bytes that never change.
#[derive(Debug, Clone)]
pub struct Object {
    service: Service,
}

/// An upload that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUpload {
    /// Project the object belongs to.
    pub project_id: String,
    /// Id of the upload, a slugid; the same one for every attempt.
    pub upload_id: String,
    /// When the object may be deleted.
    pub expires: Timestamp,
    /// Media type.
    pub content_type: String,
}

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectInfo {
    /// Project it belongs to.
    pub project_id: String,
    /// When it may be deleted.
    pub expires: Timestamp,
    /// Hashes of its content by algorithm.
    pub hashes: BTreeMap<String, String>,
}

/// The way of uploading that the service has chosen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chosen {
    data_inline: Option<bool>,
    put_url: Option<PutUrl>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct PutUrl {
    url: String,
    headers: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Begun {
    upload_method: Chosen,
}

/// Where an object is to be had.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct GetUrl {
    url: String,
    hashes: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finished<'a> {
    project_id: &'a str,
    upload_id: &'a str,
    hashes: &'a BTreeMap<String, String>,
}

// === impl Object ===

impl Object {
    /// A client of the object service.
    ///
    /// # Errors
    /// `Usage` when an option is wrong.
    pub fn new(options: Options) -> Result<Self> {
        Ok(Self {
            service: Service::new("object", "v1", options)?,
        })
    }

    /// The object service of the deployment that `other` is a service of, over the same
    /// connections.
    pub fn beside(other: &Service, credentials: Credentials) -> Self {
        let service = other.named("object", "v1");
        Self {
            service: service.with_credentials(&credentials),
        }
    }

    /// The service beneath.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Uploads `content` as the object `name`, in the way that the service prefers, and finishes
    /// the upload with its hashes.
    ///
    /// # Errors
    /// `File` when the content cannot be read, and what every call may fail with.
    pub async fn upload(&self, name: &str, upload: &NewUpload, content: &Content) -> Result<()> {
        let (length, hashes) = Hasher::of(content).await?;
        let mut methods = json!({
            "putUrl": {"contentType": upload.content_type, "contentLength": length},
        });
        if length < MAX_INLINE_BYTES {
            methods["dataInline"] = json!({
                "contentType": upload.content_type,
                "objectData": STANDARD.encode(bytes(content).await?),
            });
        }
        let request = json!({
            "projectId": upload.project_id,
            "uploadId": upload.upload_id,
            "expires": upload.expires,
            "proposedUploadMethods": methods,
        });
        let path = ["upload", name];
        let begun = self.service.send(Call::put(&path).json(&request)?).await?;
        let chosen = begun.json::<Begun>()?.upload_method;
        match chosen {
            Chosen {
                data_inline: Some(true),
                ..
            } => {}
            Chosen {
                put_url: Some(put), ..
            } => {
                self.service
                    .upload_with(&put.url, &put.headers, content)
                    .await?;
            }
            Chosen { .. } => {
                return Err(Error::Decode(
                    "the object service chose no way of uploading".to_owned(),
                ));
            }
        }
        let finished = Finished {
            project_id: &upload.project_id,
            upload_id: &upload.upload_id,
            hashes: &hashes,
        };
        let path = ["finish-upload", name];
        self.service
            .send(Call::post(&path).json(&finished)?)
            .await
            .map(drop)
    }

    /// What is known of the object `name`.
    pub async fn object(&self, name: &str) -> Result<ObjectInfo> {
        self.service
            .send(Call::get(&["metadata", name]))
            .await?
            .json()
    }

    /// Writes the object `name` to `writer`, and compares it with its hashes. What does not match
    /// has been written all the same: look at the outcome before using it.
    ///
    /// # Errors
    /// `HashMismatch` when it is not what was uploaded or nobody told what that hashes to, `File`
    /// when `writer` fails.
    pub async fn download(
        &self,
        name: &str,
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Downloaded> {
        let accepted = json!({"acceptDownloadMethods": {"getUrl": true}});
        let path = ["start-download", name];
        let begun = self.service.send(Call::put(&path).json(&accepted)?).await?;
        let place: GetUrl = begun.json()?;
        let mut hashing = Hashing::new(writer);
        let downloaded = self.service.download(&place.url, &mut hashing).await?;
        let (_, found) = hashing.hasher.finish();
        verify(name, &place.hashes, &found)?;
        Ok(downloaded)
    }

    /// Writes the object `name` to the file `path`, which appears, or is replaced, only when all of
    /// it has arrived and matches its hashes.
    ///
    /// # Errors
    /// As [`Object::download`].
    pub async fn download_to_file(&self, name: &str, path: &Path) -> Result<Downloaded> {
        into_file(path, async |part| {
            let mut file = create(part).await?;
            self.download(name, &mut file).await
        })
        .await
    }
}

/// Whether all hashes that are known agree; one of them must be.
fn verify(
    name: &str,
    told: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
) -> Result<()> {
    let mismatch = |reason: String| Error::HashMismatch {
        name: name.to_owned(),
        reason,
    };
    let mut compared = false;
    for (algorithm, found) in found {
        let Some(told) = told.get(algorithm) else {
            continue;
        };
        compared = true;
        if told != found {
            return Err(mismatch(format!("its {algorithm} is {found}, not {told}")));
        }
    }
    if compared {
        Ok(())
    } else {
        Err(mismatch("none of its hashes is known".to_owned()))
    }
}

async fn bytes(content: &Content) -> Result<Vec<u8>> {
    match content {
        Content::Bytes(bytes) => Ok(bytes.to_vec()),
        Content::File(path) => tokio::fs::read(path)
            .await
            .map_err(|error| Error::file(format!("cannot read {}", path.display()), &error)),
    }
}
