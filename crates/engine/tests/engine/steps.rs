//! Steps of a history as they are generated. Which task, run or time they mean depends on where the
//! history stands.

use proptest::prelude::*;
use proptest::sample::select;
use taskyard_engine::Timestamp;
use taskyard_engine::task::Priority;

use crate::model::{Model, ModelTask};
use crate::operation::{Operation, Report};
use crate::spec::{GROUPS, QUEUES, Spec, TASKS, specs};
use crate::yard::secs;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Call(Call),
    /// Several calls at once.
    Together(Vec<Call>),
    Wait(Wait),
    WaitAndSweep(Wait),
    Sweep,
    Restart,
}

#[derive(Debug, Clone)]
pub(crate) enum Call {
    Create {
        task: Aim,
        altered: bool,
    },
    Schedule(Aim),
    Rerun(Aim),
    Cancel(Aim),
    ClaimWork {
        queue: usize,
        worker: &'static str,
        count: usize,
        seconds: u64,
    },
    ClaimRun {
        task: Aim,
        run: Which,
        worker: &'static str,
        seconds: u64,
    },
    Reclaim {
        task: Aim,
        run: Which,
        seconds: u64,
    },
    Report {
        task: Aim,
        run: Which,
        report: Report,
    },
    /// The report by which a run was resolved, again.
    Repeat {
        task: Aim,
        run: Which,
    },
    ExpireClaim(Aim),
    ExceedDeadline(Aim),
    Seal(usize),
    CancelGroup(usize),
    ChangePriority(Aim, Priority),
    ChangeGroupPriority(usize, Priority),
}

/// A task: one of those in a state if there are any, or else any.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Aim {
    Any(usize),
    /// Not created yet.
    Unknown(usize),
    Running(usize),
    Resolved(usize),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    Last,
    BeforeLast,
    Beyond,
}

#[derive(Debug, Clone)]
pub(crate) enum Wait {
    Millis(u64),
    /// Until the claim of a task ends, give or take a microsecond.
    ClaimEnd(Aim, i64),
    Deadline(Aim, i64),
    DeadlineDelay(Aim, i64),
}

fn call() -> impl Strategy<Value = Call> {
    let place = || 0..TASKS;
    let any = move || place().prop_map(Aim::Any);
    let mostly = move |aim: fn(usize) -> Aim| prop_oneof![1 => any(), 3 => place().prop_map(aim)];
    let worker = || select(vec!["w1", "w2", "w3"]);
    let seconds = || select(vec![10_u64, 60, 200, 1200]);
    let run = || {
        prop_oneof![
            10 => Just(Which::Last),
            2 => Just(Which::BeforeLast),
            1 => Just(Which::Beyond),
        ]
    };
    prop_oneof![
        8 => (mostly(Aim::Unknown), prop::bool::weighted(0.05))
            .prop_map(|(task, altered)| Call::Create { task, altered }),
        2 => any().prop_map(Call::Schedule),
        2 => any().prop_map(Call::Rerun),
        2 => any().prop_map(Call::Cancel),
        8 => (0..QUEUES, worker(), 1..4_usize, seconds()).prop_map(
            |(queue, worker, count, seconds)| Call::ClaimWork { queue, worker, count, seconds }
        ),
        2 => (any(), run(), worker(), seconds()).prop_map(
            |(task, run, worker, seconds)| Call::ClaimRun { task, run, worker, seconds }
        ),
        3 => (mostly(Aim::Running), run(), seconds())
            .prop_map(|(task, run, seconds)| Call::Reclaim { task, run, seconds }),
        // Completing is what dependents wait for, so it is not left to chance alone.
        4 => (mostly(Aim::Running), run()).prop_map(|(task, run)| {
            Call::Report { task, run, report: Report::Completed }
        }),
        6 => (mostly(Aim::Running), run(), select(Report::ALL.to_vec()))
            .prop_map(|(task, run, report)| Call::Report { task, run, report }),
        3 => (mostly(Aim::Resolved), select(vec![Which::Last, Which::BeforeLast]))
            .prop_map(|(task, run)| Call::Repeat { task, run }),
        2 => mostly(Aim::Running).prop_map(Call::ExpireClaim),
        2 => any().prop_map(Call::ExceedDeadline),
        1 => (0..GROUPS, prop::bool::weighted(0.3)).prop_map(|(group, seal)| {
            if seal { Call::Seal(group) } else { Call::CancelGroup(group) }
        }),
        2 => (any(), select(Priority::ALL.to_vec()))
            .prop_map(|(task, priority)| Call::ChangePriority(task, priority)),
        1 => (0..GROUPS, select(Priority::ALL.to_vec()))
            .prop_map(|(group, priority)| Call::ChangeGroupPriority(group, priority)),
    ]
}

fn wait() -> impl Strategy<Value = Wait> {
    let around = || -1..2_i64;
    prop_oneof![
        3 => select(vec![0_u64, 1, 1000, 20_000]).prop_map(Wait::Millis),
        3 => (0..TASKS, around()).prop_map(|(task, by)| Wait::ClaimEnd(Aim::Running(task), by)),
        1 => (0..TASKS, around()).prop_map(|(task, by)| Wait::Deadline(Aim::Any(task), by)),
        1 => (0..TASKS, around()).prop_map(|(task, by)| Wait::DeadlineDelay(Aim::Any(task), by)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        24 => call().prop_map(Step::Call),
        8 => prop::collection::vec(call(), 2..5).prop_map(Step::Together),
        3 => wait().prop_map(Step::Wait),
        4 => wait().prop_map(Step::WaitAndSweep),
        2 => Just(Step::Sweep),
    ]
}

#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) specs: Vec<Spec>,
    /// This many tasks are created first, in order.
    pub(crate) created: usize,
    pub(crate) steps: Vec<Step>,
}

pub(crate) fn history() -> impl Strategy<Value = History> {
    // One in a few begins anew in the middle; that takes long.
    let restart = prop_oneof![3 => Just(None), 1 => (10..40_usize).prop_map(Some)];
    let steps = prop::collection::vec(step(), 5..50);
    (specs(), 0..=TASKS, steps, restart).prop_map(|(specs, created, mut steps, restart)| {
        if let Some(at) = restart
            && at < steps.len()
        {
            steps.insert(at, Step::Restart);
        }
        History {
            specs,
            created,
            steps,
        }
    })
}

impl Aim {
    fn place(self, model: &Model) -> usize {
        let among = |places: Vec<usize>, at: usize| match places.len() {
            0 => at,
            count => places[at % count],
        };
        let in_state = |is_meant: fn(&ModelTask) -> bool| {
            let meant = model.tasks.iter().filter(move |(_, task)| is_meant(task));
            meant.map(|(place, _)| *place).collect()
        };
        match self {
            Aim::Any(at) => at,
            Aim::Unknown(at) => among(
                (0..TASKS)
                    .filter(|place| !model.tasks.contains_key(place))
                    .collect(),
                at,
            ),
            Aim::Running(at) => among(in_state(|task| task.state() == "running"), at),
            Aim::Resolved(at) => among(
                in_state(|task| task.view.runs.iter().any(|run| run.reason.is_some())),
                at,
            ),
        }
    }
}

impl Which {
    fn run(self, model: &Model, task: usize) -> usize {
        let known = model.tasks.get(&task);
        let last = known.map_or(0, ModelTask::last_run);
        match self {
            Which::Last => last,
            Which::BeforeLast => last.saturating_sub(1),
            Which::Beyond => known.map_or(0, |task| task.view.runs.len()),
        }
    }
}

impl Call {
    /// What it means here and now. For a claim that the timer found due, the claim is still to be
    /// filled in.
    pub(crate) fn operation(&self, model: &Model, now: Timestamp) -> Operation {
        let until = |seconds: u64| now.plus(secs(seconds)).0;
        match *self {
            Call::Create { task, altered } => Operation::Create {
                task: task.place(model),
                altered,
            },
            Call::Schedule(task) => Operation::Schedule {
                task: task.place(model),
            },
            Call::Rerun(task) => Operation::Rerun {
                task: task.place(model),
            },
            Call::Cancel(task) => Operation::Cancel {
                task: task.place(model),
            },
            Call::ClaimWork {
                queue,
                worker,
                count,
                seconds,
            } => {
                let (worker, until) = (worker.to_owned(), until(seconds));
                Operation::ClaimWork {
                    queue,
                    worker,
                    count,
                    until,
                }
            }
            Call::ClaimRun {
                task,
                run,
                worker,
                seconds,
            } => {
                let (task, worker, until) = (task.place(model), worker.to_owned(), until(seconds));
                Operation::ClaimRun {
                    task,
                    run: run.run(model, task),
                    worker,
                    until,
                }
            }
            Call::Reclaim { task, run, seconds } => {
                let (task, until) = (task.place(model), until(seconds));
                Operation::Reclaim {
                    task,
                    run: run.run(model, task),
                    until,
                }
            }
            Call::Report { task, run, report } => {
                let task = task.place(model);
                Operation::Report {
                    task,
                    run: run.run(model, task),
                    report,
                }
            }
            Call::Repeat { task, run } => {
                let task = task.place(model);
                let run = run.run(model, task);
                let known = model
                    .tasks
                    .get(&task)
                    .and_then(|task| task.view.runs.get(run));
                let reason = known.and_then(|run| run.reason);
                let same = Report::ALL
                    .into_iter()
                    .find(|report| reason == Some(report.reason()));
                Operation::Report {
                    task,
                    run,
                    report: same.unwrap_or(Report::Failed),
                }
            }
            Call::ExpireClaim(task) => {
                let task = task.place(model);
                let run = Which::Last.run(model, task);
                Operation::ExpireClaim {
                    task,
                    run,
                    lease: None,
                    taken_until: None,
                }
            }
            Call::ExceedDeadline(task) => Operation::ExceedDeadline {
                task: task.place(model),
            },
            Call::Seal(group) => Operation::Seal { group },
            Call::CancelGroup(group) => Operation::CancelGroup { group },
            Call::ChangePriority(task, priority) => Operation::ChangePriority {
                task: task.place(model),
                priority,
            },
            Call::ChangeGroupPriority(group, priority) => {
                Operation::ChangeGroupPriority { group, priority }
            }
        }
    }
}

impl Wait {
    /// Until when, if there is such a time.
    pub(crate) fn until(&self, model: &Model, specs: &[Spec], now: Timestamp) -> Option<i64> {
        let delay = secs(60).as_micros() as i64;
        match *self {
            Wait::Millis(millis) => Some(now.0 + millis as i64 * 1000),
            Wait::ClaimEnd(task, by) => {
                let task = model.tasks.get(&task.place(model))?;
                task.view.runs.last()?.taken_until.map(|end| end + by)
            }
            Wait::Deadline(task, by) => Some(specs[task.place(model)].deadline + by),
            Wait::DeadlineDelay(task, by) => Some(specs[task.place(model)].deadline + delay + by),
        }
    }
}
