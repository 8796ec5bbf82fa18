//! The same without async.

use std::time::Duration;

use taskyard_client::stacks::{
    FinishedJob, JobState, NewStack, Notification, Retry, ScheduledJobs, blocking,
};

use crate::stand_in::{StandIn, json};
use crate::{JOB, OTHER, options, said, stacks};

/// Calls everything there is, with `.await` or without.
macro_rules! call_everything {
    ($stacks:expr $(, $await:ident)?) => {{
        let stacks = $stacks;
        let stack = NewStack::new("s", "default").metadata("a", "b");
        let ids = vec![JOB.to_owned(), OTHER.to_owned()];
        let minute = Some(Duration::from_mins(1));
        assert_eq!(stacks.register(&stack)$(.$await)?.unwrap().key, "s");
        let page = stacks.scheduled_jobs(&ScheduledJobs::new("s", "default"))$(.$await)?.unwrap();
        assert_eq!(page.jobs.len(), 0);
        let reserved = stacks.reserve("s", ids.clone(), minute)$(.$await)?.unwrap();
        assert_eq!(reserved.reserved, [JOB]);
        assert_eq!(stacks.job("s", JOB)$(.$await)?.unwrap().command, "x");
        let states = stacks.job_states("s", &ids)$(.$await)?.unwrap();
        assert_eq!(states.get(JOB), Some(&JobState::Running));
        let state = stacks.job_state("s", JOB)$(.$await)?.unwrap();
        assert_eq!(state.value, Some(JobState::Running));
        stacks.finish("s", JOB, &FinishedJob::exited(0, "done"))$(.$await)?.unwrap();
        let told = stacks.notify("s", &[Notification::new(JOB, "note")])$(.$await)?.unwrap();
        assert_eq!(told.errors.len(), 0);
        let tokens = stacks.job_acquisition_tokens("s", ids, minute)$(.$await)?.unwrap();
        assert_eq!(tokens.not_issued, [OTHER]);
        assert_eq!(stacks.token()$(.$await)?.unwrap().uuid, "u");
        assert_eq!(stacks.metrics()$(.$await)?.unwrap().jobs.all.total, 7);
        stacks.deregister("s")$(.$await)?.unwrap();
        // Refused by the server, and by the client itself.
        assert_eq!(stacks.without_retry().token()$(.$await)?.unwrap_err().status(), Some(500));
        let never = stacks.with_retry(Retry::never()).with_timeout(Duration::from_secs(9));
        assert_eq!(never.token()$(.$await)?.unwrap_err().status(), Some(500));
        assert!(stacks.deregister("")$(.$await)?.is_err());
    }};
}

#[test]
fn the_same_works_without_async() {
    let ok = |body: &str| json("200 OK", body);
    let failed = || json("500 Internal Server Error", "{}");
    let states = format!(r#"{{"states":{{"{JOB}":"running"}}}}"#);
    let once = [
        json(
            "201 Created",
            r#"{"id":"i","organization_uuid":"o","cluster_queue_key":"default","key":"s","type":"custom","metadata":{},"last_connected_on":null,"state":"connected"}"#,
        ),
        ok(
            r#"{"jobs":[],"cluster_queue":{"id":"q"},"page_info":{"has_next_page":false,"end_cursor":null}}"#,
        ),
        ok(&format!(
            r#"{{"reserved":["{JOB}"],"not_reserved":["{OTHER}"]}}"#
        )),
        ok(r#"{"id":"j","env":{},"command":"x"}"#),
        ok(&states),
        ok(&states),
        ok("{}"),
        ok(r#"{"errors":[]}"#),
        json(
            "201 Created",
            &format!(r#"{{"job_acquisition_tokens":[],"not_issued":["{OTHER}"]}}"#),
        ),
        ok(r#"{"uuid":"u"}"#),
        ok(r#"{"jobs":{"total":7}}"#),
        ("204 No Content", String::new(), Vec::new()),
        failed(),
        failed(),
    ];
    let answers = once.iter().chain(&once).cloned().collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(StandIn::start(answers));
    runtime.block_on(async { call_everything!(stacks(&server), await) });
    call_everything!(blocking::Stacks::new(options(&server)).unwrap());
    let seen: Vec<(String, String)> = server.seen().iter().map(said).collect();
    assert_eq!(seen.len(), 2 * once.len());
    assert_eq!(seen[..once.len()], seen[once.len()..]);
}
