//! What the document means: every name refers to something, every value is within its bounds.
//! All mistakes are found in one go.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use serde_saphyr::{Location, Spanned};

use super::document::{self, Document, Text};
use super::graph;
use super::refusal::Mistake;
use super::suggestion::closest;
use super::task::{Artifact, BuildFile, Input, Task};

const DEFAULT_TIMEOUT: Duration = Duration::from_hours(1);
const DEFAULT_RETRIES: u32 = 2;
/// Task names become folder names of the output.
const MAX_NAME: usize = 64;

/// Turns a document into a build that can be run, or finds all of its mistakes.
pub(super) fn check(document: Document, path: &Path) -> Result<BuildFile, Vec<Mistake>> {
    let Some(tasks) = document.tasks else {
        return Err(vec![
            Mistake::at(Location::UNKNOWN, "there is no `tasks:`")
                .hint("name at least one task; see `taskyard run --help`"),
        ]);
    };
    let tasks_at = tasks.referenced;
    let tasks = tasks.value.0;
    let mut checker = Checker {
        positions: tasks
            .iter()
            .enumerate()
            .map(|(at, (id, _))| (id.value.clone(), at))
            .collect(),
        mistakes: Vec::new(),
    };
    if tasks.is_empty() {
        checker.note(Mistake::at(tasks_at, "there are no tasks").hint("name at least one task"));
    }

    let name = checker.build_name(document.name, path);
    let defaults = checker.defaults(document.defaults.unwrap_or_default());
    let checked: Vec<Checked> = tasks
        .into_iter()
        .map(|(id, task)| checker.task(id, task, &defaults))
        .collect();
    checker.inputs_exist(&checked);
    checker.no_cycle(&checked);

    if !checker.mistakes.is_empty() {
        return Err(checker.mistakes);
    }
    Ok(BuildFile {
        name,
        path: path.to_owned(),
        source_dir: path.parent().unwrap_or(path).to_owned(),
        tasks: checked.into_iter().map(|checked| checked.task).collect(),
    })
}

/// Collects the mistakes of one file.
#[derive(Default)]
pub(crate) struct Checker {
    /// Where each task stands among all.
    positions: HashMap<String, usize>,
    pub(crate) mistakes: Vec<Mistake>,
}

struct Defaults {
    env: BTreeMap<String, String>,
    timeout: Duration,
    retries: u32,
}

/// A task, and the places in the file that later checks point to.
struct Checked {
    task: Task,
    id_at: Location,
    needs_at: Vec<Location>,
    inputs_at: Vec<Location>,
}

impl Checker {
    pub(crate) fn note(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    fn build_name(&mut self, name: Option<Text>, path: &Path) -> String {
        let Some(name) = name else {
            return path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
        };
        if name.value.trim().is_empty() || name.value.chars().count() > 100 {
            self.note(
                Mistake::at(
                    name.referenced,
                    "the name of the build must have 1 to 100 letters",
                )
                .hint("leave `name` out to call the build after its file"),
            );
        }
        name.value
    }

    fn defaults(&mut self, defaults: document::Defaults) -> Defaults {
        Defaults {
            env: self.env(defaults.env),
            timeout: self.timeout(defaults.timeout, DEFAULT_TIMEOUT),
            retries: self.retries(defaults.retries.as_ref(), DEFAULT_RETRIES),
        }
    }

    fn task(&mut self, id: Text, task: document::Task, defaults: &Defaults) -> Checked {
        self.task_name(&id);
        let mut env = defaults.env.clone();
        env.extend(self.env(task.env));
        let retries = self.retries(task.retries.as_ref(), defaults.retries);
        let retry_on = self.retry_on(task.retry_on.unwrap_or_default(), retries);
        let command = self.command(&id, task.command);
        let mut needs = Vec::new();
        let mut needs_at = Vec::new();
        for need in task.needs.unwrap_or_default() {
            let Some(position) = self.known_task(&id.value, &need) else {
                continue;
            };
            if needs.contains(&position) {
                self.note(
                    Mistake::at(need.referenced, format!("`{}` is needed twice", need.value))
                        .hint("remove one of the two"),
                );
                continue;
            }
            needs.push(position);
            needs_at.push(need.referenced);
        }
        let mut inputs = Vec::new();
        let mut inputs_at = Vec::new();
        for input in task.inputs.unwrap_or_default() {
            let at = input.referenced;
            let Some(input) = self.input(&id.value, input) else {
                continue;
            };
            if !needs.contains(&input.from) {
                needs.push(input.from);
                needs_at.push(at);
            }
            inputs.push(input);
            inputs_at.push(at);
        }
        let artifacts = self.artifacts(task.artifacts.unwrap_or_default());
        Checked {
            task: Task {
                description: self.description(task.description),
                command,
                needs,
                env,
                timeout: self.timeout(task.timeout, defaults.timeout),
                retries,
                retry_on,
                artifacts,
                inputs,
                priority: self.priority(task.priority),
                id: id.value,
            },
            id_at: id.referenced,
            needs_at,
            inputs_at,
        }
    }

    fn task_name(&mut self, id: &Text) {
        let name = &id.value;
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let fits = name.len() <= MAX_NAME
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(safe);
        if !fits {
            self.note(
                Mistake::at(
                    id.referenced,
                    format!("`{name}` cannot be the name of a task"),
                )
                .hint(
                    "up to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit; \
                 say the rest in `description`",
                ),
            );
        }
    }

    fn known_task(&mut self, needed_by: &str, name: &Text) -> Option<usize> {
        if let Some(position) = self.positions.get(&name.value) {
            return Some(*position);
        }
        let mut names: Vec<&str> = self.positions.keys().map(String::as_str).collect();
        names.sort_unstable();
        let hint = match closest(&name.value, names.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the tasks of this file are {}", names.join(", ")),
        };
        let message = format!(
            "`{needed_by}` needs `{}`, but there is no such task",
            name.value
        );
        self.note(Mistake::at(name.referenced, message).hint(hint));
        None
    }

    fn input(&mut self, task: &str, input: Spanned<document::Input>) -> Option<Input> {
        let (Some(from), Some(artifact)) = (&input.value.from, &input.value.artifact) else {
            self.note(
                Mistake::at(input.referenced, "an input needs `from` and `artifact`")
                    .hint("write {from: TASK, artifact: PATH}, and `to: PATH` if it moves"),
            );
            return None;
        };
        let to = input.value.to.as_ref().unwrap_or(artifact);
        let fits = self.path_fits(artifact) & (input.value.to.is_none() || self.path_fits(to));
        let from = self.known_task(task, from)?;
        fits.then(|| Input {
            from,
            artifact: artifact.value.clone(),
            to: to.value.clone(),
        })
    }

    /// Every input must be something that its task says it leaves behind.
    fn inputs_exist(&mut self, tasks: &[Checked]) {
        for checked in tasks {
            for (input, at) in checked.task.inputs.iter().zip(&checked.inputs_at) {
                let from = &tasks[input.from].task;
                if from
                    .artifacts
                    .iter()
                    .any(|artifact| artifact.provides(&input.artifact))
                {
                    continue;
                }
                let paths = from.artifacts.iter().map(|artifact| artifact.path.as_str());
                let hint = match closest(&input.artifact, paths) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("add `{}` to the artifacts of `{}`", input.artifact, from.id),
                };
                let message = format!(
                    "`{}` leaves no artifact `{}` behind",
                    from.id, input.artifact
                );
                self.note(Mistake::at(*at, message).hint(hint));
            }
        }
    }

    fn no_cycle(&mut self, tasks: &[Checked]) {
        let needs: Vec<Vec<usize>> = tasks
            .iter()
            .map(|checked| checked.task.needs.clone())
            .collect();
        let Err(cycle) = graph::order(&needs) else {
            return;
        };
        let names: Vec<&str> = cycle
            .iter()
            .map(|task| tasks[*task].task.id.as_str())
            .collect();
        let mistake = match cycle.as_slice() {
            [first, second, ..] => {
                let checked = &tasks[*first];
                let which = checked.task.needs.iter().position(|need| need == second);
                let at = which.and_then(|which| checked.needs_at.get(which));
                Mistake::at(
                    *at.unwrap_or(&checked.id_at),
                    match names.as_slice() {
                        [only, _] => format!("`{only}` needs itself"),
                        _ => format!("these tasks wait for each other: {}", names.join(" -> ")),
                    },
                )
            }
            _ => Mistake::at(Location::UNKNOWN, "some tasks wait for each other"),
        };
        self.note(mistake.hint("remove one of these needs, so that one task can start"));
    }

    fn artifacts(&mut self, paths: Vec<Text>) -> Vec<Artifact> {
        let mut artifacts: Vec<Artifact> = Vec::new();
        for mut path in paths {
            let directory = path.value.ends_with('/') && path.value != "/";
            if directory {
                path.value.pop();
            }
            if !self.path_fits(&path) {
                continue;
            }
            if path.value == "logs" || path.value.starts_with("logs/") {
                self.note(
                    Mistake::at(
                        path.referenced,
                        "`logs` is where the task's own log is kept",
                    )
                    .hint("put these files into another folder"),
                );
            } else if artifacts.iter().any(|artifact| artifact.path == path.value) {
                self.note(
                    Mistake::at(path.referenced, format!("`{}` is listed twice", path.value))
                        .hint("remove one of the two"),
                );
            } else {
                artifacts.push(Artifact {
                    path: path.value,
                    directory,
                });
            }
        }
        artifacts
    }
}
