use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes, which JSON carries as base64.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Base64(pub Vec<u8>);

impl<T: Into<Vec<u8>>> From<T> for Base64 {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    /// Either alphabet, padded or not.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bare = text.trim_end_matches('=');
        let url_safe = bare
            .chars()
            .any(|c| !alphabet::STANDARD.as_str().contains(c));
        let decoded = if url_safe {
            URL_SAFE_NO_PAD.decode(bare)
        } else {
            STANDARD_NO_PAD.decode(bare)
        };
        decoded.map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_are_read_padded_or_not() {
        for text in ["+/8=", "+/8", "-_8=", "-_8"] {
            let read: Base64 = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            assert_eq!(read.0, [0xfb, 0xff], "{text}");
        }
        let sent = serde_json::to_string(&Base64(vec![0xfb, 0xff])).unwrap();
        assert_eq!(sent, "\"+/8=\"");
    }
}
