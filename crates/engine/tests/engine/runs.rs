//! How runs follow each other, by example.

use taskyard_engine::Timestamp;
use taskyard_engine::task::{self, Created, Exception, Refusal, Resolved, State, Task};
use taskyard_store::on_both_databases;

use crate::operation::View;
use crate::yard::{START, Yard, dependent_task, new_task, secs};

async fn report(
    yard: &Yard,
    now: Timestamp,
    id: &'static str,
    run_id: usize,
    resolved: Resolved,
) -> Result<Task, Refusal> {
    yard.write(move |tx| task::report(tx, now, id, run_id, resolved))
        .await
}

async fn load(yard: &Yard, id: &str) -> Task {
    yard.task(id).await.expect("the task exists")
}

on_both_databases! {
    /// I1, I5, I17
    async fn a_task_has_at_most_fifty_runs(kind) {
        let yard = Yard::new(kind);
        let mut new = new_task("task");
        new.retries = 49;
        yard.create(START, new).await;
        let intermittent = Resolved::Exception(Exception::IntermittentTask);
        for run_id in 0..48 {
            assert_eq!(yard.claim(START, "w", 1).await.len(), 1);
            report(&yard, START, "task", run_id, intermittent).await.expect("is taken");
        }
        let task = load(&yard, "task").await;
        assert_eq!((task.runs.len(), task.retries_left), (49, 1));
        assert_eq!(task.runs[48].created, Created::TaskRetry);
        yard.claim(START, "w", 1).await;
        let completed = report(&yard, START, "task", 48, Resolved::Completed).await;
        assert_eq!(completed.map(|task| task.state()), Ok(State::Completed));

        // The fiftieth leaves room for no retry, whatever the task was created with.
        let rerun = yard.write(|tx| task::rerun(tx, START, "task")).await.expect("has room");
        assert_eq!((rerun.runs.len(), rerun.retries_left), (50, 0));
        yard.claim(START, "w", 1).await;
        let ended = report(&yard, START, "task", 49, intermittent).await.expect("is taken");
        assert_eq!((ended.runs.len(), ended.state()), (50, State::Exception));
        let refused = yard.write(|tx| task::rerun(tx, START, "task")).await;
        assert_eq!(refused, Err(Refusal::TooManyRuns("task".to_owned())));
        assert_eq!(load(&yard, "task").await, ended);
    }

    /// I4, I14, I17
    async fn a_claim_that_expires_returns_the_task_to_its_queue_while_retries_are_left(kind) {
        let yard = Yard::new(kind);
        let mut new = new_task("task");
        new.retries = 1;
        yard.create(START, new).await;
        yard.claim(START, "first", 1).await;
        let expiry = START.plus(secs(1200));
        yard.sweep(Timestamp(expiry.0 - 1)).await;
        assert_eq!(load(&yard, "task").await.state(), State::Running);

        yard.sweep(expiry).await;
        let task = load(&yard, "task").await;
        assert_eq!(task.runs[0].exception, Some(Exception::ClaimExpired));
        assert_eq!((task.state(), task.retries_left), (State::Pending, 0));
        assert_eq!(task.runs[1].created, Created::Retry);

        // The former holder comes late, before and after somebody else has the task.
        for _ in 0..2 {
            let until = expiry.plus(secs(1200));
            let late = yard.write(move |tx| task::reclaim(tx, expiry, "task", 0, until)).await;
            assert!(matches!(late, Err(Refusal::WrongState { .. })), "{late:?}");
            for resolved in [Resolved::Completed, Resolved::Failed,
                Resolved::Exception(Exception::WorkerShutdown)]
            {
                let late = report(&yard, expiry, "task", 0, resolved).await;
                assert!(matches!(late, Err(Refusal::WrongState { .. })), "{late:?}");
            }
            yard.claim(expiry, "second", 1).await;
        }

        yard.sweep(expiry.plus(secs(1200))).await;
        let task = load(&yard, "task").await;
        assert_eq!((task.state(), task.runs.len()), (State::Exception, 2));
        assert!(task.ever_resolved);
    }

    /// I13, I14
    async fn a_reclaim_before_the_expiry_keeps_the_run(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("task")).await;
        yard.claim(START, "w", 1).await;
        let (before, expiry) = (START.plus(secs(1199)), START.plus(secs(1200)));
        let until = before.plus(secs(1200));
        let renewed = yard.write(move |tx| task::reclaim(tx, before, "task", 0, until)).await;
        let renewed = renewed.expect("it is running");
        assert_eq!(renewed.runs[0].taken_until, Some(until));
        // A renewal that would end earlier changes nothing.
        let shorter = yard.write(move |tx| task::reclaim(tx, before, "task", 0, expiry)).await;
        assert_eq!(shorter.expect("it is running").runs[0].taken_until, Some(until));
        yard.sweep(expiry).await;
        assert_eq!(load(&yard, "task").await.state(), State::Running);
        yard.sweep(until).await;
        assert_eq!(load(&yard, "task").await.runs.len(), 2);
    }

    /// I18
    async fn cancelling_an_unscheduled_task_is_like_scheduling_and_cancelling_it(kind) {
        let yard = Yard::new(kind);
        yard.create(START, dependent_task("plain", &["plain"])).await;
        yard.create(START, dependent_task("scheduled", &["scheduled"])).await;
        yard.write(|tx| task::schedule(tx, START, "scheduled")).await.expect("is scheduled");
        for id in ["plain", "scheduled"] {
            yard.write(move |tx| task::cancel(tx, START, id)).await.expect("is cancelled");
        }
        let mut plain = View::from(&load(&yard, "plain").await);
        let scheduled = View::from(&load(&yard, "scheduled").await);
        assert_eq!(plain.runs[0].created, "exception");
        plain.runs[0].created = "scheduled";
        assert_eq!(plain, scheduled);
        // After a cancel, scheduling does nothing and rerunning works.
        let again = yard.write(|tx| task::schedule(tx, START, "plain")).await.expect("is fine");
        assert_eq!(again.state(), State::Exception);
        let rerun = yard.write(|tx| task::rerun(tx, START, "plain")).await.expect("is fine");
        assert_eq!((rerun.state(), rerun.runs.len()), (State::Pending, 2));
    }

    /// I16: the same report again is answered as before, another one refused; nothing changes.
    async fn a_report_can_be_repeated_but_not_revised(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("task")).await;
        yard.claim(START, "w", 1).await;
        let shutdown = Resolved::Exception(Exception::WorkerShutdown);
        let first = report(&yard, START, "task", 0, shutdown).await.expect("is taken");
        assert_eq!(report(&yard, START, "task", 0, shutdown).await, Ok(first));
        for other in [Resolved::Completed, Resolved::Exception(Exception::InternalError)] {
            let refused = report(&yard, START, "task", 0, other).await;
            assert!(matches!(refused, Err(Refusal::WrongState { .. })), "{refused:?}");
        }
        // The retry is claimed meanwhile, which the repeated report leaves alone.
        yard.claim(START, "v", 1).await;
        let again = report(&yard, START, "task", 0, shutdown).await.expect("is taken");
        assert_eq!((again.state(), again.runs.len()), (State::Running, 2));
        // Two runs later it is too late.
        report(&yard, START, "task", 1, shutdown).await.expect("is taken");
        let refused = report(&yard, START, "task", 0, shutdown).await;
        assert!(matches!(refused, Err(Refusal::WrongState { .. })), "{refused:?}");
    }

    /// I16: answers under way count until the deadline's delay has passed.
    async fn a_run_may_be_resolved_after_its_deadline_until_the_timer_acts(kind) {
        let yard = Yard::new(kind);
        for id in ["reported", "forgotten"] {
            yard.create(START, new_task(id)).await;
        }
        let deadline = START.plus(secs(3600));
        let claimed = Timestamp(deadline.0 - 1);
        assert_eq!(yard.claim(claimed, "w", 2).await.len(), 2);
        let late = deadline.plus(secs(59));
        yard.sweep(late).await;
        let reported = report(&yard, late, "reported", 0, Resolved::Completed).await;
        assert_eq!(reported.map(|task| task.state()), Ok(State::Completed));
        yard.sweep(deadline.plus(secs(60))).await;
        let forgotten = load(&yard, "forgotten").await;
        assert_eq!(forgotten.runs[0].exception, Some(Exception::DeadlineExceeded));
        let refused = report(&yard, deadline.plus(secs(60)), "forgotten", 0, Resolved::Completed);
        assert!(matches!(refused.await, Err(Refusal::WrongState { .. })));
    }

    /// The claim of a run past its deadline just ends: the deadline wins.
    async fn a_claim_that_expires_after_the_deadline_brings_about_no_retry(kind) {
        let yard = Yard::new(kind);
        yard.create(START, new_task("task")).await;
        let deadline = START.plus(secs(3600));
        yard.claim(START.plus(secs(2401)), "w", 1).await;
        yard.sweep(deadline.plus(secs(5))).await;
        assert_eq!(load(&yard, "task").await.state(), State::Running);
        yard.sweep(deadline.plus(secs(60))).await;
        let task = load(&yard, "task").await;
        assert_eq!((task.runs.len(), task.state()), (1, State::Exception));
        assert_eq!(task.retries_left, 5);
    }
}
