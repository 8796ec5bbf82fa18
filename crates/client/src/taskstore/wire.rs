//! The JSON of requests and answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::claim::Claim;
use super::error::{Error, Refusal};
use super::task::{Task, nanos};
use super::update::Update;

/// Text is sent as text, so that every server understands it; only bytes need our own key.
fn put_data(task: &mut Map<String, Value>, data: &[u8]) {
    match std::str::from_utf8(data) {
        Ok(text) => task.insert("data".to_owned(), text.into()),
        Err(_) => task.insert("data64".to_owned(), STANDARD.encode(data).into()),
    };
}

fn task(fields: Value, data: &[u8]) -> Value {
    let mut task = fields;
    if let Value::Object(task) = &mut task {
        put_data(task, data);
    }
    task
}

pub(super) fn update(client_id: i32, update: &Update) -> Value {
    let adds = update.adds.iter().map(|add| {
        task(
            json!({ "group": add.group, "duration": add.available.nanos() }),
            &add.data,
        )
    });
    let changes = update.changes.iter().map(|change| {
        task(
            json!({ "id": change.id, "duration": change.available.nanos() }),
            &change.data,
        )
    });
    json!({
        "clientid": client_id,
        "adds": adds.collect::<Vec<_>>(),
        "updates": changes.collect::<Vec<_>>(),
        "deletes": update.deletes,
        "depends": update.depends,
    })
}

/// What an original server does not know is only sent when it is asked for.
pub(super) fn claim(client_id: i32, claim: &Claim) -> Value {
    let mut body = json!({
        "clientid": client_id,
        "group": claim.groups.first(),
        "duration": nanos(claim.lease),
        "depends": claim.depends,
    });
    if claim.groups.len() > 1 {
        body["groups"] = json!(claim.groups);
    }
    if !claim.wait.is_zero() {
        body["wait"] = nanos(claim.wait).into();
    }
    if claim.count != 1 {
        body["count"] = claim.count.into();
    }
    if let Some((attempts, group)) = &claim.give_up {
        body["max_attempts"] = (*attempts).into();
        body["error_group"] = group.as_str().into();
    }
    body
}

/// A task of an answer.
#[derive(Debug, Deserialize)]
pub(super) struct WireTask {
    id: i64,
    group: String,
    #[serde(default)]
    data: Option<String>,
    #[serde(default)]
    data64: Option<String>,
    #[serde(default)]
    duration: i64,
    #[serde(rename = "ownerid", default)]
    owner_id: i32,
    #[serde(default)]
    attempts: Option<i64>,
}

impl TryFrom<WireTask> for Task {
    type Error = crate::Error;

    fn try_from(task: WireTask) -> Result<Self, crate::Error> {
        let data = match task.data64 {
            Some(text) => STANDARD
                .decode(text)
                .map_err(|error| crate::Error::Decode(format!("data64: {error}")))?,
            None => task.data.unwrap_or_default().into_bytes(),
        };
        Ok(Task {
            id: task.id,
            group: task.group,
            data,
            available_at: task.duration,
            owner_id: task.owner_id,
            attempts: task.attempts,
        })
    }
}

pub(super) fn tasks(tasks: Vec<WireTask>) -> Result<Vec<Task>, crate::Error> {
    tasks.into_iter().map(Task::try_from).collect()
}

#[derive(Debug, Default, Deserialize)]
struct WireRefusal {
    #[serde(alias = "Changes", default)]
    changes: Option<Vec<i64>>,
    #[serde(alias = "Deletes", default)]
    deletes: Option<Vec<i64>>,
    #[serde(alias = "Depends", default)]
    depends: Option<Vec<i64>>,
    #[serde(alias = "Owned", default)]
    owned: Option<Vec<i64>>,
    #[serde(alias = "Bugs", default)]
    bugs: Option<Vec<Value>>,
    #[serde(default)]
    messages: Option<Vec<String>>,
}

/// The answer of an update or a claim; servers use one spelling or both.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope {
    #[serde(default)]
    tasks: Option<Vec<WireTask>>,
    #[serde(rename = "Tasks", default)]
    go_tasks: Option<Vec<WireTask>>,
    #[serde(default)]
    error: Option<WireRefusal>,
    #[serde(rename = "Error", default)]
    go_error: Option<WireRefusal>,
}

impl Envelope {
    /// The tasks, or the refusal.
    pub(super) fn open(self) -> Result<Vec<Task>, Error> {
        if let Some(refusal) = self.error.or(self.go_error) {
            let bugs = refusal.bugs.unwrap_or_default().len();
            let mut messages = refusal.messages.unwrap_or_default();
            messages.resize(
                bugs,
                "the request is wrong; the server does not say how".to_owned(),
            );
            let refusal = Refusal {
                changes: refusal.changes.unwrap_or_default(),
                deletes: refusal.deletes.unwrap_or_default(),
                depends: refusal.depends.unwrap_or_default(),
                owned: refusal.owned.unwrap_or_default(),
                bugs: messages,
            };
            if !refusal.is_empty() {
                return Err(Error::Refused(refusal));
            }
        }
        Ok(tasks(self.tasks.or(self.go_tasks).unwrap_or_default())?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::taskstore::{Available, NewTask};

    fn open(json: &str) -> Result<Vec<Task>, Error> {
        serde_json::from_str::<Envelope>(json)
            .expect("an envelope")
            .open()
    }

    #[test]
    fn requests_have_nothing_an_original_server_does_not_know_unless_asked() {
        let sent = claim(7, &Claim::new("g", Duration::from_secs(1)));
        let expected =
            json!({"clientid": 7, "group": "g", "duration": 1_000_000_000, "depends": []});
        assert_eq!(sent, expected);
        let sent = update(
            7,
            &Update::new()
                .add_task(NewTask::new("g", "x"))
                .change(3, vec![0xff], Available::At(9)),
        );
        assert_eq!(
            sent["adds"],
            json!([{"group": "g", "duration": 0, "data": "x"}])
        );
        assert_eq!(
            sent["updates"],
            json!([{"id": 3, "duration": 9, "data64": "/w=="}])
        );
    }

    #[test]
    fn both_spellings_of_an_answer_are_read() {
        let task = r#"[{"id":1,"group":"g","data":"x","duration":5,"ownerid":2}]"#;
        let ours = open(&format!(
            r#"{{"tasks":{task},"Tasks":{task},"error":null,"Error":null}}"#
        ));
        let go = open(&format!(r#"{{"Tasks":{task},"Error":null}}"#));
        assert_eq!(ours.expect("tasks"), go.expect("tasks"));
        let ours = open(
            r#"{"tasks":null,"error":{"owned":[3],"bugs":[null],"messages":["m"]},
                "Error":{"Owned":[3],"Bugs":[null]}}"#,
        );
        let refusal = ours.expect_err("a refusal");
        let refusal = refusal.refusal().expect("a refusal");
        assert_eq!(
            (&refusal.owned[..], &refusal.bugs[..]),
            (&[3][..], &["m".to_owned()][..])
        );
        let go = open(r#"{"Tasks":null,"Error":{"Changes":[],"Depends":[4],"Bugs":[{}]}}"#);
        let refusal = go.expect_err("a refusal");
        assert_eq!(refusal.refusal().map(|it| it.bugs.len()), Some(1));
    }
}
