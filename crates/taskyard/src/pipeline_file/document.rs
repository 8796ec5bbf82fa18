//! The file as it is written: which keys exist and what shape their values have, nothing more.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::build_file::document::{Entries, Text};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(default)]
    pub(super) name: Option<Text>,
    #[serde(default)]
    pub(super) env: Option<Entries<String>>,
    #[serde(default)]
    pub(super) agents: Option<Spanned<Agents>>,
    #[serde(default)]
    pub(super) steps: Option<Spanned<Vec<Spanned<Step>>>>,
}

/// One step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    #[serde(default)]
    pub(super) label: Option<Text>,
    #[serde(default)]
    pub(super) key: Option<Text>,
    #[serde(default, alias = "commands")]
    pub(super) command: Option<Spanned<OneOrMany>>,
    #[serde(default)]
    pub(super) env: Option<Entries<String>>,
    #[serde(default)]
    pub(super) depends_on: Option<Spanned<OneOrMany>>,
    #[serde(default)]
    pub(super) agents: Option<Spanned<Agents>>,
    #[serde(default)]
    pub(super) priority: Option<Spanned<i64>>,
    #[serde(default)]
    pub(super) retry: Option<Spanned<Retry>>,
    #[serde(default)]
    pub(super) timeout: Option<Text>,
    #[serde(default)]
    pub(super) timeout_in_minutes: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) artifact_paths: Option<Spanned<OneOrMany>>,
}

/// A text, or a list of them.
#[derive(Debug)]
pub(super) enum OneOrMany {
    /// `a`
    One(String),
    /// `[a, b]`
    Many(Vec<Text>),
}

impl OneOrMany {
    /// The texts, each with its place in the file; `at` is where the value as a whole is.
    pub(super) fn texts(self, at: Location) -> Vec<(Location, String)> {
        match self {
            Self::One(text) => vec![(at, text)],
            Self::Many(texts) => texts
                .into_iter()
                .map(|text| (text.referenced, text.value))
                .collect(),
        }
    }
}

/// Tags that an agent must have.
#[derive(Debug)]
pub(super) enum Agents {
    /// `{os: linux}`
    Tags(Entries<String>),
    /// `[os=linux]`
    Rules(Vec<Text>),
}

/// When a step is run again.
#[derive(Debug)]
pub(super) enum Retry {
    /// So often, if it was not the step's own fault.
    Limit(u32),
    /// By rules.
    Rules(RetryRules),
}

/// `retry: {automatic: …}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryRules {
    #[serde(default)]
    pub(super) automatic: Option<Automatic>,
}

/// What is retried by itself.
#[derive(Debug)]
pub(super) enum Automatic {
    /// Anything, or nothing.
    Any(bool),
    /// What fits one of these.
    Rules(Vec<RetryRule>),
}

/// One rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryRule {
    #[serde(default)]
    pub(super) exit_status: Option<Spanned<ExitStatus>>,
    #[serde(default)]
    pub(super) limit: Option<Spanned<u32>>,
}

/// Which ends a rule is about.
#[derive(Debug)]
pub(super) enum ExitStatus {
    /// `"*"`
    Any,
    /// These codes; -1 stands for an agent that was lost.
    Codes(Vec<i64>),
}

// === reading ===

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = OneOrMany;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text or a list of texts")
            }

            // `true` and `false` are programs too; YAML takes them for booleans.
            fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(value.to_string()))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMany::Many(texts))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Agents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Agents;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a mapping of names to values")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Agents, A::Error> {
                Entries::deserialize(MapAccessDeserializer::new(map)).map(Agents::Tags)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Agents, A::Error> {
                let mut rules = Vec::new();
                while let Some(rule) = list.next_element()? {
                    rules.push(rule);
                }
                Ok(Agents::Rules(rules))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Retry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Retry;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number of retries or rules for them")
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Retry, E> {
                // Far too many is told where the bounds are checked.
                Ok(Retry::Limit(u32::try_from(number).unwrap_or(u32::MAX)))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Retry, E> {
                u64::try_from(number)
                    .map_err(|_| E::custom("a number of retries cannot be negative"))
                    .and_then(|number| self.visit_u64(number))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Retry, A::Error> {
                RetryRules::deserialize(MapAccessDeserializer::new(map)).map(Retry::Rules)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Automatic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Automatic;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("true, false, or rules with `exit_status` and `limit`")
            }

            fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Automatic, E> {
                Ok(Automatic::Any(value))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Automatic, A::Error> {
                let rule = RetryRule::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Automatic::Rules(vec![rule]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Automatic, A::Error> {
                let mut rules = Vec::new();
                while let Some(rule) = list.next_element()? {
                    rules.push(rule);
                }
                Ok(Automatic::Rules(rules))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for ExitStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = ExitStatus;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an exit code, a list of them, or \"*\"")
            }

            fn visit_i64<E: serde::de::Error>(self, code: i64) -> Result<ExitStatus, E> {
                Ok(ExitStatus::Codes(vec![code]))
            }

            fn visit_u64<E: serde::de::Error>(self, code: u64) -> Result<ExitStatus, E> {
                self.visit_i64(i64::try_from(code).unwrap_or(i64::MAX))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ExitStatus, E> {
                match text {
                    "*" => Ok(ExitStatus::Any),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ExitStatus, A::Error> {
                let mut codes = Vec::new();
                while let Some(code) = list.next_element()? {
                    codes.push(code);
                }
                Ok(ExitStatus::Codes(codes))
            }
        }

        deserializer.deserialize_any(Either)
    }
}
