//! The tasks that are created: definitions of about 1 KB, serialized once for many tasks.

use crate::clock;
use anyhow::Result;
use bytes::Bytes;
use serde_json::json;
use taskyard_access::slugid;

/// The queue all tasks wait in.
pub(crate) const TASK_QUEUE_ID: &str = "bench/worker";

/// The queue of tasks that are only listed.
const LISTED_QUEUE_ID: &str = "bench/listed";

/// Tasks in one task group.
const GROUP_SIZE: u32 = 1000;

/// A body is used no longer than this: `created` may lie at most 15 minutes in the past.
const BODY_LIFETIME_MS: i64 = 60_000;

const HOUR_MS: i64 = 3_600_000;

/// Makes the bodies of createTask for one connection. Successive tasks share a body and a task
/// group; after a while both are replaced.
#[derive(Debug)]
pub(crate) struct Definitions {
    task_queue_id: &'static str,
    body: Bytes,
    made_ms: i64,
    uses: u32,
    /// The group of all tasks, which wait in a queue of their own; without it groups change.
    group: Option<String>,
}

impl Definitions {
    /// Of tasks for this queue.
    pub(crate) fn new(task_queue_id: &'static str) -> Self {
        Self {
            task_queue_id,
            group: None,
            body: Bytes::new(),
            made_ms: 0,
            uses: 0,
        }
    }

    /// Definitions of tasks that are only listed, all in one group.
    pub(crate) fn in_group(task_group_id: &str) -> Self {
        Self {
            group: Some(task_group_id.to_owned()),
            ..Self::new(LISTED_QUEUE_ID)
        }
    }

    /// The body for one more task.
    pub(crate) fn next_body(&mut self, now_ms: i64) -> Result<Bytes> {
        let stale = now_ms - self.made_ms > BODY_LIFETIME_MS;
        let full = self.group.is_none() && self.uses >= GROUP_SIZE;
        if self.body.is_empty() || stale || full {
            self.body = match &self.group {
                Some(group) => body(self.task_queue_id, group, now_ms)?,
                None => body(self.task_queue_id, &slugid::nice(), now_ms)?,
            };
            self.made_ms = now_ms;
            self.uses = 0;
        }
        self.uses += 1;
        Ok(self.body.clone())
    }
}

/// What a small real build task looks like.
fn body(task_queue_id: &str, task_group_id: &str, now_ms: i64) -> Result<Bytes> {
    let definition = json!({
        "taskQueueId": task_queue_id,
        "schedulerId": "bench",
        "taskGroupId": task_group_id,
        "priority": "medium",
        "retries": 3,
        "created": clock::rfc3339(now_ms),
        "deadline": clock::rfc3339(now_ms + 24 * HOUR_MS),
        "expires": clock::rfc3339(now_ms + 7 * 24 * HOUR_MS),
        "scopes": [],
        "payload": {
            "command": [["/bin/sh", "-ec", "cc -O2 -Wall -c \"$SOURCE_DIR/parser.c\" -o parser.o && \
                ar rcs libparser.a parser.o && sha256sum libparser.a > libparser.a.sha256"]],
            "env": { "SOURCE_DIR": "/builds/worker/checkouts/parser", "LANG": "C.UTF-8",
                "MAKEFLAGS": "-j4" },
            "maxRunTime": 3600,
            "artifacts": [
                { "name": "public/build/libparser.a", "path": "libparser.a", "type": "file" },
                { "name": "public/build/libparser.a.sha256", "path": "libparser.a.sha256",
                    "type": "file" },
            ],
        },
        "metadata": {
            "name": "build-parser-linux64/opt",
            "description": "Compiles the parser library and publishes it with its checksum",
            "owner": "bench@example.com",
            "source": "https://example.com/parser/file/default/build.yml",
        },
        "tags": { "kind": "build", "createdForUser": "bench@example.com" },
        "extra": { "treeherder": { "symbol": "B", "machine": { "platform": "linux64" } } },
    });
    Ok(serde_json::to_vec(&definition)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn group(body: &Bytes) -> String {
        let definition: Value = serde_json::from_slice(body).unwrap();
        definition["taskGroupId"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_definition_has_about_one_kilobyte() {
        let body = Definitions::new(TASK_QUEUE_ID)
            .next_body(clock::now_ms())
            .unwrap();
        assert!((900..1300).contains(&body.len()), "{} bytes", body.len());
    }

    #[test]
    fn a_task_group_is_full_after_a_thousand_tasks() {
        let mut definitions = Definitions::new(TASK_QUEUE_ID);
        let first = group(&definitions.next_body(0).unwrap());
        for _ in 1..GROUP_SIZE {
            assert_eq!(group(&definitions.next_body(0).unwrap()), first);
        }
        assert_ne!(group(&definitions.next_body(0).unwrap()), first);
    }

    #[test]
    fn a_group_that_is_listed_is_never_full() {
        let mut definitions = Definitions::in_group("group");
        for _ in 0..=GROUP_SIZE {
            assert_eq!(group(&definitions.next_body(0).unwrap()), "group");
        }
    }

    #[test]
    fn a_definition_is_never_older_than_a_minute() {
        let mut definitions = Definitions::new(TASK_QUEUE_ID);
        let old = definitions.next_body(1_000).unwrap();
        assert_eq!(definitions.next_body(61_000).unwrap(), old);
        let new: Value = serde_json::from_slice(&definitions.next_body(61_001).unwrap()).unwrap();
        assert_eq!(new["created"], "1970-01-01T00:01:01.001Z");
    }
}
