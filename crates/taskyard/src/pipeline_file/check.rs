//! What the document means: every name refers to something, every value is within its bounds.
//! All mistakes are found in one go.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use serde_saphyr::{Location, Spanned};

use super::document::{self, Agents, Automatic, Document, ExitStatus, OneOrMany, Retry};
use super::step::{Pipeline, Step};
use crate::build_file::check::Checker;
use crate::build_file::document::Text;
use crate::build_file::graph;
use crate::build_file::refusal::Mistake;
use crate::build_file::suggestion::closest;

const DEFAULT_TIMEOUT: Duration = Duration::from_hours(1);
/// How often a step is run again after its agent was lost, unless it says otherwise.
const DEFAULT_RETRIES: u32 = 2;
/// How often a rule without a limit retries.
const DEFAULT_LIMIT: u32 = 2;
/// The queue's own bound.
const MAX_RETRIES: u32 = 49;
const MAX_MINUTES: u32 = 24 * 60;
const MAX_PRIORITY: i64 = 6;
const MAX_KEY: usize = 100;
const MAX_LABEL: usize = 200;

/// Turns a document into a pipeline that can be run, or finds all of its mistakes.
pub(super) fn check(document: Document, path: &Path) -> Result<Pipeline, Vec<Mistake>> {
    let Some(steps) = document.steps else {
        return Err(vec![
            Mistake::at(Location::UNKNOWN, "there is no `steps:`")
                .hint("write at least one step; see `taskyard stacks build --help`"),
        ]);
    };
    let mut checker = Checker::default();
    if steps.value.is_empty() {
        let none = Mistake::at(steps.referenced, "there are no steps");
        checker.note(none.hint("write at least one step, like `- command: make`"));
    }
    let name = match document.name {
        Some(name) => label(&mut checker, name),
        None => path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
    };
    let shared = Shared {
        env: checker.env(document.env),
        agents: document
            .agents
            .map(|agents| tags(&mut checker, agents))
            .unwrap_or_default(),
        keys: keys(&mut checker, &steps.value),
    };
    let mut waits_at = Vec::new();
    let mut checked = Vec::new();
    for step in steps.value {
        let at = step.referenced;
        let (step, needs_at) = shared.step(&mut checker, at, step.value);
        waits_at.push((at, needs_at));
        checked.push(step);
    }
    no_cycle(&mut checker, &checked, &waits_at);
    if !checker.mistakes.is_empty() {
        return Err(checker.mistakes);
    }
    Ok(Pipeline {
        name,
        steps: checked,
    })
}

/// What every step gets, and where steps with keys stand.
struct Shared {
    env: BTreeMap<String, String>,
    agents: BTreeMap<String, String>,
    keys: HashMap<String, usize>,
}

impl Shared {
    fn step(
        &self,
        checker: &mut Checker,
        at: Location,
        step: document::Step,
    ) -> (Step, Vec<Location>) {
        let command = command(checker, at, step.command);
        let mut env = self.env.clone();
        env.extend(checker.env(step.env));
        let mut agents = self.agents.clone();
        if let Some(own) = step.agents {
            agents.extend(tags(checker, own));
        }
        let (retries, retry_on) = match step.retry {
            None => (DEFAULT_RETRIES, Vec::new()),
            Some(retry) => retries(checker, retry),
        };
        let mut depends_on = Vec::new();
        let mut needs_at = Vec::new();
        for (at, need) in texts(step.depends_on) {
            let Some(position) = self.known(checker, at, &need) else {
                continue;
            };
            if !depends_on.contains(&position) {
                depends_on.push(position);
                needs_at.push(at);
            }
        }
        let key = step.key.map(|key| key.value);
        let label = match step.label {
            Some(text) => label(checker, text),
            None => key.clone().unwrap_or_else(|| {
                let first = command.lines().next().unwrap_or_default();
                first.chars().take(MAX_LABEL).collect()
            }),
        };
        let timeout = timeout(checker, step.timeout, step.timeout_in_minutes);
        let step = Step {
            key,
            label,
            command,
            env,
            depends_on,
            queue: agents.remove("queue"),
            agents,
            priority: priority(checker, step.priority),
            retries,
            retry_on,
            timeout,
            artifact_paths: patterns(checker, step.artifact_paths),
        };
        (step, needs_at)
    }

    fn known(&self, checker: &mut Checker, at: Location, need: &str) -> Option<usize> {
        if let Some(position) = self.keys.get(need) {
            return Some(*position);
        }
        let mut names: Vec<&str> = self.keys.keys().map(String::as_str).collect();
        names.sort_unstable();
        let hint = match closest(need, names.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if names.is_empty() => "give the step it waits for a `key`".to_owned(),
            None => format!("the keys of this file are {}", names.join(", ")),
        };
        let message = format!("there is no step with the key `{need}`");
        checker.note(Mistake::at(at, message).hint(hint));
        None
    }
}

/// Where the steps with keys stand.
fn keys(checker: &mut Checker, steps: &[Spanned<document::Step>]) -> HashMap<String, usize> {
    let mut keys = HashMap::new();
    for (position, step) in steps.iter().enumerate() {
        let Some(key) = &step.value.key else { continue };
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
        let text = &key.value;
        if text.is_empty() || text.len() > MAX_KEY || !text.chars().all(safe) {
            let message = format!("`{text}` cannot be the key of a step");
            let hint = "up to 100 letters, digits, `.`, `_`, `-` and `:`; say the rest in `label`";
            checker.note(Mistake::at(key.referenced, message).hint(hint));
        }
        if keys.insert(text.clone(), position).is_some() {
            let message = format!("a second step has the key `{text}`");
            checker.note(Mistake::at(key.referenced, message).hint("rename one of the two"));
        }
    }
    keys
}

fn no_cycle(checker: &mut Checker, steps: &[Step], waits_at: &[(Location, Vec<Location>)]) {
    let needs: Vec<Vec<usize>> = steps.iter().map(|step| step.depends_on.clone()).collect();
    let Err(cycle) = graph::order(&needs) else {
        return;
    };
    let names: Vec<&str> = cycle
        .iter()
        .map(|step| steps[*step].key.as_deref().unwrap_or_default())
        .collect();
    let message = match names.as_slice() {
        [only, _] => format!("`{only}` depends on itself"),
        _ => format!("these steps wait for each other: {}", names.join(" -> ")),
    };
    let at = cycle.first().zip(cycle.get(1)).map(|(first, second)| {
        let (at, needs_at) = &waits_at[*first];
        let which = steps[*first]
            .depends_on
            .iter()
            .position(|need| need == second);
        *which.and_then(|which| needs_at.get(which)).unwrap_or(at)
    });
    let mistake = Mistake::at(at.unwrap_or(Location::UNKNOWN), message);
    checker.note(mistake.hint("remove one of these, so that one step can start"));
}

fn command(checker: &mut Checker, at: Location, command: Option<Spanned<OneOrMany>>) -> String {
    let Some(command) = command else {
        let missing = Mistake::at(at, "this step has no `command`");
        checker.note(missing.hint("write a shell command, or a list of them"));
        return String::new();
    };
    let at = command.referenced;
    let lines = command.value.texts(at).into_iter().map(|(_, line)| line);
    let text = lines.collect::<Vec<_>>().join("\n");
    if text.trim().is_empty() {
        let empty = Mistake::at(at, "this command is empty");
        checker.note(empty.hint("write a shell command, or a list of them"));
    } else if text.contains('\0') {
        let message = "a command cannot hold a NUL character";
        checker.note(Mistake::at(at, message));
    }
    text
}

fn label(checker: &mut Checker, label: Text) -> String {
    if label.value.trim().is_empty() || label.value.chars().count() > MAX_LABEL {
        let message = format!("a name must have 1 to {MAX_LABEL} letters");
        checker.note(Mistake::at(label.referenced, message).hint("shorten it, or leave it out"));
    }
    label.value
}

fn tags(checker: &mut Checker, agents: Spanned<Agents>) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    let pairs = match agents.value {
        Agents::Tags(entries) => entries.0,
        Agents::Rules(rules) => {
            let mut pairs = Vec::new();
            for rule in rules {
                let Some((name, value)) = rule.value.split_once('=') else {
                    let message = format!("`{}` is no tag", rule.value);
                    let hint = "write a name and a value, like `os=linux`";
                    checker.note(Mistake::at(rule.referenced, message).hint(hint));
                    continue;
                };
                let (name, value) = (name.to_owned(), value.to_owned());
                let name = Spanned {
                    value: name,
                    referenced: rule.referenced,
                    defined: rule.defined,
                };
                pairs.push((name, value));
            }
            pairs
        }
    };
    for (name, value) in pairs {
        let at = name.referenced;
        if name.value.is_empty() || name.value.contains('=') || value.is_empty() {
            let message = format!("`{}={value}` is no tag", name.value);
            checker.note(Mistake::at(at, message).hint("write a name and a value, `os: linux`"));
        } else if name.value == "queue" && !is_queue(&value) {
            checker.note(Mistake::at(at, format!("`{value}` is no queue")).hint(QUEUE_HINT));
        }
        tags.insert(name.value, value);
    }
    tags
}

const QUEUE_HINT: &str = "up to 38 lower-case letters, digits and `-`, beginning with a letter and \
                          not ending with `-`";

/// Whether jobs can be put into a queue of this key.
pub(crate) fn is_queue(key: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=38).contains(&key.len())
        && key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.chars().all(inner)
        && !key.ends_with('-')
}

fn priority(checker: &mut Checker, priority: Option<Spanned<i64>>) -> u8 {
    let Some(priority) = priority else { return 0 };
    if !(0..=MAX_PRIORITY).contains(&priority.value) {
        let message = format!("{} is no priority", priority.value);
        let hint = "0 (if left out) to 6 are allowed; a higher one comes first";
        checker.note(Mistake::at(priority.referenced, message).hint(hint));
    }
    u8::try_from(priority.value).unwrap_or(0)
}

fn timeout(
    checker: &mut Checker,
    timeout: Option<Text>,
    minutes: Option<Spanned<u32>>,
) -> Duration {
    let Some(minutes) = minutes else {
        return checker.timeout(timeout, DEFAULT_TIMEOUT);
    };
    if timeout.is_some() {
        let message = "this step has `timeout` and `timeout_in_minutes`";
        checker.note(Mistake::at(minutes.referenced, message).hint("remove one of the two"));
    }
    if !(1..=MAX_MINUTES).contains(&minutes.value) {
        let message = format!("{} minutes are no timeout", minutes.value);
        checker.note(Mistake::at(minutes.referenced, message).hint("1 to 1440 are allowed"));
    }
    Duration::from_mins(u64::from(minutes.value))
}

fn retries(checker: &mut Checker, retry: Spanned<Retry>) -> (u32, Vec<u32>) {
    let at = retry.referenced;
    let rules = match retry.value {
        Retry::Limit(limit) => return (within(checker, at, limit), Vec::new()),
        Retry::Rules(rules) => rules.automatic,
    };
    let mut codes = Vec::new();
    let mut most = 0;
    match rules {
        None => {
            let message = "`retry` needs a number, or rules below `automatic`";
            checker.note(Mistake::at(at, message).hint("write `retry: 2`"));
        }
        Some(Automatic::Any(false)) => {}
        Some(Automatic::Any(true)) => {
            most = DEFAULT_LIMIT;
            codes.extend(1..=255);
        }
        Some(Automatic::Rules(rules)) => {
            for rule in rules {
                most = most.max(match &rule.limit {
                    Some(limit) => within(checker, limit.referenced, limit.value),
                    None => DEFAULT_LIMIT,
                });
                match rule.exit_status {
                    None => codes.extend(1..=255),
                    Some(status) => codes.extend(exit_codes(checker, status)),
                }
            }
        }
    }
    codes.sort_unstable();
    codes.dedup();
    (most, codes)
}

fn within(checker: &mut Checker, at: Location, limit: u32) -> u32 {
    if limit > MAX_RETRIES {
        let message = format!("{limit} retries are too many");
        checker.note(Mistake::at(at, message).hint("0 to 49 are allowed"));
    }
    limit
}

fn exit_codes(checker: &mut Checker, status: Spanned<ExitStatus>) -> Vec<u32> {
    let given = match status.value {
        ExitStatus::Any => return (1..=255).collect(),
        ExitStatus::Codes(codes) => codes,
    };
    let mut codes = Vec::new();
    for code in given {
        match u32::try_from(code) {
            Ok(code @ 1..=255) => codes.push(code),
            // A lost agent is always reason enough.
            _ if code == -1 => {}
            _ => {
                let message = format!("{code} is no exit status to retry on");
                let hint = "a command that fails exits with 1 to 255; -1 is a lost agent";
                checker.note(Mistake::at(status.referenced, message).hint(hint));
            }
        }
    }
    codes
}

fn texts(given: Option<Spanned<OneOrMany>>) -> Vec<(Location, String)> {
    given.map_or_else(Vec::new, |given| given.value.texts(given.referenced))
}

fn patterns(checker: &mut Checker, paths: Option<Spanned<OneOrMany>>) -> Vec<String> {
    let mut patterns = Vec::new();
    for (at, path) in texts(paths) {
        for pattern in path.split(';').map(str::trim) {
            let leaves = pattern.starts_with('/') || pattern.split('/').any(|part| part == "..");
            if pattern.is_empty() || leaves || pattern.contains(['\0', '\n']) {
                let message = format!("`{pattern}` is no pattern of files");
                let hint = "write paths below the step's own folder, like `report/**/*.txt`";
                checker.note(Mistake::at(at, message).hint(hint));
            }
            patterns.push(pattern.to_owned());
        }
    }
    patterns
}
