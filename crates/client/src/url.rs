//! Addresses of API methods.

use std::fmt::Write as _;

use crate::Error;

/// The address of a method: `<root>/api/<service>/<version>/<route>`.
///
/// `route` is used as it is; only its leading slashes and the root's trailing ones are dropped.
pub fn api_url(root_url: &str, service: &str, version: &str, route: &str) -> String {
    let root = root_url.trim_end_matches('/');
    format!(
        "{root}/api/{service}/{version}/{}",
        route.trim_start_matches('/')
    )
}

/// Joins `segments` with `/`, each escaped as a whole, so that a `/` inside one stays inside it.
///
/// # Errors
/// `Usage` for an empty segment, and for `.` and `..`, which no address can carry.
pub(crate) fn route(segments: &[&str]) -> Result<String, Error> {
    let mut route = String::new();
    for segment in segments {
        if matches!(*segment, "" | "." | "..") {
            return Err(Error::Usage(format!(
                "`{segment}` cannot be part of an address: arguments must not be empty, `.` or `..`"
            )));
        }
        if !route.is_empty() {
            route.push('/');
        }
        escape_into(&mut route, segment);
    }
    Ok(route)
}

/// Appends `pairs` as a query string.
pub(crate) fn append_query(url: &mut String, pairs: &[(&str, &str)]) {
    for (index, (name, value)) in pairs.iter().enumerate() {
        url.push(if index == 0 { '?' } else { '&' });
        escape_into(url, name);
        url.push('=');
        escape_into(url, value);
    }
}

/// Escapes everything but letters, digits and `-_.~!'()*`, the set that official clients leave.
fn escape_into(to: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~!'()*".contains(&byte) {
            to.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(to, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_in_an_argument_is_escaped() {
        let route = route(&["clients", "proj/foo@bar é"]).unwrap();
        assert_eq!(route, "clients/proj%2Ffoo%40bar%20%C3%A9");
    }

    #[test]
    fn arguments_that_would_change_the_path_are_refused() {
        for bad in ["", ".", ".."] {
            assert!(
                matches!(route(&["task", bad]), Err(Error::Usage(_))),
                "{bad:?}"
            );
        }
    }
}
