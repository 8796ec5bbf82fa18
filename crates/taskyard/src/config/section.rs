//! Tables of the configuration file: settings that belong together, such as a storage account and
//! its key. They have no flags and no environment variables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::Error;
use super::sources::line_of;

/// Names of the tables that the file may have.
pub(super) const SECTIONS: [&str; 7] = [
    "aws", "azure", "gcp", "github", "sentry", "clients", "roles",
];

/// One table.
#[derive(Debug, Clone)]
pub(super) struct Section {
    /// As messages name it: `sentry`, `aws[1]`, `azure.name`.
    name: String,
    path: Arc<PathBuf>,
    line: usize,
    entries: BTreeMap<String, Entry>,
}

/// A value, and the line on which it stands.
#[derive(Debug, Clone)]
struct Entry {
    line: usize,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Text(String),
    List(Vec<Entry>),
    Table(BTreeMap<String, Entry>),
    /// A whole number, as it is written in decimal.
    Number(String),
    /// Truths, times and the like, which no section has a use for.
    Other,
}

/// A whole section of the file, before it is known what it should be.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    name: &'static str,
    path: Arc<PathBuf>,
    entry: Entry,
}

// === impl Raw ===

impl Raw {
    /// Takes over what the parser found under `name` in the file `path`, whose text is `text`.
    pub(super) fn new(
        name: &'static str,
        path: &Path,
        text: &str,
        line: usize,
        value: &DeValue<'_>,
    ) -> Self {
        Raw {
            name,
            path: Arc::new(path.to_owned()),
            entry: Entry {
                line,
                value: read(text, value),
            },
        }
    }

    /// Its one table: `[name]`.
    pub(super) fn table(&self) -> Result<Section, Error> {
        self.section(self.name.to_owned(), &self.entry, "a table")
    }

    /// Its tables, one after the other: `[[name]]`.
    pub(super) fn list(&self) -> Result<Vec<Section>, Error> {
        const FORM: &str = "tables that each begin with a line such as [[aws]]";
        let Value::List(entries) = &self.entry.value else {
            return Err(self.not_allowed(self.name.to_owned(), self.entry.line, FORM));
        };
        let numbered = entries.iter().enumerate();
        numbered
            .map(|(at, entry)| self.section(format!("{}[{}]", self.name, at + 1), entry, FORM))
            .collect()
    }

    /// Its tables by name: `[section."name"]`.
    pub(super) fn named(&self) -> Result<Vec<(String, Section)>, Error> {
        const FORM: &str = "tables with names, each beginning with a line such as [azure.name]";
        let Value::Table(entries) = &self.entry.value else {
            return Err(self.not_allowed(self.name.to_owned(), self.entry.line, FORM));
        };
        let named = entries.iter();
        named
            .map(|(name, entry)| {
                let section = self.section(format!("{}.{name}", self.name), entry, FORM)?;
                Ok((name.clone(), section))
            })
            .collect()
    }

    fn section(&self, name: String, entry: &Entry, form: &'static str) -> Result<Section, Error> {
        let Value::Table(entries) = &entry.value else {
            return Err(self.not_allowed(name, entry.line, form));
        };
        Ok(Section {
            name,
            path: Arc::clone(&self.path),
            line: entry.line,
            entries: entries.clone(),
        })
    }

    fn not_allowed(&self, key: String, line: usize, allowed: &'static str) -> Error {
        Error::Entry {
            path: self.path.to_path_buf(),
            line,
            key,
            allowed: allowed.to_owned(),
        }
    }
}

fn read(text: &str, value: &DeValue<'_>) -> Value {
    let entry = |value: &Spanned<DeValue<'_>>| Entry {
        line: line_of(text, &value.span()),
        value: read(text, value.get_ref()),
    };
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Array(values) => Value::List(values.iter().map(entry).collect()),
        DeValue::Table(values) => Value::Table(
            values
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), entry(value)))
                .collect(),
        ),
        DeValue::Integer(number) => Value::Number(number.to_string()),
        DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => Value::Other,
    }
}

// === impl Section ===

impl Section {
    /// Refuses every key that is not one of these.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Error> {
        match self
            .entries
            .iter()
            .find(|(key, _)| !known.contains(&key.as_str()))
        {
            None => Ok(()),
            Some((key, entry)) => Err(Error::UnknownKey {
                path: self.path.to_path_buf(),
                line: entry.line,
                key: format!("{}.{key}", self.name),
                known: known.join(", "),
            }),
        }
    }

    /// The text under `key`, as `parse` understands it. `allowed` completes the sentence
    /// "expected …"; what was written is never repeated, for it may be a secret.
    pub(super) fn text<T>(
        &self,
        key: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Error> {
        let Some(found) = self.optional(key, allowed, parse)? else {
            return Err(Error::Lacking {
                path: self.path.to_path_buf(),
                line: self.line,
                section: self.name.clone(),
                key: key.to_owned(),
                allowed: allowed.to_owned(),
            });
        };
        Ok(found)
    }

    /// The text under a `key` that may be absent.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(entry) = self.entries.get(key) else {
            return Ok(None);
        };
        let parsed = match &entry.value {
            Value::Text(text) => parse(text),
            Value::List(_) | Value::Table(_) | Value::Number(_) | Value::Other => None,
        };
        parsed
            .map(Some)
            .ok_or_else(|| self.not_allowed(key, entry.line, allowed))
    }

    /// The number under `key`, written as a number or as a text; above zero.
    pub(super) fn number(&self, key: &str, allowed: &str) -> Result<u64, Error> {
        let parse = |text: &str| text.parse::<u64>().ok().filter(|number| *number > 0);
        match self.entries.get(key) {
            Some(Entry {
                line,
                value: Value::Number(number),
            }) => parse(number).ok_or_else(|| self.not_allowed(key, *line, allowed)),
            _ => self.text(key, allowed, parse),
        }
    }

    /// The texts under `key`; none if it is absent.
    pub(super) fn texts(
        &self,
        key: &str,
        allowed: &str,
        is_good: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, Error> {
        let Some(entry) = self.entries.get(key) else {
            return Ok(Vec::new());
        };
        let Value::List(entries) = &entry.value else {
            return Err(self.not_allowed(key, entry.line, allowed));
        };
        entries
            .iter()
            .map(|entry| match &entry.value {
                Value::Text(text) if is_good(text) => Ok(text.clone()),
                _ => Err(self.not_allowed(key, entry.line, allowed)),
            })
            .collect()
    }

    /// The refusal of what stands under `key`, or of the section's name.
    pub(super) fn refusal(&self, key: &str, allowed: &str) -> Error {
        let line = self.entries.get(key).map_or(self.line, |entry| entry.line);
        self.not_allowed(key, line, allowed)
    }

    fn not_allowed(&self, key: &str, line: usize, allowed: &str) -> Error {
        let key = if key.is_empty() {
            self.name.clone()
        } else {
            format!("{}.{key}", self.name)
        };
        Error::Entry {
            path: self.path.to_path_buf(),
            line,
            key,
            allowed: allowed.to_owned(),
        }
    }
}
