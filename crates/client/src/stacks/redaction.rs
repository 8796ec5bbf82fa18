//! Bodies as they may be logged: without secrets.

use serde_json::Value;

/// What stands in place of a secret.
const HIDDEN: &str = "(hidden)";

/// Longest text that is logged.
const MAX_CHARACTERS: usize = 16_384;

/// A body for the log. JSON loses tokens, secrets and values of variables; other text is shown,
/// and bytes are only counted.
pub(super) fn shown(body: &[u8]) -> String {
    let mut text = match serde_json::from_slice::<Value>(body) {
        Ok(mut value) => {
            hide(&mut value);
            value.to_string()
        }
        Err(_) => match std::str::from_utf8(body) {
            Ok(text) => text.to_owned(),
            Err(_) => format!("({} bytes)", body.len()),
        },
    };
    if let Some((end, _)) = text.char_indices().nth(MAX_CHARACTERS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    // Which variables there are may be seen, not what they are.
                    Value::Object(variables) if name == "env" || name == "request_headers" => {
                        for value in variables.values_mut() {
                            *value = HIDDEN.into();
                        }
                    }
                    Value::String(_) if is_secret(name) => *value = HIDDEN.into(),
                    other => hide(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let ends = ["token", "secret", "password"];
    ends.iter().any(|end| name.ends_with(end)) || name == "value"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_values_of_variables_are_not_shown() {
        let body = br#"{"id":"1","access_token":"a","token_type":"t","env":{"K":"v"},
            "job_acquisition_tokens":[{"job_uuid":"2","job_acquisition_token":"b"}],
            "key":"k","value":"c"}"#;
        assert_eq!(
            shown(body),
            r#"{"id":"1","access_token":"(hidden)","token_type":"t","env":{"K":"(hidden)"},"job_acquisition_tokens":[{"job_uuid":"2","job_acquisition_token":"(hidden)"}],"key":"k","value":"(hidden)"}"#
        );
    }

    #[test]
    fn what_is_no_json_is_shown_as_far_as_it_is_text() {
        assert_eq!(shown(b"<html>"), "<html>");
        assert_eq!(shown(&[0xff, 0xfe]), "(2 bytes)");
        assert_eq!(
            shown(&vec![b'x'; 20_000]).chars().count(),
            MAX_CHARACTERS + 1
        );
    }
}
