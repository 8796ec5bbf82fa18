use std::fmt;

use serde::{Deserialize, Deserializer};

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JobState {
    /// Not looked at yet.
    Pending,
    /// Waits for other jobs.
    Waiting,
    /// A job it waited for failed.
    WaitingFailed,
    /// Waits for somebody to unblock it.
    Blocked,
    /// Blocked, and the build has failed.
    BlockedFailed,
    /// Was unblocked.
    Unblocked,
    /// Was unblocked although the build has failed.
    UnblockedFailed,
    /// Is checked against a concurrency limit.
    Limiting,
    /// Held back by a concurrency limit.
    Limited,
    /// Is checked against a limit of the platform.
    PlatformLimiting,
    /// Held back by a limit of the platform.
    PlatformLimited,
    /// May be reserved, or taken by an agent.
    Scheduled,
    /// Reserved by a stack.
    Reserved,
    /// Offered to an agent.
    Assigned,
    /// Taken by an agent.
    Accepted,
    /// Runs.
    Running,
    /// Ended, well or not.
    Finished,
    /// Is being cancelled: its agent has to be told.
    Canceling,
    /// Was cancelled.
    Canceled,
    /// Has run too long: its agent has to be told.
    TimingOut,
    /// Has run too long.
    TimedOut,
    /// Will not run, because it is not wanted any more.
    Skipped,
    /// Cannot run.
    Broken,
    /// Was not started in time.
    Expired,
    /// A state this version does not know.
    Other(String),
}

const NAMES: [(JobState, &str); 24] = [
    (JobState::Pending, "pending"),
    (JobState::Waiting, "waiting"),
    (JobState::WaitingFailed, "waiting_failed"),
    (JobState::Blocked, "blocked"),
    (JobState::BlockedFailed, "blocked_failed"),
    (JobState::Unblocked, "unblocked"),
    (JobState::UnblockedFailed, "unblocked_failed"),
    (JobState::Limiting, "limiting"),
    (JobState::Limited, "limited"),
    (JobState::PlatformLimiting, "platform_limiting"),
    (JobState::PlatformLimited, "platform_limited"),
    (JobState::Scheduled, "scheduled"),
    (JobState::Reserved, "reserved"),
    (JobState::Assigned, "assigned"),
    (JobState::Accepted, "accepted"),
    (JobState::Running, "running"),
    (JobState::Finished, "finished"),
    (JobState::Canceling, "canceling"),
    (JobState::Canceled, "canceled"),
    (JobState::TimingOut, "timing_out"),
    (JobState::TimedOut, "timed_out"),
    (JobState::Skipped, "skipped"),
    (JobState::Broken, "broken"),
    (JobState::Expired, "expired"),
];

impl JobState {
    /// The word for it on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(name) => name,
            known => NAMES
                .iter()
                .find(|(state, _)| state == known)
                .map_or("", |(_, name)| name),
        }
    }

    /// Whether nothing can happen to the job any more.
    pub fn has_ended(&self) -> bool {
        matches!(
            self,
            Self::Finished
                | Self::Canceled
                | Self::TimedOut
                | Self::Skipped
                | Self::Broken
                | Self::Expired
        )
    }

    /// Whether whoever runs the job has to stop it.
    pub fn must_stop(&self) -> bool {
        matches!(
            self,
            Self::Canceling | Self::Canceled | Self::TimingOut | Self::TimedOut
        )
    }
}

impl From<&str> for JobState {
    fn from(name: &str) -> Self {
        NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map_or_else(|| Self::Other(name.to_owned()), |(state, _)| state.clone())
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for JobState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(deserializer)?.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_read_from_its_own_word() {
        for (state, name) in &NAMES {
            assert_eq!(JobState::from(*name), *state);
            assert_eq!(state.as_str(), *name);
        }
        let strange = JobState::from("failed");
        assert_eq!(strange, JobState::Other("failed".to_owned()));
        assert_eq!(strange.to_string(), "failed");
    }

    #[test]
    fn a_job_that_is_being_stopped_has_not_ended() {
        assert!(JobState::Canceling.must_stop() && !JobState::Canceling.has_ended());
        assert!(JobState::TimedOut.must_stop() && JobState::TimedOut.has_ended());
        assert!(!JobState::Running.must_stop() && !JobState::Running.has_ended());
    }
}
