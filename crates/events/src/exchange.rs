//! Exchanges as they are declared: their names and the words of their routing keys.

use thiserror::Error;

use crate::topic::LONGEST;

/// A topic exchange of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// The method of the clients that binds to it, such as `taskDefined`.
    pub name: &'static str,
    /// The last part of its name on the broker, such as `task-defined`.
    pub exchange: &'static str,
    /// A few words about it.
    pub title: &'static str,
    /// More about it, in Markdown.
    pub description: &'static str,
    /// The words of its routing keys.
    pub key: &'static [Word],
    /// The schema of its messages within the service's schemas, such as `v1/message.json#`; empty
    /// if none is published.
    pub schema: &'static str,
}

/// One part of a routing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub summary: &'static str,
    /// What it always is.
    pub constant: Option<&'static str>,
    /// Whether every message has it.
    pub required: bool,
    /// Whether it may hold several words. One part of a key may.
    pub multiple: bool,
    /// Most bytes it may have.
    pub longest: usize,
}

/// Room for the routing key of a message about a task.
const USUAL: usize = 160;

/// What stands for a word that a message does not have.
pub const ABSENT: &str = "_";

/// Why a routing key cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// A required word is missing.
    #[error("the routing key needs {0}")]
    Missing(&'static str),
    /// A word is too long.
    #[error("{value} is longer than the {longest} bytes that {name} may have in a routing key")]
    TooLong {
        /// Which.
        name: &'static str,
        /// What it was.
        value: String,
        /// Most bytes.
        longest: usize,
    },
    /// A single word has a dot.
    #[error("{value} has a dot, and {name} is a single word of the routing key")]
    Dotted {
        /// Which.
        name: &'static str,
        /// What it was.
        value: String,
    },
}

// === impl Exchange ===

impl Exchange {
    /// The routing key of a message with these words. Words that the key does not have are left
    /// out; those with a constant keep it.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn routing_key(&self, values: &[(&str, &str)]) -> Result<String, KeyError> {
        let mut key = String::with_capacity(USUAL);
        for (at, word) in self.key.iter().enumerate() {
            if at > 0 {
                key.push('.');
            }
            let given = || values.iter().find(|(name, _)| *name == word.name);
            let value = match word.constant.or_else(|| given().map(|(_, value)| *value)) {
                Some(value) => value,
                None if word.required => return Err(KeyError::Missing(word.name)),
                None => ABSENT,
            };
            word.check(value)?;
            key.push_str(value);
        }
        Ok(key)
    }

    /// Whether its keys can be built and read back: names are unique, at most one part holds
    /// several words, and no key is longer than a broker takes.
    pub const fn is_sound(&self) -> bool {
        let mut longest = self.key.len().saturating_sub(1);
        let mut multiple = 0;
        let mut at = 0;
        while at < self.key.len() {
            let word = &self.key[at];
            if word.longest == 0 {
                return false;
            }
            longest += word.longest;
            multiple += word.multiple as usize;
            at += 1;
        }
        longest <= LONGEST && multiple <= 1
    }
}

/// The words of `key`, by name, as the declaration `words` takes it apart: single words from the
/// left up to the part that holds several, then from the right; what is left is that part.
pub fn parse<'k>(words: &[(&'k str, bool)], key: &'k str) -> Vec<(&'k str, String)> {
    let found: Vec<&str> = key.split('.').collect();
    let mut parsed = Vec::new();
    let multiple = words.iter().position(|(_, multiple)| *multiple);
    let before = multiple.unwrap_or(words.len());
    for ((name, _), value) in words.iter().take(before).zip(&found) {
        parsed.push((*name, (*value).to_owned()));
    }
    let Some(at) = multiple else { return parsed };
    let after = words.len() - at - 1;
    let end = found
        .len()
        .saturating_sub(after)
        .max(before.min(found.len()));
    for ((name, _), value) in words.iter().skip(at + 1).zip(found.iter().skip(end)) {
        parsed.push((*name, (*value).to_owned()));
    }
    if let Some((name, _)) = words.get(at) {
        let middle = found.get(before..end).unwrap_or_default();
        parsed.push((*name, middle.join(".")));
    }
    parsed
}

/// The custom routes of a message: what its CC header says behind `route.`.
pub fn routes(cc: &[String]) -> impl Iterator<Item = &str> {
    cc.iter().filter_map(|key| key.strip_prefix("route."))
}

// === impl Word ===

impl Word {
    /// A single word that every message has.
    pub const fn required(name: &'static str, longest: usize, summary: &'static str) -> Self {
        Word {
            name,
            summary,
            constant: None,
            required: true,
            multiple: false,
            longest,
        }
    }

    /// A single word that messages may lack.
    pub const fn optional(name: &'static str, longest: usize, summary: &'static str) -> Self {
        Word {
            required: false,
            ..Word::required(name, longest, summary)
        }
    }

    /// A word that is always the same.
    pub const fn constant(name: &'static str, value: &'static str, summary: &'static str) -> Self {
        Word {
            constant: Some(value),
            ..Word::required(name, value.len(), summary)
        }
    }

    /// Words that every message has.
    pub const fn several(name: &'static str, longest: usize, summary: &'static str) -> Self {
        Word {
            multiple: true,
            ..Word::required(name, longest, summary)
        }
    }

    /// Room at the end for words that later releases may add.
    pub const fn reserved(longest: usize) -> Self {
        Word {
            required: false,
            multiple: true,
            ..Word::required(
                "reserved",
                longest,
                "Kept for words that may be added one day. Match it with `#`, as the clients do.",
            )
        }
    }

    fn check(&self, value: &str) -> Result<(), KeyError> {
        if value.len() > self.longest {
            return Err(KeyError::TooLong {
                name: self.name,
                value: value.to_owned(),
                longest: self.longest,
            });
        }
        if !self.multiple && value.as_bytes().contains(&b'.') {
            return Err(KeyError::Dotted {
                name: self.name,
                value: value.to_owned(),
            });
        }
        Ok(())
    }
}
