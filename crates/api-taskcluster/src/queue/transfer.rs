//! Uploads and downloads: plain PUT and GET at URLs that carry their own permission.
//!
//! Workers and browsers send no usable credentials here (some even repeat those of another
//! request), so `Authorization` is ignored and the URL's token counts. A token is sealed, so it
//! tells nothing and cannot be made by anybody else.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use futures_util::{Stream, StreamExt, TryStreamExt};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use serde::{Deserialize, Serialize};
use taskyard_access::{Place, Sealer, slugid};
use taskyard_engine::Timestamp;
use taskyard_engine::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::files::{Files, Upload};
use crate::error::ApiError;

/// The path that all transfers begin with.
const PREFIX: &str = "/artifacts/";
/// What the token follows. It is part of the query, because paths are logged.
const TOKEN: &str = "token=";
/// How long a slow sender may pause within an upload.
const IDLE: Duration = Duration::from_mins(1);

/// Uploads and downloads of artifacts.
#[derive(Debug)]
pub struct Transfers {
    root_url: String,
    sealer: Arc<Sealer>,
    files: Files,
    clock: Clock,
}

/// What a token permits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Permit {
    #[serde(rename = "t")]
    task_id: String,
    #[serde(rename = "r")]
    run_id: usize,
    #[serde(rename = "n")]
    name: String,
    /// What an upload is; absent for downloads.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// Microseconds since the epoch.
    #[serde(rename = "e")]
    expires: i64,
}

impl Permit {
    /// Where the transfer is made. It tells people what they look at; the token is what counts.
    fn path(&self) -> String {
        format!("{PREFIX}{}/{}", self.task_id, self.run_id)
    }
}

const PLACE: Place<'static> = Place {
    table: "artifacts",
    row: "",
    column: "transfer",
};

impl Transfers {
    pub(super) fn new(root_url: String, sealer: Arc<Sealer>, files: Files, clock: Clock) -> Self {
        Transfers {
            root_url,
            sealer,
            files,
            clock,
        }
    }

    /// The path that all transfers begin with.
    pub fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn url(&self, permit: &Permit) -> Result<String, ApiError> {
        let text = serde_json::to_vec(permit).map_err(ApiError::internal)?;
        let token = self
            .sealer
            .seal(&PLACE, &text)
            .map_err(ApiError::internal)?;
        Ok(format!("{}{}?{TOKEN}{token}", self.root_url, permit.path()))
    }

    /// A URL that takes one artifact's bytes by PUT until `expires`.
    pub(super) fn upload_url(
        &self,
        (task_id, run_id, name): (&str, usize, &str),
        content_type: &str,
        expires: Timestamp,
    ) -> Result<String, ApiError> {
        self.url(&Permit {
            task_id: task_id.to_owned(),
            run_id,
            name: name.to_owned(),
            content_type: Some(content_type.to_owned()),
            expires: expires.0,
        })
    }

    /// A URL that gives one artifact's bytes until `expires`.
    pub(super) fn download_url(
        &self,
        (task_id, run_id, name): (&str, usize, &str),
        expires: Timestamp,
    ) -> Result<String, ApiError> {
        self.url(&Permit {
            task_id: task_id.to_owned(),
            run_id,
            name: name.to_owned(),
            content_type: None,
            expires: expires.0,
        })
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
                "This URL is not valid, or not any more; ask the queue for a new one.",
            );
        };
        match (&parts.method, &permit.content_type) {
            (&Method::PUT, Some(_)) => self.take(&permit, &parts.headers, body).await,
            (&Method::GET | &Method::HEAD, None) => self.give(&permit, &parts).await,
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

    async fn take(&self, permit: &Permit, headers: &HeaderMap, body: Body) -> Response {
        let upload = Upload {
            content_type: permit.content_type.clone().unwrap_or_default(),
            content_encoding: text(headers, header::CONTENT_ENCODING)
                .filter(|encoding| *encoding != "identity")
                .map(str::to_owned),
            etag: slugid::v4(),
        };
        let announced = text(headers, header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
        match self.receive(permit, &upload, announced, body).await {
            Ok(()) => {
                let mut response = plain(StatusCode::OK, "");
                put(&mut response, header::ETAG, &format!("\"{}\"", upload.etag));
                response
            }
            Err(ReceiveError::Sender(text)) => plain(StatusCode::BAD_REQUEST, &text),
            Err(ReceiveError::Disk(error)) => {
                tracing::warn!(%error, task_id = permit.task_id, "an upload could not be written");
                plain(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The upload could not be stored; try again.",
                )
            }
        }
    }

    async fn receive(
        &self,
        permit: &Permit,
        upload: &Upload,
        announced: Option<u64>,
        body: Body,
    ) -> Result<(), ReceiveError> {
        let disk = ReceiveError::Disk;
        let mut draft = self
            .files
            .draft(&permit.task_id, permit.run_id, &permit.name, upload)
            .await
            .map_err(disk)?;
        let mut received = 0_u64;
        let mut parts = body.into_data_stream();
        loop {
            let part = tokio::time::timeout(IDLE, parts.next())
                .await
                .map_err(|_| {
                    ReceiveError::Sender("The upload made no progress for a minute.".to_owned())
                })?;
            match part {
                None => break,
                Some(Err(error)) => {
                    return Err(ReceiveError::Sender(format!(
                        "The upload broke off: {error}"
                    )));
                }
                Some(Ok(part)) => {
                    received += part.len() as u64;
                    draft.write(&part).await.map_err(disk)?;
                }
            }
        }
        if announced.is_some_and(|announced| announced != received) {
            return Err(ReceiveError::Sender(
                "The upload is shorter than announced.".to_owned(),
            ));
        }
        draft.publish().await.map_err(disk)
    }

    async fn give(&self, permit: &Permit, parts: &http::request::Parts) -> Response {
        let found = self
            .files
            .read(&permit.task_id, permit.run_id, &permit.name)
            .await;
        let (upload, mut file, size) = match found {
            Ok(Some(found)) => found,
            Ok(None) => return plain(StatusCode::NOT_FOUND, "Nothing has been uploaded yet."),
            Err(error) => {
                tracing::error!(%error, task_id = permit.task_id, "an artifact cannot be read");
                return plain(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The artifact cannot be read now.",
                );
            }
        };
        let range = match text(&parts.headers, header::RANGE).map(|range| read_range(range, size)) {
            Some(Range::Unsatisfiable) => {
                let mut response = plain(StatusCode::RANGE_NOT_SATISFIABLE, "");
                put(
                    &mut response,
                    header::CONTENT_RANGE,
                    &format!("bytes */{size}"),
                );
                return response;
            }
            Some(Range::Part(first, last)) => Some((first, last)),
            Some(Range::Whole) | None => None,
        };
        let (first, length) = range.map_or((0, size), |(first, last)| (first, last - first + 1));
        if let Err(error) = file.seek(std::io::SeekFrom::Current(first as i64)).await {
            tracing::error!(%error, task_id = permit.task_id, "an artifact cannot be read");
            return plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "The artifact cannot be read now.",
            );
        }
        let body = if parts.method == Method::HEAD {
            Body::empty()
        } else {
            Body::from_stream(stream(file.take(length)))
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
        put(&mut response, header::CONTENT_LENGTH, &length.to_string());
        put(&mut response, header::CONTENT_TYPE, &upload.content_type);
        put(&mut response, header::ETAG, &format!("\"{}\"", upload.etag));
        put(&mut response, header::ACCEPT_RANGES, "bytes");
        if let Some(encoding) = &upload.content_encoding {
            put(&mut response, header::CONTENT_ENCODING, encoding);
        }
        guard(&mut response);
        response
    }
}

enum ReceiveError {
    Sender(String),
    Disk(std::io::Error),
}

fn stream(
    file: impl tokio::io::AsyncRead + Send + 'static,
) -> impl Stream<Item = std::io::Result<bytes::Bytes>> + Send {
    ReaderStream::with_capacity(file, 64 * 1024).into_stream()
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

#[derive(Debug, PartialEq, Eq)]
enum Range {
    Whole,
    /// First and last byte, both included.
    Part(u64, u64),
    Unsatisfiable,
}

/// Reads a `Range` header; what is not one range of bytes means everything.
fn read_range(range: &str, size: u64) -> Range {
    let Some((first, last)) = range
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Range::Whole;
    };
    match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), _) if first >= size => Range::Unsatisfiable,
        (Ok(first), Ok(last)) if first <= last => Range::Part(first, last.min(size - 1)),
        (Ok(first), Err(_)) if last.trim().is_empty() => Range::Part(first, size - 1),
        (Err(_), Ok(0)) if first.trim().is_empty() => Range::Unsatisfiable,
        (Err(_), Ok(length)) if first.trim().is_empty() && size > 0 => {
            Range::Part(size.saturating_sub(length), size - 1)
        }
        _ => Range::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_defines_them() {
        assert_eq!(read_range("bytes=0-99", 1000), Range::Part(0, 99));
        assert_eq!(read_range("bytes=900-", 1000), Range::Part(900, 999));
        assert_eq!(read_range("bytes=-100", 1000), Range::Part(900, 999));
        assert_eq!(read_range("bytes=-5000", 1000), Range::Part(0, 999));
        assert_eq!(read_range("bytes=500-5000", 1000), Range::Part(500, 999));
        assert_eq!(read_range("bytes=1000-", 1000), Range::Unsatisfiable);
        assert_eq!(read_range("bytes=-0", 1000), Range::Unsatisfiable);
        assert_eq!(read_range("bytes=0-1,5-6", 1000), Range::Whole);
        assert_eq!(read_range("lines=1-2", 1000), Range::Whole);
    }
}
