use std::collections::BTreeMap;

use serde::Deserialize;

use super::null;

/// How many agents and jobs a cluster has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Metrics {
    /// Agents that are connected.
    #[serde(deserialize_with = "null::default")]
    pub agents: Agents,
    /// Jobs that have not ended.
    #[serde(deserialize_with = "null::default")]
    pub jobs: Jobs,
    /// Whose they are.
    #[serde(deserialize_with = "null::default")]
    pub organization: Organization,
}

/// Agents, in all and by queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Agents {
    /// Of all queues.
    #[serde(flatten)]
    pub all: AgentCounts,
    /// By queue key.
    #[serde(deserialize_with = "null::default")]
    pub queues: BTreeMap<String, AgentCounts>,
}

/// Numbers of agents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AgentCounts {
    /// Without a job.
    pub idle: u64,
    /// With a job.
    pub busy: u64,
    /// Both.
    pub total: u64,
}

/// Jobs, in all and by queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Jobs {
    /// Of all queues.
    #[serde(flatten)]
    pub all: JobCounts,
    /// By queue key.
    #[serde(deserialize_with = "null::default")]
    pub queues: BTreeMap<String, JobCounts>,
}

/// Numbers of jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct JobCounts {
    /// That may be taken.
    pub scheduled: u64,
    /// That run.
    pub running: u64,
    /// That wait for others.
    pub waiting: u64,
    /// All of them.
    pub total: u64,
}

/// An organization.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Organization {
    /// Its name in addresses.
    #[serde(deserialize_with = "null::default")]
    pub slug: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stand_beside_those_of_the_queues() {
        let text = r#"{"agents":{"idle":1,"busy":0,"total":1,"queues":{"default":{"idle":1}}},
            "jobs":{"scheduled":5,"running":0,"waiting":0,"total":5,
                    "queues":{"default":{"scheduled":5}}},"organization":{"slug":"x"}}"#;
        let metrics: Metrics = serde_json::from_str(text).unwrap();
        assert_eq!((metrics.agents.all.idle, metrics.jobs.all.total), (1, 5));
        assert_eq!(metrics.jobs.queues["default"].scheduled, 5);
    }
}
