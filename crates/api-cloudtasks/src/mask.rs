//! Field masks: which fields an update changes, and which an answer shows.

use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage as _, Value};

use crate::failure::Failure;
use crate::message::{Fields as _, Kept as _};

/// Paths of fields, in the names of the definitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mask {
    paths: Vec<Vec<String>>,
}

impl Mask {
    /// The mask in the field `name` of a request, checked against the messages it is about.
    /// `None` if there is none, or an empty one.
    pub(crate) fn of(
        request: &DynamicMessage,
        name: &str,
        about: &MessageDescriptor,
    ) -> Result<Option<Self>, Failure> {
        let Some(mask) = request.child(name) else {
            return Ok(None);
        };
        let mut paths = Vec::new();
        for path in mask.texts("paths").iter().flat_map(|path| path.split(',')) {
            let path = path.trim();
            if path == "*" {
                let fields = about.fields().map(|field| vec![field.name().to_owned()]);
                paths.extend(fields);
            } else if !path.is_empty() {
                paths.push(resolve(path, about)?);
            }
        }
        Ok((!paths.is_empty()).then_some(Mask { paths }))
    }

    /// Whether the field `name`, or something in it, is named.
    pub(crate) fn names(&self, name: &str) -> bool {
        let first = |path: &Vec<String>| path.first().is_some_and(|it| it == name);
        self.paths.iter().any(first)
    }

    /// Whether `path` itself is named.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.paths.iter().any(|known| known.join(".") == path)
    }

    /// Makes the fields named of `onto` what they are in `given`; absent ones are cleared.
    pub(crate) fn update(&self, given: &DynamicMessage, onto: &mut DynamicMessage) {
        for path in &self.paths {
            copy(path, Some(given), onto);
        }
    }

    /// Only the fields named of `message`.
    pub(crate) fn select(&self, message: &DynamicMessage) -> DynamicMessage {
        let mut selected = DynamicMessage::new(message.descriptor());
        self.update(message, &mut selected);
        selected
    }
}

/// Finds the fields of a path, whose names may be in either case.
fn resolve(path: &str, about: &MessageDescriptor) -> Result<Vec<String>, Failure> {
    let unknown = || Failure::invalid(format!("Invalid mask for {}: {path}", about.name()));
    let mut names = Vec::new();
    let mut inside = Some(about.clone());
    for segment in path.split('.') {
        // One client language cannot call a field `type`, and says `type_`.
        let bare = segment.strip_suffix('_').unwrap_or(segment);
        let message = inside.ok_or_else(unknown)?;
        let field = message
            .get_field_by_name(bare)
            .or_else(|| message.get_field_by_json_name(bare))
            .ok_or_else(unknown)?;
        let is_single = !field.is_list() && !field.is_map();
        inside = field.kind().as_message().filter(|_| is_single).cloned();
        names.push(field.name().to_owned());
    }
    Ok(names)
}

fn copy(path: &[String], given: Option<&DynamicMessage>, onto: &mut DynamicMessage) {
    let Some((name, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        let value = given
            .filter(|given| given.has_field_by_name(name))
            .and_then(|given| given.get_field_by_name(name));
        match value {
            Some(value) => onto.put(name, value.into_owned()),
            None => onto.clear_field_by_name(name),
        }
        return;
    }
    let inner = given.and_then(|given| given.child(name));
    if inner.is_none() && !onto.has(name) {
        return;
    }
    let kept = onto.child(name).cloned();
    if let Some(mut child) = kept.or_else(|| onto.empty_child(name)) {
        copy(rest, inner, &mut child);
        onto.put(name, Value::Message(child));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Put as _;
    use crate::schema::Schema;
    use crate::version::Version;

    fn queue(schema: &Schema, json: serde_json::Value) -> DynamicMessage {
        let empty = schema.of(Version::V2beta3, "Queue").expect("a queue");
        DynamicMessage::deserialize(empty.descriptor(), json).expect("it fits")
    }

    fn mask(schema: &Schema, paths: &[&str]) -> Result<Option<Mask>, Failure> {
        let mut request = schema
            .of(Version::V2beta3, "UpdateQueueRequest")
            .expect("a request");
        let paths = paths.iter().map(|path| Value::String((*path).to_owned()));
        let paths = Value::List(paths.collect());
        request.put_child("update_mask", |mask| mask.put("paths", paths));
        let about = schema.of(Version::V2beta3, "Queue").expect("a queue");
        Mask::of(&request, "update_mask", &about.descriptor())
    }

    #[test]
    fn a_path_changes_just_what_it_names() {
        let schema = Schema::load().expect("it loads");
        let given = queue(
            &schema,
            serde_json::json!({"rateLimits": {"maxDispatchesPerSecond": 5}, "name": "new"}),
        );
        let mut onto = queue(
            &schema,
            serde_json::json!({
                "name": "old",
                "rateLimits": {"maxDispatchesPerSecond": 1, "maxConcurrentDispatches": 2},
                "retryConfig": {"maxAttempts": 3},
            }),
        );
        let paths = [
            "rateLimits.max_dispatches_per_second",
            "retry_config.max_attempts",
        ];
        let mask = mask(&schema, &paths).expect("valid").expect("some");
        mask.update(&given, &mut onto);
        let changed = serde_json::to_value(&onto).expect("json");
        assert_eq!(
            changed,
            serde_json::json!({
                "name": "old",
                "rateLimits": {"maxDispatchesPerSecond": 5.0, "maxConcurrentDispatches": 2},
                "retryConfig": {},
            })
        );
    }

    #[test]
    fn a_star_is_everything_and_nothing_is_no_mask() {
        let schema = Schema::load().expect("it loads");
        let all = mask(&schema, &["*"]).expect("valid").expect("some");
        assert!(all.names("stats") && all.names("type"));
        assert_eq!(mask(&schema, &[]), Ok(None));
        assert_eq!(mask(&schema, &[""]), Ok(None));
    }

    #[test]
    fn unknown_paths_are_named() {
        let schema = Schema::load().expect("it loads");
        for path in ["nothing", "rate_limits.x", "name.x", "purge_time.seconds.x"] {
            let refused = mask(&schema, &[path]).expect_err(path);
            assert_eq!(refused.message, format!("Invalid mask for Queue: {path}"));
        }
        assert!(
            mask(&schema, &["type_"])
                .expect("valid")
                .expect("some")
                .names("type")
        );
    }
}
