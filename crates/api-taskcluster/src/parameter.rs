//! What URL parameters and query values may look like.

use std::sync::LazyLock;

use regex::Regex;

/// A pattern that whole values must match.
#[derive(Debug)]
pub(crate) struct Pattern {
    text: &'static str,
    regex: LazyLock<Option<Regex>>,
}

macro_rules! pattern {
    ($name:ident, $text:literal) => {
        pub(crate) static $name: Pattern =
            Pattern { text: $text, regex: LazyLock::new(|| Regex::new($text).ok()) };
    };
}

pattern!(
    SLUGID,
    "^[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$"
);
pattern!(IDENTIFIER, "^[a-zA-Z0-9_-]{1,38}$");
pattern!(TASK_QUEUE_ID, "^[a-zA-Z0-9_-]{1,38}/[a-z]([-a-z0-9]{0,36}[a-z0-9])?$");
pattern!(RUN_ID, "^[1-9]*[0-9]+$");
pattern!(ARTIFACT_NAME, "^[\\x20-\\x7e]+$");
pattern!(NUMBER, "^[0-9]+$");
pattern!(NOT_EMPTY, "^(?s:.)+$");
pattern!(BOOLEAN, "^(true|false)$");

/// The pattern of a URL parameter.
pub(crate) fn of_parameter(name: &str) -> &'static Pattern {
    match name {
        "taskId" | "taskGroupId" => &SLUGID,
        "taskQueueId" => &TASK_QUEUE_ID,
        "runId" => &RUN_ID,
        "name" => &ARTIFACT_NAME,
        _ => &IDENTIFIER,
    }
}

/// The pattern of a query value.
pub(crate) fn of_query(name: &str) -> &'static Pattern {
    match name {
        "limit" => &NUMBER,
        "quarantined" => &BOOLEAN,
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
        self.regex.as_ref().is_some_and(|regex| regex.is_match(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        for pattern in [
            &SLUGID, &IDENTIFIER, &TASK_QUEUE_ID, &RUN_ID, &ARTIFACT_NAME, &NUMBER, &NOT_EMPTY,
            &BOOLEAN,
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
}
