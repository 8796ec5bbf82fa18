//! Resource names, checked once.

use std::fmt;

use crate::failure::Failure;

/// `projects/P`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProjectName(String);

/// `projects/P/locations/L`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocationName(String);

/// `projects/P/locations/L/queues/Q`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct QueueName(String);

/// `projects/P/locations/L/queues/Q/tasks/T`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskName {
    pub(crate) queue: QueueName,
    pub(crate) id: String,
}

/// Longest id of a task.
const TASK_ID: usize = 500;
/// Longest id of a queue.
pub(crate) const QUEUE_ID: usize = 100;
/// Longest ids of projects and locations. Nothing says how long theirs may be; with those of queues
/// they fit into the routing key of an event.
pub(crate) const PROJECT_ID: usize = 80;
pub(crate) const LOCATION_ID: usize = 60;

fn is_project(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":.-".contains(&byte);
    (1..=PROJECT_ID).contains(&id.len()) && id.bytes().all(allowed)
}

/// Letters, digits and dashes, and not a dash alone: there is no wildcard.
fn is_location(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=LOCATION_ID).contains(&id.len()) && id.bytes().all(allowed) && id != "-"
}

fn is_queue(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=QUEUE_ID).contains(&id.len()) && id.bytes().all(allowed)
}

/// Whether `id` can be the id of a task.
pub(crate) fn is_task(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=TASK_ID).contains(&id.len()) && id.bytes().all(allowed)
}

/// What a path says after each of the collection names, if it has just these.
fn parts<'a, const N: usize>(name: &'a str, collections: [&str; N]) -> Option<[&'a str; N]> {
    let mut segments = name.split('/');
    let mut ids = [""; N];
    for (id, collection) in ids.iter_mut().zip(collections) {
        if segments.next() != Some(collection) {
            return None;
        }
        *id = segments.next()?;
    }
    segments.next().is_none().then_some(ids)
}

impl ProjectName {
    pub(crate) fn parse(name: &str) -> Result<Self, Failure> {
        let ids = parts(name, ["projects"]).filter(|[project]| is_project(project));
        ids.map(|_| ProjectName(name.to_owned()))
            .ok_or_else(Failure::invalid_resource)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl LocationName {
    pub(crate) fn parse(name: &str) -> Result<Self, Failure> {
        let [project, location] = parts(name, ["projects", "locations"])
            .filter(|[project, location]| is_project(project) && !location.is_empty())
            .ok_or_else(Failure::invalid_resource)?;
        debug_assert!(!project.is_empty());
        if !is_location(location) {
            return Err(unknown_location(location));
        }
        Ok(LocationName(name.to_owned()))
    }

    /// The location that a resource below it, such as its only `cmekConfig`, belongs to.
    pub(crate) fn parse_parent_of(name: &str, suffix: &str) -> Result<Self, Failure> {
        let name = name.strip_suffix(suffix);
        LocationName::parse(name.ok_or_else(Failure::invalid_resource)?)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn project(&self) -> &str {
        self.0.split("/locations/").next().unwrap_or_default()
    }

    /// The last segment.
    pub(crate) fn id(&self) -> &str {
        last(&self.0)
    }
}

impl QueueName {
    /// The name of a queue that is to be found.
    pub(crate) fn parse(name: &str) -> Result<Self, Failure> {
        let [_, location, _] = parts(name, ["projects", "locations", "queues"])
            .filter(|[project, _, queue]| is_project(project) && is_queue(queue))
            .ok_or_else(Failure::invalid_resource)?;
        if !is_location(location) {
            return Err(unknown_location(location));
        }
        Ok(QueueName(name.to_owned()))
    }

    /// The name of a queue that is to be made, whose refusal says how such names look.
    pub(crate) fn parse_new(name: &str) -> Result<Self, Failure> {
        QueueName::parse(name).map_err(|failure| {
            if failure != Failure::invalid_resource() {
                return failure;
            }
            Failure::invalid(
                "Queue name must be formatted: \
                 \"projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>\".",
            )
            .with_help(
                "Definition of queue name",
                "https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues#\
                 Queue.FIELDS.name",
            )
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// `projects/P/locations/L`.
    pub(crate) fn parent(&self) -> &str {
        self.0.split("/queues/").next().unwrap_or_default()
    }

    /// `P`.
    pub(crate) fn project_id(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }

    /// `L`.
    pub(crate) fn location_id(&self) -> &str {
        self.0.split('/').nth(3).unwrap_or_default()
    }

    /// The last segment.
    pub(crate) fn id(&self) -> &str {
        last(&self.0)
    }
}

impl TaskName {
    /// The name of a task that is to be found.
    pub(crate) fn parse(name: &str) -> Result<Self, Failure> {
        let (queue, id) = name
            .rsplit_once("/tasks/")
            .filter(|(_, id)| is_task(id))
            .ok_or_else(Failure::invalid_resource)?;
        Ok(TaskName {
            queue: QueueName::parse(queue)?,
            id: id.to_owned(),
        })
    }

    /// The id that a client gives a new task of `queue` by its full name.
    pub(crate) fn parse_new(name: &str, queue: &QueueName) -> Result<String, Failure> {
        let malformed = || {
            Failure::invalid(
                "Task name must be formatted: \
                 \"projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>/tasks/\
                 <TASK_ID>\"",
            )
        };
        let [project, location, of, id] =
            parts(name, ["projects", "locations", "queues", "tasks"]).ok_or_else(malformed)?;
        if !is_project(project) || location.is_empty() || !is_queue(of) {
            return Err(malformed());
        }
        let said = name.get(..name.len() - id.len() - "/tasks/".len());
        let said = said.unwrap_or_default();
        if said != queue.as_str() {
            return Err(Failure::invalid(format!(
                "The queue name from request ('{queue}') must be the same as the queue name in \
                 the named task ('{said}').",
            )));
        }
        check_task_id(id)?;
        Ok(id.to_owned())
    }
}

/// Makes sure that `id` can be the id of a new task.
pub(crate) fn check_task_id(id: &str) -> Result<(), Failure> {
    if is_task(id) {
        return Ok(());
    }
    let text = format!(
        "Task ID \"{id}\" can contain only letters ([A-Za-z]), numbers ([0-9]), hyphens (-), or \
         underscores (_). Task ID must between 1 and 500 characters."
    );
    Err(Failure::invalid(text).with_help(
        "Definition of task ID",
        "https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks#\
         Task.FIELDS.name",
    ))
}

fn unknown_location(id: &str) -> Failure {
    Failure::invalid(format!(
        "Location '{id}' is not a valid location. Use ListLocations to list valid locations."
    ))
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/tasks/{}", self.queue, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "projects/p/locations/us-central1/queues/q-1";

    #[test]
    fn names_are_taken_apart_and_put_together() {
        let queue = QueueName::parse(QUEUE).expect("a queue");
        assert_eq!(queue.parent(), "projects/p/locations/us-central1");
        assert_eq!(
            (queue.project_id(), queue.location_id()),
            ("p", "us-central1")
        );
        assert_eq!(queue.id(), "q-1");
        let name = format!("{QUEUE}/tasks/t_1");
        let task = TaskName::parse(&name).expect("a task");
        assert_eq!(task.to_string(), name);
    }

    #[test]
    fn projects_may_belong_to_a_domain() {
        assert!(QueueName::parse("projects/example.com:p/locations/l/queues/q").is_ok());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in [
            "",
            "projects/p",
            "projects//locations/l/queues/q",
            "projects/p/locations/l/queues/a_b",
            "projects/p/locations/l/queues/",
            "projects/p/locations/l/queues/q/tasks/t",
            "/projects/p/locations/l/queues/q",
        ] {
            assert_eq!(
                QueueName::parse(name),
                Err(Failure::invalid_resource()),
                "{name}"
            );
        }
        let long = format!("projects/p/locations/l/queues/{}", "q".repeat(101));
        assert!(QueueName::parse(&long).is_err());
        assert!(TaskName::parse(&format!("{QUEUE}/tasks/a.b")).is_err());
    }

    #[test]
    fn no_location_stands_for_all() {
        let refused = LocationName::parse("projects/p/locations/-").expect_err("no wildcard");
        assert_eq!(
            refused.message,
            "Location '-' is not a valid location. Use ListLocations to list valid locations."
        );
    }

    #[test]
    fn a_new_task_belongs_to_the_queue_it_is_made_in() {
        let queue = QueueName::parse(QUEUE).expect("a queue");
        let id = TaskName::parse_new(&format!("{QUEUE}/tasks/t"), &queue);
        assert_eq!(id, Ok("t".to_owned()));
        for (name, says) in [
            ("t", "Task name must be formatted"),
            (
                "projects/p/locations/us-central1/queues/other/tasks/t",
                "The queue name from request",
            ),
            (
                &format!("{QUEUE}/tasks/a.b"),
                "Task ID \"a.b\" can contain only",
            ),
            (&format!("{QUEUE}/tasks/"), "Task ID \"\" can contain only"),
        ] {
            let refused = TaskName::parse_new(name, &queue).expect_err(name);
            assert!(refused.message.starts_with(says), "{name}: {refused}");
        }
    }
}
