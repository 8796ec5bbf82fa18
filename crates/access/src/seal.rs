//! Encryption of secrets at rest: AES-256-GCM, bound to the place where the record is stored.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use thiserror::Error;

use crate::slugid;

/// How many bytes a key has.
pub const KEY_BYTES: usize = 32;

/// The first part of every record: what follows is `<key id>:<base64 of nonce, text and tag>`.
const FORMAT: &str = "s1";

/// Encrypts and decrypts with one key.
pub struct Sealer {
    key: LessSafeKey,
    key_id: String,
}

/// Where a record is stored. A record copied to another place can't be opened there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The table.
    pub table: &'a str,
    /// The row's id.
    pub row: &'a str,
    /// The column.
    pub column: &'a str,
}

/// Why a secret can't be sealed or opened.
#[derive(Debug, Error)]
pub enum SealError {
    /// The operating system gives no random bytes.
    #[error("no random bytes are available from the operating system; try again later")]
    Random,
    /// Beyond the cipher's limit of 64 GiB.
    #[error("the secret is too long to be sealed; store a shorter one")]
    TooLong,
    /// Not a record of ours.
    #[error("the stored secret is not readable: it is no sealed record; restore it from a backup")]
    Format,
    /// Sealed with a key that is not at hand.
    #[error(
        "the secret was sealed with the key '{sealed_with}', but the configured key is \
         '{configured}'; configure the key file that belongs to this database"
    )]
    OtherKey {
        /// The id of the key that is needed.
        sealed_with: String,
        /// The id of the key in use.
        configured: String,
    },
    /// Changed, or moved here from another place.
    #[error("the stored secret was altered or moved; restore it from a backup")]
    Altered,
    /// The key file can't be read or written.
    #[error("the key file {} can't be used: {source}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The key file doesn't hold a key.
    #[error(
        "the key file {} must hold 32 bytes in base64; to start anew, move it away (secrets \
         sealed with it are then lost)",
        path.display()
    )]
    KeyFormat {
        /// The file.
        path: PathBuf,
    },
    /// Others could read the key.
    #[error("the key file {} can be read or changed by others; run: chmod 600 {}", path.display(), path.display())]
    KeyExposed {
        /// The file.
        path: PathBuf,
    },
}

// === impl Sealer ===

impl Sealer {
    /// Seals with this key.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        #[expect(clippy::expect_used, reason = "fails for a key of another length only")]
        let unbound = UnboundKey::new(&AES_256_GCM, key).expect("a key of 32 bytes");
        let hash = digest::digest(&digest::SHA256, key);
        let key_id = hash
            .as_ref()
            .iter()
            .take(4)
            .fold(0, |id, byte| id << 8 | u32::from(*byte));
        Self {
            key: LessSafeKey::new(unbound),
            key_id: format!("{key_id:08x}"),
        }
    }

    /// Reads the key from the file at `path`, or makes a new one there.
    ///
    /// The file holds the key in base64. A new one is readable by its owner only and appears whole
    /// or not at all; when two processes make it at once, both use the same.
    pub fn from_key_file(path: &Path) -> Result<Self, SealError> {
        match Self::read_key_file(path) {
            Err(SealError::KeyFile { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let mut key = [0; KEY_BYTES];
                rand::fill(&mut key).map_err(|_| SealError::Random)?;
                create_key_file(path, &key).map_err(|source| SealError::KeyFile {
                    path: path.to_owned(),
                    source,
                })?;
                Self::read_key_file(path)
            }
            other => other,
        }
    }

    fn read_key_file(path: &Path) -> Result<Self, SealError> {
        let unusable = |source| SealError::KeyFile {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(unusable)?;
        // A group may read, so that a mounted secret works; nobody else, and none may write.
        if file.metadata().map_err(unusable)?.permissions().mode() & 0o027 != 0 {
            return Err(SealError::KeyExposed {
                path: path.to_owned(),
            });
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(unusable)?;
        let key: Option<[u8; KEY_BYTES]> = STANDARD
            .decode(text.trim())
            .ok()
            .and_then(|bytes| bytes.try_into().ok());
        key.map(|key| Self::new(&key))
            .ok_or_else(|| SealError::KeyFormat {
                path: path.to_owned(),
            })
    }

    /// Names the key without giving it away: 8 hexadecimal digits.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Encrypts `plaintext` for `place`. The record is ASCII text.
    pub fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Result<String, SealError> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| SealError::Random)?;
        let mut sealed = plaintext.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.encode()),
                &mut sealed,
            )
            .map_err(|_| SealError::TooLong)?;
        let bytes = [&nonce[..], &sealed].concat();
        Ok(format!(
            "{FORMAT}:{}:{}",
            self.key_id,
            URL_SAFE_NO_PAD.encode(bytes)
        ))
    }

    /// Decrypts a record that was sealed for `place`.
    pub fn open(&self, place: &Place<'_>, record: &str) -> Result<Vec<u8>, SealError> {
        let mut parts = record.splitn(3, ':');
        let (Some(FORMAT), Some(key_id), Some(sealed)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(SealError::Format);
        };
        if key_id != self.key_id {
            return Err(SealError::OtherKey {
                sealed_with: key_id.to_owned(),
                configured: self.key_id.clone(),
            });
        }
        let mut bytes = URL_SAFE_NO_PAD
            .decode(sealed)
            .map_err(|_| SealError::Format)?;
        let (nonce, sealed) = bytes
            .split_first_chunk_mut::<NONCE_LEN>()
            .ok_or(SealError::Format)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plaintext = self
            .key
            .open_in_place(nonce, Aad::from(place.encode()), sealed)
            .map_err(|_| SealError::Altered)?;
        Ok(plaintext.to_vec())
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// Writes the key beside its place first; then gives it its name, unless that is taken by now.
fn create_key_file(path: &Path, key: &[u8; KEY_BYTES]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", slugid::nice()));
    let draft = PathBuf::from(draft);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            writeln!(file, "{}", STANDARD.encode(key))?;
            file.sync_all()
        })
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    let removed = fs::remove_file(&draft);
    written?;
    removed?;
    // Without this the name could be lost with the power, and with it every secret.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

// === impl Place ===

impl Place<'_> {
    /// Each part after its length, so that no two places are written the same.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in [self.table, self.row, self.column] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part.as_bytes());
        }
        bytes
    }
}
