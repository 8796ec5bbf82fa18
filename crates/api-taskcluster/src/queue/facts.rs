//! What messages say of a task's definition.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use taskyard_store::Error;

/// Tasks that are remembered: a task's events come close to each other.
const REMEMBERED: usize = 4096;

/// A longer notice is not worth being kept once more.
const LONGEST_NOTICE: usize = 2048;

/// What messages need of a task's definition.
#[derive(Debug)]
pub(super) struct Facts {
    /// `route.<route>` for each of its routes.
    pub(super) cc: Vec<String>,
    /// Its tags, as JSON.
    tags: Option<Box<RawValue>>,
}

/// The facts of the tasks that were asked for last, in two generations: what the older one has is
/// forgotten when the younger one is full.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    younger: HashMap<i64, Arc<Facts>>,
    older: HashMap<i64, Arc<Facts>>,
}

/// The members of a definition that are told.
#[derive(Serialize)]
struct Notice<'a> {
    routes: &'a [Value],
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a Value>,
}

/// What messages say of a definition with these members, as the event of its creation keeps it;
/// empty if that is too long to be kept beside the definition.
pub(super) fn notice(routes: &[Value], tags: Option<&Value>) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(&Notice { routes, tags })?;
    let is_short = text.len() <= LONGEST_NOTICE;
    Ok(if is_short { text } else { String::new() })
}

impl Facts {
    /// What a [`notice`], or a whole definition, says.
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Part {
            #[serde(default)]
            routes: Vec<String>,
            tags: Option<Box<RawValue>>,
        }
        let part: Part = serde_json::from_str(text)
            .map_err(|error| Error::Statement(format!("a stored definition: {error}")))?;
        let routes = part.routes.into_iter();
        Ok(Facts {
            cc: routes.map(|route| format!("route.{route}")).collect(),
            tags: part.tags,
        })
    }

    /// Of a task whose definition is gone.
    pub(super) fn none() -> Self {
        Facts {
            cc: Vec::new(),
            tags: None,
        }
    }

    /// The task's tags, as JSON.
    pub(super) fn tags(&self) -> &str {
        self.tags.as_deref().map_or("{}", RawValue::get)
    }
}

impl Remembered {
    pub(super) fn get(&self, number: i64) -> Option<Arc<Facts>> {
        let known = self
            .younger
            .get(&number)
            .or_else(|| self.older.get(&number));
        known.map(Arc::clone)
    }

    pub(super) fn put(&mut self, number: i64, facts: Arc<Facts>) {
        if self.younger.len() >= REMEMBERED {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.insert(number, facts);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_notice_says_what_the_definition_says() {
        let definition = json!({
            "payload": {"tags": {"not": "these"}},
            "routes": ["index.a.b", "tc-treeherder.x"],
            "tags": {"kind": "build", "a": "\"quoted\""},
        });
        let routes = definition["routes"].as_array().expect("routes");
        let told = notice(routes, definition.get("tags")).expect("JSON");
        let (told, whole) = (Facts::read(&told), Facts::read(&definition.to_string()));
        let (told, whole) = (told.expect("a notice"), whole.expect("a definition"));
        assert_eq!(told.cc, ["route.index.a.b", "route.tc-treeherder.x"]);
        assert_eq!(told.tags(), r#"{"kind":"build","a":"\"quoted\""}"#);
        assert_eq!((&told.cc, told.tags()), (&whole.cc, whole.tags()));
    }

    #[test]
    fn what_is_not_said_is_empty_and_what_is_long_is_left_to_the_definition() {
        let told = notice(&[], None).expect("JSON");
        let facts = Facts::read(&told).expect("a notice");
        assert_eq!((facts.cc.len(), facts.tags()), (0, "{}"));
        assert_eq!(Facts::none().tags(), "{}");
        let long = json!({"text": "x".repeat(LONGEST_NOTICE)});
        assert_eq!(notice(&[], Some(&long)).expect("JSON"), "");
    }
}
