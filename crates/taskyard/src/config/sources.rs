//! Where a setting comes from: the command line, the environment, the file, or its default.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::section::{Raw, SECTIONS, Section};
use super::{Error, KEYS, LIST_KEYS, SECRET_KEYS};

/// Everything that was given, the strongest source first for each key.
#[derive(Debug)]
pub(super) struct Sources {
    given: BTreeMap<&'static str, Given>,
    sections: BTreeMap<&'static str, Raw>,
}

/// One value and where it was found.
#[derive(Debug)]
struct Given {
    value: String,
    origin: Origin,
}

/// Where a value was found.
#[derive(Debug)]
enum Origin {
    Flag,
    Variable,
    File { path: PathBuf, line: usize },
}

// === impl Sources ===

impl Sources {
    /// Collects what the three sources say. The file is the one of `--config`, else the one named
    /// by `TASKYARD_CONFIG`, else none.
    pub(super) fn gather(
        flags: Vec<(&'static str, String)>,
        environment: &dyn Fn(&str) -> Option<OsString>,
        config: Option<&Path>,
    ) -> Result<Self, Error> {
        let mut given = BTreeMap::new();
        let mut sections = BTreeMap::new();
        let from_environment = environment("TASKYARD_CONFIG").filter(|path| !path.is_empty());
        if let Some(path) = config
            .map(Path::to_owned)
            .or(from_environment.map(PathBuf::from))
        {
            let file = read_file(&path)?;
            given.extend(file.0);
            sections.extend(file.1);
        }
        for key in KEYS {
            let name = variable(key);
            // An empty variable is how shells and container files say "not set".
            let Some(value) = environment(&name).filter(|value| !value.is_empty()) else {
                continue;
            };
            let value = value.into_string().map_err(|_| Error::NotText {
                variable: name,
                key,
            })?;
            given.insert(
                key,
                Given {
                    value,
                    origin: Origin::Variable,
                },
            );
        }
        for (key, value) in flags {
            given.insert(
                key,
                Given {
                    value,
                    origin: Origin::Flag,
                },
            );
        }
        Ok(Self { given, sections })
    }

    /// The value of `key`, or its default, as `parse` understands it. `allowed` completes the
    /// sentence "expected …" of a refusal.
    pub(super) fn get<T>(
        &self,
        key: &'static str,
        default: &str,
        allowed: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Error> {
        let given = self.given.get(key);
        let text = given.map_or(default, |given| given.value.as_str());
        parse(text).ok_or_else(|| self.refusal(key, text, allowed))
    }

    /// The value of a `key` that may be absent or empty.
    pub(super) fn optional<T>(
        &self,
        key: &'static str,
        allowed: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        match self.given.get(key).map_or("", |given| given.value.as_str()) {
            "" => Ok(None),
            text => parse(text)
                .map(Some)
                .ok_or_else(|| self.refusal(key, text, allowed)),
        }
    }

    /// The table `[name]` of the file, if it is there.
    pub(super) fn table(&self, name: &str) -> Result<Option<Section>, Error> {
        self.sections.get(name).map(Raw::table).transpose()
    }

    /// The tables `[[name]]` of the file.
    pub(super) fn list(&self, name: &str) -> Result<Vec<Section>, Error> {
        self.sections.get(name).map_or(Ok(Vec::new()), Raw::list)
    }

    /// The tables `[name.key]` of the file, by key.
    pub(super) fn named(&self, name: &str) -> Result<Vec<(String, Section)>, Error> {
        self.sections.get(name).map_or(Ok(Vec::new()), Raw::named)
    }

    fn refusal(&self, key: &'static str, text: &str, allowed: &'static str) -> Error {
        let hidden = SECRET_KEYS.contains(&key);
        let value = if hidden {
            "(hidden)".to_owned()
        } else {
            format!("\"{text}\"")
        };
        let origin = self.given.get(key).map(|given| given.origin.name(key));
        Error::Value {
            key,
            value,
            origin: origin.unwrap_or_else(|| "default".to_owned()),
            allowed,
        }
    }
}

// === impl Origin ===

impl Origin {
    fn name(&self, key: &str) -> String {
        match self {
            Self::Flag => format!("--{key}"),
            Self::Variable => variable(key),
            Self::File { path, line } => format!("{}:{line}", path.display()),
        }
    }
}

fn variable(key: &str) -> String {
    format!("TASKYARD_{}", key.replace('-', "_").to_uppercase())
}

/// What a file says: settings, and tables.
type Read = (Vec<(&'static str, Given)>, Vec<(&'static str, Raw)>);

fn read_file(path: &Path) -> Result<Read, Error> {
    let text = std::fs::read_to_string(path).map_err(|cause| Error::Unreadable {
        path: path.to_owned(),
        cause,
    })?;
    let table = DeTable::parse(&text).map_err(|error| Error::Syntax {
        path: path.to_owned(),
        line: line_of(&text, &error.span().unwrap_or_default()),
        message: error.message().to_owned(),
    })?;
    let mut given = Vec::new();
    let mut sections = Vec::new();
    for (key, value) in table.get_ref() {
        let line = line_of(&text, &key.span());
        if let Some(name) = SECTIONS.into_iter().find(|name| name == key.get_ref()) {
            let raw = Raw::new(name, path, &text, line, value.get_ref());
            sections.push((name, raw));
            continue;
        }
        let Some(known) = KEYS.iter().copied().find(|known| known == key.get_ref()) else {
            return Err(Error::UnknownKey {
                path: path.to_owned(),
                line,
                key: key.get_ref().to_string(),
                known: KEYS
                    .iter()
                    .copied()
                    .chain(SECTIONS)
                    .collect::<Vec<_>>()
                    .join(", "),
            });
        };
        let value = if LIST_KEYS.contains(&known) {
            texts(value.get_ref()).ok_or_else(|| Error::Entry {
                path: path.to_owned(),
                line,
                key: known.to_owned(),
                allowed: "a string, or a list of strings".to_owned(),
            })
        } else {
            scalar(value.get_ref()).ok_or_else(|| Error::NotScalar {
                path: path.to_owned(),
                line,
                key: known,
            })
        }?;
        let origin = Origin::File {
            path: path.to_owned(),
            line,
        };
        given.push((known, Given { value, origin }));
    }
    Ok((given, sections))
}

/// A text, or several as flags and variables write them: with commas between.
fn texts(value: &DeValue<'_>) -> Option<String> {
    let Some(values) = value.as_array() else {
        return scalar(value);
    };
    let texts: Option<Vec<&str>> = values.iter().map(|it| it.get_ref().as_str()).collect();
    Some(texts?.join(","))
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// The line, counted from 1, on which a range of bytes begins.
pub(super) fn line_of(text: &str, range: &Range<usize>) -> usize {
    1 + text
        .get(..range.start)
        .unwrap_or_default()
        .matches('\n')
        .count()
}
