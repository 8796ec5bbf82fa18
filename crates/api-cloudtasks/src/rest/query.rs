//! The query of a request: fields of its message, and what every method takes.

use std::borrow::Cow;

use prost_reflect::{DynamicMessage, Kind, ReflectMessage as _, Value};

use super::route::decode;
use crate::failure::Failure;
use crate::message::{Fields as _, Kept as _, Put as _};

/// What a query says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// Fields by their paths, in their order.
    pub(crate) fields: Vec<(String, String)>,
    /// Whether the answer has enums as numbers.
    pub(crate) enums_as_numbers: bool,
}

/// Parameters that every method takes, and that change nothing here.
const STANDARD: [&str; 13] = [
    "$.xgafv",
    "$prettyPrint",
    "access_token",
    "alt",
    "callback",
    "fields",
    "key",
    "oauth_token",
    "prettyPrint",
    "quotaUser",
    "uploadType",
    "upload_protocol",
    "$userProject",
];

impl Query {
    /// Reads `a=b&c=d`. Semicolons separate nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let mut query = Query::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = form_decode(name).zip(form_decode(value));
            let (name, value) = decoded.ok_or_else(|| {
                Failure::invalid("The query of the URL has a broken percent-escape.")
            })?;
            if name == "$alt" || name == "alt" {
                query.enums_as_numbers |= value.contains("enum-encoding=int");
            } else if !STANDARD.contains(&name.as_ref()) {
                query.fields.push((name.into_owned(), value.into_owned()));
            }
        }
        Ok(query)
    }
}

fn form_decode(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('+') {
        let text = text.replace('+', " ");
        return decode(&text).map(|text| Cow::Owned(text.into_owned()));
    }
    decode(text)
}

/// Sets the field at `path` of `message` to what `text` says. An empty text is the default.
pub(crate) fn bind(message: &mut DynamicMessage, path: &str, text: &str) -> Result<(), Failure> {
    bind_at(message, path, path, text)
}

fn bind_at(
    message: &mut DynamicMessage,
    whole: &str,
    path: &str,
    text: &str,
) -> Result<(), Failure> {
    let unknown = || {
        let text = format!(
            "Invalid JSON payload received. Unknown name \"{whole}\": Cannot bind query \
             parameter. Field '{whole}' could not be found in request message."
        );
        Failure::invalid(text).at("")
    };
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    let descriptor = message.descriptor();
    let field = descriptor
        .get_field_by_name(name)
        .or_else(|| descriptor.get_field_by_json_name(name))
        .filter(|field| !field.is_map())
        .ok_or_else(unknown)?;
    let name = field.name();
    if let Some(rest) = rest {
        if field.is_list() || field.kind().as_message().is_none() {
            return Err(unknown());
        }
        let kept = message.child(name).cloned();
        let mut child = kept
            .or_else(|| message.empty_child(name))
            .ok_or_else(unknown)?;
        bind_at(&mut child, whole, rest, text)?;
        message.put(name, Value::Message(child));
        return Ok(());
    }
    if text.is_empty() {
        return Ok(());
    }
    let unfit = |what: &str| {
        Failure::invalid(format!("Invalid value at '{whole}' ({what}), \"{text}\"")).at(whole)
    };
    let value = match field.kind() {
        Kind::String => Value::String(text.to_owned()),
        Kind::Int32 => Value::I32(text.parse().map_err(|_| unfit("TYPE_INT32"))?),
        Kind::Int64 => Value::I64(text.parse().map_err(|_| unfit("TYPE_INT64"))?),
        Kind::Bool => Value::Bool(text.parse().map_err(|_| unfit("TYPE_BOOL"))?),
        Kind::Enum(choices) => {
            let named = choices.get_value_by_name(text);
            let number = named.map(|choice| choice.number());
            let number = number.or_else(|| text.parse().ok());
            Value::EnumNumber(number.ok_or_else(|| unfit(choices.full_name()))?)
        }
        Kind::Message(of) if of.full_name() == "google.protobuf.FieldMask" => {
            add_paths(message, name, text);
            return Ok(());
        }
        _ => return Err(unknown()),
    };
    if field.is_list() {
        let mut list = match message.get_field(&field).into_owned() {
            Value::List(list) => list,
            _ => Vec::new(),
        };
        list.push(value);
        message.put(name, Value::List(list));
    } else {
        message.put(name, value);
    }
    Ok(())
}

/// Adds the paths of a mask, which may be given in parts and in either case.
fn add_paths(message: &mut DynamicMessage, name: &str, text: &str) {
    let known: Vec<String> = message.child(name).map_or_else(Vec::new, |mask| {
        mask.texts("paths").into_iter().map(str::to_owned).collect()
    });
    let added = text.split(',').map(|path| path.trim().to_owned());
    let paths = known.into_iter().chain(added).map(Value::String);
    let paths = Value::List(paths.collect());
    message.put_child(name, |mask| mask.put("paths", paths));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;
    use crate::version::Version;

    fn bound(name: &str, query: &str) -> Result<serde_json::Value, Failure> {
        let schema = Schema::load().expect("it loads");
        let mut message = schema.of(Version::V2beta3, name).expect("a message");
        for (path, text) in Query::parse(query)?.fields {
            bind(&mut message, &path, &text)?;
        }
        Ok(serde_json::to_value(&message).expect("json"))
    }

    #[test]
    fn fields_come_in_either_case_and_standard_parameters_are_let_by() {
        let query = "page_size=3&pageToken=a%2Fb+c&$alt=json;enum-encoding=int&key=k&filter=";
        let wanted = serde_json::json!({"pageSize": 3, "pageToken": "a/b c"});
        assert_eq!(bound("ListQueuesRequest", query), Ok(wanted));
        for query in [
            "%24alt=json%3Benum-encoding%3Dint",
            "$alt=json;enum-encoding=int",
        ] {
            assert!(
                Query::parse(query).expect("valid").enums_as_numbers,
                "{query}"
            );
        }
        assert!(!Query::parse("$alt=json").expect("valid").enums_as_numbers);
    }

    #[test]
    fn enums_are_names_or_numbers_and_the_last_one_wins() {
        for query in [
            "responseView=FULL",
            "responseView=2",
            "response_view=1&responseView=2",
        ] {
            let wanted = serde_json::json!({"responseView": "FULL"});
            assert_eq!(bound("GetTaskRequest", query), Ok(wanted), "{query}");
        }
        assert!(bound("GetTaskRequest", "responseView=HALF").is_err());
    }

    #[test]
    fn masks_may_be_repeated() {
        let schema = Schema::load().expect("it loads");
        let mut message = schema
            .of(Version::V2, "UpdateQueueRequest")
            .expect("a message");
        for text in ["rateLimits,retry_config.max_attempts", "state"] {
            bind(&mut message, "updateMask", text).expect("bound");
        }
        let mask = message.child("update_mask").expect("a mask");
        assert_eq!(
            mask.texts("paths"),
            ["rateLimits", "retry_config.max_attempts", "state"]
        );
    }

    #[test]
    fn what_no_field_takes_is_refused() {
        let refused = bound("GetTaskRequest", "x=1").expect_err("unknown");
        assert_eq!(
            refused.message,
            "Invalid JSON payload received. Unknown name \"x\": Cannot bind query parameter. \
             Field 'x' could not be found in request message."
        );
        for query in [
            "pageSize=many",
            "pageSize=99999999999",
            "parent.x=1",
            "parent=%zz",
        ] {
            assert!(bound("ListTasksRequest", query).is_err(), "{query}");
        }
    }

    #[test]
    fn fields_in_messages_are_reached_by_their_path() {
        let wanted = serde_json::json!({"queue": {"name": "q"}});
        assert_eq!(bound("UpdateQueueRequest", "queue.name=q"), Ok(wanted));
    }
}
