//! The bytes of artifacts and objects, in a folder or in a bucket.
//!
//! Bytes are written under a new key each time and never change. Who they belong to is recorded
//! in the database once they are durable, so a reader finds all of an upload or none of it.
//!
//! In a folder an upload is one file, written as it comes. A bucket takes nothing but whole
//! objects, so a long upload is stored there in pieces, and no more than one piece of an upload is
//! held in memory.

use std::fmt;
use std::io::{self, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{self, SHA256};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, GetRange, GetResultPayload, MultipartUpload, ObjectStore,
    ObjectStoreExt as _, PutPayloadMut,
};
use taskyard_access::{Secret, slugid};
use taskyard_engine::content::Stored;
use taskyard_engine::timer::ArtifactBytes;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::io::ReaderStream;

/// How much is written to a folder at once.
const FOLDER_PIECE: usize = 256 * 1024;
/// How much is put into a bucket at once.
const BUCKET_PIECE: usize = 8 * 1024 * 1024;
/// Uploads into a bucket at once: together they hold 256 MiB. More of them wait.
const BUCKET_UPLOADS: usize = 32;
/// How long an upload waits for others to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much is read of a file at once.
const READ_PIECE: usize = 64 * 1024;
/// How long a request to a bucket may take.
const BUCKET_PATIENCE: Duration = Duration::from_mins(1);

/// Where bytes are kept.
#[derive(Clone)]
pub struct Files {
    store: Arc<dyn ObjectStore>,
    form: Form,
}

#[derive(Clone)]
enum Form {
    Folder(PathBuf),
    Bucket {
        prefix: Path,
        uploads: Arc<Semaphore>,
    },
}

/// A bucket of Amazon S3, or of something that speaks the same.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Where the names of all objects begin; nothing else of the bucket is touched.
    pub prefix: String,
    /// The region it is in.
    pub region: String,
    /// Who serves it, if it is not Amazon.
    pub endpoint: Option<String>,
    /// Access key and secret; without them those of the machine are used.
    pub credentials: Option<(String, Secret)>,
}

/// An upload under way. Dropped before [`Draft::finish`], it leaves nothing behind.
pub(crate) struct Draft {
    files: Files,
    key: String,
    hash: digest::Context,
    size: u64,
    buffer: PutPayloadMut,
    sink: Sink,
}

enum Sink {
    /// A file, whose upload removes it when dropped.
    File(Box<dyn MultipartUpload>),
    /// So many pieces are stored already.
    Pieces {
        stored: u64,
        _permit: OwnedSemaphorePermit,
    },
    /// Nothing is left to be removed.
    Done,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.form {
            Form::Folder(folder) => f.debug_tuple("Files").field(folder).finish(),
            Form::Bucket { prefix, .. } => f.debug_tuple("Files").field(prefix).finish(),
        }
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

// === impl Files ===

impl Files {
    /// Keeps files below `folder`, which is made if need be.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub async fn open(folder: PathBuf) -> io::Result<Self> {
        tokio::fs::create_dir_all(&folder).await?;
        let store = LocalFileSystem::new_with_prefix(&folder)?.with_fsync(true);
        Ok(Files {
            store: Arc::new(store),
            form: Form::Folder(folder),
        })
    }

    /// Keeps objects in `bucket`, after asking whether it can be read.
    ///
    /// # Errors
    /// The settings do not fit together, or the bucket does not answer.
    pub async fn bucket(bucket: Bucket) -> io::Result<Self> {
        let options = ClientOptions::new().with_timeout(BUCKET_PATIENCE);
        // What the machine says about credentials counts where nothing else is said.
        let mut builder = AmazonS3Builder::from_env()
            .with_client_options(options)
            .with_bucket_name(bucket.name)
            .with_region(bucket.region);
        if let Some(endpoint) = bucket.endpoint {
            builder = builder
                .with_allow_http(endpoint.starts_with("http://"))
                .with_endpoint(endpoint);
        }
        if let Some((id, secret)) = bucket.credentials {
            builder = builder
                .with_access_key_id(id)
                .with_secret_access_key(secret.expose());
        }
        let files = Files {
            store: Arc::new(builder.build()?),
            form: Form::Bucket {
                prefix: Path::parse(bucket.prefix).map_err(io::Error::other)?,
                uploads: Arc::new(Semaphore::new(BUCKET_UPLOADS)),
            },
        };
        files.all().next().await.transpose()?;
        Ok(files)
    }

    fn prefix(&self) -> Option<&Path> {
        match &self.form {
            Form::Folder(_) => None,
            Form::Bucket { prefix, .. } => Some(prefix),
        }
    }

    /// The folder, if it is one.
    pub(super) fn folder(&self) -> Option<&std::path::Path> {
        match &self.form {
            Form::Folder(folder) => Some(folder),
            Form::Bucket { .. } => None,
        }
    }

    /// Everything that is stored here.
    pub fn all(&self) -> BoxStream<'static, object_store::Result<object_store::ObjectMeta>> {
        self.store.list(self.prefix())
    }

    /// Removes a stored object.
    pub(super) async fn remove_at(&self, path: Path) -> io::Result<()> {
        self.remove_all(vec![path]).await
    }

    fn path(&self, name: &str) -> Path {
        let shelf = name.get(..2).unwrap_or_default();
        let parts = [shelf, name].map(str::to_owned);
        match self.prefix() {
            None => Path::from_iter(parts),
            Some(prefix) => prefix
                .parts()
                .map(|part| part.as_ref().to_owned())
                .chain(parts)
                .collect(),
        }
    }

    fn piece_path(&self, key: &str, piece: u64) -> Path {
        self.path(&format!("{key}.{piece}"))
    }

    /// Where the pieces of `stored` are, and how long each one is.
    fn pieces(&self, stored: &Stored) -> impl Iterator<Item = (Path, u64)> + Send + use<> {
        let (files, stored) = (self.clone(), stored.clone());
        let count = if stored.piece == 0 {
            1
        } else {
            stored.size.div_ceil(stored.piece)
        };
        (0..count).map(move |piece| {
            if stored.piece == 0 {
                (files.path(&stored.key), stored.size)
            } else {
                let length = (stored.size - piece * stored.piece).min(stored.piece);
                (files.piece_path(&stored.key, piece), length)
            }
        })
    }

    /// Begins an upload.
    pub(crate) async fn draft(&self) -> io::Result<Draft> {
        let key = slugid::v4();
        let sink = match &self.form {
            Form::Folder(_) => Sink::File(self.store.put_multipart(&self.path(&key)).await?),
            Form::Bucket { uploads, .. } => {
                let permit = tokio::time::timeout(PATIENCE, Arc::clone(uploads).acquire_owned());
                Sink::Pieces {
                    stored: 0,
                    _permit: permit
                        .await
                        .map_err(|_| io::Error::other("too many uploads at once"))?
                        .map_err(io::Error::other)?,
                }
            }
        };
        Ok(Draft {
            files: self.clone(),
            key,
            hash: digest::Context::new(&SHA256),
            size: 0,
            buffer: PutPayloadMut::new(),
            sink,
        })
    }

    /// The bytes of `parts`, one after the other: those of `range`. What cannot be read at all is
    /// found out before the first byte.
    pub(crate) async fn read(
        &self,
        parts: Vec<Stored>,
        range: Range<u64>,
    ) -> io::Result<BoxStream<'static, io::Result<Bytes>>> {
        let files = self.clone();
        let mut offset = 0;
        let mut wanted = parts
            .into_iter()
            .flat_map(move |part| files.pieces(&part).collect::<Vec<_>>())
            .filter_map(move |(path, length)| {
                let (start, end) = (offset, offset + length);
                offset = end;
                let first = range.start.max(start);
                let last = range.end.min(end);
                (first < last).then(|| (path, first - start..last - start))
            });
        let Some((path, range)) = wanted.next() else {
            return Ok(stream::empty().boxed());
        };
        let first = self.open_piece(path, range).await?;
        let files = self.clone();
        let rest = stream::iter(wanted)
            .then(move |(path, range)| {
                let files = files.clone();
                async move { files.open_piece(path, range).await }
            })
            .try_flatten();
        Ok(first.chain(rest).boxed())
    }

    async fn open_piece(
        &self,
        path: Path,
        range: Range<u64>,
    ) -> io::Result<BoxStream<'static, io::Result<Bytes>>> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            ..GetOptions::default()
        };
        let found = self.store.get_opts(&path, options).await?;
        Ok(match found.payload {
            GetResultPayload::File(file, _) => {
                let mut file = tokio::fs::File::from_std(file);
                file.seek(SeekFrom::Start(range.start)).await?;
                let part = file.take(range.end - range.start);
                ReaderStream::with_capacity(part, READ_PIECE).boxed()
            }
            GetResultPayload::Stream(bytes) => bytes.map_err(io::Error::from).boxed(),
        })
    }

    async fn remove_all(&self, paths: Vec<Path>) -> io::Result<()> {
        let paths = stream::iter(paths).map(Ok).boxed();
        let mut outcomes = self.store.delete_stream(paths);
        let mut outcome = Ok(());
        while let Some(removed) = outcomes.next().await {
            match removed {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                // The others are removed all the same.
                Err(error) => outcome = Err(error.into()),
            }
        }
        outcome
    }

    /// Removes stored bytes; none being there is success.
    pub(crate) async fn remove_stored(&self, stored: &Stored) -> io::Result<()> {
        let paths = self.pieces(stored).map(|(path, _)| path).collect();
        self.remove_all(paths).await
    }
}

impl ArtifactBytes for Files {
    fn remove<'a>(
        &'a self,
        stored: &'a Stored,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        Box::pin(self.remove_stored(stored))
    }
}

// === impl Draft ===

impl Draft {
    fn piece(&self) -> usize {
        match &self.sink {
            Sink::File(_) | Sink::Done => FOLDER_PIECE,
            Sink::Pieces { .. } => BUCKET_PIECE,
        }
    }

    /// Appends bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            // Only when there is more to come: what fits into one piece is stored as one.
            if self.buffer.content_length() == self.piece() {
                self.flush().await?;
            }
            let room = self.piece() - self.buffer.content_length();
            let (now, later) = rest.split_at(room.min(rest.len()));
            // A copy, because a few bytes would keep all of the buffer they were received in.
            self.buffer.extend_from_slice(now);
            rest = later;
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.buffer).freeze();
        match &mut self.sink {
            Sink::File(upload) => upload.put_part(piece).await?,
            Sink::Pieces { stored, .. } => {
                let path = self.files.piece_path(&self.key, *stored);
                // Counted before: a put that is given up may have been done.
                *stored += 1;
                self.files.store.put(&path, piece).await?;
            }
            Sink::Done => {}
        }
        Ok(())
    }

    /// Makes the upload durable.
    pub(crate) async fn finish(mut self, encoding: String) -> io::Result<Stored> {
        let in_pieces = matches!(self.sink, Sink::Pieces { stored, .. } if stored > 0);
        if matches!(self.sink, Sink::Pieces { .. }) && !in_pieces {
            let whole = std::mem::take(&mut self.buffer).freeze();
            let path = self.files.path(&self.key);
            self.files.store.put(&path, whole).await?;
        } else {
            self.flush().await?;
        }
        if let Sink::File(upload) = &mut self.sink {
            upload.complete().await?;
        }
        self.sink = Sink::Done;
        let hash = std::mem::replace(&mut self.hash, digest::Context::new(&SHA256)).finish();
        Ok(Stored {
            key: self.key.clone(),
            size: self.size,
            piece: if in_pieces { BUCKET_PIECE as u64 } else { 0 },
            sha256: hex(hash.as_ref()),
            encoding,
        })
    }
}

/// In lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Drop for Draft {
    fn drop(&mut self) {
        let Sink::Pieces { stored, .. } = &self.sink else {
            return;
        };
        // A put of the whole that was given up may have been done too.
        let mut paths = vec![self.files.path(&self.key)];
        paths.extend((0..*stored).map(|piece| self.files.piece_path(&self.key, piece)));
        let files = self.files.clone();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            if let Err(error) = files.remove_all(paths).await {
                tracing::warn!(%error, "an unfinished upload stays behind for a day");
            }
        });
    }
}
