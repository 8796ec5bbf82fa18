//! The versions of the API, and the words in which they differ.

/// A version of the API. Every queue and task is seen through each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Version {
    V2,
    V2beta3,
    V2beta2,
}

/// Fields that mean the same in all versions and are called differently.
#[derive(Debug)]
pub(crate) struct Words {
    /// The message of a queue that holds the routing override; v2 has the override in the queue.
    pub(crate) app_engine_queue: Option<&'static str>,
    pub(crate) rate: &'static str,
    pub(crate) concurrent: &'static str,
    pub(crate) relative_uri: &'static str,
    pub(crate) app_engine_body: &'static str,
}

impl Version {
    pub(crate) const ALL: [Version; 3] = [Version::V2, Version::V2beta3, Version::V2beta2];

    /// As it stands in paths and packages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Version::V2 => "v2",
            Version::V2beta3 => "v2beta3",
            Version::V2beta2 => "v2beta2",
        }
    }

    pub(crate) fn words(self) -> &'static Words {
        match self {
            Version::V2 => &Words {
                app_engine_queue: None,
                rate: "max_dispatches_per_second",
                concurrent: "max_concurrent_dispatches",
                relative_uri: "relative_uri",
                app_engine_body: "body",
            },
            Version::V2beta3 => &Words {
                app_engine_queue: Some("app_engine_http_queue"),
                rate: "max_dispatches_per_second",
                concurrent: "max_concurrent_dispatches",
                relative_uri: "relative_uri",
                app_engine_body: "body",
            },
            Version::V2beta2 => &Words {
                app_engine_queue: Some("app_engine_http_target"),
                rate: "max_tasks_dispatched_per_second",
                concurrent: "max_concurrent_tasks",
                relative_uri: "relative_url",
                app_engine_body: "payload",
            },
        }
    }
}
