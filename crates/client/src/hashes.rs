//! Hashes of what is uploaded and downloaded.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_lc_rs::digest::{self, SHA256, SHA512};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncWrite},
};

use crate::{Content, Error};

/// Size of the pieces in which files are hashed.
const CHUNK_BYTES: usize = 64 << 10;

/// The hashes that objects have, of bytes that come one after the other.
pub(crate) struct Hasher {
    sha256: digest::Context,
    sha512: digest::Context,
    length: u64,
}

/// A writer that hashes what goes through it.
pub(crate) struct Hashing<W> {
    inner: W,
    pub(crate) hasher: Hasher,
}

// === impl Hasher ===

impl Hasher {
    pub(crate) fn new() -> Self {
        Self {
            sha256: digest::Context::new(&SHA256),
            sha512: digest::Context::new(&SHA512),
            length: 0,
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.sha512.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// How many bytes there were, and their hashes by algorithm in lower-case hex.
    pub(crate) fn finish(self) -> (u64, BTreeMap<String, String>) {
        let hashes = [("sha256", self.sha256), ("sha512", self.sha512)];
        let hashes = hashes
            .into_iter()
            .map(|(name, hash)| (name.to_owned(), hex(hash.finish().as_ref())));
        (self.length, hashes.collect())
    }

    /// Hashes all of `content`.
    pub(crate) async fn of(content: &Content) -> Result<(u64, BTreeMap<String, String>), Error> {
        let mut hasher = Self::new();
        match content {
            Content::Bytes(bytes) => hasher.update(bytes),
            Content::File(path) => {
                let failed = |error: std::io::Error| {
                    Error::file(format!("cannot read {}", path.display()), &error)
                };
                let mut file = File::open(path).await.map_err(failed)?;
                let mut chunk = vec![0; CHUNK_BYTES];
                loop {
                    match file.read(&mut chunk).await.map_err(failed)? {
                        0 => break,
                        length => hasher.update(chunk.get(..length).unwrap_or_default()),
                    }
                }
            }
        }
        Ok(hasher.finish())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

// === impl Hashing ===

impl<W> Hashing<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: Hasher::new(),
        }
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Hashing<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let length = ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.hasher.update(bytes.get(..length).unwrap_or_default());
        Poll::Ready(Ok(length))
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
