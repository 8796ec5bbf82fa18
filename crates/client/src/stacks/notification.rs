use serde::{Deserialize, Serialize};

use super::null;
use crate::Timestamp;

/// Most characters of a notification.
const MAX_CHARACTERS: usize = 256;

/// Something about a job that people should see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notification {
    /// The job.
    pub job_uuid: String,
    /// What is to be seen, 1 to 256 characters.
    pub detail: String,
    /// When it happened; now if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
}

/// What was wrong with some of the notifications; the others were stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NotificationErrors {
    /// One entry for each thing that is wrong.
    #[serde(deserialize_with = "null::default")]
    pub errors: Vec<NotificationError>,
}

/// One thing that is wrong with some notifications.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NotificationError {
    /// What it is.
    pub error: String,
    /// Positions in the request, from 0.
    #[serde(default, deserialize_with = "null::default")]
    pub indexes: Vec<usize>,
}

impl Notification {
    /// About `job_uuid`, now. What is longer than 256 characters is cut.
    pub fn new(job_uuid: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if detail.chars().count() > MAX_CHARACTERS {
            detail = detail.chars().take(MAX_CHARACTERS - 1).collect();
            detail.push('…');
        }
        Self {
            job_uuid: job_uuid.into(),
            detail,
            timestamp: None,
        }
    }

    /// At another time.
    pub fn at(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_notification_is_cut_to_what_the_service_takes() {
        let long = Notification::new("j", "é".repeat(300)).detail;
        assert_eq!(long.chars().count(), 256);
        assert!(long.ends_with('…'));
        assert_eq!(
            Notification::new("j", "é".repeat(256))
                .detail
                .chars()
                .count(),
            256
        );
    }
}
