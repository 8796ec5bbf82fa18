//! What URL parameters and query values may look like.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use regex::Regex;

/// A pattern that whole values must match.
#[derive(Debug)]
pub(crate) struct Pattern {
    text: &'static str,
    /// How long values are; where the text alone could not say it.
    lengths: RangeInclusive<usize>,
    regex: LazyLock<Option<Regex>>,
}

macro_rules! pattern {
    ($name:ident, $text:literal) => {
        pattern!($name, $text, 0..=usize::MAX);
    };
    ($name:ident, $text:literal, $lengths:expr) => {
        pub(crate) static $name: Pattern = Pattern {
            text: $text,
            lengths: $lengths,
            regex: LazyLock::new(|| Regex::new($text).ok()),
        };
    };
}

pattern!(
    SLUGID,
    "^[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$"
);
pattern!(IDENTIFIER, "^[a-zA-Z0-9_-]{1,38}$");
pattern!(
    TASK_QUEUE_ID,
    "^[a-zA-Z0-9_-]{1,38}/[a-z]([-a-z0-9]{0,36}[a-z0-9])?$"
);
pattern!(WORKER_POOL_ID, "^[a-zA-Z0-9_-]{1,38}/[a-zA-Z0-9_-]{1,38}$");
pattern!(RUN_ID, "^[1-9]*[0-9]+$");
pattern!(ARTIFACT_NAME, "^[\\x20-\\x7e]+$");
pattern!(NUMBER, "^[0-9]+$");
pattern!(NOT_EMPTY, "^(?s:.)+$");
pattern!(CLIENT_ID, "^[A-Za-z0-9!@/:.+|_-]+$");
pattern!(ROLE_ID, "^[\\x20-\\x7e]+$");
pattern!(AZURE_ACCOUNT, "^[a-z0-9]{3,24}$");
pattern!(AZURE_TABLE, "^[A-Za-z][A-Za-z0-9]{2,62}$");
pattern!(AZURE_CONTAINER, "^[a-z0-9](-?[a-z0-9])+$", 3..=63);
pattern!(S3_BUCKET, "^[a-z0-9][a-z0-9-]{1,62}[a-z0-9]$");
pattern!(LEVEL, "^(read-write|read-only)$");
pattern!(PROJECT, "^[a-zA-Z0-9_-]{1,64}$");
pattern!(TUNNEL_CLIENT, "^[a-zA-Z0-9_~.%-]+$");
pattern!(GITHUB_APP, "^[a-zA-Z0-9_-]+$");
pattern!(GITHUB_OWNER, "^[A-Za-z0-9._-]+$");
pattern!(ENTITY_TYPE, "^(client|role|secret|hook|worker-pool)$");
pattern!(CREDENTIALS_FORMAT, "^iam-role-compat$");
pattern!(
    INDEX_PATH,
    "^([a-zA-Z0-9_!~*'()%-]+\\.)*[a-zA-Z0-9_!~*'()%-]+$"
);
pattern!(
    INDEX_NAMESPACE,
    "^(([a-zA-Z0-9_!~*'()%-]+\\.)*[a-zA-Z0-9_!~*'()%-]+)?$"
);
pattern!(HOOK_GROUP, "^[a-zA-Z0-9_-]{1,1000}$");
pattern!(HOOK, "^[a-zA-Z0-9_/-]{1,1000}$");
pattern!(SECRET_NAME, "^[^\\x00]+$");
pattern!(ANYTHING, "^(?s:.)*$");
pattern!(BOOLEAN, "^(true|false)$");

/// The pattern of a URL parameter of this service.
pub(crate) fn of_parameter(service: &str, name: &str) -> &'static Pattern {
    match name {
        "name" if service == "secrets" => &SECRET_NAME,
        "hookGroupId" => &HOOK_GROUP,
        "hookId" => &HOOK,
        "taskId" | "taskGroupId" => &SLUGID,
        "taskQueueId" => &TASK_QUEUE_ID,
        "workerPoolId" => &WORKER_POOL_ID,
        "runId" => &RUN_ID,
        "name" => &ARTIFACT_NAME,
        "clientId" => &CLIENT_ID,
        "roleId" | "entityId" => &ROLE_ID,
        "account" => &AZURE_ACCOUNT,
        "table" => &AZURE_TABLE,
        "container" => &AZURE_CONTAINER,
        "bucket" => &S3_BUCKET,
        "level" => &LEVEL,
        "project" => &PROJECT,
        "wstClient" => &TUNNEL_CLIENT,
        "appName" => &GITHUB_APP,
        "owner" => &GITHUB_OWNER,
        "entityType" => &ENTITY_TYPE,
        "indexPath" => &INDEX_PATH,
        "namespace" => &INDEX_NAMESPACE,
        "prefix" | "projectId" | "serviceAccount" | "token" => &ANYTHING,
        _ => &IDENTIFIER,
    }
}

/// The pattern of a query value.
pub(crate) fn of_query(name: &str) -> &'static Pattern {
    match name {
        "limit" => &NUMBER,
        "quarantined" => &BOOLEAN,
        "prefix" => &CLIENT_ID,
        "format" => &CREDENTIALS_FORMAT,
        _ => &NOT_EMPTY,
    }
}

impl Pattern {
    /// The pattern's text, for messages.
    pub(crate) fn text(&self) -> &'static str {
        self.text
    }

    /// Whether `value` as a whole matches. `$` in the patterns is the very end, as these regexes
    /// are not in multi-line mode.
    pub(crate) fn matches(&self, value: &str) -> bool {
        self.lengths.contains(&value.len())
            && self
                .regex
                .as_ref()
                .is_some_and(|regex| regex.is_match(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        for pattern in [
            &SLUGID,
            &IDENTIFIER,
            &TASK_QUEUE_ID,
            &WORKER_POOL_ID,
            &RUN_ID,
            &ARTIFACT_NAME,
            &NUMBER,
            &NOT_EMPTY,
            &BOOLEAN,
            &CLIENT_ID,
            &ROLE_ID,
            &AZURE_ACCOUNT,
            &AZURE_TABLE,
            &AZURE_CONTAINER,
            &S3_BUCKET,
            &LEVEL,
            &PROJECT,
            &TUNNEL_CLIENT,
            &ENTITY_TYPE,
            &CREDENTIALS_FORMAT,
            &INDEX_PATH,
            &INDEX_NAMESPACE,
            &HOOK_GROUP,
            &HOOK,
            &SECRET_NAME,
            &ANYTHING,
            &GITHUB_APP,
            &GITHUB_OWNER,
        ] {
            assert!(pattern.regex.is_some(), "{}", pattern.text);
        }
    }

    #[test]
    fn whole_values_are_matched() {
        assert!(RUN_ID.matches("0") && !RUN_ID.matches("0\n") && !RUN_ID.matches("-1"));
        assert!(SLUGID.matches("fN1SbArXTPSVFNUvaOlinQ"));
        assert!(!SLUGID.matches("fN1SbArXTPSVFNUvaOlinQA"));
    }

    #[test]
    fn a_container_has_single_hyphens_inside_and_a_bounded_length() {
        assert!(AZURE_CONTAINER.matches("a-b") && AZURE_CONTAINER.matches(&"a".repeat(63)));
        for bad in ["ab", "a--b", "-ab", "ab-", "A-b", &"a".repeat(64)] {
            assert!(!AZURE_CONTAINER.matches(bad), "{bad}");
        }
    }
}
