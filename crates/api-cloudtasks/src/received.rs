//! Messages that are read once.
//!
//! A message that is only looked through for what it asks is read along its [`Shape`], which takes
//! much less than to keep it by its descriptor. It says the same, and what is broken is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use prost::DecodeError;
use prost::encoding::{self, DecodeContext, WireType};

use crate::message::Fields;
use crate::shape::{Kind, Shape};

/// A message as it came.
#[derive(Debug)]
pub(crate) struct Received {
    shape: Arc<Shape>,
    /// Fields that came, each with where it stands in the shape.
    parts: Vec<(usize, Part)>,
}

#[derive(Debug)]
enum Part {
    Number(u64),
    Text(String),
    Bytes(Bytes),
    Message(Received),
}

impl Received {
    /// Reads a message of this shape.
    pub(crate) fn read(shape: &Arc<Shape>, mut bytes: Bytes) -> Result<Self, DecodeError> {
        let mut message = Received::empty(shape);
        while bytes.has_remaining() {
            message.merge_field(&mut bytes, DecodeContext::default())?;
        }
        Ok(message)
    }

    fn empty(shape: &Arc<Shape>) -> Self {
        Received {
            shape: Arc::clone(shape),
            parts: Vec::new(),
        }
    }

    fn merge_field(
        &mut self,
        bytes: &mut Bytes,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        let (number, wire) = encoding::decode_key(bytes)?;
        let Some((at, field)) = self.shape.numbered(number) else {
            return encoding::skip_field(wire, number, bytes, context);
        };
        let part = match &field.kind {
            Kind::Number => {
                let mut number = 0;
                encoding::uint64::merge(wire, &mut number, bytes, context)?;
                Part::Number(number)
            }
            Kind::Text => {
                let mut text = String::new();
                encoding::string::merge(wire, &mut text, bytes, context)?;
                Part::Text(text)
            }
            Kind::Bytes => {
                let mut held = Bytes::new();
                encoding::bytes::merge(wire, &mut held, bytes, context)?;
                Part::Bytes(held)
            }
            Kind::Message(inner) => {
                encoding::check_wire_type(WireType::LengthDelimited, wire)?;
                let known = self.parts.iter().position(|(known, _)| *known == at);
                let known = known.filter(|_| !field.is_repeated);
                // One that comes in pieces is one message.
                let mut child = match known.map(|known| self.parts.remove(known)) {
                    Some((_, Part::Message(child))) => child,
                    _ => Received::empty(inner),
                };
                encoding::merge_loop(&mut child, bytes, context, |child, bytes, context| {
                    child.merge_field(bytes, context)
                })?;
                Part::Message(child)
            }
            Kind::Other => return encoding::skip_field(wire, number, bytes, context),
        };
        if !field.is_repeated {
            let shape = &self.shape;
            self.parts
                .retain(|(known, _)| *known != at && !shape.are_alternatives(*known, at));
        }
        self.parts.push((at, part));
        Ok(())
    }

    fn part(&self, name: &str) -> Option<&Part> {
        let (at, _) = self.shape.named(name)?;
        let found = self.parts.iter().find(|(known, _)| *known == at);
        found.map(|(_, part)| part)
    }

    fn number(&self, name: &str) -> i64 {
        match self.part(name) {
            Some(Part::Number(number)) => number.cast_signed(),
            _ => 0,
        }
    }
}

impl Fields for Received {
    fn text(&self, name: &str) -> &str {
        match self.part(name) {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    fn int(&self, name: &str) -> i32 {
        // Numbers of 32 bits come as 64 bits, of which the upper ones say nothing.
        self.number(name) as i32
    }

    fn long(&self, name: &str) -> i64 {
        self.number(name)
    }

    fn truth(&self, name: &str) -> bool {
        self.number(name) != 0
    }

    fn bytes(&self, name: &str) -> Bytes {
        match self.part(name) {
            Some(Part::Bytes(bytes)) => bytes.clone(),
            _ => Bytes::new(),
        }
    }

    fn choice(&self, name: &str) -> i32 {
        self.int(name)
    }

    fn child(&self, name: &str) -> Option<&Self> {
        match self.part(name)? {
            Part::Message(child) => Some(child),
            _ => None,
        }
    }

    fn pairs(&self, name: &str) -> BTreeMap<String, String> {
        let Some((at, _)) = self.shape.named(name) else {
            return BTreeMap::new();
        };
        let entries = self.parts.iter().filter(|(known, _)| *known == at);
        let pairs = entries.filter_map(|(_, part)| match part {
            Part::Message(entry) => {
                Some((entry.text("key").to_owned(), entry.text("value").to_owned()))
            }
            _ => None,
        });
        pairs.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use prost::Message as _;
    use prost_reflect::{DynamicMessage, ReflectMessage as _};

    use super::*;
    use crate::message::{Put, Span};
    use crate::schema::Schema;
    use crate::version::Version;

    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::load().expect("it loads"));

    /// A request in which every kind of field is set.
    fn fill(request: &mut DynamicMessage, text: &str, number: i32, way: &str) {
        let span = Span {
            seconds: number.into(),
            nanos: number,
        };
        request.put_text("parent", text);
        request.set_choice("response_view", number);
        request.put_child("task", |task| {
            task.put_text("name", text);
            task.put_child(way, |request| {
                request.put_text("url", text);
                request.put_text("relative_uri", text);
                request.put_text("tag", text);
                request.set_choice("http_method", number);
                request.put_pairs("headers", &BTreeMap::from([("a", text), (text, "b")]));
                request.put_bytes("body", text.as_bytes());
                let token = if number > 0 {
                    "oauth_token"
                } else {
                    "oidc_token"
                };
                request.put_child(token, |token| {
                    token.put_text("service_account_email", text);
                });
            });
            task.put_span("schedule_time", span);
            task.put_int("dispatch_count", number);
            task.put_child("retry_config", |retry| {
                retry.set_int("max_attempts", number);
                retry.set_truth("unlimited_attempts", number > 0);
            });
        });
    }

    /// All that such a request says.
    fn look(request: &impl Fields) -> String {
        let mut seen = format!(
            "{} {}",
            request.text("parent"),
            request.choice("response_view")
        );
        let Some(task) = request.child("task") else {
            return seen;
        };
        let counts = (task.int("dispatch_count"), task.span("schedule_time"));
        let mut see = |what: &dyn std::fmt::Debug| write!(seen, " {what:?}").expect("a text");
        see(&(task.text("name"), counts));
        for way in ["http_request", "app_engine_http_request", "pull_message"] {
            let Some(request) = task.child(way) else {
                continue;
            };
            see(&["url", "relative_uri", "tag"].map(|name| request.text(name)));
            see(&(way, request.choice("http_method"), request.bytes("body")));
            see(&request.pairs("headers"));
            for token in ["oauth_token", "oidc_token"] {
                let token = request.child(token);
                see(&token.map(|token| token.text("service_account_email")));
            }
        }
        if let Some(retry) = task.child("retry_config") {
            see(&(retry.int("max_attempts"), retry.truth("unlimited_attempts")));
        }
        seen
    }

    fn any_request() -> impl Strategy<Value = (String, i32, &'static str)> {
        let ways = vec!["http_request", "app_engine_http_request", "pull_message"];
        let number = prop_oneof![Just(0), Just(1), any::<i32>()];
        (".{0,20}", number, proptest::sample::select(ways))
    }

    proptest! {
        #[test]
        fn what_is_read_once_says_what_it_would_say_if_it_were_kept(
            requests in proptest::collection::vec(any_request(), 1..3),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            for version in Version::ALL {
                let empty = SCHEMA.of(version, "CreateTaskRequest").expect("a request");
                // Those that follow one another are one request, in which some bytes are wrong.
                let mut bytes = Vec::new();
                for (text, number, way) in &requests {
                    let mut request = empty.clone();
                    fill(&mut request, text, *number, way);
                    request.encode(&mut bytes).expect("room");
                }
                // No request is empty: it has a task.
                for (at, byte) in &changes {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                }
                let shape = Arc::new(Shape::of(&empty.descriptor()));
                let kept = DynamicMessage::decode(empty.descriptor(), bytes.as_slice());
                let received = Received::read(&shape, bytes.into());
                match received {
                    Ok(message) => {
                        let kept = kept.map(|message| look(&message));
                        prop_assert_eq!(Ok(look(&message)), kept);
                    }
                    // Entries of maps are kept whatever their wire type; here no more than others.
                    Err(_) => prop_assert!(!changes.is_empty()),
                }
            }
        }
    }
}
