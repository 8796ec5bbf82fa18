//! Stacks end jobs that they could not start, or that need no agent.

use serde_json::json;
use taskyard_engine::stacks::{self as engine, Finish, NewEvent, Refusal};
use taskyard_engine::task::{Exception, Resolved};

use crate::job_id;
use crate::jobs::owner;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::service::Asked;

/// What is kept of a detail, in bytes. Clients cut at 4096, some of them within a character, which
/// then grows on the way; so a longer one is cut here, and not refused.
const LONGEST_DETAIL: usize = 4096;
/// What a stack means by a status that it leaves out, as the API documents it.
const NO_STATUS: i64 = -1;
/// Why a stack ends a job with anything but success, unless it says something else.
const STACK_ERROR: &str = "stack_error";

struct Report<'a> {
    exit_status: i64,
    detail: &'a str,
    signal_reason: Option<&'a str>,
}

/// How a run ends that a stack reports so.
fn resolved(report: &Report<'_>) -> Resolved {
    match (report.exit_status, report.signal_reason) {
        (0, _) => Resolved::Completed,
        (_, None | Some(STACK_ERROR)) => Resolved::Exception(Exception::ResourceUnavailable),
        (_, Some(_)) => Resolved::Failed,
    }
}

/// Cuts a text to so many bytes, between characters.
fn cut(text: &str, at_most: usize) -> &str {
    text.get(..text.floor_char_boundary(at_most))
        .unwrap_or_default()
}

/// Ends a job.
pub(crate) async fn finish_job(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let payload = asked.payload()?;
    let report = Report {
        exit_status: payload.int("exit_status")?.unwrap_or(NO_STATUS),
        detail: payload.required("detail")?,
        signal_reason: payload
            .text("signal_reason")?
            .filter(|text| !text.is_empty()),
    };
    finish(asked, &report).await
}

/// Ends a job as older stacks do it: always as a failure.
pub(crate) async fn fail_job(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let payload = asked.payload()?;
    let report = Report {
        exit_status: match payload.int("exit_status")? {
            None | Some(0) => NO_STATUS,
            Some(status) => status,
        },
        detail: payload.required("error_detail")?,
        signal_reason: None,
    };
    finish(asked, &report).await
}

async fn finish(asked: &Asked<'_>, report: &Report<'_>) -> Result<Reply, Problem> {
    let uuid = asked.segment(1);
    let stack = asked.stack().await?;
    let id = job_id::task_id(uuid).ok_or_else(|| Problem::no_job(uuid))?;
    let (definition, _) = asked
        .find(&id, asked.stack_may())
        .await?
        .ok_or_else(|| Problem::no_job(uuid))?;
    let resolved = resolved(report);
    let detail = json!({
        "exit_status": report.exit_status,
        "signal_reason": report.signal_reason.or((report.exit_status != 0).then_some(STACK_ERROR)),
        "detail": cut(report.detail, LONGEST_DETAIL),
    })
    .to_string();
    let kind = if report.exit_status == 0 {
        "stack-finished"
    } else {
        "stack-errored"
    };
    let (now, owner, worker) = (asked.now, owner(&stack.key), engine::worker(&stack.id));
    let key = taskyard_engine::task::group_key(&definition.group_id);
    let done = asked
        .store()
        .write(key, move |tx| {
            let what = Finish {
                task_id: &id,
                owner: &owner,
                worker: &worker,
                resolved,
            };
            let (task, is_repeated) = match engine::finish(tx, now, what)? {
                Ok(done) => done,
                Err(refusal) => return Ok(Err(refusal)),
            };
            if !is_repeated {
                let event = NewEvent {
                    task_id: &task.id,
                    kind,
                    actor: &stack.key,
                    detail: &detail,
                    at: now,
                    expires_at: task.expires,
                };
                engine::record(tx, &event)?;
            }
            Ok(Ok(()))
        })
        .await?;
    match done {
        Ok(()) => Ok(Reply::ok(&json!({}))),
        Err(Refusal::Unknown) => Err(Problem::no_job(uuid)),
        Err(refusal) => Err(Problem::Invalid(format!(
            "The job {uuid} cannot be finished by a stack: {refusal}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("", 3), "");
    }
}
