//! What a hook is, as its makers write it and as it is kept.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use taskyard_access::slugid;
use taskyard_cron::Schedule;
use taskyard_engine::Timestamp;
use taskyard_engine::hook::{Hook, Name, Next};

use super::trigger_schema::TriggerSchema;
use crate::call::Call;
use crate::error::ApiError;

/// Exchanges that no hook may be bound to, or, with a dot at the end, what their names begin with: a
/// hook would fire because it has fired, again and again.
const DENIED: &[&str] = &[
    "exchange/taskcluster-queue/v1/task-created",
    "exchange/taskcluster-hooks/",
];

/// What a hook does; kept as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Definition {
    pub(super) metadata: Value,
    pub(super) schedule: Vec<String>,
    /// A template of a task.
    pub(super) task: Value,
    /// What payloads must fit.
    pub(super) trigger_schema: Value,
}

/// Messages upon which a hook fires.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Binding {
    /// The full name of an exchange.
    pub(super) exchange: String,
    pub(super) routing_key_pattern: String,
}

/// What createHook and updateHook ask for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) name: Name,
    pub(super) definition: Definition,
    /// `None` if nothing is said of them.
    pub(super) bindings: Option<Vec<Binding>>,
    /// What the definition's schedule means.
    times: Times,
}

/// When a hook fires.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<Schedule>);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    hook_group_id: &'a str,
    hook_id: &'a str,
    metadata: Value,
    bindings: Vec<Binding>,
    schedule: Vec<String>,
    task: Value,
    trigger_schema: Value,
}

// === impl Wanted ===

impl Wanted {
    /// Reads a body that fits its schema, and checks what no schema can.
    pub(super) fn new(name: Name, call: &Call) -> Result<Self, ApiError> {
        for (field, meant, what) in [
            ("hookGroupId", &name.group_id, "Hook Group Ids do not match"),
            ("hookId", &name.hook_id, "Hook Ids do not match"),
        ] {
            let told = call.payload.get(field).and_then(Value::as_str);
            if told.is_some_and(|told| told != meant) {
                return Err(ApiError::input(what));
            }
        }
        let unreadable = |error: serde_json::Error| ApiError::input(error.to_string());
        let definition = Definition::deserialize(&*call.payload).map_err(unreadable)?;
        let bindings = call.payload.get("bindings").map(Vec::deserialize);
        let bindings: Option<Vec<Binding>> = bindings.transpose().map_err(unreadable)?;
        let times = definition.times(&name).map_err(ApiError::input)?;
        TriggerSchema::compile(&definition.trigger_schema).map_err(|problems| {
            ApiError::input(format!(
                "triggerSchema is not a valid JSON schema:\n{problems}"
            ))
        })?;
        if let Some(bindings) = &bindings {
            check_bindings(bindings)?;
        }
        Ok(Wanted {
            name,
            definition,
            bindings,
            times,
        })
    }

    /// When the hook fires next after `now`, as a task that nobody knows of.
    pub(super) fn next(&self, now: Timestamp) -> Next {
        self.times.next(now)
    }
}

fn check_bindings(bindings: &[Binding]) -> Result<(), ApiError> {
    let is_denied = |binding: &&Binding| {
        let mut denied = DENIED.iter();
        denied.any(|denied| binding.exchange.starts_with(denied))
    };
    let denied: Vec<&Binding> = bindings.iter().filter(is_denied).collect();
    if denied.is_empty() {
        return Ok(());
    }
    let denied = serde_json::to_string_pretty(&denied).map_err(ApiError::internal)?;
    Err(ApiError::input(format!(
        "One or more of the exchanges below have been denied access to hooks\n{denied}"
    )))
}

// === impl Definition ===

impl Definition {
    /// What was kept of a hook.
    pub(super) fn of(hook: &Hook) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&hook.definition)
    }

    /// What its schedule means; otherwise what is wrong with it.
    pub(super) fn times(&self, name: &Name) -> Result<Times, String> {
        let name = name.to_string();
        let parse = |text: &String| {
            Schedule::parse(text, &name).map_err(|error| format!("{error} in {text}"))
        };
        self.schedule
            .iter()
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Times)
    }
}

// === impl Times ===

impl Times {
    /// The first of them after `now`, as a task that nobody knows of.
    pub(super) fn next(&self, now: Timestamp) -> Next {
        let times = self.0.iter();
        let first = times.filter_map(|it| it.next_after(now.millis())).min();
        Next {
            task_id: slugid::nice(),
            at: first.map(Timestamp::from_millis),
        }
    }
}

/// A hook as clients see it.
pub(super) fn shown(
    name: &Name,
    definition: Definition,
    bindings: &str,
) -> Result<impl Serialize, ApiError> {
    Ok(Body {
        hook_group_id: &name.group_id,
        hook_id: &name.hook_id,
        metadata: definition.metadata,
        bindings: serde_json::from_str(bindings).map_err(ApiError::internal)?,
        schedule: definition.schedule,
        task: definition.task,
        trigger_schema: definition.trigger_schema,
    })
}
