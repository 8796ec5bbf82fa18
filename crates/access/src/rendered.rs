//! Rendered scope expressions: what one request requires, and whether someone has it.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::scope_set::ScopeSet;

/// What a request requires, with nothing left open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rendered {
    /// This scope.
    Scope(String),
    /// All of these.
    AllOf(Vec<Self>),
    /// One of these.
    AnyOf(Vec<Self>),
}

// === impl Rendered ===

impl Rendered {
    /// Requires each of `scopes`.
    pub fn all_of<I>(scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self::AllOf(
            scopes
                .into_iter()
                .map(|scope| Self::Scope(scope.into()))
                .collect(),
        )
    }

    /// Whether a holder of `scopes` has what is required.
    pub fn satisfied_by(&self, scopes: &ScopeSet) -> bool {
        match self {
            Self::Scope(scope) => scopes.satisfies(scope),
            Self::AllOf(parts) => parts.iter().all(|part| part.satisfied_by(scopes)),
            Self::AnyOf(parts) => parts.iter().any(|part| part.satisfied_by(scopes)),
        }
    }

    /// The required scopes that a holder of `scopes` made use of; `None` when not satisfied.
    pub fn satisfying(&self, scopes: &ScopeSet) -> Option<ScopeSet> {
        let mut used = Vec::new();
        self.collect_satisfying(scopes, &mut used)
            .then(|| ScopeSet::new(used))
    }

    fn collect_satisfying<'a>(&'a self, scopes: &ScopeSet, used: &mut Vec<&'a str>) -> bool {
        let before = used.len();
        let satisfied = match self {
            Self::Scope(scope) => {
                used.push(scope);
                scopes.satisfies(scope)
            }
            Self::AllOf(parts) => parts
                .iter()
                .all(|part| part.collect_satisfying(scopes, used)),
            // Every branch is asked, also after one that holds.
            Self::AnyOf(parts) => {
                parts
                    .iter()
                    .filter(|part| part.collect_satisfying(scopes, used))
                    .count()
                    > 0
            }
        };
        if !satisfied {
            used.truncate(before);
        }
        satisfied
    }

    /// What a holder of `scopes` still lacks, as short as it can be said; `None` when nothing.
    pub fn missing(&self, scopes: &ScopeSet) -> Option<Self> {
        match self {
            Self::Scope(scope) => (!scopes.satisfies(scope)).then(|| self.clone()),
            Self::AllOf(parts) => {
                let lacking: Vec<_> = parts
                    .iter()
                    .filter_map(|part| part.missing(scopes))
                    .collect();
                (!lacking.is_empty()).then(|| Self::single_or(lacking, Self::AllOf))
            }
            Self::AnyOf(parts) => {
                let lacking: Option<Vec<_>> =
                    parts.iter().map(|part| part.missing(scopes)).collect();
                lacking.map(|lacking| Self::single_or(lacking, Self::AnyOf))
            }
        }
    }

    fn single_or(mut parts: Vec<Self>, many: fn(Vec<Self>) -> Self) -> Self {
        match parts.pop() {
            Some(only) if parts.is_empty() => only,
            last => {
                parts.extend(last);
                many(parts)
            }
        }
    }
}

impl Serialize for Rendered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Scope(scope) => serializer.serialize_str(scope),
            Self::AllOf(parts) => serialize_entries(serializer, &[("AllOf", parts)]),
            Self::AnyOf(parts) => serialize_entries(serializer, &[("AnyOf", parts)]),
        }
    }
}

/// A single scope as itself, anything else as indented lines, for people to read.
impl fmt::Display for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn write(part: &Rendered, depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let (name, parts) = match part {
                Rendered::Scope(scope) => return f.write_str(scope),
                Rendered::AllOf(parts) => ("AllOf", parts),
                Rendered::AnyOf(parts) => ("AnyOf", parts),
            };
            write!(f, "{name}:")?;
            for part in parts {
                write!(f, "\n{:indent$}- ", "", indent = depth * 2)?;
                write(part, depth + 1, f)?;
            }
            Ok(())
        }
        write(self, 1, f)
    }
}

/// Writes an object with these entries.
pub(crate) fn serialize_entries<S: Serializer, T: Serialize>(
    serializer: S,
    entries: &[(&str, T)],
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(entries.iter().map(|(key, value)| (key, value)))
}
