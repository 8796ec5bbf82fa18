//! Where the JSON of a POST stands: in the body, in a field of a form, or in the address.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::escape;

/// The JSON of a request whose form field is called `field`; `None` if there is none.
///
/// A body that begins like an object is JSON whatever its type says: `curl -d` calls it a form,
/// and the Go client calls it nothing.
pub(crate) fn find<'a>(
    headers: &HeaderMap,
    body: &'a [u8],
    query: Option<&str>,
    field: &str,
) -> Option<Cow<'a, [u8]>> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'{') {
        return Some(Cow::Borrowed(body));
    }
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let in_body = match content_type.and_then(boundary) {
        Some(boundary) => part(body, boundary, field),
        None => escape::form_value(body, field),
    };
    let found = in_body.or_else(|| escape::form_value(query.unwrap_or_default().as_bytes(), field));
    found.map(Cow::Owned)
}

/// The boundary of a multipart form.
fn boundary(content_type: &str) -> Option<&str> {
    let mut parts = content_type.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let value = value.trim_matches('"');
        (name.eq_ignore_ascii_case("boundary") && !value.is_empty()).then_some(value)
    })
}

/// The content of the part called `field`.
fn part(body: &[u8], boundary: &str, field: &str) -> Option<Vec<u8>> {
    let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
    // The first delimiter has no line before it.
    let whole = [b"\r\n", body].concat();
    let named = format!("name=\"{field}\"");
    split(&whole, &delimiter).skip(1).find_map(|part| {
        let (head, content) = split_once(part, b"\r\n\r\n")?;
        let head = std::str::from_utf8(head).ok()?;
        let is_it = head.lines().any(|line| {
            line.to_ascii_lowercase()
                .starts_with("content-disposition:")
                && line.split(';').any(|parameter| parameter.trim() == named)
        });
        is_it.then(|| content.to_vec())
    })
}

fn split_once<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let found = text.windows(at.len()).position(|window| window == at)?;
    Some((text.get(..found)?, text.get(found + at.len()..)?))
}

fn split<'a>(text: &'a [u8], at: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (piece, others) = match split_once(text, at) {
            Some((piece, others)) => (piece, Some(others)),
            None => (text, None),
        };
        rest = others;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(content_type: &str, body: &str, query: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(CONTENT_TYPE, content_type.parse().expect("a header"));
        }
        let found = find(&headers, body.as_bytes(), Some(query), "claim");
        found.map(|bytes| String::from_utf8(bytes.into_owned()).expect("text"))
    }

    #[test]
    fn a_body_that_begins_like_an_object_is_taken_as_it_is() {
        let form = "application/x-www-form-urlencoded";
        for content_type in ["", "application/json", "text/plain", form] {
            let body = " \n{\"group\":\"a+b%20\"}";
            assert_eq!(found(content_type, body, "claim=no").as_deref(), Some(body));
        }
    }

    #[test]
    fn a_form_has_it_in_a_field_and_the_address_may_have_it_too() {
        let form = "application/x-www-form-urlencoded";
        assert_eq!(
            found(form, "x=1&claim=%7B%7D", "claim=no").as_deref(),
            Some("{}")
        );
        assert_eq!(found(form, "x=1", "claim=%7B%7D").as_deref(), Some("{}"));
        assert_eq!(found("", "", "claim=%7B%7D").as_deref(), Some("{}"));
        assert_eq!(found(form, "update=%7B%7D", ""), None);
    }

    #[test]
    fn a_multipart_form_has_it_in_a_part() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n\
                    --b\r\nContent-Disposition: form-data; name=\"claim\"\r\n\r\n{\"a\":1}\r\n--b--\r\n";
        let multipart = "multipart/form-data; boundary=b";
        assert_eq!(found(multipart, body, "").as_deref(), Some("{\"a\":1}"));
        assert_eq!(found(multipart, "--b--\r\n", ""), None);
    }
}
