//! From the body of createTask to a task that the engine can create.

use std::time::Duration;

use chrono::{Datelike, Months, NaiveDate, TimeZone, Utc};
use serde::Serialize;
use serde_json::Value;
use taskyard_access::Param;
use taskyard_engine::Timestamp;
use taskyard_engine::stacks::Outline;
use taskyard_engine::task::{NewTask, Priority, Requires};

use super::facts;
use super::status::split_queue_id;
use crate::date_time;
use crate::error::ApiError;
use crate::index;
use crate::notify;

/// How far `created` may be from the server's clock, and the grace of the latest deadline.
const DRIFT: Duration = Duration::from_mins(15);
/// The latest deadline of a task.
const MAX_DEADLINE: Duration = Duration::from_hours(5 * 24);

/// A definition as it is stored and served, with every field filled in.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    provisioner_id: &'a str,
    worker_type: &'a str,
    task_queue_id: &'a str,
    scheduler_id: &'a str,
    project_id: &'a str,
    task_group_id: &'a str,
    dependencies: &'a [Value],
    requires: &'a str,
    routes: &'a [Value],
    priority: &'a str,
    retries: u32,
    created: String,
    deadline: String,
    expires: String,
    scopes: &'a [Value],
    payload: &'a Value,
    metadata: &'a Value,
    tags: Object<'a>,
    extra: Object<'a>,
}

/// An object that may be left out; then it is empty.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Object<'a> {
    Given(&'a Value),
    Empty {},
}

/// What a valid body of createTask asks for.
#[derive(Debug)]
pub(super) struct Definition<'a> {
    task_id: &'a str,
    body: &'a Value,
    task_queue_id: String,
    priority: Priority,
    scopes: Vec<String>,
    routes: Vec<String>,
    created: Timestamp,
    deadline: Timestamp,
    expires: Timestamp,
}

impl<'a> Definition<'a> {
    /// Reads a body that fits its schema.
    pub(super) fn new(task_id: &'a str, body: &'a Value) -> Result<Self, ApiError> {
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let task_queue_id = reconcile(
            text("taskQueueId"),
            text("provisionerId"),
            text("workerType"),
        )?;
        let time = |name: &str| {
            text(name).map(|value| {
                date_time::parse(value).ok_or_else(|| {
                    ApiError::input(format!("`{name}` is no moment that exists: {value}"))
                })
            })
        };
        let missing = |name: &str| ApiError::input(format!("`{name}` is missing"));
        let created = time("created").ok_or_else(|| missing("created"))??;
        let deadline = time("deadline").ok_or_else(|| missing("deadline"))??;
        let expires = match time("expires") {
            Some(expires) => expires?,
            None => a_year_after(deadline),
        };
        let priority = Priority::parse(text("priority").unwrap_or("lowest"))
            .ok_or_else(|| missing("priority"))?;
        Ok(Definition {
            task_id,
            body,
            task_queue_id,
            priority,
            scopes: strings(body, "scopes"),
            routes: strings(body, "routes"),
            created,
            deadline,
            expires,
        })
    }

    fn text(&self, name: &str, default: &'a str) -> &'a str {
        self.body
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or(default)
    }

    /// The project the task belongs to.
    pub(super) fn project_id(&self) -> &str {
        self.text("projectId", "none")
    }

    /// The parameters of the scopes that creating this task requires.
    pub(super) fn scope_parameters(&self) -> Vec<(&'static str, Param<'_>)> {
        let (provisioner_id, worker_type) = split_queue_id(&self.task_queue_id);
        // Who may create tasks of a higher priority may create those of a lower one.
        let priorities: Vec<String> = Priority::ALL
            .into_iter()
            .filter(|priority| *priority >= self.priority)
            .map(|priority| priority.as_str().to_owned())
            .collect();
        vec![
            ("scopes", Param::from(self.scopes.as_slice())),
            ("routes", Param::from(self.routes.as_slice())),
            ("projectId", Param::from(self.project_id())),
            ("schedulerId", Param::from(self.text("schedulerId", "-"))),
            ("priorities", Param::from(priorities)),
            ("provisionerId", Param::from(provisioner_id)),
            ("workerType", Param::from(worker_type)),
        ]
    }

    /// Checks what no schema can, and makes the engine's task of it.
    pub(super) fn into_task(self, now: Timestamp) -> Result<NewTask, ApiError> {
        self.check_times(now)?;
        if let Some(scope) = self.scopes.iter().find(|scope| scope.ends_with("**")) {
            return Err(ApiError::input(format!(
                "the scope {scope} must not end in **"
            )));
        }
        let requires = match self.text("requires", "all-completed") {
            "all-resolved" => Requires::AllResolved,
            _ => Requires::AllCompleted,
        };
        // Whole numbers may be written with a fraction of zero.
        let retries = self
            .body
            .get("retries")
            .and_then(Value::as_f64)
            .unwrap_or(5.0) as u32;
        let definition =
            serde_json::to_string(&self.document(requires, retries)).map_err(ApiError::internal)?;
        let outline = Outline::of(self.body)
            .to_text()
            .map_err(ApiError::internal)?;
        let notice = facts::notice(list(self.body, "routes"), self.body.get("tags"))
            .map_err(ApiError::internal)?;
        let promise = index::promise(&self.routes, self.body.get("extra"), self.expires);
        Ok(NewTask {
            promise: promise.map(Box::new),
            notifies: notify::is_wanted(&self.routes),
            id: self.task_id.to_owned(),
            group_id: self.text("taskGroupId", self.task_id).to_owned(),
            scheduler_id: self.text("schedulerId", "-").to_owned(),
            project_id: self.text("projectId", "none").to_owned(),
            dependencies: strings(self.body, "dependencies"),
            requires,
            retries,
            definition,
            outline,
            notice,
            task_queue_id: self.task_queue_id,
            priority: self.priority,
            deadline: self.deadline,
            expires: self.expires,
        })
    }

    fn document(&self, requires: Requires, retries: u32) -> Document<'_> {
        let (provisioner_id, worker_type) = split_queue_id(&self.task_queue_id);
        let object = |name: &str| self.body.get(name).map_or(Object::Empty {}, Object::Given);
        Document {
            provisioner_id,
            worker_type,
            task_queue_id: &self.task_queue_id,
            scheduler_id: self.text("schedulerId", "-"),
            project_id: self.text("projectId", "none"),
            task_group_id: self.text("taskGroupId", self.task_id),
            dependencies: list(self.body, "dependencies"),
            requires: requires.as_str(),
            routes: list(self.body, "routes"),
            priority: self.priority.as_str(),
            retries,
            created: self.created.to_iso(),
            deadline: self.deadline.to_iso(),
            expires: self.expires.to_iso(),
            scopes: list(self.body, "scopes"),
            payload: self.body.get("payload").unwrap_or(&Value::Null),
            metadata: self.body.get("metadata").unwrap_or(&Value::Null),
            tags: object("tags"),
            extra: object("extra"),
        }
    }

    fn check_times(&self, now: Timestamp) -> Result<(), ApiError> {
        let checks = [
            (
                self.created < now.minus(DRIFT),
                "`created` must not be more than 15 minutes in the past",
            ),
            (
                self.created > now.plus(DRIFT),
                "`created` must not be more than 15 minutes in the future",
            ),
            (
                self.created > self.deadline,
                "`deadline` must not be before `created`",
            ),
            (self.deadline < now, "`deadline` must not be in the past"),
            (
                self.deadline > now.plus(MAX_DEADLINE + DRIFT),
                "`deadline` must not be more than 5 days in the future",
            ),
            (
                self.deadline > self.expires,
                "`expires` must not be before `deadline`",
            ),
        ];
        match checks.into_iter().find(|(wrong, _)| *wrong) {
            Some((_, text)) => Err(ApiError::input(text)),
            None => Ok(()),
        }
    }
}

fn list<'a>(body: &'a Value, name: &str) -> &'a [Value] {
    body.get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn strings(body: &Value, name: &str) -> Vec<String> {
    list(body, name)
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The task queue id that the given ones agree on.
fn reconcile(
    task_queue_id: Option<&str>,
    provisioner_id: Option<&str>,
    worker_type: Option<&str>,
) -> Result<String, ApiError> {
    match (task_queue_id, provisioner_id, worker_type) {
        (Some(id), Some(provisioner_id), Some(worker_type))
            if id != format!("{provisioner_id}/{worker_type}") =>
        {
            Err(ApiError::input(format!(
                "taskQueueId {id} is not {provisioner_id}/{worker_type}; give one of them"
            )))
        }
        (Some(id), _, _) => Ok(id.to_owned()),
        (None, Some(provisioner_id), Some(worker_type)) => {
            Ok(format!("{provisioner_id}/{worker_type}"))
        }
        _ => Err(ApiError::input(
            "give taskQueueId, or both provisionerId and workerType",
        )),
    }
}

/// The same day and time a calendar year later; the day after for 29 February.
fn a_year_after(time: Timestamp) -> Timestamp {
    let date = time.to_utc();
    let later = if date.month() == 2 && date.day() == 29 {
        NaiveDate::from_ymd_opt(date.year() + 1, 3, 1)
            .map(|day| Utc.from_utc_datetime(&day.and_time(date.time())))
    } else {
        date.checked_add_months(Months::new(12))
    };
    later.map_or(time, Timestamp::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_year_after_a_leap_day_is_the_first_of_march() {
        let leap_day = date_time::parse("2028-02-29T01:02:03.004Z").expect("a moment");
        assert_eq!(a_year_after(leap_day).to_iso(), "2029-03-01T01:02:03.004Z");
    }

    #[test]
    fn ids_are_reconciled() {
        assert_eq!(reconcile(None, Some("p"), Some("w")), Ok("p/w".to_owned()));
        assert_eq!(
            reconcile(Some("p/w"), Some("x"), None),
            Ok("p/w".to_owned())
        );
        assert!(reconcile(Some("p/w"), Some("p"), Some("x")).is_err());
        assert!(reconcile(None, Some("p"), None).is_err());
    }

    #[test]
    fn the_smallest_body_is_filled_in() {
        let body = json!({
            "taskQueueId": "proj-a/linux-small",
            "created": "2026-03-01T10:00:00.000Z",
            "deadline": "2026-03-01T12:00:00.000Z",
            "payload": {},
            "metadata": {"name": "n", "description": "d", "owner": "o", "source": "https://s"},
        });
        let id = "fN1SbArXTPSVFNUvaOlinQ";
        let definition = Definition::new(id, &body).expect("a definition");
        let now = date_time::parse("2026-03-01T10:00:00.000Z").expect("a moment");
        let task = definition.into_task(now).expect("a task");
        let stored: Value = serde_json::from_str(&task.definition).expect("JSON");
        assert_eq!(stored["expires"], "2027-03-01T12:00:00.000Z");
        assert_eq!(stored["provisionerId"], "proj-a");
        assert_eq!(stored["taskGroupId"], id);
        assert_eq!(stored.as_object().map(serde_json::Map::len), Some(19));
    }
}
