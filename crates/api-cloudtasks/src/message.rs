//! Reading and writing the fields of messages by name.
//!
//! The versions have the same fields, or lack some: a field that a version does not have reads as
//! its default and is left out when written. So one piece of code serves all versions.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use prost_reflect::{DynamicMessage, Kind, MapKey, ReflectMessage as _, Value};

/// Seconds and nanoseconds, as `google.protobuf.Timestamp` and `Duration` have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) seconds: i64,
    pub(crate) nanos: i32,
}

/// Fields by name: of a message that is kept, or of one that is read once.
pub(crate) trait Fields {
    fn text(&self, name: &str) -> &str;
    fn int(&self, name: &str) -> i32;
    fn long(&self, name: &str) -> i64;
    fn truth(&self, name: &str) -> bool;
    fn bytes(&self, name: &str) -> Bytes;
    /// The number of an enum's value.
    fn choice(&self, name: &str) -> i32;
    fn child(&self, name: &str) -> Option<&Self>;
    /// A map of texts, sorted.
    fn pairs(&self, name: &str) -> BTreeMap<String, String>;

    /// A `Timestamp` or a `Duration`.
    fn span(&self, name: &str) -> Option<Span> {
        self.child(name).map(|child| Span {
            seconds: child.long("seconds"),
            nanos: child.int("nanos"),
        })
    }
}

/// What more there is to messages that are kept.
pub(crate) trait Kept {
    fn double(&self, name: &str) -> f64;
    /// Whether the field is set: for messages, members of a oneof and `optional` fields.
    fn has(&self, name: &str) -> bool;
    fn children(&self, name: &str) -> Vec<&DynamicMessage>;
    fn texts(&self, name: &str) -> Vec<&str>;
    /// Sets the field, if this version has it.
    fn put(&mut self, name: &str, value: Value);
    /// An empty message of the field's type, if this version has the field.
    fn empty_child(&self, name: &str) -> Option<DynamicMessage>;
}

/// Where fields are put, by name and each once: a message that is kept, or one that is written
/// right away. A field that this version does not have is left out.
pub(crate) trait Put {
    /// Puts a text, unless it is empty.
    fn put_text(&mut self, name: &str, text: &str);
    /// Puts bytes, unless there are none.
    fn put_bytes(&mut self, name: &str, bytes: &[u8]);
    /// Puts a number, even 0 if the field can be set to that.
    fn set_int(&mut self, name: &str, number: i32);
    fn set_truth(&mut self, name: &str, truth: bool);
    /// Puts the number of an enum's value.
    fn set_choice(&mut self, name: &str, number: i32);
    fn put_pairs(&mut self, name: &str, pairs: &BTreeMap<&str, &str>);
    fn put_span(&mut self, name: &str, span: Span);
    /// Puts a message that `fill` completes.
    fn put_child(&mut self, name: &str, fill: impl FnOnce(&mut Self));

    /// Puts a number, unless it is 0.
    fn put_int(&mut self, name: &str, number: i32) {
        if number != 0 {
            self.set_int(name, number);
        }
    }
}

/// A field that is set, without its default.
fn set<'a>(message: &'a DynamicMessage, name: &str) -> Option<&'a Value> {
    let field = message.descriptor().get_field_by_name(name)?;
    // A field that is not set would be given as a default made on purpose.
    if !message.has_field(&field) {
        return None;
    }
    match message.get_field(&field) {
        Cow::Borrowed(value) => Some(value),
        Cow::Owned(_) => None,
    }
}

impl Fields for DynamicMessage {
    fn text(&self, name: &str) -> &str {
        set(self, name).and_then(Value::as_str).unwrap_or_default()
    }

    fn int(&self, name: &str) -> i32 {
        set(self, name).and_then(Value::as_i32).unwrap_or_default()
    }

    fn long(&self, name: &str) -> i64 {
        set(self, name).and_then(Value::as_i64).unwrap_or_default()
    }

    fn truth(&self, name: &str) -> bool {
        set(self, name).and_then(Value::as_bool).unwrap_or_default()
    }

    fn bytes(&self, name: &str) -> Bytes {
        let bytes = set(self, name).and_then(Value::as_bytes);
        bytes.cloned().unwrap_or_default()
    }

    fn choice(&self, name: &str) -> i32 {
        let number = set(self, name).and_then(Value::as_enum_number);
        number.unwrap_or_default()
    }

    fn child(&self, name: &str) -> Option<&DynamicMessage> {
        set(self, name).and_then(Value::as_message)
    }

    fn pairs(&self, name: &str) -> BTreeMap<String, String> {
        let map = set(self, name).and_then(Value::as_map);
        let pair = |(key, value): (&MapKey, &Value)| {
            let pair = (key.as_str()?.to_owned(), value.as_str()?.to_owned());
            Some(pair)
        };
        map.map_or_else(BTreeMap::new, |map| map.iter().filter_map(pair).collect())
    }
}

impl Kept for DynamicMessage {
    fn double(&self, name: &str) -> f64 {
        set(self, name).and_then(Value::as_f64).unwrap_or_default()
    }

    fn has(&self, name: &str) -> bool {
        self.has_field_by_name(name)
    }

    fn children(&self, name: &str) -> Vec<&DynamicMessage> {
        let list = set(self, name).and_then(Value::as_list).unwrap_or_default();
        list.iter().filter_map(Value::as_message).collect()
    }

    fn texts(&self, name: &str) -> Vec<&str> {
        let list = set(self, name).and_then(Value::as_list).unwrap_or_default();
        list.iter().filter_map(Value::as_str).collect()
    }

    fn put(&mut self, name: &str, value: Value) {
        if let Some(field) = self.descriptor().get_field_by_name(name) {
            self.set_field(&field, value);
        }
    }

    fn empty_child(&self, name: &str) -> Option<DynamicMessage> {
        let field = self.descriptor().get_field_by_name(name)?;
        let kind = field.kind();
        kind.as_message().cloned().map(DynamicMessage::new)
    }
}

impl Put for DynamicMessage {
    fn put_text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.put(name, Value::String(text.to_owned()));
        }
    }

    fn put_bytes(&mut self, name: &str, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.put(name, Value::Bytes(Bytes::copy_from_slice(bytes)));
        }
    }

    fn set_int(&mut self, name: &str, number: i32) {
        self.put(name, Value::I32(number));
    }

    fn set_truth(&mut self, name: &str, truth: bool) {
        self.put(name, Value::Bool(truth));
    }

    fn set_choice(&mut self, name: &str, number: i32) {
        self.put(name, Value::EnumNumber(number));
    }

    fn put_pairs(&mut self, name: &str, pairs: &BTreeMap<&str, &str>) {
        if !pairs.is_empty() {
            let pair = |(key, value): (&&str, &&str)| {
                let (key, value) = (*key, *value);
                (
                    MapKey::String(key.to_owned()),
                    Value::String(value.to_owned()),
                )
            };
            self.put(name, Value::Map(pairs.iter().map(pair).collect()));
        }
    }

    fn put_span(&mut self, name: &str, span: Span) {
        self.put_child(name, |child| {
            if span.seconds != 0 {
                child.put("seconds", Value::I64(span.seconds));
            }
            child.put_int("nanos", span.nanos);
        });
    }

    fn put_child(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        if let Some(field) = self.descriptor().get_field_by_name(name)
            && let Kind::Message(descriptor) = field.kind()
        {
            let mut child = DynamicMessage::new(descriptor);
            fill(&mut child);
            self.set_field(&field, Value::Message(child));
        }
    }
}
