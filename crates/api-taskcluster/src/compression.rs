//! Bodies that their senders compressed.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use crate::error::{ApiError, Code};

/// Bodies of up to this many bytes are unpacked where they are read; larger ones take long enough
/// to be in the way of others.
const SMALL: usize = 4 * 1024;

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Gzip,
    Deflate,
}

/// Unpacks `body` as its headers say.
///
/// # Errors
/// Too large once it is unpacked, broken, or packed in a way that is not known.
pub(crate) async fn undo(
    headers: &HeaderMap,
    body: Bytes,
    limit: usize,
) -> Result<Bytes, ApiError> {
    let Some(encoding) = encoding(headers)? else {
        return Ok(body);
    };
    if body.is_empty() {
        return Ok(body);
    }
    if body.len() <= SMALL {
        return unpack(encoding, &body, limit);
    }
    tokio::task::spawn_blocking(move || unpack(encoding, &body, limit))
        .await
        .map_err(ApiError::internal)?
}

/// How the body is packed, if it is.
fn encoding(headers: &HeaderMap) -> Result<Option<Encoding>, ApiError> {
    let Some(value) = headers.get(CONTENT_ENCODING) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    match text.to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(None),
        "gzip" | "x-gzip" => Ok(Some(Encoding::Gzip)),
        "deflate" => Ok(Some(Encoding::Deflate)),
        _ => Err(malformed(format!(
            "The body has the Content-Encoding {text}, which is not known here: send it as gzip, \
             as deflate, or as it is."
        ))),
    }
}

fn malformed(text: String) -> ApiError {
    ApiError::new(Code::MalformedPayload, text)
}

fn unpack(encoding: Encoding, body: &[u8], limit: usize) -> Result<Bytes, ApiError> {
    let mut unpacked = Vec::new();
    // One byte more than allowed tells that there is more, whatever the sender says.
    let most = limit as u64 + 1;
    let read = match encoding {
        Encoding::Gzip => MultiGzDecoder::new(body)
            .take(most)
            .read_to_end(&mut unpacked),
        Encoding::Deflate => ZlibDecoder::new(body).take(most).read_to_end(&mut unpacked),
    };
    read.map_err(|error| malformed(format!("The compressed body is broken: {error}.")))?;
    if unpacked.len() > limit {
        return Err(ApiError::new(
            Code::InputTooLarge,
            format!(
                "the request body is larger than the {limit} bytes allowed once it is unpacked"
            ),
        ));
    }
    Ok(unpacked.into())
}
