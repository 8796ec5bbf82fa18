//! The state of a job, made of how its task stands.

use std::time::Duration;

use taskyard_engine::Timestamp;
use taskyard_engine::stacks::{Standing, is_assignment};
use taskyard_engine::task::{Exception, Run, State};

/// An agent that was not heard of for this long is lost.
pub(crate) const LOST_AFTER: Duration = Duration::from_mins(3);

/// Where a job stands. The others of the wire's states are of features that tasks do not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobState {
    Waiting,
    Scheduled,
    Reserved,
    Assigned,
    Accepted,
    Running,
    Finished,
    Canceling,
    Canceled,
    TimingOut,
    TimedOut,
    Expired,
    Skipped,
}

impl JobState {
    /// The name on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            JobState::Waiting => "waiting",
            JobState::Scheduled => "scheduled",
            JobState::Reserved => "reserved",
            JobState::Assigned => "assigned",
            JobState::Accepted => "accepted",
            JobState::Running => "running",
            JobState::Finished => "finished",
            JobState::Canceling => "canceling",
            JobState::Canceled => "canceled",
            JobState::TimingOut => "timing_out",
            JobState::TimedOut => "timed_out",
            JobState::Expired => "expired",
            JobState::Skipped => "skipped",
        }
    }

    /// The state of a job at `now`.
    pub(crate) fn of(job: &Standing, now: Timestamp) -> Self {
        let Some((_, run)) = &job.run else {
            return JobState::Waiting;
        };
        match run.state {
            State::Unscheduled => JobState::Waiting,
            State::Pending => match &job.reservation {
                Some(reservation) if reservation.until <= now => JobState::Scheduled,
                Some(reservation) if is_assignment(reservation) => JobState::Assigned,
                Some(_) => JobState::Reserved,
                None => JobState::Scheduled,
            },
            State::Running => match &job.agent {
                Some(agent) if agent.started_at.is_none() => JobState::Accepted,
                Some(agent) if agent.timeout_at.is_some_and(|at| at <= now) => JobState::TimingOut,
                _ => JobState::Running,
            },
            State::Completed => JobState::Finished,
            State::Failed => {
                let timed_out = job.agent.as_ref().is_some_and(|agent| {
                    let (timeout, ended) = (agent.timeout_at, agent.ended_at);
                    timeout.zip(ended).is_some_and(|(at, ended)| at <= ended)
                });
                if timed_out {
                    JobState::TimedOut
                } else {
                    JobState::Finished
                }
            }
            State::Exception => Self::of_exception(job, run, now),
        }
    }

    fn of_exception(job: &Standing, run: &Run, now: Timestamp) -> Self {
        // The task is resolved at once; its agent has to be told, and to stop.
        let is_stopping = job.agent.as_ref().is_some_and(|agent| {
            agent.ended_at.is_none() && agent.agent_seen_at.plus(LOST_AFTER) > now
        });
        match run.exception {
            Some(Exception::Canceled) if is_stopping => JobState::Canceling,
            Some(Exception::Canceled) => JobState::Canceled,
            Some(Exception::DeadlineExceeded) if is_stopping => JobState::TimingOut,
            Some(Exception::DeadlineExceeded) if run.worker.is_none() => JobState::Expired,
            Some(Exception::DeadlineExceeded) => JobState::TimedOut,
            Some(Exception::Superseded) => JobState::Skipped,
            Some(
                Exception::ClaimExpired
                | Exception::WorkerShutdown
                | Exception::MalformedPayload
                | Exception::ResourceUnavailable
                | Exception::InternalError
                | Exception::IntermittentTask,
            )
            | None => JobState::Finished,
        }
    }
}
