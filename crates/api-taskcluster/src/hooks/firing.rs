//! From a template to a task.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use taskyard_access::{Directory, ScopeList};
use taskyard_engine::Timestamp;
use taskyard_engine::clock::Clock;
use taskyard_engine::hook::{self, Fire, Name};
use taskyard_engine::task;
use taskyard_store::{Error, Store};

use super::key;
use crate::call::Caller;
use crate::error::{ApiError, Code};
use crate::notify::Notifier;
use crate::queue::Queue;
use crate::service::Service;

/// Who creates the tasks of hooks.
const CLIENT_ID: &str = "static/taskcluster/hooks";
/// How long a task of a template that does not say may take to be resolved, and is kept.
const DEADLINE: Duration = Duration::from_hours(24);
const KEPT: Duration = Duration::from_hours(30 * 24);
/// The largest definition that a template may give, in bytes: what createTask takes.
const LARGEST: usize = 10 * 1024 * 1024;

/// Makes tasks of templates.
#[derive(Debug)]
pub struct Firing {
    pub(super) store: Store,
    pub(super) clock: Clock,
    directory: Arc<Directory>,
    queue: Arc<Service<Queue>>,
    /// Tells owners of hooks that these failed.
    pub(super) notifier: Arc<Notifier>,
}

/// What makes a hook fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Schedule,
    Trigger,
    Token,
    Message,
}

/// One firing of a hook.
#[derive(Debug)]
pub(super) struct Shot {
    pub(super) hook: Name,
    /// The hook's template.
    pub(super) template: Value,
    pub(super) reason: Reason,
    /// What the template may refer to, beside what every template may.
    pub(super) context: Map<String, Value>,
    pub(super) task_id: String,
    /// What the template takes for the time.
    pub(super) created: Timestamp,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Created,
    /// The template asks for no task.
    Declined,
}

/// Why there is no task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The template cannot be rendered.
    Template(String),
    /// createTask refused it.
    Refused(ApiError),
}

// === impl Reason ===

impl Reason {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Reason::Schedule => "schedule",
            Reason::Trigger => "triggerHook",
            Reason::Token => "triggerHookWithToken",
            Reason::Message => "pulseMessage",
        }
    }
}

// === impl Failure ===

impl Failure {
    /// Whether the same may succeed later.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self, Failure::Refused(error) if error.code.status().is_server_error())
    }

    /// What is remembered of it.
    pub(super) fn text(&self) -> String {
        let error = match self {
            Failure::Template(text) => return text.clone(),
            Failure::Refused(error) => error,
        };
        let told = json!({
            "name": "Error",
            "message": error.message,
            "code": error.code.as_str(),
            "statusCode": error.code.status().as_u16(),
            "method": "createTask",
        });
        serde_json::to_string_pretty(&told).unwrap_or_default()
    }

    /// What whoever triggered the hook is told.
    pub(super) fn told(self, hook: &Name) -> ApiError {
        match self {
            Failure::Template(text) => ApiError::input(format!("While firing hook:\n\n{text}")),
            Failure::Refused(error) if error.code == Code::InsufficientScopes => ApiError::new(
                error.code,
                format!(
                    "The role `hook-id:{hook}` does not have sufficient scopes to create the \
                     task:\n\n{}",
                    error.message
                ),
            ),
            Failure::Refused(error) if error.code.status().is_server_error() => error,
            Failure::Refused(error) => ApiError::input(format!(
                "While calling createTask: {}\n\n{}",
                error.code.as_str(),
                error.message
            )),
        }
    }
}

// === impl Firing ===

impl Firing {
    /// Makes tasks in `queue`, with the scopes that roles in `directory` grant to hooks, and tells
    /// owners by `notifier` when they cannot be made.
    pub fn new(
        directory: Arc<Directory>,
        queue: Arc<Service<Queue>>,
        notifier: Arc<Notifier>,
    ) -> Self {
        Firing {
            store: notifier.store().clone(),
            clock: notifier.clock().clone(),
            directory,
            queue,
            notifier,
        }
    }

    /// Creates the task of a shot. One that is there already, as is that of a shot that is fired
    /// again, is success.
    pub(super) async fn fire_once(&self, shot: Shot) -> Result<Outcome, Failure> {
        let task_id = shot.task_id.clone();
        if self.has_task(&task_id).await? {
            return Ok(Outcome::Created);
        }
        match self.fire(shot).await {
            // Another node was faster.
            Err(failure) if !failure.is_temporary() && self.has_task(&task_id).await? => {
                Ok(Outcome::Created)
            }
            outcome => outcome,
        }
    }

    async fn has_task(&self, task_id: &str) -> Result<bool, Failure> {
        let id = task_id.to_owned();
        let found = self.store.read(move |tx| task::load(tx, &id)).await;
        let found = found.map_err(|error| Failure::Refused(error.into()))?;
        Ok(found.is_some())
    }

    /// Creates the task of a shot.
    pub(super) async fn fire(&self, shot: Shot) -> Result<Outcome, Failure> {
        let (hook, task_id) = (shot.hook.clone(), shot.task_id.clone());
        // What users write may take its time to render.
        let rendered = tokio::task::spawn_blocking(move || render(shot)).await;
        let rendered = rendered.map_err(|_| {
            Failure::Template(
                "the template could not be rendered: it broke the renderer".to_owned(),
            )
        })?;
        let Some(definition) = rendered? else {
            return Ok(Outcome::Declined);
        };
        let created = self.queue.call(
            "createTask",
            vec![("taskId", task_id)],
            definition,
            self.caller(&hook),
        );
        created.await.map_err(Failure::Refused)?;
        metrics::counter!("taskyard_hooks_fired_total").increment(1);
        Ok(Outcome::Created)
    }

    /// Who creates the tasks of a hook: somebody who may do what its role may.
    fn caller(&self, hook: &Name) -> Caller {
        let role: ScopeList = [format!("assume:hook-id:{hook}")].into_iter().collect();
        Caller {
            client_id: Some(CLIENT_ID.to_owned()),
            scopes: self.directory.snapshot().roles.effective(&role),
        }
    }

    /// Remembers what came of a shot.
    pub(super) async fn note(&self, hook: &Name, fire: Fire) -> Result<(), Error> {
        let name = hook.clone();
        let noted = self
            .store
            .write(key(hook), move |tx| hook::fired(tx, &name, &fire));
        noted.await
    }

    /// What there is to remember of a shot; nothing if no task was wanted.
    pub(super) fn fire_of(
        &self,
        task_id: &str,
        reason: Reason,
        outcome: &Result<Outcome, Failure>,
    ) -> Option<Fire> {
        let error = match outcome {
            Ok(Outcome::Declined) => return None,
            Ok(Outcome::Created) => String::new(),
            Err(failure) => failure.text(),
        };
        Some(Fire {
            task_id: task_id.to_owned(),
            fired_by: reason.as_str().to_owned(),
            created: self.clock.now(),
            error,
        })
    }
}

/// The definition that a template gives; `None` if it asks for no task.
fn render(shot: Shot) -> Result<Option<Value>, Failure> {
    let now = shot.created.to_iso();
    let mut context = shot.context;
    for (name, value) in [
        ("firedBy", shot.reason.as_str()),
        ("taskId", shot.task_id.as_str()),
        ("now", now.as_str()),
    ] {
        context.insert(name.to_owned(), value.into());
    }
    let rendered = taskyard_json_e::render(&shot.template, &context);
    let mut definition = rendered.map_err(|error| Failure::Template(error.to_string()))?;
    if is_falsy(&definition) {
        return Ok(None);
    }
    if let Value::Object(fields) = &mut definition {
        for (name, value) in [
            ("created", now.clone()),
            ("deadline", shot.created.plus(DEADLINE).to_iso()),
            ("expires", shot.created.plus(KEPT).to_iso()),
            ("taskGroupId", shot.task_id.clone()),
        ] {
            if fields.get(name).is_none_or(is_falsy) {
                fields.insert(name.to_owned(), value.into());
            }
        }
    }
    let length = definition.to_string().len();
    if length > LARGEST {
        return Err(Failure::Template(format!(
            "the template gives a task of {length} bytes, and {LARGEST} are allowed"
        )));
    }
    Ok(Some(definition))
}

/// What JavaScript takes for false.
fn is_falsy(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(name: &Value) -> Reason {
        [
            Reason::Schedule,
            Reason::Trigger,
            Reason::Token,
            Reason::Message,
        ]
        .into_iter()
        .find(|reason| name == reason.as_str())
        .expect("a reason")
    }

    /// Numbers by value, however they are written.
    fn same(one: &Value, other: &Value) -> bool {
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same(a, b))
            }
            (Value::Object(one), Value::Object(other)) => {
                one.len() == other.len()
                    && one.iter().all(|(name, value)| {
                        other.get(name).is_some_and(|other| same(value, other))
                    })
            }
            _ => one == other,
        }
    }

    #[test]
    fn templates_give_the_tasks_that_another_implementation_makes_of_them() {
        let all: Value =
            serde_json::from_str(include_str!("../../tests/vectors/hooks.json")).expect("JSON");
        let cases = all["cases"].as_array().expect("cases");
        assert_eq!(cases.len(), 51);
        for case in cases {
            let name = case["name"].as_str().expect("a name");
            let mut context = case["context"].as_object().expect("a context").clone();
            let created = case["created"].as_str().expect("a time");
            let shot = Shot {
                hook: Name::new("group", "hook"),
                template: case["template"].clone(),
                reason: reason(&context.remove("firedBy").expect("a reason")),
                context,
                task_id: case["taskId"].as_str().expect("an id").to_owned(),
                created: crate::date_time::parse(created).expect("a time"),
            };
            let rendered = render(shot);
            if name == "${now} interpolation" {
                // There `now` is no text.
                assert!(rendered.is_ok(), "{name}");
            } else if let Some(task) = case.get("task") {
                let rendered = rendered.unwrap_or_else(|error| panic!("{name}: {error:?}"));
                let rendered = rendered.expect(name);
                assert!(same(&rendered, task), "{name}: {rendered}");
            } else if case.get("declined").is_some() {
                assert_eq!(rendered, Ok(None), "{name}");
            } else {
                assert!(matches!(rendered, Err(Failure::Template(_))), "{name}");
            }
        }
    }
}
