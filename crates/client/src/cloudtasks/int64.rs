//! Numbers of 64 bits, which JSON carries as texts, and leaves out if they are 0.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(super) fn serialize<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

/// Takes numbers as well.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Number(i64),
    }
    match Written::deserialize(deserializer)? {
        Written::Text(text) => text.parse().map_err(D::Error::custom),
        Written::Number(number) => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use crate::cloudtasks::QueueStats;

    #[test]
    fn a_number_is_a_text_or_left_out() {
        for (json, expected) in [
            ("{}", 0),
            (r#"{"tasksCount":"7"}"#, 7),
            (r#"{"tasksCount":7}"#, 7),
        ] {
            let read: QueueStats = serde_json::from_str(json).unwrap();
            assert_eq!(read.tasks_count, expected, "{json}");
        }
        let text = serde_json::to_value(QueueStats::default()).unwrap();
        assert_eq!(text["tasksCount"], "0");
        assert!(serde_json::from_str::<QueueStats>(r#"{"tasksCount":"x"}"#).is_err());
    }
}
