//! Single values of a task: each within its bounds, or a mistake with what would be.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_saphyr::Spanned;

use super::check::Checker;
use super::document::{Command, Entries, Text};
use super::duration;
use super::refusal::Mistake;
use super::suggestion::closest;
use super::task::Priority;

const MAX_TIMEOUT: Duration = Duration::from_hours(24);
/// The queue's own bound.
const MAX_RETRIES: u32 = 49;
const MAX_PATH: usize = 512;
/// Set by the worker or by `taskyard run`; a value from the file would silently be lost.
const RESERVED_ENV: [&str; 6] = [
    "TASK_ID",
    "RUN_ID",
    "TASK_GROUP_ID",
    "TASKCLUSTER_ROOT_URL",
    "TASK_WORKDIR",
    "SOURCE_DIR",
];

impl Checker {
    pub(super) fn description(&mut self, description: Option<Text>) -> String {
        let Some(text) = description else {
            return String::new();
        };
        if text.value.len() > 32_768 {
            self.note(
                Mistake::at(
                    text.referenced,
                    "this description is longer than 32768 bytes",
                )
                .hint("shorten it"),
            );
        }
        text.value
    }

    pub(super) fn command(&mut self, id: &Text, command: Option<Spanned<Command>>) -> Vec<String> {
        let Some(command) = command else {
            self.note(
                Mistake::at(
                    id.referenced,
                    format!("the task `{}` has no `command`", id.value),
                )
                .hint("write a shell command, or a list: [program, argument]"),
            );
            return Vec::new();
        };
        let words = match command.value {
            Command::Script(script) if script.trim().is_empty() => Vec::new(),
            // Without `-e` a script of several lines would pass although its first line failed.
            Command::Script(script) => ["sh", "-e", "-c", &script].map(str::to_owned).to_vec(),
            Command::Program(words) => words,
        };
        if words
            .first()
            .is_none_or(|program| program.trim().is_empty())
        {
            self.note(
                Mistake::at(command.referenced, "this command is empty")
                    .hint("write a shell command, or a list: [program, argument]"),
            );
        } else if words.iter().any(|word| word.contains('\0')) {
            self.note(Mistake::at(
                command.referenced,
                "a command cannot hold a NUL character",
            ));
        }
        words
    }

    /// Paths stay inside the task's folder, and are names that the queue takes.
    pub(super) fn path_fits(&mut self, path: &Text) -> bool {
        let fits = !path.value.is_empty()
            && path.value.len() <= MAX_PATH
            && path
                .value
                .bytes()
                .all(|byte| (0x20..=0x7e).contains(&byte) && byte != b'\\')
            && path
                .value
                .split('/')
                .all(|part| !matches!(part, "" | "." | ".."));
        if !fits {
            self.note(
                Mistake::at(
                    path.referenced,
                    format!("`{}` is no path that can be used", path.value),
                )
                .hint(
                    "write a path below the task's own folder, like out/report.txt, in ASCII \
                         and without `.` or `..`; a task that needs files of the source reads \
                         them from \"$SOURCE_DIR\"",
                ),
            );
        }
        fits
    }

    pub(crate) fn env(&mut self, env: Option<Entries<String>>) -> BTreeMap<String, String> {
        let mut checked = BTreeMap::new();
        for (name, value) in env.map(|env| env.0).unwrap_or_default() {
            let begins = name
                .value
                .starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            let plain = name
                .value
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_');
            if RESERVED_ENV.contains(&name.value.as_str()) {
                self.note(
                    Mistake::at(
                        name.referenced,
                        format!("`{}` is set for every task", name.value),
                    )
                    .hint("choose another name"),
                );
            } else if !begins || !plain {
                self.note(
                    Mistake::at(
                        name.referenced,
                        format!("`{}` is no name of a variable", name.value),
                    )
                    .hint("letters, digits and `_`, not beginning with a digit"),
                );
            } else if value.contains('\0') {
                self.note(Mistake::at(
                    name.referenced,
                    "a variable cannot hold a NUL character",
                ));
            }
            checked.insert(name.value, value);
        }
        checked
    }

    pub(crate) fn timeout(&mut self, timeout: Option<Text>, default: Duration) -> Duration {
        let Some(text) = timeout else { return default };
        match duration::parse(&text.value) {
            Ok(timeout) if !timeout.is_zero() && timeout <= MAX_TIMEOUT => timeout,
            wrong => {
                let reason = wrong
                    .err()
                    .unwrap_or_else(|| "1s to 24h are allowed".to_owned());
                self.note(
                    Mistake::at(
                        text.referenced,
                        format!("`{}` is no timeout: {reason}", text.value),
                    )
                    .hint("write hours, minutes and seconds, like 30s, 10m or 1h30m"),
                );
                default
            }
        }
    }

    pub(super) fn retries(&mut self, retries: Option<&Spanned<u32>>, default: u32) -> u32 {
        let Some(retries) = retries else {
            return default;
        };
        if retries.value > MAX_RETRIES {
            self.note(
                Mistake::at(
                    retries.referenced,
                    format!("{} retries are too many", retries.value),
                )
                .hint("0 to 49 are allowed"),
            );
        }
        retries.value
    }

    pub(super) fn retry_on(&mut self, codes: Vec<Spanned<u32>>, retries: u32) -> Vec<u32> {
        if let (Some(first), 0) = (codes.first(), retries) {
            self.note(
                Mistake::at(
                    first.referenced,
                    "`retry-on` has no effect with `retries: 0`",
                )
                .hint("allow a retry, like `retries: 1`"),
            );
        }
        for code in &codes {
            if !(1..=255).contains(&code.value) {
                self.note(
                    Mistake::at(
                        code.referenced,
                        format!("{} is no exit code to retry on", code.value),
                    )
                    .hint("a program that fails exits with 1 to 255"),
                );
            }
        }
        codes.into_iter().map(|code| code.value).collect()
    }

    pub(super) fn priority(&mut self, priority: Option<Text>) -> Priority {
        let Some(text) = priority else {
            return Priority::default();
        };
        let found = Priority::ALL
            .into_iter()
            .find(|known| known.as_str() == text.value);
        found.unwrap_or_else(|| {
            let words = Priority::ALL.map(Priority::as_str);
            let known = format!("the priorities are {}", words.join(", "));
            self.note(
                Mistake::at(text.referenced, format!("`{}` is no priority", text.value)).hint(
                    match closest(&text.value, words) {
                        Some(meant) => format!("did you mean `{meant}`? ({known})"),
                        None => known,
                    },
                ),
            );
            Priority::default()
        })
    }
}
