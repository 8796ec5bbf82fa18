//! Where each task of a build stands, worked out from what the queue says.

use std::time::Duration;

use taskyard_client::taskcluster::{TaskState, TaskStatus};

/// Where one task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// What it is doing, or how it ended.
    pub(crate) state: State,
    /// How many runs it has had, the current one included.
    pub(crate) runs: usize,
    /// From the start of its first run to the end of its last; `None` while it has not ended or
    /// if it never started.
    pub(crate) took: Option<Duration>,
}

/// What a task is doing, or how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Tasks that it needs have not completed yet.
    Waiting,
    /// It waits for the worker.
    Ready,
    /// The worker runs it.
    Running,
    /// It ended well.
    Completed,
    /// Its command failed, or took too long.
    Failed,
    /// It could not be run to its end; the queue's word for why.
    Broken(String),
    /// It can never start, because this task did not complete.
    Skipped(usize),
    /// It was canceled.
    Canceled,
}

impl State {
    /// Whether it will not change any more.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Waiting | Self::Ready | Self::Running => false,
            Self::Completed
            | Self::Failed
            | Self::Broken(_)
            | Self::Skipped(_)
            | Self::Canceled => true,
        }
    }
}

/// Whether nothing can move any more.
pub(crate) fn settled(standings: &[Standing]) -> bool {
    standings.iter().all(|standing| standing.state.is_final())
}

/// Works out where every task stands. `needs` and `statuses` go by the tasks' positions; a status
/// is `None` until the queue knows the task.
pub(crate) fn standings(needs: &[&[usize]], statuses: &[Option<TaskStatus>]) -> Vec<Standing> {
    let mut standings: Vec<Standing> = statuses
        .iter()
        .map(|status| alone(status.as_ref()))
        .collect();
    // A skipped task skips those that need it: repeat until nothing changes.
    loop {
        let mut changed = false;
        for (at, needs) in needs.iter().enumerate() {
            let never_started = match &standings[at].state {
                State::Waiting => true,
                State::Canceled => standings[at].took.is_none(),
                _ => false,
            };
            let culprit = needs.iter().copied().find(|need| {
                matches!(
                    standings[*need].state,
                    State::Failed | State::Broken(_) | State::Skipped(_)
                )
            });
            if let (true, Some(culprit)) = (never_started, culprit) {
                standings[at].state = State::Skipped(culprit);
                changed = true;
            }
        }
        if !changed {
            return standings;
        }
    }
}

/// Where a task stands as far as its own status tells.
fn alone(status: Option<&TaskStatus>) -> Standing {
    let Some(status) = status else {
        return Standing {
            state: State::Waiting,
            runs: 0,
            took: None,
        };
    };
    let last = status.runs.last();
    let state = match status.state {
        TaskState::Unscheduled => State::Waiting,
        TaskState::Pending => State::Ready,
        TaskState::Running => State::Running,
        TaskState::Completed => State::Completed,
        TaskState::Failed => State::Failed,
        TaskState::Exception => match last.and_then(|run| run.reason_resolved.as_deref()) {
            Some("canceled") => State::Canceled,
            Some(reason) => State::Broken(reason.to_owned()),
            None => State::Broken("no reason given".to_owned()),
        },
    };
    let started = status.runs.iter().find_map(|run| run.started);
    let took = match (started, last.and_then(|run| run.resolved)) {
        (Some(started), Some(resolved)) => {
            let millis = resolved.millis().saturating_sub(started.millis());
            Some(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
        }
        _ => None,
    };
    Standing {
        state,
        runs: status.runs.len(),
        took,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn status(state: &str, runs: Value) -> TaskStatus {
        let time = "2026-03-01T10:00:00.000Z";
        let status = json!({
            "taskId": "T", "provisionerId": "p", "workerType": "w", "taskQueueId": "p/w",
            "schedulerId": "-", "projectId": "none", "taskGroupId": "G", "deadline": time,
            "expires": time, "retriesLeft": 1, "state": state, "runs": runs,
        });
        serde_json::from_value(status).expect("a status")
    }

    fn run(id: u32, state: &str, reason: &str) -> Value {
        json!({
            "runId": id, "state": state, "reasonCreated": "scheduled", "reasonResolved": reason,
            "scheduled": "2026-03-01T10:00:00.000Z", "started": format!("2026-03-01T10:00:0{id}.000Z"),
            "resolved": format!("2026-03-01T10:00:0{id}.400Z"),
        })
    }

    #[test]
    fn a_retried_task_counts_from_the_start_of_its_first_run() {
        let runs = json!([
            run(0, "exception", "intermittent-task"),
            run(1, "completed", "completed")
        ]);
        assert_eq!(
            standings(&[&[]], &[Some(status("completed", runs))]),
            [Standing {
                state: State::Completed,
                runs: 2,
                took: Some(Duration::from_millis(1400))
            }]
        );
    }

    #[test]
    fn what_needs_a_failed_task_is_skipped_and_so_is_what_needs_that() {
        let failed = status("failed", json!([run(0, "failed", "failed")]));
        let waiting = status("unscheduled", json!([]));
        let ready = status("pending", json!([]));
        let needs: [&[usize]; 4] = [&[1], &[2], &[], &[]];
        let before = standings(
            &needs,
            &[waiting.clone(), waiting.clone(), failed.clone(), ready].map(Some),
        );
        let states: Vec<&State> = before.iter().map(|standing| &standing.state).collect();
        assert_eq!(
            states,
            [
                &State::Skipped(1),
                &State::Skipped(2),
                &State::Failed,
                &State::Ready
            ]
        );
        assert!(!settled(&before));

        let completed = status("completed", json!([run(0, "completed", "completed")]));
        assert!(settled(&standings(
            &needs,
            &[waiting.clone(), waiting, failed, completed].map(Some)
        )));
    }

    #[test]
    fn a_skipped_task_stays_skipped_when_it_is_canceled_afterwards() {
        let mut never_started = run(0, "exception", "canceled");
        never_started.as_object_mut().unwrap().remove("started");
        let canceled = status("exception", json!([never_started]));
        let failed = status("failed", json!([run(0, "failed", "failed")]));
        assert_eq!(
            standings(&[&[1], &[]], &[canceled.clone(), failed].map(Some))[0].state,
            State::Skipped(1)
        );
        assert_eq!(
            standings(&[&[]], &[Some(canceled)])[0].state,
            State::Canceled
        );
    }

    #[test]
    fn an_exception_keeps_its_reason() {
        let broken = status(
            "exception",
            json!([run(0, "exception", "malformed-payload")]),
        );
        let state = State::Broken("malformed-payload".to_owned());
        assert_eq!(standings(&[&[]], &[Some(broken)])[0].state, state);
    }

    #[test]
    fn a_task_that_is_not_submitted_yet_waits() {
        assert!(!settled(&standings(&[&[]], &[None])));
    }
}
