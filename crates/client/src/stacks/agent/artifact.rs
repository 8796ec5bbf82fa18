use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Cursor;
use std::path::PathBuf;

use reqwest::{Body, Method, Url, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::taken::TakenJob;
use crate::service::{connection_error, parse};
use crate::stacks::error::{Error, Refusal};
use crate::stacks::null;
use crate::stacks::transport::usage;

/// Most artifacts that are announced at once.
const BATCH: usize = 30;
/// Size of the pieces in which files are read.
const CHUNK_BYTES: usize = 64 << 10;
/// Attempts to upload one file.
const ATTEMPTS: u32 = 3;

/// A file that a job leaves behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewArtifact {
    /// Its path below the job's folder: also its name.
    pub path: String,
    /// Where it stands on this machine.
    pub absolute_path: PathBuf,
    /// The pattern it was found by.
    pub glob_path: String,
    /// Its length in bytes.
    pub file_size: u64,
    /// SHA-1 in hex.
    pub sha1sum: String,
    /// SHA-256 in hex.
    pub sha256sum: String,
    /// Media type.
    pub content_type: String,
}

#[derive(Debug, Deserialize)]
struct Announced {
    #[serde(default, deserialize_with = "null::default")]
    artifact_ids: Vec<String>,
    #[serde(default, deserialize_with = "null::default")]
    upload_instructions: UploadInstructions,
    #[serde(default, deserialize_with = "null::default")]
    per_artifact_instructions: BTreeMap<String, UploadInstructions>,
}

/// How files are uploaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct UploadInstructions {
    /// Where to.
    #[serde(deserialize_with = "null::default")]
    pub action: UploadAction,
    /// Fields of the form before the file.
    #[serde(deserialize_with = "null::default")]
    pub data: BTreeMap<String, String>,
}

/// Where files are uploaded to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct UploadAction {
    /// Address whose path does not count.
    #[serde(deserialize_with = "null::default")]
    pub url: String,
    /// HTTP method.
    #[serde(deserialize_with = "null::default")]
    pub method: String,
    /// Path that takes its place.
    #[serde(deserialize_with = "null::default")]
    pub path: String,
    /// Name of the form's field for the file.
    #[serde(deserialize_with = "null::default")]
    pub file_input: String,
}

impl TakenJob {
    /// Uploads files and records them as artifacts of the job. All are tried; the first error is
    /// told.
    ///
    /// # Errors
    /// `Refused` when the server does not want them; `Call` with `File` when one cannot be read.
    pub async fn upload(&self, artifacts: &[NewArtifact]) -> Result<(), Error> {
        let mut outcome = Ok(());
        for batch in artifacts.chunks(BATCH) {
            let announced: Announced = {
                let body = json!({
                    "id": uuid::Uuid::new_v4().to_string(),
                    "artifacts": batch,
                    "upload_destination": "",
                });
                let request = self.request(Method::POST, &["artifacts"])?.json(&body)?;
                self.transport.call(&request).await?.value
            };
            if announced.artifact_ids.len() != batch.len() {
                let text = "the server took another number of artifacts than were announced";
                return Err(crate::Error::Decode(text.to_owned()).into());
            }
            let mut ended = Vec::new();
            for (artifact, id) in batch.iter().zip(&announced.artifact_ids) {
                let own = announced.per_artifact_instructions.get(id);
                let instructions = own.unwrap_or(&announced.upload_instructions);
                let uploaded = self.upload_one(artifact, instructions).await;
                let state = if uploaded.is_ok() {
                    "finished"
                } else {
                    "error"
                };
                ended.push(json!({ "id": id, "state": state }));
                outcome = outcome.and(uploaded);
            }
            let request = self
                .request(Method::PUT, &["artifacts"])?
                .json(&json!({ "artifacts": ended }))?;
            self.transport.tell(&request).await?;
        }
        outcome
    }

    async fn upload_one(
        &self,
        artifact: &NewArtifact,
        instructions: &UploadInstructions,
    ) -> Result<(), Error> {
        let mut attempt = 1;
        loop {
            match self.post_file(artifact, instructions).await {
                Err(error) if error.is_transient() && attempt < ATTEMPTS => {
                    tracing::debug!(%error, attempt, "repeating an upload");
                    let pause = self.transport.retry.pause(attempt, crate::retry::random());
                    tokio::time::sleep(pause).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Sends one file as a form, without any right but that of the form's own fields.
    async fn post_file(
        &self,
        artifact: &NewArtifact,
        instructions: &UploadInstructions,
    ) -> Result<(), Error> {
        let action = &instructions.action;
        let mut url = parse(&action.url)?;
        if !action.path.is_empty() {
            url = with_path(&url, &action.path)?;
        }
        let method = match action.method.as_str() {
            "" => Method::POST,
            named => named
                .parse()
                .map_err(|_| usage(format!("`{named}` is no HTTP method")))?,
        };
        let failed = |error: std::io::Error| {
            let what = format!("cannot read {}", artifact.absolute_path.display());
            Error::Call(crate::Error::file(what, &error))
        };
        let file = File::open(&artifact.absolute_path).await.map_err(failed)?;
        let boundary = format!("taskyard-{}", uuid::Uuid::new_v4().simple());
        let head = form_head(artifact, instructions, &boundary);
        let tail = format!("\r\n--{boundary}--\r\n");
        let length = head.len() as u64 + artifact.file_size + tail.len() as u64;
        // What is appended meanwhile would contradict the length already promised.
        let form = Cursor::new(head)
            .chain(file.take(artifact.file_size))
            .chain(Cursor::new(tail));
        let body = Body::wrap_stream(ReaderStream::with_capacity(form, CHUNK_BYTES));
        let limit = self.transport.timeout * 10;
        let request = self
            .transport
            .http()
            .request(method.clone(), url.clone())
            .timeout(limit)
            .header(
                header::CONTENT_TYPE,
                format!("multipart/form-data; boundary={boundary}"),
            )
            .header(header::CONTENT_LENGTH, length)
            .body(body);
        let lost = |error: reqwest::Error| connection_error(&url, limit, &error);
        let answer = request.send().await.map_err(lost)?;
        let status = answer.status();
        let headers = answer.headers().clone();
        let body = answer.bytes().await.map_err(lost)?;
        if status.is_success() {
            return Ok(());
        }
        // The query may be a secret.
        url.set_query(None);
        Err(Error::Refused(Box::new(Refusal {
            method,
            url: url.to_string(),
            status: status.as_u16(),
            message: format!("the upload of {} was refused", artifact.path),
            headers,
            body,
        })))
    }
}

/// `path`, which may have a query, on the host of `url`.
fn with_path(url: &Url, path: &str) -> Result<Url, Error> {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, url.query()),
    };
    if url.cannot_be_a_base() {
        return Err(usage(format!("`{url}` is no address to upload to")));
    }
    let mut target = url.clone();
    target.set_path(path);
    target.set_query(query);
    Ok(target)
}

/// Everything of the form before the file's bytes.
fn form_head(artifact: &NewArtifact, instructions: &UploadInstructions, boundary: &str) -> String {
    let mut head = String::new();
    for (name, value) in &instructions.data {
        let name = quoted(name);
        let value = value.replace("${artifact:path}", &artifact.path);
        // Writing to a String cannot fail.
        let _ = write!(
            head,
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
    }
    let input = match instructions.action.file_input.as_str() {
        "" => "file",
        named => named,
    };
    let file_name = artifact.path.rsplit('/').next().unwrap_or_default();
    let _ = write!(
        head,
        "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\n\
         Content-Type: {}\r\n\r\n",
        quoted(input),
        quoted(file_name),
        quoted(&artifact.content_type),
    );
    head
}

/// A value that stays within its quotes and its line.
fn quoted(text: &str) -> String {
    text.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_ends_with_the_file_and_names_cannot_break_out() {
        let artifact = NewArtifact {
            path: "out/a\"b.txt".to_owned(),
            absolute_path: PathBuf::new(),
            glob_path: String::new(),
            file_size: 0,
            sha1sum: String::new(),
            sha256sum: String::new(),
            content_type: "text/plain".to_owned(),
        };
        let instructions = UploadInstructions {
            data: BTreeMap::from([("key".to_owned(), "x/${artifact:path}".to_owned())]),
            ..UploadInstructions::default()
        };
        assert_eq!(
            form_head(&artifact, &instructions, "B"),
            "--B\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nx/out/a\"b.txt\r\n\
             --B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a%22b.txt\"\r\n\
             Content-Type: text/plain\r\n\r\n"
        );
    }

    #[test]
    fn the_path_of_an_upload_takes_the_place_of_the_addresses_own() {
        let url = Url::parse("http://h:1/a?q=1").unwrap();
        assert_eq!(
            with_path(&url, "/b/c").unwrap().as_str(),
            "http://h:1/b/c?q=1"
        );
        assert_eq!(
            with_path(&url, "/b?s=2").unwrap().as_str(),
            "http://h:1/b?s=2"
        );
    }
}
