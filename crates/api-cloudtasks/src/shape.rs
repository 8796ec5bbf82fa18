//! What is to be known of a type of messages to read and write one without its descriptor.

use std::sync::Arc;

use prost_reflect::{FieldDescriptor, Kind as FieldKind, MessageDescriptor, OneofDescriptor};

/// What is to be known of a type of messages.
#[derive(Debug)]
pub(crate) struct Shape {
    fields: Vec<Field>,
}

/// A field of a type of messages.
#[derive(Debug)]
pub(crate) struct Field {
    name: Box<str>,
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) is_repeated: bool,
    /// Whether it can be set to its default.
    pub(crate) has_presence: bool,
    /// Which of the type's oneofs it is a member of.
    pub(crate) oneof: Option<usize>,
}

/// What a field holds.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A number, a truth value, or an enum's value.
    Number,
    Text,
    Bytes,
    /// A message, or an entry of a map.
    Message(Arc<Shape>),
    /// What no task has.
    Other,
}

impl Shape {
    /// The shape of the messages of a type, which hold none of their own type.
    pub(crate) fn of(descriptor: &MessageDescriptor) -> Self {
        let oneofs: Vec<OneofDescriptor> = descriptor.oneofs().collect();
        let fields = descriptor.fields().map(|field| Field::of(&field, &oneofs));
        Shape {
            fields: fields.collect(),
        }
    }

    /// Where the field of this name stands, and the field. A message has so few that they are found
    /// fastest one after the other.
    pub(crate) fn named(&self, name: &str) -> Option<(usize, &Field)> {
        let mut fields = self.fields.iter().enumerate();
        fields.find(|(_, field)| &*field.name == name)
    }

    /// The same by its number.
    pub(crate) fn numbered(&self, number: u32) -> Option<(usize, &Field)> {
        let mut fields = self.fields.iter().enumerate();
        fields.find(|(_, field)| field.number == number)
    }

    /// Whether the fields that stand there are members of one oneof.
    pub(crate) fn are_alternatives(&self, one: usize, other: usize) -> bool {
        let oneof = |at: usize| self.fields.get(at).and_then(|field| field.oneof);
        oneof(one).is_some() && oneof(one) == oneof(other)
    }
}

impl Field {
    fn of(field: &FieldDescriptor, oneofs: &[OneofDescriptor]) -> Self {
        let oneof = field.containing_oneof();
        let is_repeated = field.is_list() || field.is_map();
        let kind = match field.kind() {
            FieldKind::Message(inner) => Kind::Message(Arc::new(Shape::of(&inner))),
            _ if is_repeated => Kind::Other,
            FieldKind::Int32 | FieldKind::Int64 | FieldKind::Bool | FieldKind::Enum(_) => {
                Kind::Number
            }
            FieldKind::String => Kind::Text,
            FieldKind::Bytes => Kind::Bytes,
            _ => Kind::Other,
        };
        Field {
            name: field.name().into(),
            number: field.number(),
            kind,
            is_repeated,
            has_presence: field.supports_presence(),
            oneof: oneof.and_then(|oneof| oneofs.iter().position(|known| *known == oneof)),
        }
    }
}
