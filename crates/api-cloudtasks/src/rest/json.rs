//! Messages as JSON, by the mapping of proto3.

use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, SerializeOptions};
use serde_json::Value;

use crate::failure::Failure;

/// Reads a message. An empty text is an empty message.
pub(crate) fn read(text: &[u8], descriptor: MessageDescriptor) -> Result<DynamicMessage, Failure> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(DynamicMessage::new(descriptor));
    }
    let mut json: Value = serde_json::from_slice(text)
        .map_err(|error| Failure::invalid(format!("Invalid JSON payload received. {error}")))?;
    let mut unknown = Vec::new();
    prepare(&mut json, &descriptor, "", &mut unknown);
    if let Some(first) = unknown.first() {
        let texts: Vec<&str> = unknown.iter().map(|it| it.text.as_str()).collect();
        return Err(Failure::invalid(texts.join("\n")).at(&first.at));
    }
    DynamicMessage::deserialize(descriptor, json)
        .map_err(|error| Failure::invalid(format!("Invalid JSON payload received. {error}")))
}

/// Writes a message.
pub(crate) fn write(message: &DynamicMessage, enums_as_numbers: bool) -> Result<Vec<u8>, Failure> {
    let mut written = Vec::with_capacity(512);
    let options = SerializeOptions::new().use_enum_numbers(enums_as_numbers);
    let mut serializer = serde_json::Serializer::pretty(&mut written);
    message
        .serialize_with_options(&mut serializer, &options)
        .map_err(|error| {
            tracing::error!(%error, "an answer cannot be written as JSON");
            Failure::new(
                tonic::Code::Internal,
                "The server failed on this call; its log has the reason.",
            )
        })?;
    written.push(b'\n');
    Ok(written)
}

/// A name that no field has.
struct Unknown {
    at: String,
    text: String,
}

/// Finds names that no field has, and writes masks the way the library reads them. Everything else
/// is left to it.
fn prepare(json: &mut Value, descriptor: &MessageDescriptor, at: &str, unknown: &mut Vec<Unknown>) {
    if descriptor.full_name().starts_with("google.protobuf.") {
        if let Value::String(text) = json
            && descriptor.full_name() == "google.protobuf.FieldMask"
        {
            *text = camel(text);
        }
        return;
    }
    let Value::Object(object) = json else { return };
    for (name, value) in object.iter_mut() {
        let field = descriptor
            .get_field_by_json_name(name)
            .or_else(|| descriptor.get_field_by_name(name));
        let Some(field) = field else {
            let place = if at.is_empty() {
                String::new()
            } else {
                format!(" at '{at}'")
            };
            unknown.push(Unknown {
                at: at.to_owned(),
                text: format!(
                    "Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find \
                     field."
                ),
            });
            continue;
        };
        let Kind::Message(inner) = field.kind() else {
            continue;
        };
        let below = if at.is_empty() {
            field.name().to_owned()
        } else {
            format!("{at}.{}", field.name())
        };
        match value {
            Value::Object(entries) if field.is_map() => {
                if let Kind::Message(of) = inner.map_entry_value_field().kind() {
                    for (key, entry) in entries.iter_mut() {
                        prepare(entry, &of, &format!("{below}[{key}]"), unknown);
                    }
                }
            }
            Value::Array(entries) if field.is_list() => {
                for (index, entry) in entries.iter_mut().enumerate() {
                    prepare(entry, &inner, &format!("{below}[{index}]"), unknown);
                }
            }
            value => prepare(value, &inner, &below, unknown),
        }
    }
}

/// `rate_limits.max_burst_size` as `rateLimits.maxBurstSize`.
fn camel(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut raised = false;
    for c in text.chars() {
        match c {
            '_' => raised = true,
            c if raised => {
                written.push(c.to_ascii_uppercase());
                raised = false;
            }
            c => written.push(c),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use prost_reflect::ReflectMessage as _;
    use serde_json::json;

    use super::*;
    use crate::message::{Fields as _, Kept as _};
    use crate::schema::Schema;
    use crate::version::Version;

    fn read_as(name: &str, json: &Value) -> Result<DynamicMessage, Failure> {
        let schema = Schema::load().expect("it loads");
        let empty = schema.of(Version::V2, name).expect("a message");
        read(json.to_string().as_bytes(), empty.descriptor())
    }

    fn rewritten(name: &str, json: &Value, numbers: bool) -> Value {
        let message = read_as(name, json).expect("it fits");
        serde_json::from_slice(&write(&message, numbers).expect("written")).expect("json")
    }

    #[test]
    fn every_form_of_a_value_is_taken_and_one_is_written() {
        let given = json!({
            "http_request": {
                "url": "https://a/", "http_method": 3, "headers": {"A": "b"}, "body": "_-8",
                "oauth_token": null,
            },
            "scheduleTime": "2026-03-01T12:00:00.12+02:00",
            "dispatchDeadline": "15.5s",
            "dispatchCount": "7",
        });
        assert_eq!(
            rewritten("Task", &given, false),
            json!({
                "httpRequest": {
                    "url": "https://a/", "httpMethod": "HEAD", "headers": {"A": "b"}, "body": "/+8=",
                },
                "scheduleTime": "2026-03-01T10:00:00.120Z",
                "dispatchDeadline": "15.500s",
                "dispatchCount": 7,
            })
        );
        let asked = json!({"httpRequest": {"httpMethod": "GET"}, "view": "FULL"});
        let numbers = json!({"httpRequest": {"httpMethod": 2}, "view": 2});
        assert_eq!(rewritten("Task", &asked, true), numbers);
    }

    #[test]
    fn presence_and_large_numbers_survive() {
        let target = json!({"uriOverride": {"host": "", "port": 8080, "pathOverride": {}}});
        let written = json!({"uriOverride": {"host": "", "port": "8080", "pathOverride": {}}});
        assert_eq!(rewritten("HttpTarget", &target, false), written);
    }

    #[test]
    fn an_unknown_name_is_refused_with_its_place() {
        let refused =
            read_as("CreateTaskRequest", &json!({"task": {"x": 1}})).expect_err("unknown");
        assert_eq!(
            refused.message,
            "Invalid JSON payload received. Unknown name \"x\" at 'task': Cannot find field."
        );
        let refused = read_as("Task", &json!({"x": 1})).expect_err("unknown");
        assert_eq!(
            refused.message,
            "Invalid JSON payload received. Unknown name \"x\": Cannot find field."
        );
        let batch = json!({"requests": [{}, {"task": {"httpRequest": {"y": 1}}}]});
        let refused = read_as("BatchCreateTasksRequest", &batch).expect_err("unknown");
        assert!(
            refused
                .message
                .contains("at 'requests[1].task.http_request'"),
            "{refused}"
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for json in [
            json!([]),
            json!({"name": 1}),
            json!({"httpRequest": {"httpMethod": "SHOUT"}}),
            json!({"httpRequest": {"body": "!"}}),
            json!({"scheduleTime": "soon"}),
            json!({"httpRequest": {}, "appEngineHttpRequest": {}}),
        ] {
            assert!(read_as("Task", &json).is_err(), "{json}");
        }
        let schema = Schema::load().expect("it loads");
        let task = || schema.of(Version::V2, "Task").expect("a task").descriptor();
        assert!(read(b"{", task()).is_err());
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(read(deep.as_bytes(), task()).is_err());
        assert_eq!(read(b" \n", task()), Ok(DynamicMessage::new(task())));
    }

    #[test]
    fn masks_are_read_in_either_case() {
        for mask in [
            "rate_limits.max_burst_size,state",
            "rateLimits.maxBurstSize,state",
        ] {
            let request = read_as("UpdateQueueRequest", &json!({"updateMask": mask}));
            let request = request.expect("it fits");
            let paths = request.child("update_mask").expect("a mask");
            assert_eq!(
                paths.texts("paths"),
                ["rate_limits.max_burst_size", "state"],
                "{mask}"
            );
        }
    }
}
