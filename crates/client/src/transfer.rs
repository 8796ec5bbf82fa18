//! Bytes of artifacts: plain `PUT` and `GET` of addresses that the API hands out, never signed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use reqwest::{Method, StatusCode, Url, header};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
};
use tokio_util::io::ReaderStream;

use crate::{
    Error, Service,
    service::{connection_error, parse},
};

/// Hops of redirects before a download is given up.
const MAX_REDIRECTS: usize = 10;

/// Size of the pieces in which files are read.
const CHUNK_BYTES: usize = 64 << 10;

/// What is uploaded. It is read again for each attempt.
#[derive(Debug, Clone)]
pub enum Content {
    /// These bytes.
    Bytes(Bytes),
    /// A file, streamed. It must not change while it is uploaded.
    File(PathBuf),
}

/// What a download was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// The stored `Content-Type`.
    pub content_type: Option<String>,
    /// Bytes written, after decompression.
    pub length: u64,
}

impl Service {
    /// Stores `content` at an upload address.
    ///
    /// # Errors
    /// `File` when the content cannot be read, `Api`, `Connection` or `Timeout` otherwise.
    pub async fn upload(
        &self,
        put_url: &str,
        content_type: &str,
        content_encoding: Option<&str>,
        content: &Content,
    ) -> Result<(), Error> {
        let encoding = content_encoding.map(|encoding| (header::CONTENT_ENCODING, encoding));
        let headers = [(header::CONTENT_TYPE, content_type)]
            .into_iter()
            .chain(encoding)
            .map(|(name, value)| (name.as_str().to_owned(), value.to_owned()))
            .collect();
        self.upload_with(put_url, &headers, content).await.map(drop)
    }

    /// Sends `content` to an upload address with exactly these headers; returns the `ETag` of the
    /// answer.
    ///
    /// # Errors
    /// As [`Service::upload`].
    pub async fn upload_with(
        &self,
        put_url: &str,
        headers: &BTreeMap<String, String>,
        content: &Content,
    ) -> Result<Option<String>, Error> {
        let url = parse(put_url)?;
        self.repeat(|| self.put(&url, headers, content)).await
    }

    async fn put(
        &self,
        url: &Url,
        headers: &BTreeMap<String, String>,
        content: &Content,
    ) -> Result<Option<String>, Error> {
        let limit = self.shared.transfer_timeout;
        let (length, body) = match content {
            Content::Bytes(bytes) => (bytes.len() as u64, reqwest::Body::from(bytes.clone())),
            Content::File(path) => open(path).await?,
        };
        let mut request = self.shared.http.put(url.clone()).timeout(limit);
        for (name, value) in headers {
            // The true length follows; a server that was told another one would refuse it.
            if !name.eq_ignore_ascii_case(header::CONTENT_LENGTH.as_str()) {
                request = request.header(name, value);
            }
        }
        request = request.header(header::CONTENT_LENGTH, length);
        let lost = |error| connection_error(url, limit, &error);
        let answer = request.body(body).send().await.map_err(lost)?;
        let status = answer.status();
        let etag = answer.headers().get(header::ETAG);
        let etag = etag.and_then(|value| Some(value.to_str().ok()?.to_owned()));
        // Reading the answer to its end lets the connection be used again.
        let body = answer.bytes().await.map_err(lost)?;
        if status.is_success() {
            Ok(etag)
        } else {
            Err(Error::from_answer(status.as_u16(), &body))
        }
    }

    /// Writes what stands at `url` to `writer`, following redirects and undoing gzip. Only an
    /// attempt that failed before its first byte is repeated.
    ///
    /// # Errors
    /// `File` when `writer` fails, `Api`, `Connection` or `Timeout` otherwise.
    pub async fn download(
        &self,
        url: &str,
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Downloaded, Error> {
        let url = parse(url)?;
        let answer = self.repeat(|| self.get(&url)).await?;
        self.copy(answer, writer).await
    }

    /// Writes what stands at `url` to the file `path`, which appears, or is replaced, only when
    /// all of it has arrived.
    ///
    /// # Errors
    /// As [`Service::download`].
    pub async fn download_to_file(&self, url: &str, path: &Path) -> Result<Downloaded, Error> {
        let url = parse(url)?;
        into_file(path, async |part| {
            self.repeat(|| async {
                let mut file = create(part).await?;
                let answer = self.get(&url).await?;
                self.copy(answer, &mut file).await
            })
            .await
        })
        .await
    }

    async fn get(&self, url: &Url) -> Result<reqwest::Response, Error> {
        let limit = self.shared.transfer_timeout;
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let request = self
                .shared
                .http
                .request(Method::GET, url.clone())
                .timeout(limit);
            let answer = request
                .send()
                .await
                .map_err(|error| connection_error(&url, limit, &error))?;
            if answer.status().is_redirection() && answer.status() != StatusCode::NOT_MODIFIED {
                url = redirect_target(&url, &answer)?;
                continue;
            }
            if answer.status().is_success() {
                return Ok(answer);
            }
            let status = answer.status().as_u16();
            let body = answer
                .bytes()
                .await
                .map_err(|error| connection_error(&url, limit, &error))?;
            return Err(Error::from_answer(status, &body));
        }
        Err(Error::Decode(format!(
            "more than {MAX_REDIRECTS} redirects"
        )))
    }

    async fn copy(
        &self,
        mut answer: reqwest::Response,
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Downloaded, Error> {
        let url = answer.url().clone();
        let limit = self.shared.transfer_timeout;
        let content_type = answer
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let mut length = 0;
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| connection_error(&url, limit, &error))?
        {
            writer
                .write_all(&chunk)
                .await
                .map_err(|error| write_error(&error))?;
            length += chunk.len() as u64;
        }
        writer.flush().await.map_err(|error| write_error(&error))?;
        Ok(Downloaded {
            content_type,
            length,
        })
    }
}

/// Lets `write` write a file beside `path`, and puts it in its place if that succeeds.
pub(crate) async fn into_file<T>(
    path: &Path,
    write: impl AsyncFnOnce(&Path) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let renamed = match write(&part).await {
        Ok(written) => tokio::fs::rename(&part, path)
            .await
            .map(|()| written)
            .map_err(|error| write_error(&error)),
        Err(error) => Err(error),
    };
    if renamed.is_err() {
        // The error that is returned says more than a failure to clean up would.
        let _ = tokio::fs::remove_file(&part).await;
    }
    renamed
}

/// A new and empty file.
pub(crate) async fn create(path: &Path) -> Result<File, Error> {
    File::create(path)
        .await
        .map_err(|error| write_error(&error))
}

async fn open(path: &Path) -> Result<(u64, reqwest::Body), Error> {
    let failed =
        |error: std::io::Error| Error::file(format!("cannot read {}", path.display()), &error);
    let file = File::open(path).await.map_err(failed)?;
    let length = file.metadata().await.map_err(failed)?.len();
    // What is appended meanwhile would contradict the length already promised.
    let stream = ReaderStream::with_capacity(file.take(length), CHUNK_BYTES);
    Ok((length, reqwest::Body::wrap_stream(stream)))
}

fn write_error(error: &std::io::Error) -> Error {
    Error::file("cannot write what is downloaded".to_owned(), error)
}

fn redirect_target(from: &Url, answer: &reqwest::Response) -> Result<Url, Error> {
    answer
        .headers()
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|location| from.join(location).ok())
        .ok_or_else(|| Error::Decode("a redirect without a usable location".to_owned()))
}
