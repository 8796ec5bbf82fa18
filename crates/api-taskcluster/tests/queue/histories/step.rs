//! What may happen in a history.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// How a task's queue is spelled when the task is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    Whole,
    Pair,
    Both,
    /// The whole, and a half that says something else and does not count.
    WholeAndOtherHalf,
    Contradiction,
    Half,
    Nothing,
}

impl Spelling {
    const GOOD: [Spelling; 4] = [
        Spelling::Whole,
        Spelling::Pair,
        Spelling::Both,
        Spelling::WholeAndOtherHalf,
    ];
    pub(super) const BAD: [Spelling; 3] =
        [Spelling::Contradiction, Spelling::Half, Spelling::Nothing];

    pub(super) fn fields(self, queue: &str) -> Value {
        let (provisioner, worker_type) = queue.split_once('/').expect("two halves");
        let (whole, first, second) = match self {
            Spelling::Whole => (Some(queue), None, None),
            Spelling::Pair => (None, Some(provisioner), Some(worker_type)),
            Spelling::Both => (Some(queue), Some(provisioner), Some(worker_type)),
            Spelling::WholeAndOtherHalf => (Some(queue), Some("other"), None),
            Spelling::Contradiction => (Some(queue), Some(provisioner), Some("other")),
            Spelling::Half => (None, Some(provisioner), None),
            Spelling::Nothing => (None, None, None),
        };
        json!({"taskQueueId": whole, "provisionerId": first, "workerType": second})
    }
}

/// What is done with a run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Reclaim,
    Complete,
    Fail,
    Exception(&'static str),
    Artifact(&'static str),
}

/// Which run somebody with the credentials of a run turns to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    Own,
    Next,
    OtherTask,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Create {
        spelling: Spelling,
        again: Spelling,
        routes: usize,
        retries: u32,
        behind: Option<usize>,
    },
    Claim(usize),
    /// With the credentials of a claim.
    Use(usize, Of, Act),
    /// As somebody who may do everything, with the last run.
    Do(usize, Act),
    Cancel(usize),
    Rerun(usize),
    Schedule(usize),
    Prioritise(usize, &'static str),
    Wait(u64),
    Sweep,
}

fn act() -> impl Strategy<Value = Act> {
    let reasons = vec![
        "worker-shutdown",
        "intermittent-task",
        "malformed-payload",
        "resource-unavailable",
        "internal-error",
        "superseded",
    ];
    let types = vec!["s3", "reference", "link", "error", "object", "blob"];
    prop_oneof![
        3 => Just(Act::Reclaim),
        3 => Just(Act::Complete),
        2 => Just(Act::Fail),
        4 => select(reasons).prop_map(Act::Exception),
        4 => select(types).prop_map(Act::Artifact),
    ]
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let task = || 0..6_usize;
    let spelling = prop_oneof![
        6 => select(Spelling::GOOD.to_vec()),
        1 => select(Spelling::BAD.to_vec()),
    ];
    let create = (
        spelling,
        select(Spelling::GOOD.to_vec()),
        0..3_usize,
        0..3_u32,
        prop::option::weighted(0.3, task()),
    )
        .prop_map(|(spelling, again, routes, retries, behind)| Step::Create {
            spelling,
            again,
            routes,
            retries,
            behind,
        });
    let of = prop_oneof![6 => Just(Of::Own), 1 => Just(Of::Next), 1 => Just(Of::OtherTask)];
    prop_oneof![
        5 => create,
        6 => (1..4_usize).prop_map(Step::Claim),
        8 => (0..8_usize, of, act()).prop_map(|(badge, of, act)| Step::Use(badge, of, act)),
        4 => (task(), act()).prop_map(|(task, act)| Step::Do(task, act)),
        2 => task().prop_map(Step::Cancel),
        2 => task().prop_map(Step::Rerun),
        1 => task().prop_map(Step::Schedule),
        1 => (task(), select(vec!["lowest", "medium", "highest"]))
            .prop_map(|(task, priority)| Step::Prioritise(task, priority)),
        4 => select(vec![1_u64, 61, 601, 1207, 3671]).prop_map(Step::Wait),
        3 => Just(Step::Sweep),
    ]
}
