//! The tasks that are created: definitions of about 1 KB, serialized once for many tasks.

use crate::clock;
use anyhow::Result;
use bytes::Bytes;
use serde_json::json;
use taskyard_access::slugid;

/// The queue all tasks wait in.
pub(crate) const TASK_QUEUE_ID: &str = "bench/worker";

/// Tasks in one task group.
const GROUP_SIZE: u32 = 1000;

/// A body is used no longer than this: `created` may lie at most 15 minutes in the past.
const BODY_LIFETIME_MS: i64 = 60_000;

const HOUR_MS: i64 = 3_600_000;

/// Makes the bodies of createTask for one connection. Successive tasks share a body and a task
/// group; after a while both are replaced.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    body: Bytes,
    made_ms: i64,
    uses: u32,
}

impl Definitions {
    /// The body for one more task.
    pub(crate) fn next_body(&mut self, now_ms: i64) -> Result<Bytes> {
        let stale = now_ms - self.made_ms > BODY_LIFETIME_MS;
        if self.body.is_empty() || stale || self.uses >= GROUP_SIZE {
            self.body = body(&slugid::nice(), now_ms)?;
            self.made_ms = now_ms;
            self.uses = 0;
        }
        self.uses += 1;
        Ok(self.body.clone())
    }
}

/// What a small real build task looks like.
fn body(task_group_id: &str, now_ms: i64) -> Result<Bytes> {
    let definition = json!({
        "taskQueueId": TASK_QUEUE_ID,
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
        let body = Definitions::default().next_body(clock::now_ms()).unwrap();
        assert!((900..1300).contains(&body.len()), "{} bytes", body.len());
    }

    #[test]
    fn a_task_group_is_full_after_a_thousand_tasks() {
        let mut definitions = Definitions::default();
        let first = group(&definitions.next_body(0).unwrap());
        for _ in 1..GROUP_SIZE {
            assert_eq!(group(&definitions.next_body(0).unwrap()), first);
        }
        assert_ne!(group(&definitions.next_body(0).unwrap()), first);
    }

    #[test]
    fn a_definition_is_never_older_than_a_minute() {
        let mut definitions = Definitions::default();
        let old = definitions.next_body(1_000).unwrap();
        assert_eq!(definitions.next_body(61_000).unwrap(), old);
        let new: Value = serde_json::from_slice(&definitions.next_body(61_001).unwrap()).unwrap();
        assert_eq!(new["created"], "1970-01-01T00:01:01.001Z");
    }
}
