//! Which method a path leads to, and what the path says.

use std::borrow::Cow;
use std::sync::Arc;

use http::Method;

use crate::rpc::{Row, Rpc, Service};
use crate::schema::{Call, Schema};
use crate::version::Version;

/// A method, and the fields that the path of a request gives.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) call: Arc<Call>,
    /// Paths of fields, with their values.
    pub(crate) fields: Vec<(&'static str, String)>,
}

/// The routes of every method.
#[derive(Debug)]
pub(crate) struct Routes {
    routes: Vec<Route>,
    upload: Option<Arc<Call>>,
}

#[derive(Debug)]
struct Route {
    call: Arc<Call>,
    template: Template,
}

/// A template such as `{name=projects/*/locations/*}/queues:verb`.
#[derive(Debug)]
struct Template {
    segments: Vec<Segment>,
    /// After the last colon; empty if there is none.
    verb: &'static str,
}

#[derive(Debug)]
enum Segment {
    Literal(&'static str),
    /// A literal that belongs to the value of a field.
    Of(&'static str, &'static str),
    /// Any segment but an empty one, which belongs to the value of a field.
    Any(&'static str),
}

/// Where a queue.yaml is sent to, whatever the version.
const UPLOAD: &str = "/api/queue/update";
/// One client calls the services that are the same beside every version by this one.
const MIXED_IN: &str = "v1";

impl Routes {
    pub(crate) fn new(schema: &Schema) -> Self {
        let mut routes = Vec::new();
        let mut upload = None;
        for call in schema.calls() {
            let row: &'static Row = call.row;
            if row.rpc == Rpc::UploadQueueYaml {
                upload = Some(Arc::clone(call));
            }
            routes.extend(row.templates.iter().map(|template| Route {
                call: Arc::clone(call),
                template: Template::parse(template),
            }));
        }
        Routes { routes, upload }
    }

    /// The method at `path`, which begins with a version, for the HTTP `method`.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<Found> {
        if path == UPLOAD {
            let call = self.upload.clone().filter(|_| method == Method::POST)?;
            return Some(Found {
                call,
                fields: Vec::new(),
            });
        }
        let (version, below) = path.strip_prefix('/')?.split_once('/')?;
        if version == MIXED_IN {
            let found = self.find_below(Version::V2, method, below)?;
            return (found.call.row.service != Service::CloudTasks).then_some(found);
        }
        let is_version = |known: &Version| known.as_str() == version;
        let version = Version::ALL.into_iter().find(is_version)?;
        self.find_below(version, method, below)
    }

    /// The method of `version` at the path `below` it.
    pub(crate) fn find_below(
        &self,
        version: Version,
        method: &Method,
        below: &str,
    ) -> Option<Found> {
        let segments: Vec<&str> = below.split('/').collect();
        self.routes.iter().find_map(|route| {
            let takes = |known: &Method| known == method;
            let fits =
                route.call.version == version && route.call.row.method.as_ref().is_none_or(takes);
            let fields = fits.then(|| route.template.match_path(&segments))??;
            let call = Arc::clone(&route.call);
            Some(Found { call, fields })
        })
    }
}

impl Template {
    /// Takes one of the table's templates apart.
    fn parse(template: &'static str) -> Self {
        let (path, verb) = match template.rsplit_once(':') {
            Some((path, verb)) if !verb.contains('}') => (path, verb),
            _ => (template, ""),
        };
        let mut segments = Vec::new();
        let mut rest = path;
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('{') {
                let (capture, after) = inner.split_once('}').unwrap_or((inner, ""));
                let (field, pattern) = capture.split_once('=').unwrap_or((capture, "*"));
                capture_segments(field, pattern, &mut segments);
                rest = after;
            } else {
                let text = rest.strip_prefix('/').unwrap_or(rest);
                let (literal, after) = match text.find('/') {
                    Some(end) => text.split_at(end),
                    None => (text, ""),
                };
                if literal.starts_with('{') {
                    rest = text;
                } else {
                    segments.push(Segment::Literal(literal));
                    rest = after;
                }
            }
        }
        Template { segments, verb }
    }

    /// The fields of a path given in its segments, if it fits.
    fn match_path(&self, path: &[&str]) -> Option<Vec<(&'static str, String)>> {
        if path.len() != self.segments.len() {
            return None;
        }
        let (last, front) = path.split_last()?;
        let last = if self.verb.is_empty() {
            // Ids at the end have no colon, so this can only be a verb nobody knows.
            Some(*last).filter(|last| !last.contains(':'))?
        } else {
            last.strip_suffix(self.verb)?.strip_suffix(':')?
        };
        let mut fields: Vec<(&'static str, String)> = Vec::new();
        let given = front.iter().copied().chain([last]);
        for (segment, given) in self.segments.iter().zip(given) {
            let given = decode(given)?;
            match segment {
                Segment::Literal(literal) if given == *literal => {}
                Segment::Of(field, literal) if given == *literal => {
                    push(&mut fields, field, &given);
                }
                Segment::Any(field) if !given.is_empty() => push(&mut fields, field, &given),
                _ => return None,
            }
        }
        Some(fields)
    }
}

/// Adds a segment to the value of a field.
fn push(fields: &mut Vec<(&'static str, String)>, field: &'static str, segment: &str) {
    match fields.last_mut() {
        Some((last, value)) if *last == field => {
            value.push('/');
            value.push_str(segment);
        }
        _ => fields.push((field, segment.to_owned())),
    }
}

/// The pattern of a field, with the letters of the table written out.
fn capture_segments(field: &'static str, pattern: &'static str, into: &mut Vec<Segment>) {
    for part in pattern.split('/') {
        match part {
            "*" => into.push(Segment::Any(field)),
            "L" => into.extend(resource(field, &["projects", "locations"])),
            "Q" => into.extend(resource(field, &["projects", "locations", "queues"])),
            "T" => into.extend(resource(
                field,
                &["projects", "locations", "queues", "tasks"],
            )),
            literal => into.push(Segment::Of(field, literal)),
        }
    }
}

fn resource(field: &'static str, collections: &'static [&'static str]) -> Vec<Segment> {
    let pair = |name: &&'static str| [Segment::Of(field, name), Segment::Any(field)];
    collections.iter().flat_map(pair).collect()
}

/// Undoes percent-encoding. `None` if it is broken.
pub(crate) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
            let (high, low) = (digit()?, digit()?);
            bytes.push((high * 16 + low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A method, and the fields that its path gives.
    type Found = (Rpc, Version, Vec<(&'static str, String)>);

    fn find(method: &Method, path: &str) -> Option<Found> {
        let schema = Schema::load().expect("it loads");
        let found = Routes::new(&schema).find(method, path)?;
        Some((found.call.row.rpc, found.call.version, found.fields))
    }

    const Q: &str = "projects/p/locations/l/queues/q";

    #[test]
    fn paths_lead_to_methods_and_name_resources() {
        for (method, path, rpc, field, value) in [
            (
                Method::GET,
                "/v2/projects/p/locations/l/queues",
                Rpc::ListQueues,
                "parent",
                "projects/p/locations/l",
            ),
            (
                Method::PATCH,
                "/v2/projects/p/locations/l/queues/q",
                Rpc::UpdateQueue,
                "queue.name",
                Q,
            ),
            (
                Method::POST,
                "/v2/projects/p/locations/l/queues/q:purge",
                Rpc::PurgeQueue,
                "name",
                Q,
            ),
            (
                Method::POST,
                "/v2/projects/p/locations/l/queues/q/tasks",
                Rpc::CreateTask,
                "parent",
                Q,
            ),
            (
                Method::POST,
                "/v2/projects/p/locations/l/queues/q/tasks:batchCreate",
                Rpc::BatchCreateTasks,
                "parent",
                Q,
            ),
            (
                Method::PUT,
                "/v2/projects/p/locations/l/queues/q/tasks:buffer",
                Rpc::BufferTask,
                "queue",
                Q,
            ),
            (
                Method::POST,
                "/v2/projects/p/locations/l/queues/q/tasks/:buffer",
                Rpc::BufferTask,
                "queue",
                Q,
            ),
            (
                Method::GET,
                "/v2/projects/p/locations/l/cmekConfig",
                Rpc::GetCmekConfig,
                "name",
                "projects/p/locations/l/cmekConfig",
            ),
            (
                Method::GET,
                "/v2/projects/example.com:p/locations",
                Rpc::ListLocations,
                "name",
                "projects/example.com:p",
            ),
            (
                Method::GET,
                "/v2/projects/p/locations/l%2dx",
                Rpc::GetLocation,
                "name",
                "projects/p/locations/l-x",
            ),
            (
                Method::GET,
                "/v2/projects/p/locations/l/operations/o",
                Rpc::GetOperation,
                "name",
                "projects/p/locations/l/operations/o",
            ),
        ] {
            let found = find(&method, path);
            let wanted = (rpc, Version::V2, vec![(field, value.to_owned())]);
            assert_eq!(found, Some(wanted), "{method} {path}");
        }
    }

    #[test]
    fn a_buffered_task_may_be_named() {
        let (rpc, _, fields) =
            find(&Method::GET, &format!("/v2beta3/{Q}/tasks/t:buffer")).expect("found");
        assert_eq!(rpc, Rpc::BufferTask);
        assert_eq!(
            fields,
            [("queue", Q.to_owned()), ("task_id", "t".to_owned())]
        );
    }

    #[test]
    fn services_beside_the_versions_have_one_of_their_own() {
        let (rpc, ..) = find(&Method::GET, "/v1/projects/p/locations/l").expect("found");
        assert_eq!(rpc, Rpc::GetLocation);
        assert_eq!(find(&Method::GET, &format!("/v1/{Q}")), None);
    }

    #[test]
    fn other_paths_lead_nowhere() {
        for (method, path) in [
            (Method::GET, "/v3/projects/p/locations/l/queues"),
            (Method::PUT, "/v2/projects/p/locations/l/queues"),
            (Method::GET, "/v2/projects//locations/l/queues"),
            (Method::GET, "/v2/projects/p/locations/l/queues/"),
            (Method::POST, "/v2/projects/p/locations/l/queues/q:unknown"),
            (
                Method::POST,
                "/v2/projects/p/locations/l/queues/q/tasks:lease",
            ),
            (Method::GET, "/v2/projects/%zz/locations/l/queues"),
            (Method::GET, "/v2"),
            (Method::GET, "/api/queue/update"),
        ] {
            assert_eq!(find(&method, path), None, "{method} {path}");
        }
        assert!(find(&Method::POST, &format!("/v2beta2/{Q}/tasks:lease")).is_some());
        assert!(find(&Method::POST, "/api/queue/update").is_some());
    }
}
