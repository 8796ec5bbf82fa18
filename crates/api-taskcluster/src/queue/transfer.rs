//! Uploads and downloads: plain PUT and GET at URLs that carry their own permission.
//!
//! Workers and browsers send no usable credentials here (some even repeat those of another
//! request), so `Authorization` is ignored and the URL's token counts. A token is sealed, so it
//! tells nothing and cannot be made by anybody else.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use serde::{Deserialize, Serialize};
use taskyard_access::{Place, Sealer};
use taskyard_engine::Timestamp;
use taskyard_engine::clock::Clock;
use taskyard_engine::content::Stored;
use taskyard_engine::{artifact, object};
use taskyard_store::{Key, Store};

use super::byte_range::{Requested, requested};
use super::files::{Draft, Files};
use super::tasks::task_key;
use crate::error::{ApiError, capitalized};

/// The path that all transfers begin with.
const PREFIX: &str = "/artifacts/";
/// What the token follows. It is part of the query, because paths are logged.
const TOKEN: &str = "token=";
/// How long a slow sender may pause within an upload.
const IDLE: Duration = Duration::from_mins(1);
/// How long an upload may take: bytes without a record are removed after twice that.
const LONGEST: Duration = Duration::from_hours(12);
/// Most bytes of one upload, as S3 has it.
const LARGEST: u64 = 5 << 30;
/// Longest `Content-Encoding` that is remembered.
const LONGEST_ENCODING: usize = 255;

/// Uploads and downloads of artifacts and objects.
#[derive(Debug)]
pub struct Transfers {
    root_url: String,
    sealer: Arc<Sealer>,
    files: Files,
    store: Store,
    clock: Clock,
}

/// What is transferred.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Subject {
    /// An artifact: task, run, name.
    #[serde(rename = "a")]
    Artifact(String, usize, String),
    /// An object, by its name.
    #[serde(rename = "o")]
    Object(String),
}

/// What an upload must be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// The part of a blob; everything else has part 0.
    #[serde(rename = "p")]
    pub(crate) part: i64,
    /// How many bytes; any number if it is not said.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub(crate) length: Option<u64>,
    /// What they hash to, in lower-case hex.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
    /// How they are encoded; as the sender says if it is not said.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub(crate) encoding: Option<String>,
    /// The upload of an object that it belongs to.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub(crate) upload_id: Option<String>,
    /// Answered with 201 in place of 200.
    #[serde(rename = "c", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) creates: bool,
}

/// What a token permits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Permit {
    #[serde(rename = "s")]
    subject: Subject,
    /// Absent for downloads.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    terms: Option<Terms>,
    /// Microseconds since the epoch.
    #[serde(rename = "e")]
    expires: i64,
}

impl Permit {
    /// Where the transfer is made. It tells people what they look at; the token is what counts.
    fn path(&self) -> String {
        match &self.subject {
            Subject::Artifact(task_id, run_id, _) => format!("{PREFIX}{task_id}/{run_id}"),
            Subject::Object(_) => format!("{PREFIX}object"),
        }
    }
}

const PLACE: Place<'static> = Place {
    table: "artifacts",
    row: "",
    column: "transfer",
};

/// Bytes as they are given out.
struct Found {
    content_type: String,
    parts: Vec<Stored>,
    /// Nothing in them may be shown as a page.
    attach: bool,
}

impl Transfers {
    pub(super) fn new(
        root_url: String,
        sealer: Arc<Sealer>,
        files: Files,
        store: Store,
        clock: Clock,
    ) -> Self {
        Transfers {
            root_url,
            sealer,
            files,
            store,
            clock,
        }
    }

    /// The path that all transfers begin with.
    pub fn prefix(&self) -> &'static str {
        PREFIX
    }

    /// Where the bytes are kept.
    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    fn url(&self, permit: &Permit) -> Result<String, ApiError> {
        let text = serde_json::to_vec(permit).map_err(ApiError::internal)?;
        let token = self
            .sealer
            .seal(&PLACE, &text)
            .map_err(ApiError::internal)?;
        Ok(format!("{}{}?{TOKEN}{token}", self.root_url, permit.path()))
    }

    /// A URL that takes bytes by PUT until `expires`.
    pub(crate) fn upload_url(
        &self,
        subject: Subject,
        terms: Terms,
        expires: Timestamp,
    ) -> Result<String, ApiError> {
        self.url(&Permit {
            subject,
            terms: Some(terms),
            expires: expires.0,
        })
    }

    /// A URL that gives bytes until `expires`.
    pub(crate) fn download_url(
        &self,
        subject: Subject,
        expires: Timestamp,
    ) -> Result<String, ApiError> {
        self.url(&Permit {
            subject,
            terms: None,
            expires: expires.0,
        })
    }

    /// A URL that gives the bytes of an artifact, named by task, run and name, until `expires`.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn artifact_url(
        &self,
        (task_id, run_id, name): (&str, usize, &str),
        expires: Timestamp,
    ) -> io::Result<String> {
        let subject = Subject::Artifact(task_id.to_owned(), run_id, name.to_owned());
        self.download_url(subject, expires)
            .map_err(|error| io::Error::other(error.message))
    }

    /// Keeps bytes as those of an artifact, in place of those it may have; returns how many they
    /// are. They are durable when this returns; the artifact, of type s3, may be recorded before or
    /// after.
    ///
    /// # Errors
    /// `InvalidInput` if it is recorded as something else; others if `bytes` fails, or the disk or
    /// the database does. What was there stays.
    pub async fn keep(
        &self,
        (task_id, run_id, name): (&str, usize, &str),
        encoding: Option<&str>,
        bytes: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> io::Result<u64> {
        let mut draft = self.files.draft().await?;
        let mut bytes = std::pin::pin!(bytes);
        while let Some(piece) = bytes.next().await {
            draft.write(&piece?).await?;
        }
        let encoding = encoding.filter(|encoding| *encoding != "identity");
        let stored = draft
            .finish(encoding.unwrap_or_default().to_owned())
            .await?;
        let (now, given) = (self.clock.now(), stored.clone());
        let (task, name) = (task_id.to_owned(), name.to_owned());
        let kept = self.store.write(task_key(task_id), move |tx| {
            artifact::deposit(tx, now, (&task, run_id, &name), &given)
        });
        match kept.await.map_err(io::Error::other)? {
            Ok(kept) => Ok(kept.size),
            Err(refusal) => {
                self.files.remove_stored(&stored).await?;
                Err(io::Error::new(io::ErrorKind::InvalidInput, refusal))
            }
        }
    }

    /// Answers a request whose path begins with [`Transfers::prefix`].
    pub async fn answer(&self, request: Request<Body>) -> Response {
        let (parts, body) = request.into_parts();
        let token = parts
            .uri
            .query()
            .and_then(|query| query.strip_prefix(TOKEN));
        let permit = token.and_then(|token| self.permit(token));
        let Some(permit) = permit.filter(|permit| permit.path() == parts.uri.path()) else {
            return plain(
                StatusCode::FORBIDDEN,
                "This URL is not valid, or not any more; ask for a new one.",
            );
        };
        let Permit { subject, terms, .. } = permit;
        match (&parts.method, terms) {
            (&Method::PUT, Some(terms)) => self.take(&subject, &terms, &parts.headers, body).await,
            (&Method::GET | &Method::HEAD, None) => self.give(&subject, &parts).await,
            (&Method::OPTIONS, _) => preflight(),
            _ => plain(
                StatusCode::METHOD_NOT_ALLOWED,
                "Upload with PUT, download with GET.",
            ),
        }
    }

    fn permit(&self, token: &str) -> Option<Permit> {
        let text = self.sealer.open(&PLACE, token).ok()?;
        let permit: Permit = serde_json::from_slice(&text).ok()?;
        (permit.expires >= self.clock.now().0).then_some(permit)
    }

    async fn take(
        &self,
        subject: &Subject,
        terms: &Terms,
        headers: &HeaderMap,
        body: Body,
    ) -> Response {
        let receiving = self.receive(subject, terms, headers, body);
        let received = tokio::time::timeout(LONGEST, receiving)
            .await
            .unwrap_or_else(|_| {
                Err(Trouble::told(
                    StatusCode::BAD_REQUEST,
                    "The upload took too long.",
                ))
            });
        match received {
            Ok(stored) => {
                let status = if terms.creates {
                    StatusCode::CREATED
                } else {
                    StatusCode::OK
                };
                let mut response = plain(status, "");
                put(&mut response, header::ETAG, &etag(&[stored]));
                response
            }
            Err(Trouble::Sender(status, text)) => plain(status, &text),
            Err(Trouble::Disk(error)) => {
                tracing::warn!(%error, ?subject, "an upload could not be written");
                plain(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The upload could not be stored; try again.",
                )
            }
        }
    }

    /// Bytes first, then their record: if the record is refused the bytes go at once.
    async fn receive(
        &self,
        subject: &Subject,
        terms: &Terms,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Stored, Trouble> {
        let announced = text(headers, header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
        examine_length(terms, announced)?;
        let encoding = encoding(terms, headers)?;
        let mut draft = self.files.draft().await?;
        copy(body, &mut draft, terms, announced).await?;
        let stored = draft.finish(encoding).await?;
        let kept = match examine(terms, &stored) {
            Ok(()) => self.record(subject, terms, &stored).await?,
            Err(trouble) => Err(trouble),
        };
        if !kept.as_ref().is_ok_and(|kept| kept.key == stored.key)
            && let Err(error) = self.files.remove_stored(&stored).await
        {
            tracing::warn!(%error, "a refused upload stays behind for a day");
        }
        kept
    }

    async fn record(
        &self,
        subject: &Subject,
        terms: &Terms,
        stored: &Stored,
    ) -> Result<Result<Stored, Trouble>, Trouble> {
        let now = self.clock.now();
        let (part, stored) = (terms.part, stored.clone());
        match subject.clone() {
            Subject::Artifact(task_id, run_id, name) => {
                let recorded = self.store.write(task_key(&task_id), move |tx| {
                    artifact::receive(tx, now, (&task_id, run_id, &name), part, &stored)
                });
                Ok(recorded.await?.map_err(|refusal| match refusal {
                    artifact::Refusal::Missing { .. } => gone(&refusal),
                    artifact::Refusal::Input(_) | artifact::Refusal::Conflict(_) => late(&refusal),
                }))
            }
            Subject::Object(name) => {
                let upload_id = terms.upload_id.clone().unwrap_or_default();
                let recorded = self.store.write(Key::of(("object", &name)), move |tx| {
                    object::receive(tx, now, &name, &upload_id, &stored)
                });
                Ok(recorded.await?.map_err(|refusal| match refusal {
                    object::Refusal::Missing(_) => gone(&refusal),
                    object::Refusal::Input(_) | object::Refusal::Conflict(_) => late(&refusal),
                }))
            }
        }
    }

    async fn find(&self, subject: &Subject) -> Result<Option<Found>, taskyard_store::Error> {
        let found = match subject.clone() {
            Subject::Artifact(task_id, run_id, name) => self
                .store
                .read(move |tx| artifact::contents(tx, (&task_id, run_id, &name)))
                .await?
                .map(|(artifact, parts)| Found {
                    attach: false,
                    content_type: artifact.content_type,
                    parts,
                }),
            Subject::Object(name) => self
                .store
                .read(move |tx| object::contents(tx, &name))
                .await?
                .map(|(object, parts)| Found {
                    attach: media_type(&object.content_type) == "text/html",
                    content_type: object.content_type,
                    parts,
                }),
        };
        // An artifact may be there before its bytes are.
        Ok(found.filter(|found| !found.parts.is_empty()))
    }

    async fn give(&self, subject: &Subject, request: &http::request::Parts) -> Response {
        let found = match self.find(subject).await {
            Ok(Some(found)) => found,
            Ok(None) => return plain(StatusCode::NOT_FOUND, "Nothing has been uploaded yet."),
            Err(error) => return unreadable(&error, subject),
        };
        let size = found.parts.iter().map(|part| part.size).sum();
        let tag = etag(&found.parts);
        if text(&request.headers, header::IF_NONE_MATCH)
            .is_some_and(|known| known == "*" || known.split(',').any(|one| one.trim() == tag))
        {
            let mut response = plain(StatusCode::NOT_MODIFIED, "");
            response.headers_mut().remove(header::CONTENT_TYPE);
            put(&mut response, header::ETAG, &tag);
            return response;
        }
        // A part of something else than the caller has seen would be of no use.
        let range = text(&request.headers, header::RANGE)
            .filter(|_| text(&request.headers, header::IF_RANGE).is_none_or(|known| known == tag));
        let range = match range.map_or(Requested::Whole, |range| requested(range, size)) {
            Requested::Unsatisfiable => {
                let mut response = plain(StatusCode::RANGE_NOT_SATISFIABLE, "");
                put(
                    &mut response,
                    header::CONTENT_RANGE,
                    &format!("bytes */{size}"),
                );
                return response;
            }
            Requested::Part(first, last) => Some((first, last)),
            Requested::Whole => None,
        };
        let (first, end) = range.map_or((0, size), |(first, last)| (first, last + 1));
        let encoding = found.parts.first().map(|part| part.encoding.clone());
        let body = if request.method == Method::HEAD {
            Body::empty()
        } else {
            match self.files.read(found.parts, first..end).await {
                Ok(bytes) => Body::from_stream(bytes),
                Err(error) => return unreadable(&error, subject),
            }
        };
        let mut response = Response::new(body);
        if let Some((first, last)) = range {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            put(
                &mut response,
                header::CONTENT_RANGE,
                &format!("bytes {first}-{last}/{size}"),
            );
        }
        let length = end - first;
        put(&mut response, header::CONTENT_LENGTH, &length.to_string());
        put(&mut response, header::CONTENT_TYPE, &found.content_type);
        put(&mut response, header::ETAG, &tag);
        put(&mut response, header::ACCEPT_RANGES, "bytes");
        if let Some(encoding) = encoding.filter(|encoding| !encoding.is_empty()) {
            put(&mut response, header::CONTENT_ENCODING, &encoding);
        }
        if found.attach {
            put(&mut response, header::CONTENT_DISPOSITION, "attachment");
        }
        guard(&mut response);
        response
    }
}

/// Why an upload came to nothing.
enum Trouble {
    /// The sender's fault.
    Sender(StatusCode, String),
    /// Ours, or that of the disk.
    Disk(io::Error),
}

impl Trouble {
    fn told(status: StatusCode, text: impl Into<String>) -> Self {
        Trouble::Sender(status, text.into())
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Disk(error)
    }
}

impl From<taskyard_store::Error> for Trouble {
    fn from(error: taskyard_store::Error) -> Self {
        Trouble::Disk(io::Error::other(error))
    }
}

/// What the upload is for is not there any more.
fn gone(refusal: &dyn std::error::Error) -> Trouble {
    Trouble::told(StatusCode::NOT_FOUND, capitalized(&refusal.to_string()))
}

/// What the upload is for takes none any more.
fn late(refusal: &dyn std::error::Error) -> Trouble {
    Trouble::told(StatusCode::CONFLICT, capitalized(&refusal.to_string()))
}

/// Refuses what is bound to be wrong before any of it is received.
fn examine_length(terms: &Terms, announced: Option<u64>) -> Result<(), Trouble> {
    let Some(announced) = announced else {
        return Ok(());
    };
    if announced > LARGEST {
        return Err(too_large());
    }
    match terms.length {
        Some(length) if length != announced => Err(wrong_length(length, announced)),
        _ => Ok(()),
    }
}

fn too_large() -> Trouble {
    Trouble::told(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("An upload has at most {LARGEST} bytes."),
    )
}

fn wrong_length(length: u64, sent: u64) -> Trouble {
    Trouble::told(
        StatusCode::BAD_REQUEST,
        format!("The upload should have {length} bytes, not {sent}."),
    )
}

fn encoding(terms: &Terms, headers: &HeaderMap) -> Result<String, Trouble> {
    let encoding = match &terms.encoding {
        Some(encoding) => encoding.as_str(),
        None => text(headers, header::CONTENT_ENCODING).unwrap_or_default(),
    };
    if encoding.len() > LONGEST_ENCODING {
        return Err(Trouble::told(
            StatusCode::BAD_REQUEST,
            format!("Content-Encoding has at most {LONGEST_ENCODING} characters."),
        ));
    }
    Ok(match encoding {
        "identity" => String::new(),
        other => other.to_owned(),
    })
}

async fn copy(
    body: Body,
    draft: &mut Draft,
    terms: &Terms,
    announced: Option<u64>,
) -> Result<(), Trouble> {
    let bad = |text: String| Trouble::told(StatusCode::BAD_REQUEST, text);
    let most = terms.length.unwrap_or(LARGEST);
    let mut received = 0_u64;
    let mut pieces = body.into_data_stream();
    loop {
        let piece = tokio::time::timeout(IDLE, pieces.next())
            .await
            .map_err(|_| bad("The upload made no progress for a minute.".to_owned()))?;
        let piece = match piece {
            None => break,
            Some(Err(error)) => return Err(bad(format!("The upload broke off: {error}"))),
            Some(Ok(piece)) => piece,
        };
        received += piece.len() as u64;
        if received > most {
            return Err(terms
                .length
                .map_or_else(too_large, |length| wrong_length(length, received)));
        }
        draft.write(&piece).await?;
    }
    if announced.is_some_and(|announced| announced != received) {
        return Err(bad("The upload is shorter than announced.".to_owned()));
    }
    Ok(())
}

/// Whether what was received is what should be uploaded.
fn examine(terms: &Terms, stored: &Stored) -> Result<(), Trouble> {
    if let Some(length) = terms.length
        && length != stored.size
    {
        return Err(wrong_length(length, stored.size));
    }
    match &terms.sha256 {
        Some(sha256) if *sha256 != stored.sha256 => Err(Trouble::told(
            StatusCode::BAD_REQUEST,
            format!(
                "The upload should have the SHA-256 hash {sha256}, not {}.",
                stored.sha256
            ),
        )),
        _ => Ok(()),
    }
}

/// What tells these bytes from any others: keys are never used twice.
pub(super) fn etag(parts: &[Stored]) -> String {
    match parts {
        [part] => format!("\"{}\"", part.key),
        parts => {
            let last = parts.last().map_or("", |part| part.key.as_str());
            format!("\"{last}-{}\"", parts.len())
        }
    }
}

/// A media type without its parameters.
fn media_type(content_type: &str) -> String {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().to_ascii_lowercase()
}

fn unreadable(error: &dyn std::error::Error, subject: &Subject) -> Response {
    tracing::error!(%error, ?subject, "an artifact cannot be read");
    plain(
        StatusCode::SERVICE_UNAVAILABLE,
        "The artifact cannot be read now.",
    )
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn put(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Artifacts are whatever a task wrote: nothing in them may act in the name of this site.
fn guard(response: &mut Response) {
    put(
        response,
        header::CONTENT_SECURITY_POLICY,
        "sandbox; default-src 'none'",
    );
    put(response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(response, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
}

fn plain(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(Body::from(text.to_owned()));
    *response.status_mut() = status;
    put(
        &mut response,
        header::CONTENT_TYPE,
        "text/plain; charset=utf-8",
    );
    guard(&mut response);
    response
}

fn preflight() -> Response {
    let mut response = plain(StatusCode::NO_CONTENT, "");
    put(
        &mut response,
        header::ACCESS_CONTROL_ALLOW_METHODS,
        "GET, HEAD, PUT, OPTIONS",
    );
    put(&mut response, header::ACCESS_CONTROL_ALLOW_HEADERS, "*");
    response
}
