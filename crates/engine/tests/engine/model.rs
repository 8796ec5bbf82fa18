//! What the specification says tasks do, in memory and without any regard for how the engine does
//! it (sections 4 to 6 of the queue's specification).

use std::collections::BTreeMap;
use std::sync::Arc;

use taskyard_engine::task::Priority;

use crate::operation::{ClaimedView, Operation, Outcome, Report, RunView, View, Why};
use crate::spec::Spec;

const MAX_RUNS: usize = 50;
const DEADLINE_DELAY: i64 = 60_000_000;

#[derive(Debug, Clone)]
pub(crate) struct ModelTask {
    altered: bool,
    pub(crate) view: View,
    /// Required tasks, with whether each is satisfied.
    dependencies: BTreeMap<usize, bool>,
    priority: Priority,
    /// Whether the running run was claimed by its name.
    by_name: bool,
    /// The claim of the running run ended after the deadline; the run waits for its end.
    pub(crate) claim_ended: bool,
}

impl ModelTask {
    pub(crate) fn state(&self) -> &'static str {
        self.view.runs.last().map_or("unscheduled", |run| run.state)
    }

    fn is_open(&self) -> bool {
        matches!(self.state(), "unscheduled" | "pending" | "running")
    }

    pub(crate) fn last_run(&self) -> usize {
        self.view.runs.len().saturating_sub(1)
    }
}

#[derive(Debug, Clone)]
struct ModelGroup {
    scheduler: &'static str,
    sealed: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Model {
    specs: Arc<Vec<Spec>>,
    pub(crate) tasks: BTreeMap<usize, ModelTask>,
    groups: BTreeMap<usize, ModelGroup>,
}

fn run(created: &'static str, now: i64) -> RunView {
    RunView {
        state: "pending",
        created,
        reason: None,
        worker: None,
        taken_until: None,
        scheduled: now,
        started: None,
        resolved: None,
    }
}

impl Model {
    pub(crate) fn new(specs: Arc<Vec<Spec>>) -> Self {
        Model {
            specs,
            tasks: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }

    fn deadline(&self, place: usize) -> i64 {
        self.specs[place].deadline
    }

    /// Does what `operation` does, and returns what it answers. Which runs a claim takes is not
    /// for the model to say, but it says whether what was `observed` is right: `None` if not. With
    /// `alone` it must also be all there was, in the right order.
    pub(crate) fn apply(
        &mut self,
        now: i64,
        operation: &Operation,
        observed: &Outcome,
        alone: bool,
    ) -> Option<Outcome> {
        Some(match operation {
            Operation::Create { task, altered } => self.create(now, *task, *altered),
            Operation::Schedule { task } => self.schedule(now, *task),
            Operation::Rerun { task } => self.rerun(now, *task),
            Operation::Cancel { task } => self.cancel(now, *task),
            Operation::ClaimWork {
                queue,
                worker,
                count,
                until,
            } => {
                let Outcome::Claims(claims) = observed else {
                    return None;
                };
                self.claim_work(now, *queue, worker, *count, *until, claims, alone)?
            }
            Operation::ClaimRun {
                task,
                run,
                worker,
                until,
            } => self.claim_run(now, *task, *run, worker, *until),
            Operation::Reclaim { task, run, until } => self.reclaim(now, *task, *run, *until),
            Operation::Report { task, run, report } => self.report(now, *task, *run, *report),
            Operation::ExpireClaim {
                task,
                run,
                lease: _,
                taken_until,
            } => self.expire_claim(now, *task, *run, *taken_until),
            Operation::ExceedDeadline { task } => self.exceed_deadline(now, *task),
            Operation::Seal { group } => match self.groups.get_mut(group) {
                Some(group) => {
                    group.sealed = true;
                    Outcome::Nothing
                }
                None => Outcome::Refused(Why::NoSuchGroup),
            },
            Operation::CancelGroup { group } => self.cancel_group(now, *group),
            Operation::ChangePriority { task, priority } => {
                self.change_priority(now, *task, *priority)
            }
            Operation::ChangeGroupPriority { group, priority } => {
                self.change_group_priority(now, *group, *priority)
            }
        })
    }

    fn answer(&self, task: usize) -> Outcome {
        Outcome::Task(self.tasks[&task].view.clone())
    }

    fn create(&mut self, now: i64, place: usize, altered: bool) -> Outcome {
        if let Some(known) = self.tasks.get(&place) {
            let same = known.altered == altered;
            return if same {
                self.answer(place)
            } else {
                Outcome::Refused(Why::Different)
            };
        }
        let specs = Arc::clone(&self.specs);
        let spec = &specs[place];
        if let Some(group) = self.groups.get(&spec.group) {
            if group.scheduler != spec.scheduler {
                return Outcome::Refused(Why::OtherScheduler);
            }
            if group.sealed {
                return Outcome::Refused(Why::Sealed);
            }
        }
        let others = || {
            spec.dependencies
                .iter()
                .filter(|required| **required != place)
        };
        let is_missing = |required: &&usize| !self.tasks.contains_key(*required);
        let expires_early = |required: &&usize| specs[**required].expires < spec.deadline;
        if others().any(|required| is_missing(&required) || expires_early(&required)) {
            let missing = others().filter(is_missing).copied().collect();
            return Outcome::Refused(Why::Dependencies { missing });
        }
        let satisfied = |required: usize| match self.tasks.get(&required).map(ModelTask::state) {
            Some("completed") => true,
            Some("failed" | "exception") => spec.all_resolved,
            _ => false,
        };
        let dependencies: BTreeMap<usize, bool> = spec
            .dependencies
            .iter()
            .map(|required| (*required, satisfied(*required)))
            .collect();
        let mut view = View {
            retries_left: spec.retries,
            ever_resolved: false,
            runs: Vec::new(),
        };
        if dependencies.values().all(|satisfied| *satisfied) {
            view.runs.push(run("scheduled", now));
        }
        let group = ModelGroup {
            scheduler: spec.scheduler,
            sealed: false,
        };
        self.groups.entry(spec.group).or_insert(group);
        let task = ModelTask {
            altered,
            view,
            dependencies,
            priority: spec.priority,
            by_name: false,
            claim_ended: false,
        };
        self.tasks.insert(place, task);
        self.answer(place)
    }

    /// Whether the task is unknown or its deadline has passed, for calls that are refused then.
    fn too_late(&self, now: i64, task: usize) -> Option<Outcome> {
        if !self.tasks.contains_key(&task) {
            return Some(Outcome::Refused(Why::NoSuchTask));
        }
        (self.deadline(task) < now).then_some(Outcome::Refused(Why::Deadline))
    }

    fn schedule(&mut self, now: i64, task: usize) -> Outcome {
        if let Some(refused) = self.too_late(now, task) {
            return refused;
        }
        let known = self.tasks.get_mut(&task).unwrap();
        if known.view.runs.is_empty() {
            known.view.runs.push(run("scheduled", now));
        }
        self.answer(task)
    }

    fn rerun(&mut self, now: i64, task: usize) -> Outcome {
        if let Some(refused) = self.too_late(now, task) {
            return refused;
        }
        let retries = self.specs[task].retries;
        let known = self.tasks.get_mut(&task).unwrap();
        if !matches!(known.state(), "pending" | "running") {
            if known.view.runs.len() == MAX_RUNS {
                return Outcome::Refused(Why::TooManyRuns);
            }
            known.view.runs.push(run("rerun", now));
            known.view.retries_left = retries.min((MAX_RUNS - known.view.runs.len()) as u32);
        }
        self.answer(task)
    }

    fn cancel(&mut self, now: i64, task: usize) -> Outcome {
        if let Some(refused) = self.too_late(now, task) {
            return refused;
        }
        self.end(now, task, "canceled");
        self.answer(task)
    }

    fn cancel_group(&mut self, now: i64, group: usize) -> Outcome {
        match self.groups.get(&group) {
            None => return Outcome::Refused(Why::NoSuchGroup),
            Some(group) if !group.sealed => return Outcome::Refused(Why::NotSealed),
            Some(_) => {}
        }
        let specs = Arc::clone(&self.specs);
        // Those that were never resolved come first.
        let mut places: Vec<usize> = self.tasks.keys().copied().collect();
        places.sort_by_key(|place| self.tasks[place].view.ever_resolved);
        let mut cancelled = Vec::new();
        for place in places {
            let is_meant = specs[place].group == group && specs[place].deadline > now;
            if is_meant && self.tasks[&place].is_open() {
                self.end(now, place, "canceled");
                cancelled.push(place);
            }
        }
        cancelled.sort_unstable();
        Outcome::Changed(cancelled)
    }

    fn change_priority(&mut self, now: i64, task: usize, priority: Priority) -> Outcome {
        let Some(known) = self.tasks.get_mut(&task) else {
            return Outcome::Refused(Why::NoSuchTask);
        };
        if self.specs[task].deadline <= now {
            return Outcome::Refused(Why::Deadline);
        }
        if known.view.ever_resolved {
            return Outcome::Refused(Why::Resolved);
        }
        known.priority = priority;
        self.answer(task)
    }

    fn change_group_priority(&mut self, now: i64, group: usize, priority: Priority) -> Outcome {
        let mut changed = Vec::new();
        for (place, task) in &mut self.tasks {
            let spec = &self.specs[*place];
            let is_meant = spec.group == group && spec.deadline > now;
            if is_meant && !task.view.ever_resolved && task.priority != priority {
                task.priority = priority;
                changed.push(*place);
            }
        }
        Outcome::Changed(changed)
    }

    /// Resolves an open task as an exception, giving it a run for that if it has none.
    fn end(&mut self, now: i64, task: usize, reason: &'static str) {
        let known = self.tasks.get_mut(&task).unwrap();
        if known.is_open() {
            if known.view.runs.is_empty() {
                known.view.runs.push(run("exception", now));
            }
            self.resolve(now, task, "exception", reason);
        }
    }

    fn resolve(&mut self, now: i64, task: usize, state: &'static str, reason: &'static str) {
        let known = self.tasks.get_mut(&task).unwrap();
        let last = known.view.runs.last_mut().unwrap();
        (last.state, last.reason, last.resolved) = (state, Some(reason), Some(now));
        known.claim_ended = false;
        let retry = match reason {
            "worker-shutdown" | "claim-expired" => Some("retry"),
            "intermittent-task" => Some("task-retry"),
            _ => None,
        };
        if let Some(created) = retry
            && known.view.retries_left > 0
        {
            known.view.retries_left -= 1;
            known.view.runs.push(run(created, now));
            return;
        }
        known.view.ever_resolved = true;
        let specs = Arc::clone(&self.specs);
        for (place, dependent) in &mut self.tasks {
            let Some(satisfied) = dependent.dependencies.get_mut(&task) else {
                continue;
            };
            if *place == task || (state != "completed" && !specs[*place].all_resolved) {
                continue;
            }
            let was_satisfied = std::mem::replace(satisfied, true);
            if !was_satisfied
                && dependent.dependencies.values().all(|satisfied| *satisfied)
                && dependent.view.runs.is_empty()
                && specs[*place].deadline >= now
            {
                dependent.view.runs.push(run("scheduled", now));
            }
        }
    }

    /// The order in which a pending run is handed out: smaller is earlier.
    fn rank(&self, task: usize) -> (i64, i64) {
        let scheduled = self.tasks[&task].view.runs.last().unwrap().scheduled;
        (-(self.tasks[&task].priority as i64), scheduled)
    }

    /// The tasks of a queue whose runs may be handed out.
    pub(crate) fn available(&self, now: i64, queue: usize) -> Vec<usize> {
        let places = self.tasks.iter().filter(|(place, task)| {
            let spec = &self.specs[**place];
            spec.queue == queue && task.state() == "pending" && spec.deadline > now
        });
        places.map(|(place, _)| *place).collect()
    }

    /// The tasks of a queue whose runs are claimed.
    pub(crate) fn claimed(&self, queue: usize) -> usize {
        let claimed = self.tasks.iter().filter(|(place, task)| {
            self.specs[**place].queue == queue && task.state() == "running" && !task.claim_ended
        });
        claimed.count()
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "they are what a claim is made of"
    )]
    fn claim_work(
        &mut self,
        now: i64,
        queue: usize,
        worker: &str,
        count: usize,
        until: i64,
        claims: &[ClaimedView],
        alone: bool,
    ) -> Option<Outcome> {
        let mut available = self.available(now, queue);
        if claims.len() > count || (alone && claims.len() != count.min(available.len())) {
            return None;
        }
        let mut seen = Vec::new();
        for claim in claims {
            let at = available.iter().position(|place| *place == claim.task)?;
            available.remove(at);
            let rank = self.rank(claim.task);
            if alone && available.iter().any(|other| self.rank(*other) < rank) {
                return None;
            }
            self.start(now, claim.task, worker, until, false);
            let known = &self.tasks[&claim.task];
            let (run, view) = (known.last_run(), known.view.clone());
            seen.push(ClaimedView {
                task: claim.task,
                run,
                view,
            });
        }
        Some(Outcome::Claims(seen))
    }

    fn start(&mut self, now: i64, task: usize, worker: &str, until: i64, by_name: bool) {
        let known = self.tasks.get_mut(&task).unwrap();
        known.by_name = by_name;
        let run = known.view.runs.last_mut().unwrap();
        run.state = "running";
        run.worker = Some(worker.to_owned());
        run.taken_until = Some(until);
        run.started = Some(now);
    }

    fn claim_run(
        &mut self,
        now: i64,
        task: usize,
        run: usize,
        worker: &str,
        until: i64,
    ) -> Outcome {
        let Some(known) = self.tasks.get(&task) else {
            return Outcome::Refused(Why::NoSuchTask);
        };
        if self.deadline(task) <= now {
            return Outcome::Refused(Why::Deadline);
        }
        if run >= known.view.runs.len() {
            return Outcome::Refused(Why::NoSuchRun);
        }
        if run != known.last_run() {
            return Outcome::Refused(Why::WrongState);
        }
        let is_theirs = known.by_name && known.view.runs[run].worker.as_deref() == Some(worker);
        match known.state() {
            "pending" => self.start(now, task, worker, until, true),
            "running" if is_theirs => {}
            _ => return Outcome::Refused(Why::WrongState),
        }
        let view = self.tasks[&task].view.clone();
        Outcome::Claims(vec![ClaimedView { task, run, view }])
    }

    fn reclaim(&mut self, now: i64, task: usize, run: usize, until: i64) -> Outcome {
        let Some(known) = self.tasks.get(&task) else {
            return Outcome::Refused(Why::NoSuchTask);
        };
        if run >= known.view.runs.len() {
            return Outcome::Refused(Why::NoSuchRun);
        }
        if self.deadline(task) <= now {
            return Outcome::Refused(Why::Deadline);
        }
        if run != known.last_run() || known.state() != "running" {
            return Outcome::Refused(Why::WrongState);
        }
        let last = self
            .tasks
            .get_mut(&task)
            .unwrap()
            .view
            .runs
            .last_mut()
            .unwrap();
        last.taken_until = last.taken_until.max(Some(until));
        self.answer(task)
    }

    fn report(&mut self, now: i64, task: usize, run: usize, report: Report) -> Outcome {
        let Some(known) = self.tasks.get(&task) else {
            return Outcome::Refused(Why::NoSuchTask);
        };
        let Some(reported) = known.view.runs.get(run) else {
            return Outcome::Refused(Why::NoSuchRun);
        };
        let is_last = run == known.last_run();
        if is_last && reported.state == "running" {
            self.resolve(now, task, report.state(), report.reason());
            return self.answer(task);
        }
        // The same report again: of the last run, or of the one before if that brought about a
        // retry.
        let is_same = reported.reason == Some(report.reason());
        let may_repeat = is_last || (report.state() == "exception" && run + 1 == known.last_run());
        if is_same && may_repeat {
            return self.answer(task);
        }
        Outcome::Refused(Why::WrongState)
    }

    fn expire_claim(
        &mut self,
        now: i64,
        task: usize,
        run: usize,
        taken_until: Option<i64>,
    ) -> Outcome {
        let deadline = self.deadline(task);
        let Some(known) = self.tasks.get_mut(&task) else {
            return Outcome::Nothing;
        };
        let is_current = known.state() == "running"
            && !known.claim_ended
            && run == known.last_run()
            && taken_until.is_some()
            && known.view.runs[run].taken_until == taken_until
            && taken_until <= Some(now);
        if !is_current {
            return Outcome::Nothing;
        }
        if deadline < now {
            known.claim_ended = true;
        } else {
            self.resolve(now, task, "exception", "claim-expired");
        }
        self.answer(task)
    }

    fn exceed_deadline(&mut self, now: i64, task: usize) -> Outcome {
        let is_due = self.tasks.get(&task).is_some_and(ModelTask::is_open)
            && self.deadline(task) + DEADLINE_DELAY <= now;
        if !is_due {
            return Outcome::Nothing;
        }
        self.end(now, task, "deadline-exceeded");
        self.answer(task)
    }

    /// All that falls due by itself at `now`.
    pub(crate) fn sweep(&mut self, now: i64) {
        for task in self.tasks.keys().copied().collect::<Vec<_>>() {
            let known = &self.tasks[&task];
            let run = known.last_run();
            let taken_until = known.view.runs.last().and_then(|run| run.taken_until);
            self.expire_claim(now, task, run, taken_until);
            self.exceed_deadline(now, task);
        }
    }

    /// When the next thing falls due by itself.
    pub(crate) fn next_due(&self) -> Option<i64> {
        let due = self.tasks.iter().flat_map(|(place, task)| {
            let claim = (task.state() == "running" && !task.claim_ended)
                .then(|| task.view.runs.last().and_then(|run| run.taken_until))
                .flatten();
            let deadline = task
                .is_open()
                .then(|| self.deadline(*place) + DEADLINE_DELAY);
            [claim, deadline]
        });
        due.flatten().min()
    }
}
