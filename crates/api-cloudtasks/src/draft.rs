//! Messages that are written right away.
//!
//! A message that nobody looks at again need not be kept field by field before it is sent. A
//! [`Draft`] puts each field behind the last one, as the wire has it, and finds the number of a
//! field in the [`Shape`] of the message.

use std::collections::BTreeMap;

use prost::encoding::{WireType, encode_key, encode_varint};

use crate::message::{Put, Span};
use crate::shape::{Field, Kind, Shape};

/// A message as far as it is written.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    shape: &'a Shape,
    bytes: Vec<u8>,
}

/// Room for most tasks without their bodies.
const ROOM: usize = 512;

impl<'a> Draft<'a> {
    /// An empty message.
    pub(crate) fn new(shape: &'a Shape) -> Self {
        Draft {
            shape,
            bytes: Vec::with_capacity(ROOM),
        }
    }

    /// The message.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Writes a number; unless the field can be set to 0, it is left out then.
    fn put_varint(&mut self, name: &str, number: u64) {
        if let Some((_, field)) = self.shape.named(name)
            && (number != 0 || field.has_presence)
        {
            encode_key(field.number, WireType::Varint, &mut self.bytes);
            encode_varint(number, &mut self.bytes);
        }
    }

    /// Writes `field` as a part with a length, which `fill` writes.
    fn put_part(&mut self, field: &'a Field, fill: impl FnOnce(&mut Self)) {
        encode_key(field.number, WireType::LengthDelimited, &mut self.bytes);
        let outer = self.shape;
        if let Kind::Message(inner) = &field.kind {
            self.shape = inner;
        }
        let at = self.bytes.len();
        // Most lengths take one byte; the part moves on if its own takes more.
        self.bytes.push(0);
        fill(self);
        self.shape = outer;
        let begin = at + 1;
        let length = self.bytes.len() - begin;
        let mut prefix = [0_u8; 10];
        let mut rest = &mut prefix[..];
        encode_varint(length as u64, &mut rest);
        let room = 10 - rest.len();
        if room > 1 {
            self.bytes.resize(begin + length + room - 1, 0);
            self.bytes.copy_within(begin..begin + length, at + room);
        }
        self.bytes[at..at + room].copy_from_slice(&prefix[..room]);
    }
}

impl Put for Draft<'_> {
    fn put_text(&mut self, name: &str, text: &str) {
        self.put_bytes(name, text.as_bytes());
    }

    fn put_bytes(&mut self, name: &str, bytes: &[u8]) {
        if let Some((_, field)) = self.shape.named(name)
            && !bytes.is_empty()
        {
            encode_key(field.number, WireType::LengthDelimited, &mut self.bytes);
            encode_varint(bytes.len() as u64, &mut self.bytes);
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn set_int(&mut self, name: &str, number: i32) {
        // Numbers below 0 take 64 bits.
        self.put_varint(name, i64::from(number).cast_unsigned());
    }

    fn set_truth(&mut self, name: &str, truth: bool) {
        self.put_varint(name, truth.into());
    }

    fn set_choice(&mut self, name: &str, number: i32) {
        self.set_int(name, number);
    }

    fn put_pairs(&mut self, name: &str, pairs: &BTreeMap<&str, &str>) {
        let Some((_, field)) = self.shape.named(name) else {
            return;
        };
        for (key, value) in pairs {
            self.put_part(field, |pair| {
                pair.put_text("key", key);
                pair.put_text("value", value);
            });
        }
    }

    fn put_span(&mut self, name: &str, span: Span) {
        self.put_child(name, |child| {
            child.put_varint("seconds", span.seconds.cast_unsigned());
            child.put_int("nanos", span.nanos);
        });
    }

    fn put_child(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        if let Some((_, field)) = self.shape.named(name)
            && matches!(field.kind, Kind::Message(_))
        {
            self.put_part(field, fill);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use prost::Message as _;
    use prost_reflect::{DynamicMessage, ReflectMessage as _};

    use super::*;
    use crate::schema::Schema;
    use crate::version::Version;

    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::load().expect("it loads"));

    /// A message of every kind of field, some of which a version does not have.
    fn fill(into: &mut impl Put, text: &str, number: i32, pairs: &BTreeMap<String, String>) {
        into.put_text("name", text);
        into.put_child("http_request", |into| {
            into.put_text("url", text);
            into.set_choice("http_method", number);
            let pairs = pairs
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()));
            into.put_pairs("headers", &pairs.collect());
            into.put_bytes("body", text.as_bytes());
        });
        let span = Span {
            seconds: i64::from(number) * 1_000_000,
            nanos: number,
        };
        into.put_span("schedule_time", span);
        into.put_int("dispatch_count", number);
        into.put_child("first_attempt", |into| into.put_span("dispatch_time", span));
        into.put_child("retry_config", |into| {
            into.set_int("max_attempts", number);
            into.set_truth("unlimited_attempts", number > 0);
        });
        into.set_choice("view", number);
    }

    proptest! {
        #[test]
        fn what_is_written_right_away_reads_as_what_is_kept(
            text in ".{0,300}",
            number in prop_oneof![Just(0), any::<i32>()],
            pairs in proptest::collection::btree_map(".{0,9}", ".{0,200}", 0..4),
        ) {
            for version in Version::ALL {
                let mut kept = SCHEMA.of(version, "Task").expect("a task");
                fill(&mut kept, &text, number, &pairs);
                let shape = Shape::of(&kept.descriptor());
                let mut draft = Draft::new(&shape);
                fill(&mut draft, &text, number, &pairs);
                let bytes = draft.into_bytes();
                // Defaults that were put and are not sent are not there any more.
                let read = |bytes: &[u8]| DynamicMessage::decode(kept.descriptor(), bytes);
                prop_assert_eq!(read(&bytes), read(&kept.encode_to_vec()));
                prop_assert!(read(&bytes).is_ok());
            }
        }
    }
}
