//! Paths of APIs and pages.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What stands in a segment as it is: what RFC 3986 calls unreserved.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A path like `/task/{}/runs/{}` with these parts in it, each escaped, so that none can reach
/// beyond its segment.
pub(crate) fn path(pattern: &str, parts: &[&str]) -> String {
    let mut path = String::new();
    let mut pieces = pattern.split("{}");
    path.push_str(pieces.next().unwrap_or_default());
    for (piece, part) in pieces.zip(parts) {
        path.extend(utf8_percent_encode(part, ESCAPED));
        path.push_str(piece);
    }
    path
}

/// The path below `parent` that a name with slashes leads to, each of its parts escaped.
pub(crate) fn below(parent: &str, name: &str) -> String {
    let mut path = parent.to_owned();
    for part in name.split('/') {
        path.push('/');
        path.extend(utf8_percent_encode(part, ESCAPED));
    }
    path
}

/// `path` with a query; values that are empty are left out.
pub(crate) fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let mut written = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        written.append_pair(name, value);
    }
    match written.finish().as_str() {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// The segments of a path, without their escapes; `None` if one is no UTF-8.
pub(crate) fn segments(path: &str) -> Option<Vec<String>> {
    path.trim_matches('/')
        .split('/')
        .map(|segment| {
            let decoded = percent_decode_str(segment).decode_utf8().ok()?;
            Some(decoded.into_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_segment_reaches_beyond_its_place() {
        let found = path("/task/{}/runs/{}", &["../a b/c?d#e", "{}"]);
        assert_eq!(found, "/task/..%2Fa%20b%2Fc%3Fd%23e/runs/%7B%7D");
        assert_eq!(below("/runs/0", "public/a b"), "/runs/0/public/a%20b");
    }

    #[test]
    fn what_is_empty_is_not_asked_for() {
        assert_eq!(with_query("/a", &[("token", "")]), "/a");
        assert_eq!(
            with_query("/a", &[("token", "x&y"), ("limit", "9")]),
            "/a?token=x%26y&limit=9"
        );
    }

    #[test]
    fn segments_are_read_as_they_were_written() {
        let found = segments("/tasks/a%2Fb/").unwrap();
        assert_eq!(found, ["tasks", "a/b"]);
        assert_eq!(segments("/%ff"), None);
    }
}
