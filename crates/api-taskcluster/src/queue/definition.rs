//! From the body of createTask to a task that the engine can create.

use std::time::Duration;

use chrono::{Datelike, Months, NaiveDate, TimeZone, Utc};
use serde_json::{Map, Value};
use taskyard_access::Param;
use taskyard_engine::Timestamp;
use taskyard_engine::task::{NewTask, Priority, Requires};

use super::status::split_queue_id;
use crate::date_time;
use crate::error::ApiError;

/// How far `created` may be from the server's clock, and the grace of the latest deadline.
const DRIFT: Duration = Duration::from_secs(15 * 60);
/// The latest deadline of a task.
const MAX_DEADLINE: Duration = Duration::from_secs(5 * 86_400);

/// What was asked for, with every field filled in.
#[derive(Debug)]
pub(super) struct Definition {
    /// The definition as it is stored and served.
    document: Map<String, Value>,
    pub(super) task_queue_id: String,
    scheduler_id: String,
    project_id: String,
    priority: Priority,
    scopes: Vec<String>,
    routes: Vec<String>,
    created: Timestamp,
    deadline: Timestamp,
    expires: Timestamp,
}

impl Definition {
    /// Fills in what a valid body leaves out.
    pub(super) fn new(task_id: &str, body: &Value) -> Result<Self, ApiError> {
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let task_queue_id = reconcile(text("taskQueueId"), text("provisionerId"), text("workerType"))?;
        let (provisioner_id, worker_type) = split_queue_id(&task_queue_id);
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

        let mut document = Map::new();
        let mut put = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
        let given = |name: &str| body.get(name).cloned().unwrap_or_default();
        let list = |name: &str| body.get(name).cloned().unwrap_or_else(|| Value::Array(Vec::new()));
        let object = |name: &str| body.get(name).cloned().unwrap_or_else(|| Map::new().into());
        put("provisionerId", provisioner_id.into());
        put("workerType", worker_type.into());
        put("taskQueueId", task_queue_id.clone().into());
        put("schedulerId", text("schedulerId").unwrap_or("-").into());
        put("projectId", text("projectId").unwrap_or("none").into());
        put("taskGroupId", text("taskGroupId").unwrap_or(task_id).into());
        put("dependencies", list("dependencies"));
        put("requires", text("requires").unwrap_or("all-completed").into());
        put("routes", list("routes"));
        put("priority", priority.as_str().into());
        put("retries", body.get("retries").cloned().unwrap_or_else(|| 5.into()));
        put("created", created.to_iso().into());
        put("deadline", deadline.to_iso().into());
        put("expires", expires.to_iso().into());
        put("scopes", list("scopes"));
        put("payload", given("payload"));
        put("metadata", given("metadata"));
        put("tags", object("tags"));
        put("extra", object("extra"));

        Ok(Definition {
            scheduler_id: text("schedulerId").unwrap_or("-").to_owned(),
            project_id: text("projectId").unwrap_or("none").to_owned(),
            scopes: strings(&document, "scopes"),
            routes: strings(&document, "routes"),
            document,
            task_queue_id,
            priority,
            created,
            deadline,
            expires,
        })
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
            ("projectId", Param::from(self.project_id.as_str())),
            ("schedulerId", Param::from(self.scheduler_id.as_str())),
            ("priorities", Param::from(priorities)),
            ("provisionerId", Param::from(provisioner_id)),
            ("workerType", Param::from(worker_type)),
        ]
    }

    /// Checks what no schema can, and makes the engine's task of it.
    pub(super) fn into_task(self, task_id: &str, now: Timestamp) -> Result<NewTask, ApiError> {
        let refuse = |text: &str| Err(ApiError::input(text));
        if self.created < now.minus(DRIFT) {
            return refuse("`created` must not be more than 15 minutes in the past");
        }
        if self.created > now.plus(DRIFT) {
            return refuse("`created` must not be more than 15 minutes in the future");
        }
        if self.created > self.deadline {
            return refuse("`deadline` must not be before `created`");
        }
        if self.deadline < now {
            return refuse("`deadline` must not be in the past");
        }
        if self.deadline > now.plus(MAX_DEADLINE + DRIFT) {
            return refuse("`deadline` must not be more than 5 days in the future");
        }
        if self.deadline > self.expires {
            return refuse("`expires` must not be before `deadline`");
        }
        if let Some(scope) = self.scopes.iter().find(|scope| scope.ends_with("**")) {
            return Err(ApiError::input(format!("the scope {scope} must not end in **")));
        }
        let text = |name: &str| {
            self.document.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let requires = match text("requires").as_str() {
            "all-resolved" => Requires::AllResolved,
            _ => Requires::AllCompleted,
        };
        // Whole numbers may be written with a fraction of zero.
        let retries = self.document.get("retries").and_then(Value::as_f64).unwrap_or(5.0);
        Ok(NewTask {
            id: task_id.to_owned(),
            group_id: text("taskGroupId"),
            dependencies: strings(&self.document, "dependencies"),
            requires,
            retries: retries as u32,
            definition: Value::Object(self.document).to_string(),
            task_queue_id: self.task_queue_id,
            scheduler_id: self.scheduler_id,
            project_id: self.project_id,
            priority: self.priority,
            deadline: self.deadline,
            expires: self.expires,
        })
    }
}

fn strings(document: &Map<String, Value>, name: &str) -> Vec<String> {
    let list = document.get(name).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
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
        _ => Err(ApiError::input("give taskQueueId, or both provisionerId and workerType")),
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
        assert_eq!(reconcile(Some("p/w"), Some("x"), None), Ok("p/w".to_owned()));
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
        let task = definition.into_task(id, now).expect("a task");
        let stored: Value = serde_json::from_str(&task.definition).expect("JSON");
        assert_eq!(stored["expires"], "2027-03-01T12:00:00.000Z");
        assert_eq!(stored["provisionerId"], "proj-a");
        assert_eq!(stored["taskGroupId"], id);
        assert_eq!(stored.as_object().map(Map::len), Some(19));
    }
}
