//! Random histories of calls: what the world hears of them, what the credentials of claims open
//! and for how long, and that a queue may be spelled in several ways.
//!
//! Numbers of invariants (`I15` …) are those of section 15 of the queue's specification.

mod step;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::{Value, json};
use taskyard_access::slugid;
use taskyard_store::on_both_databases;
use taskyard_store::testing::Kind;
use tokio::runtime::Handle;

use self::step::{Act, Of, Spelling, Step, step};
use crate::answer::Answer;
use crate::house::{House, merged, moment};
use crate::messages::{Ear, Heard};
use crate::who::Who;

/// What a test says when something does not hold.
macro_rules! must {
    ($holds:expr, $($text:tt)*) => {
        if !$holds {
            return Err(format!($($text)*));
        }
    };
}

const SCHEDULER: &str = "sched";
const GROUP: &str = "group";
const WORKER: &str = "worker";
/// How long credentials work beyond their end, and artifacts may come after an exception, in
/// milliseconds.
const GRACE: i64 = 300_000;
const LATE_ARTIFACTS: i64 = 1_500_000;
/// Real time goes on within a step; this close to a bound, either side of it is right.
const CLOSE: i64 = 2_000;

/// Runs `test` with random values, the same ones at each run unless `PROPTEST_RNG_SEED` says
/// otherwise; `PROPTEST_CASES` overrides how many.
pub(crate) fn for_all<S: Strategy>(
    cases: u32,
    strategy: S,
    test: impl Fn(S::Value) -> Result<(), String>,
) {
    let mut config = Config {
        failure_persistence: None,
        max_shrink_iters: 100,
        ..Config::default()
    };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(0x7a5c_4a2d);
    }
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let outcome = tokio::task::block_in_place(|| {
        TestRunner::new(config).run(&strategy, |value| test(value).map_err(TestCaseError::fail))
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// A task of the history.
struct Known {
    id: String,
    routes: Vec<String>,
}

/// The credentials of a claim.
struct Badge {
    who: Who,
    task: usize,
    run: usize,
    /// Until when, in milliseconds.
    until: i64,
}

struct Walk<'a> {
    house: &'a House,
    queue: String,
    group: String,
    tasks: Vec<Known>,
    badges: Vec<Badge>,
}

/// What a step has done.
enum Done {
    /// Nothing that anybody should hear of.
    Nothing,
    /// A call was refused: nothing has changed.
    Refused,
    /// A call was granted, and this is heard of it so often, whether it changed anything or not.
    Granted(Vec<(&'static str, usize)>),
    /// Time has done something.
    Time,
}

impl Walk<'_> {
    fn now(&self) -> i64 {
        self.house.clock.now().millis()
    }

    async fn statuses(&self) -> BTreeMap<String, Value> {
        let ids: Vec<&str> = self.tasks.iter().map(|task| task.id.as_str()).collect();
        let body = json!({ "taskIds": ids });
        let answer = self.house.call("statuses", &[], Some(body)).await.granted();
        let found = answer["statuses"].as_array().expect("a list").iter();
        found
            .map(|one| (text(&one["taskId"]).to_owned(), one["status"].clone()))
            .collect()
    }

    async fn take(
        &mut self,
        step: &Step,
        before: &BTreeMap<String, Value>,
    ) -> Result<Done, String> {
        let house = self.house;
        let task = |at: usize| {
            let at = at.checked_rem(self.tasks.len())?;
            Some(self.tasks[at].id.clone())
        };
        let called = |answer: Answer, told: &'static str| {
            if answer.status < 400 {
                Done::Granted(vec![(told, 0)])
            } else {
                Done::Refused
            }
        };
        Ok(match *step {
            Step::Create {
                spelling,
                again,
                routes,
                retries,
                behind,
            } => {
                let behind = behind.and_then(task);
                return self
                    .create((spelling, again), routes, retries, behind)
                    .await;
            }
            Step::Claim(count) => return self.claim(count).await,
            Step::Use(badge, of, act) => {
                let Some(at) = badge.checked_rem(self.badges.len()) else {
                    return Ok(Done::Nothing);
                };
                return self.use_badge(at, of, act, before).await;
            }
            Step::Do(at, act) => {
                let Some(id) = task(at) else {
                    return Ok(Done::Nothing);
                };
                let runs = before[&id]["runs"].as_array().map_or(0, Vec::len);
                let run = runs.saturating_sub(1);
                let answer = self.act(&house.root(), &id, run, act).await;
                let expected = expected(&before[&id], run, act, self.now());
                must!(
                    expected.contains(&answer.status),
                    "not {expected:?}: {answer:?}"
                );
                self.granted(answer, act)?
            }
            Step::Cancel(at) => {
                let Some(id) = task(at) else {
                    return Ok(Done::Nothing);
                };
                called(
                    house.call("cancelTask", &[&id], None).await,
                    "task-exception",
                )
            }
            Step::Rerun(at) => {
                let Some(id) = task(at) else {
                    return Ok(Done::Nothing);
                };
                called(house.call("rerunTask", &[&id], None).await, "task-pending")
            }
            Step::Schedule(at) => {
                let Some(id) = task(at) else {
                    return Ok(Done::Nothing);
                };
                called(
                    house.call("scheduleTask", &[&id], None).await,
                    "task-pending",
                )
            }
            Step::Prioritise(at, priority) => {
                let Some(id) = task(at) else {
                    return Ok(Done::Nothing);
                };
                let body = Some(json!({ "newPriority": priority }));
                let answer = house.call("changeTaskPriority", &[&id], body).await;
                called(answer, "task-priority-changed")
            }
            Step::Wait(seconds) => {
                house.wait(Duration::from_secs(seconds));
                Done::Nothing
            }
            Step::Sweep => {
                house.sweep().await;
                Done::Time
            }
        })
    }

    /// I23: however the queue is spelled, it is the same task, also when it is created again.
    async fn create(
        &mut self,
        (spelling, again): (Spelling, Spelling),
        routes: usize,
        retries: u32,
        behind: Option<String>,
    ) -> Result<Done, String> {
        let (house, id) = (self.house, slugid::nice());
        let routes: Vec<String> = (0..routes).map(|at| format!("a.b{at}.ä c")).collect();
        let definition = merged(
            house.definition(),
            json!({
                "taskGroupId": self.group, "schedulerId": SCHEDULER, "retries": retries,
                "routes": routes, "tags": {"of": "a history"}, "scopes": ["queue:status:*"],
                "dependencies": Vec::from_iter(behind),
            }),
        );
        let body = |spelling: Spelling| merged(definition.clone(), spelling.fields(&self.queue));
        let answer = house.call("createTask", &[&id], Some(body(spelling))).await;
        if Spelling::BAD.contains(&spelling) {
            answer.refused(400, "InputError");
            house
                .call("status", &[&id], None)
                .await
                .refused(404, "ResourceNotFound");
            return Ok(Done::Refused);
        }
        let status = answer.status_of();
        let found = house.call("task", &[&id], None).await.granted();
        let same = house
            .call("createTask", &[&id], Some(body(again)))
            .await
            .status_of();
        must!(
            same == status,
            "created again it is {same} instead of {status}"
        );
        let (provisioner, worker_type) = self.queue.split_once('/').expect("two halves");
        for told in [&status, &found] {
            must!(
                told["taskQueueId"] == self.queue.as_str()
                    && told["provisionerId"] == provisioner
                    && told["workerType"] == worker_type,
                "{spelling:?} made {told}"
            );
        }
        self.tasks.push(Known { id, routes });
        Ok(Done::Granted(vec![("task-defined", 2)]))
    }

    async fn claim(&mut self, count: usize) -> Result<Done, String> {
        let body = json!({"workerGroup": GROUP, "workerId": WORKER, "tasks": count});
        let answer = self
            .house
            .call("claimWork", &[&self.queue], Some(body))
            .await
            .granted();
        let claims = answer["tasks"].as_array().expect("a list");
        must!(
            claims.len() <= count,
            "{} runs instead of {count}",
            claims.len()
        );
        for claim in claims {
            self.keep(claim)?;
        }
        Ok(Done::Granted(vec![("task-running", claims.len())]))
    }

    /// I15: what credentials hold, and until when.
    fn keep(&mut self, claim: &Value) -> Result<(), String> {
        let (id, run) = (text(&claim["status"]["taskId"]), &claim["runId"]);
        let until = moment(&claim["takenUntil"]).millis();
        let certificate: Value = serde_json::from_str(text(&claim["credentials"]["certificate"]))
            .map_err(|error| error.to_string())?;
        let scopes = json!([
            format!("queue:reclaim-task:{id}/{run}"),
            format!("queue:resolve-task:{id}/{run}"),
            format!("queue:create-artifact:{id}/{run}"),
            "queue:status:*",
        ]);
        must!(certificate["scopes"] == scopes, "the scopes {certificate}");
        must!(certificate["expiry"] == until, "until {certificate}");
        let name = format!("task-client/{id}/{run}/on/{GROUP}/{WORKER}/until/");
        let client = text(&claim["credentials"]["clientId"]);
        let seconds = client
            .strip_prefix(&name)
            .and_then(|it| it.parse::<f64>().ok());
        must!(
            seconds.is_some_and(|it| (it * 1000.0).round() as i64 == until),
            "the name {client}"
        );
        let task = self.tasks.iter().position(|known| known.id == id);
        self.badges.push(Badge {
            who: Who::of_claim(claim),
            task: task.ok_or("a task of somebody else")?,
            run: run.as_u64().expect("a number") as usize,
            until,
        });
        Ok(())
    }

    /// I15: what credentials open.
    async fn use_badge(
        &mut self,
        at: usize,
        of: Of,
        act: Act,
        before: &BTreeMap<String, Value>,
    ) -> Result<Done, String> {
        let badge = &self.badges[at];
        let (task, run) = match of {
            Of::Own => (badge.task, badge.run),
            Of::Next => (badge.task, badge.run + 1),
            Of::OtherTask => ((badge.task + 1) % self.tasks.len(), badge.run),
        };
        let is_own = (task, run) == (badge.task, badge.run);
        let id = self.tasks[task].id.clone();
        let left = badge.until + GRACE - self.now();
        let answer = self.act(&badge.who, &id, run, act).await;
        let open = if is_own {
            expected(&before[&id], run, act, self.now())
        } else {
            vec![403]
        };
        let expected = match left {
            left if left > CLOSE => open,
            left if left < 0 => vec![401],
            _ => [open, vec![401]].concat(),
        };
        must!(
            expected.contains(&answer.status),
            "{left} ms before their end the credentials get {answer:?} instead of {expected:?}"
        );
        self.granted(answer, act)
    }

    async fn act(&self, who: &Who, id: &str, run: usize, act: Act) -> Answer {
        let run = run.to_string();
        let args = [id, run.as_str()];
        let call = async |method: &str, body: Option<Value>| {
            self.house.call_as(who, method, &args, body).await
        };
        match act {
            Act::Reclaim => call("reclaimTask", None).await,
            Act::Complete => call("reportCompleted", None).await,
            Act::Fail => call("reportFailed", None).await,
            Act::Exception(reason) => {
                call("reportException", Some(json!({ "reason": reason }))).await
            }
            Act::Artifact(storage_type) => {
                let name = format!("public/{}", slugid::nice());
                let body = artifact(self.house, storage_type);
                let args = [id, run.as_str(), name.as_str()];
                self.house
                    .call_as(who, "createArtifact", &args, Some(body))
                    .await
            }
        }
    }

    /// What is heard of an answer.
    fn granted(&mut self, answer: Answer, act: Act) -> Result<Done, String> {
        if answer.status >= 400 {
            return Ok(Done::Refused);
        }
        Ok(Done::Granted(match act {
            Act::Reclaim => {
                self.keep(&answer.json)?;
                Vec::new()
            }
            Act::Complete => vec![("task-completed", 1)],
            Act::Fail => vec![("task-failed", 1)],
            Act::Exception(_) => vec![("task-exception", 1)],
            // I34
            Act::Artifact("reference" | "link" | "error") => vec![("artifact-created", 1)],
            Act::Artifact(_) => vec![("artifact-created", 0)],
        }))
    }

    /// I36: the words of the key, and the routes.
    fn check_message(&self, message: &Heard) -> Result<(), String> {
        let payload = &message.payload;
        let word = |name: &str| match &payload[name] {
            Value::Null => "_".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let Some(known) = self.task_of(message) else {
            let key = format!("primary.{}.{SCHEDULER}._", self.group);
            must!(
                message.key == key,
                "the key {} instead of {key}",
                message.key
            );
            must!(message.cc.is_empty(), "routes of a group: {:?}", message.cc);
            return Ok(());
        };
        let (run, by, who) = (word("runId"), word("workerGroup"), word("workerId"));
        let queue = self.queue.replace('/', ".");
        let key = format!(
            "primary.{}.{run}.{by}.{who}.{queue}.{SCHEDULER}.{}._",
            known.id, self.group
        );
        must!(
            message.key == key,
            "the key {} instead of {key}",
            message.key
        );
        let routes: Vec<String> = known
            .routes
            .iter()
            .map(|it| format!("route.{it}"))
            .collect();
        must!(
            message.cc == routes,
            "{:?} instead of {routes:?}",
            message.cc
        );
        if message.exchange != "task-priority-changed" && message.exchange != "artifact-created" {
            let tags = json!({"tags": {"of": "a history"}});
            must!(payload["task"] == tags, "the tags of {payload}");
        }
        must!(payload["version"] == 1, "the version of {payload}");
        Ok(())
    }

    fn task_of(&self, message: &Heard) -> Option<&Known> {
        let id = message.payload["status"]["taskId"].as_str()?;
        self.tasks.iter().find(|known| known.id == id)
    }
}

/// What is answered to who may do it; more than one where time could decide either way.
fn expected(status: &Value, run: usize, act: Act, now: i64) -> Vec<u16> {
    let runs = status["runs"].as_array().expect("runs");
    let Some(found) = runs.get(run) else {
        // An artifact of what is not there is bad input.
        return vec![if matches!(act, Act::Artifact(_)) {
            400
        } else {
            404
        }];
    };
    let is_last = run + 1 == runs.len();
    let is_running = found["state"] == "running";
    let by_time = |left: i64, early: u16, late: u16| match left {
        left if left > CLOSE => vec![early],
        left if left < 0 => vec![late],
        _ => vec![early, late],
    };
    let reason = match act {
        Act::Reclaim if is_last && is_running => {
            return by_time(moment(&status["deadline"]).millis() - now, 200, 409);
        }
        Act::Reclaim => return vec![409],
        Act::Artifact(_) => {
            return if is_running {
                vec![200]
            } else if found["workerId"].is_null() {
                vec![400]
            } else if found["state"] == "exception" {
                let end = moment(&found["resolved"]).millis() + LATE_ARTIFACTS;
                by_time(end - now, 200, 409)
            } else {
                vec![409]
            };
        }
        Act::Complete => "completed",
        Act::Fail => "failed",
        Act::Exception(reason) => reason,
    };
    let is_exception = matches!(act, Act::Exception(_));
    let is_repeated =
        found["reasonResolved"] == reason && (is_last || (is_exception && run + 2 == runs.len()));
    vec![if (is_last && is_running) || is_repeated {
        200
    } else {
        409
    }]
}

fn artifact(house: &House, storage_type: &str) -> Value {
    let expires = house.later(Duration::from_hours(24));
    let more = match storage_type {
        "reference" => json!({"contentType": "text/plain", "url": "https://example.com/"}),
        "link" => json!({"artifact": "public/elsewhere"}),
        "error" => json!({"reason": "file-missing-on-worker", "message": "gone"}),
        "blob" => json!({
            "contentType": "text/plain", "contentSha256": "00".repeat(32), "contentLength": 5,
        }),
        _ => json!({"contentType": "text/plain"}),
    };
    merged(
        json!({"storageType": storage_type, "expires": expires}),
        more,
    )
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// I35: of what changed from `before` to `after` everything is heard, a status is at least as new
/// as what it tells of, and the exception comes before its retry.
fn check_heard(
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
    heard: &[Heard],
) -> Result<(), String> {
    let none = Vec::new();
    for (id, status) in after {
        let place = |exchange: &str, run: Option<usize>| {
            heard.iter().position(|message| {
                message.exchange == exchange
                    && message.payload["status"]["taskId"] == id.as_str()
                    && message.payload["runId"].as_u64() == run.map(|run| run as u64)
            })
        };
        let was = before.get(id);
        must!(
            was.is_some() || place("task-defined", None).is_some(),
            "{id} was created and nobody heard"
        );
        let old = was.and_then(|was| was["runs"].as_array()).unwrap_or(&none);
        for (run, new) in status["runs"].as_array().expect("runs").iter().enumerate() {
            let old = old.get(run).unwrap_or(&Value::Null);
            let began = old.is_null() && new["reasonCreated"] != "exception";
            let pending = place("task-pending", Some(run));
            must!(
                !began || pending.is_some(),
                "run {run} of {id} is pending, unheard"
            );
            let claimed = old["started"].is_null() && !new["started"].is_null();
            let running = place("task-running", Some(run));
            must!(
                !claimed || running.is_some(),
                "run {run} of {id} is running, unheard"
            );
            if old["resolved"].is_null() && !new["resolved"].is_null() {
                let exchange = format!("task-{}", text(&new["state"]));
                let ended = place(&exchange, Some(run));
                must!(ended.is_some(), "run {run} of {id} ended, unheard: {new}");
            }
            if began && run > 0 && new["reasonCreated"] != "rerun" {
                let ended = place("task-exception", Some(run - 1));
                must!(
                    ended.is_some() && ended < pending,
                    "the retry {run} of {id} is heard of before the exception"
                );
            }
        }
    }
    for message in heard {
        let told = &message.payload["status"];
        let Some(now) = told["taskId"].as_str().and_then(|id| after.get(id)) else {
            continue;
        };
        let runs = told["runs"].as_array().expect("runs");
        if message.exchange == "task-defined" {
            must!(
                runs.is_empty() && told["state"] == "unscheduled",
                "defined as {told}"
            );
            continue;
        }
        let was = before.get(text(&told["taskId"]));
        let old = was.and_then(|was| was["runs"].as_array()).unwrap_or(&none);
        must!(
            runs.len() >= old.len() && runs.len() <= now["runs"].as_array().map_or(0, Vec::len),
            "{} tells of {told} between {was:?} and {now}",
            message.exchange
        );
        for (run, old) in old.iter().enumerate() {
            must!(
                old["resolved"].is_null() || *old == runs[run],
                "{} tells of run {run} of {told} as it was before {old}",
                message.exchange
            );
        }
        let state = message.payload["runId"]
            .as_u64()
            .map(|run| &runs[run as usize]["state"]);
        let fits = match (message.exchange.as_str(), state) {
            ("task-pending" | "task-priority-changed" | "artifact-created", _) => true,
            (exchange, Some(state)) => exchange.strip_prefix("task-") == state.as_str(),
            (_, None) => false,
        };
        must!(fits, "{} tells of {told}", message.exchange);
    }
    Ok(())
}

/// Walks through a history on a queue of its own.
async fn walk(house: &House, ear: &mut Ear, steps: &[Step]) -> Result<(), String> {
    // What earlier histories left is over, and heard of.
    house.wait(Duration::from_hours(2));
    house.sweep().await;
    ear.listen(house).await;
    let number = slugid::v4().to_lowercase().replace(['_', '-'], "x");
    let mut walk = Walk {
        house,
        queue: format!("prov/w{number}"),
        group: slugid::nice(),
        tasks: Vec::new(),
        badges: Vec::new(),
    };
    for (at, step) in steps.iter().enumerate() {
        let before = walk.statuses().await;
        let done = walk.take(step, &before).await;
        let heard = ear.listen(house).await;
        let after = walk.statuses().await;
        let checked = done.and_then(|done| check(&walk, &done, &before, &after, &heard));
        checked.map_err(|text| format!("step {at}, {step:?}: {text}\nheard {heard:#?}"))?;
    }
    Ok(())
}

fn check(
    walk: &Walk<'_>,
    done: &Done,
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
    heard: &[Heard],
) -> Result<(), String> {
    for message in heard {
        walk.check_message(message)?;
    }
    check_heard(before, after, heard)?;
    let count = |exchange: &str| heard.iter().filter(|it| it.exchange == exchange).count();
    match done {
        Done::Nothing | Done::Refused => {
            must!(before == after, "{before:#?} became {after:#?}");
            must!(heard.is_empty(), "it is heard of");
        }
        Done::Granted(told) => {
            for (exchange, times) in told {
                let is_exact = *exchange == "artifact-created" || *exchange == "task-running";
                let found = count(exchange);
                must!(
                    found == *times || (found > *times && !is_exact),
                    "{exchange} is heard of {found} times instead of {times}"
                );
            }
        }
        Done::Time => must!(
            count("task-defined") + count("task-running") == 0,
            "out of time"
        ),
    }
    Ok(())
}

on_both_databases! {
    /// I15, I23, I34, I35 and I36
    async fn everything_that_happens_is_told_in_any_history(kind) {
        let cases = match kind {
            Kind::Sqlite => 24,
            Kind::Postgres => 12,
        };
        let house = House::new(kind).await;
        // An empty claim would be waited for; this one is answered at once.
        house.draining.cancel();
        let ear = RefCell::new(Ear::new(&house).await);
        let handle = Handle::current();
        let histories = prop::collection::vec(step(), 10..60);
        for_all(cases, histories, |steps| {
            handle.block_on(walk(&house, &mut ear.borrow_mut(), &steps))
        });
    }
}
