//! The table of contents: every route, in the order of the public references.
//!
//! Paths are matched segment by segment as they were sent, and only then decoded: a key may contain
//! an escaped slash.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::problem::Problem;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    // Stacks.
    RegisterStack,
    DeregisterStack,
    ScheduledJobs,
    BatchReserve,
    GetStates,
    GetJob,
    FinishJob,
    FailJob,
    Notify,
    NotifyJob,
    AcquisitionTokens,
    // Clusters.
    Token,
    Metrics,
    CreateToken,
    ListTokens,
    RevokeToken,
    PauseQueue,
    ResumeQueue,
    // Agents.
    RegisterAgent,
    ConnectAgent,
    Heartbeat,
    Ping,
    DisconnectAgent,
    StopAgent,
    PauseAgent,
    ResumeAgent,
    // The job of an agent.
    AcquireJob,
    AcceptJob,
    StartJob,
    LogChunk,
    HeaderTimes,
    JobState,
    EndJob,
    UpdateJob,
    JobEvents,
    ReadLog,
    // What jobs say and leave.
    SetData,
    SetDataBatch,
    GetData,
    DataExists,
    DataKeys,
    GetBuildData,
    BuildDataExists,
    BuildDataKeys,
    AnnounceArtifacts,
    UpdateArtifacts,
    UploadArtifact,
    SearchArtifacts,
    Annotate,
    RemoveAnnotation,
    BuildAnnotations,
}

/// A route: method, path, and what it leads to. `{}` stands for one segment.
type Row = (&'static str, &'static str, Call);

const ROUTES: &[Row] = &[
    ("POST", "stacks/register", Call::RegisterStack),
    ("POST", "stacks/{}/deregister", Call::DeregisterStack),
    ("GET", "stacks/{}/scheduled-jobs", Call::ScheduledJobs),
    ("GET", "stacks/{}/scheduled_jobs", Call::ScheduledJobs),
    (
        "PUT",
        "stacks/{}/scheduled-jobs/batch-reserve",
        Call::BatchReserve,
    ),
    (
        "POST",
        "stacks/{}/scheduled-jobs/batch-reserve",
        Call::BatchReserve,
    ),
    (
        "PUT",
        "stacks/{}/scheduled_jobs/batch_reserve",
        Call::BatchReserve,
    ),
    (
        "POST",
        "stacks/{}/scheduled_jobs/batch_reserve",
        Call::BatchReserve,
    ),
    ("POST", "stacks/{}/jobs/get-states", Call::GetStates),
    ("GET", "stacks/{}/jobs/{}", Call::GetJob),
    ("POST", "stacks/{}/jobs/{}/finish", Call::FinishJob),
    ("POST", "stacks/{}/jobs/{}/fail", Call::FailJob),
    ("POST", "stacks/{}/notifications", Call::Notify),
    (
        "POST",
        "stacks/{}/jobs/{}/stack_notifications",
        Call::NotifyJob,
    ),
    (
        "POST",
        "stacks/{}/job-acquisition-tokens",
        Call::AcquisitionTokens,
    ),
    ("GET", "token", Call::Token),
    ("GET", "metrics", Call::Metrics),
    ("POST", "stack-tokens", Call::CreateToken),
    ("GET", "stack-tokens", Call::ListTokens),
    ("DELETE", "stack-tokens/{}", Call::RevokeToken),
    ("POST", "queues/{}/pause", Call::PauseQueue),
    ("POST", "queues/{}/resume", Call::ResumeQueue),
    ("POST", "register", Call::RegisterAgent),
    ("POST", "connect", Call::ConnectAgent),
    ("POST", "heartbeat", Call::Heartbeat),
    ("GET", "ping", Call::Ping),
    ("POST", "disconnect", Call::DisconnectAgent),
    ("POST", "stop", Call::StopAgent),
    ("POST", "pause", Call::PauseAgent),
    ("POST", "resume", Call::ResumeAgent),
    ("PUT", "jobs/{}/acquire", Call::AcquireJob),
    ("PUT", "jobs/{}/accept", Call::AcceptJob),
    ("PUT", "jobs/{}/start", Call::StartJob),
    ("POST", "jobs/{}/chunks", Call::LogChunk),
    ("POST", "jobs/{}/header_times", Call::HeaderTimes),
    ("GET", "jobs/{}", Call::JobState),
    ("PUT", "jobs/{}", Call::UpdateJob),
    ("PUT", "jobs/{}/finish", Call::EndJob),
    ("GET", "jobs/{}/events", Call::JobEvents),
    ("GET", "logs", Call::ReadLog),
    ("POST", "jobs/{}/data/set", Call::SetData),
    ("POST", "jobs/{}/data/set-batch", Call::SetDataBatch),
    ("POST", "jobs/{}/data/get", Call::GetData),
    ("POST", "jobs/{}/data/exists", Call::DataExists),
    ("POST", "jobs/{}/data/keys", Call::DataKeys),
    ("POST", "builds/{}/data/get", Call::GetBuildData),
    ("POST", "builds/{}/data/exists", Call::BuildDataExists),
    ("POST", "builds/{}/data/keys", Call::BuildDataKeys),
    ("POST", "jobs/{}/artifacts", Call::AnnounceArtifacts),
    ("PUT", "jobs/{}/artifacts", Call::UpdateArtifacts),
    ("POST", "uploads", Call::UploadArtifact),
    ("GET", "builds/{}/artifacts/search", Call::SearchArtifacts),
    ("POST", "jobs/{}/annotations", Call::Annotate),
    ("DELETE", "jobs/{}/annotations/{}", Call::RemoveAnnotation),
    ("GET", "builds/{}/annotations", Call::BuildAnnotations),
];

/// Where a request leads, with the decoded segments that the route leaves open.
pub(crate) fn find(method: &Method, path: &str) -> Result<(Call, Vec<String>), Problem> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let mut other_method = None;
    for (verb, pattern, call) in ROUTES {
        let Some(open) = open_segments(pattern, &segments) else {
            continue;
        };
        if method.as_str() != *verb {
            other_method = other_method.or(Some(*verb));
            continue;
        }
        let decoded = open.into_iter().map(|segment| {
            let text = percent_decode_str(segment).decode_utf8();
            text.map(std::borrow::Cow::into_owned)
                .map_err(|_| Problem::Bad("the path has an escape that is no UTF-8".to_owned()))
        });
        return Ok((*call, decoded.collect::<Result<_, _>>()?));
    }
    Err(match other_method {
        Some(verb) => Problem::Method(verb),
        None => Problem::NotFound(format!(
            "{method} {path} is nothing that this server offers"
        )),
    })
}

/// The segments that stand where `pattern` is open, if the rest is the same.
fn open_segments<'a>(pattern: &str, segments: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut open = Vec::new();
    let mut given = segments.iter();
    for wanted in pattern.split('/') {
        let segment = *given.next()?;
        if wanted == "{}" {
            if segment.is_empty() {
                return None;
            }
            open.push(segment);
        } else if wanted != segment {
            return None;
        }
    }
    given.next().is_none().then_some(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> Option<(Call, Vec<String>)> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        find(&method, path).ok()
    }

    #[test]
    fn keys_are_decoded_after_the_path_is_cut() {
        let (call, open) =
            found("GET", "/stacks/my%2Estack%2Fa%20b%25%C3%A9~/scheduled-jobs").expect("a route");
        assert_eq!(call, Call::ScheduledJobs);
        assert_eq!(open, ["my.stack/a b%é~"]);
    }

    #[test]
    fn get_states_is_no_job() {
        let (call, _) = found("POST", "/stacks/k/jobs/get-states").expect("a route");
        assert_eq!(call, Call::GetStates);
    }

    #[test]
    fn both_spellings_of_the_old_and_the_new_routes() {
        for path in [
            "/stacks/k/scheduled-jobs/batch-reserve",
            "/stacks/k/scheduled_jobs/batch_reserve",
        ] {
            for method in ["PUT", "POST"] {
                let (call, _) = found(method, path).expect("a route");
                assert_eq!(call, Call::BatchReserve);
            }
        }
    }

    #[test]
    fn what_leads_nowhere_says_so() {
        let get = |path| find(&Method::GET, path);
        assert!(matches!(
            get("/stacks/register"),
            Err(Problem::Method("POST"))
        ));
        for path in ["/", "", "/stacks", "/stacks//scheduled-jobs", "/jobs/1/2/3"] {
            assert!(matches!(get(path), Err(Problem::NotFound(_))), "{path}");
        }
        assert!(matches!(
            get("/stacks/%ff/scheduled-jobs"),
            Err(Problem::Bad(_))
        ));
    }
}
