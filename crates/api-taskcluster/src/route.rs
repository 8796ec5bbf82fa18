//! Routes as reference documents write them, matched on the raw path.
//!
//! A parameter is one segment. Two of them may stretch, because clients of different ages escape
//! them differently: the id of a task queue or worker pool is one segment with `%2F` in it or two
//! plain ones, an artifact name is all the rest of the path. A namespace may be left out.

/// One piece of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segment {
    Literal(&'static str),
    Parameter(&'static str),
    /// One segment, or two that are joined.
    TaskQueueId(&'static str),
    /// Everything that is left, at least one segment.
    Rest(&'static str),
    /// One segment, perhaps an empty one, or none if the path ends here.
    Optional(&'static str),
    /// Everything that is left, perhaps nothing; a slash at the end belongs to it.
    Splat(&'static str),
}

/// A route, ready to be matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    segments: Vec<Segment>,
    /// Whether each of them is exactly one segment of a path.
    is_rigid: bool,
}

/// Parameters with their decoded values, in the order of the route.
pub(crate) type Params = Vec<(&'static str, String)>;

/// What came of matching a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// Another route.
    No,
    /// This route, but an escape in the path is no UTF-8.
    Undecodable,
    /// This route, with these parameters.
    Yes(Params),
}

impl Route {
    /// Reads `/task/<taskId>/status`.
    pub(crate) fn new(text: &'static str) -> Self {
        let segments: Vec<_> = text
            .split('/')
            .skip(1)
            .filter(|segment| !segment.is_empty())
            .map(|segment| {
                match segment
                    .strip_prefix('<')
                    .and_then(|rest| rest.strip_suffix('>'))
                {
                    None => Segment::Literal(segment),
                    Some("taskQueueId") => Segment::TaskQueueId("taskQueueId"),
                    Some("workerPoolId") => Segment::TaskQueueId("workerPoolId"),
                    Some("name") => Segment::Rest("name"),
                    Some("prefix") => Segment::Splat("prefix"),
                    Some("namespace") => Segment::Optional("namespace"),
                    Some(name) => Segment::Parameter(name),
                }
            })
            .collect();
        let is_rigid =
            |segment: &Segment| matches!(segment, Segment::Literal(_) | Segment::Parameter(_));
        Route {
            is_rigid: segments.iter().all(is_rigid),
            segments,
        }
    }

    /// The names of the parameters, in order.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Parameter(name)
            | Segment::TaskQueueId(name)
            | Segment::Optional(name)
            | Segment::Rest(name)
            | Segment::Splat(name) => Some(*name),
        })
    }

    /// Parameters that a scope may be checked with before the handler runs.
    pub(crate) fn has_plain_parameter(&self, wanted: &str) -> bool {
        self.segments.iter().any(|segment| match segment {
            Segment::Parameter(name)
            | Segment::TaskQueueId(name)
            | Segment::Optional(name)
            | Segment::Rest(name) => *name == wanted,
            Segment::Literal(_) | Segment::Splat(_) => false,
        })
    }

    fn has_literals_of(&self, path: &[&str]) -> bool {
        self.segments.len() == path.len()
            && self
                .segments
                .iter()
                .zip(path)
                .all(|(segment, piece)| match segment {
                    Segment::Literal(literal) => literal == piece,
                    _ => true,
                })
    }

    fn ends_in_splat(&self) -> bool {
        matches!(self.segments.last(), Some(Segment::Splat(_)))
    }

    /// Matches the still escaped segments of a path.
    pub(crate) fn matches(&self, path: &[&str]) -> Match {
        let mut values = Vec::new();
        let path = match path {
            // One trailing slash is optional, both ways.
            [path @ .., ""] if !path.is_empty() && !self.ends_in_splat() => path,
            _ => path,
        };
        // Most routes are another one, and most of those can be told without keeping anything.
        if self.is_rigid && !self.has_literals_of(path) {
            return Match::No;
        }
        if !match_segments(&self.segments, path, &mut values) {
            return Match::No;
        }
        values
            .into_iter()
            .map(|(name, raw)| Some((name, decode(&raw)?)))
            .collect::<Option<Params>>()
            .map_or(Match::Undecodable, Match::Yes)
    }
}

fn match_segments(
    segments: &[Segment],
    path: &[&str],
    values: &mut Vec<(&'static str, String)>,
) -> bool {
    let Some((segment, segments)) = segments.split_first() else {
        return path.is_empty();
    };
    let Some((first, rest)) = path.split_first() else {
        if let Segment::Optional(name) = segment {
            values.push((name, String::new()));
            return segments.is_empty();
        }
        return false;
    };
    match segment {
        Segment::Literal(literal) => literal == first && match_segments(segments, rest, values),
        Segment::Rest(name) => {
            values.push((name, path.join("/")));
            segments.is_empty() && path.iter().any(|part| !part.is_empty())
        }
        Segment::Splat(name) => {
            values.push((name, path.join("/")));
            segments.is_empty()
        }
        Segment::Parameter(_) | Segment::TaskQueueId(_) if first.is_empty() => false,
        Segment::Parameter(name) | Segment::Optional(name) => {
            values.push((name, (*first).to_owned()));
            match_segments(segments, rest, values)
        }
        Segment::TaskQueueId(name) => {
            let held = values.len();
            values.push((name, (*first).to_owned()));
            if match_segments(segments, rest, values) {
                return true;
            }
            values.truncate(held);
            match rest.split_first() {
                Some((second, rest)) if !second.is_empty() => {
                    values.push((name, format!("{first}/{second}")));
                    match_segments(segments, rest, values)
                }
                _ => false,
            }
        }
    }
}

/// Undoes percent-encoding; `None` if an escape is broken or the bytes are no UTF-8.
fn decode(raw: &str) -> Option<String> {
    if !raw.contains('%') {
        return Some(raw.to_owned());
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| (byte? as char).to_digit(16);
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            bytes.push((high * 16 + low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(route: &'static str, path: &str) -> Option<Vec<String>> {
        let path: Vec<&str> = path.split('/').skip(1).collect();
        match Route::new(route).matches(&path) {
            Match::Yes(params) => Some(params.into_iter().map(|(_, value)| value).collect()),
            Match::No | Match::Undecodable => None,
        }
    }

    #[test]
    fn a_task_queue_id_comes_escaped_or_in_two_segments() {
        let route = "/task-queues/<taskQueueId>/counts";
        assert_eq!(
            matched(route, "/task-queues/p%2Fw/counts"),
            Some(vec!["p/w".into()])
        );
        assert_eq!(
            matched(route, "/task-queues/p/w/counts"),
            Some(vec!["p/w".into()])
        );
        assert_eq!(
            matched("/claim-work/<taskQueueId>", "/claim-work/p/w"),
            Some(vec!["p/w".into()])
        );
        assert_eq!(
            matched("/claim-work/<taskQueueId>", "/claim-work/p/w/x"),
            None
        );
    }

    #[test]
    fn an_artifact_name_takes_the_rest_escaped_or_not() {
        let route = "/task/<taskId>/artifacts/<name>";
        let wanted = Some(vec!["t".to_owned(), "public/a b".to_owned()]);
        assert_eq!(matched(route, "/task/t/artifacts/public%2Fa%20b"), wanted);
        assert_eq!(matched(route, "/task/t/artifacts/public/a%20b"), wanted);
        assert_eq!(matched(route, "/task/t/artifacts/"), None);
        assert_eq!(matched(route, "/task/t/artifacts"), None);
    }

    #[test]
    fn a_prefix_may_be_empty_but_not_missing_and_keeps_its_last_slash() {
        let route = "/aws/s3/<bucket>/<prefix>";
        let prefix = |path| matched(route, path).and_then(|mut values| values.pop());
        assert_eq!(prefix("/aws/s3/b/"), Some(String::new()));
        assert_eq!(prefix("/aws/s3/b/x/y%2Fz/"), Some("x/y/z/".into()));
        assert_eq!(prefix("/aws/s3/b//x"), Some("/x".into()));
        assert_eq!(prefix("/aws/s3/b"), None);
    }

    #[test]
    fn a_namespace_may_be_left_out() {
        for path in ["/tasks", "/tasks/"] {
            let empty = Some(vec![String::new()]);
            assert_eq!(matched("/tasks/<namespace>", path), empty);
        }
        let there = Some(vec!["a.b".to_owned()]);
        assert_eq!(matched("/tasks/<namespace>", "/tasks/a.b/"), there);
        assert_eq!(matched("/tasks/<namespace>", "/tasks/a/b"), None);
    }

    #[test]
    fn one_trailing_slash_makes_no_difference() {
        assert_eq!(matched("/clients/", "/clients"), Some(vec![]));
        assert_eq!(matched("/clients/", "/clients/"), Some(vec![]));
        assert_eq!(matched("/clients/", "/clients//"), None);
    }

    #[test]
    fn empty_segments_match_no_parameter() {
        assert_eq!(matched("/task/<taskId>", "/task/"), None);
    }

    #[test]
    fn a_broken_escape_is_told_apart_from_no_match() {
        assert_eq!(
            Route::new("/task/<taskId>").matches(&["task", "%zz"]),
            Match::Undecodable
        );
        assert_eq!(
            Route::new("/task/<taskId>").matches(&["task", "%ff"]),
            Match::Undecodable
        );
    }
}
