//! Slugids: UUIDs of version 4 in 22 characters of URL-safe base64.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::{Builder, Uuid};

/// A new random slugid.
pub fn v4() -> String {
    encode(Uuid::new_v4().into_bytes())
}

/// A new random slugid that starts with a letter, so that it can be taken for a name anywhere.
pub fn nice() -> String {
    nice_from_random(Uuid::new_v4().into_bytes())
}

/// The slugid that these random bytes stand for; six of their bits become the version.
pub fn v4_from_random(bytes: [u8; 16]) -> String {
    encode(Builder::from_random_bytes(bytes).into_uuid().into_bytes())
}

/// As [`v4_from_random`], with the first bit clear, which makes the first character a letter.
pub fn nice_from_random(mut bytes: [u8; 16]) -> String {
    bytes[0] &= 0x7f;
    v4_from_random(bytes)
}

/// Writes a UUID's bytes as a slugid.
pub fn encode(uuid: [u8; 16]) -> String {
    URL_SAFE_NO_PAD.encode(uuid)
}

/// The UUID's bytes, if `slug` is exactly what [`encode`] writes for a UUID of version 4.
pub fn decode(slug: &str) -> Option<[u8; 16]> {
    if slug.len() != 22 {
        return None;
    }
    // The decoder is strict about the four bits that the last character has too many.
    let bytes: [u8; 16] = URL_SAFE_NO_PAD.decode(slug).ok()?.try_into().ok()?;
    (bytes[6] >> 4 == 4 && bytes[8] >> 6 == 0b10).then_some(bytes)
}

/// Whether `slug` is a slugid.
pub fn is_valid(slug: &str) -> bool {
    decode(slug).is_some()
}

/// Whether `slug` is a slugid that starts with a letter.
pub fn is_nice(slug: &str) -> bool {
    decode(slug).is_some_and(|bytes| bytes[0] < 0x80)
}
