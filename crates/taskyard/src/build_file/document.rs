//! The file as it is written: which keys exist and what shape their values have, nothing more.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A text and where in the file it stands.
pub(crate) type Text = Spanned<String>;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Document {
    pub(super) name: Option<Text>,
    #[serde(default)]
    pub(super) defaults: Option<Defaults>,
    pub(super) tasks: Option<Spanned<Entries<Task>>>,
}

/// What every task gets unless it says otherwise.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Defaults {
    #[serde(default)]
    pub(super) env: Option<Entries<String>>,
    #[serde(default)]
    pub(super) timeout: Option<Text>,
    #[serde(default)]
    pub(super) retries: Option<Spanned<u32>>,
}

/// One task under `tasks:`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Task {
    #[serde(default)]
    pub(super) command: Option<Spanned<Command>>,
    #[serde(default)]
    pub(super) needs: Option<Vec<Text>>,
    #[serde(default)]
    pub(super) inputs: Option<Vec<Spanned<Input>>>,
    #[serde(default)]
    pub(super) artifacts: Option<Vec<Text>>,
    #[serde(default)]
    pub(super) env: Option<Entries<String>>,
    #[serde(default)]
    pub(super) timeout: Option<Text>,
    #[serde(default)]
    pub(super) retries: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) retry_on: Option<Vec<Spanned<u32>>>,
    #[serde(default)]
    pub(super) priority: Option<Text>,
    #[serde(default)]
    pub(super) description: Option<Text>,
}

/// A file that an earlier task left behind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Input {
    #[serde(default)]
    pub(super) from: Option<Text>,
    #[serde(default)]
    pub(super) artifact: Option<Text>,
    #[serde(default)]
    pub(super) to: Option<Text>,
}

/// What a task runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Handed to a shell.
    Script(String),
    /// A program and its arguments, started without a shell.
    Program(Vec<String>),
}

/// A mapping whose keys are names of the user's choice, in the order of the file.
#[derive(Debug)]
pub(crate) struct Entries<V>(pub(crate) Vec<(Text, V)>);

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CommandVisitor)
    }
}

struct CommandVisitor;

impl<'de> Visitor<'de> for CommandVisitor {
    type Value = Command;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a shell command or a list of words")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Command, E> {
        Ok(Command::Script(text.to_owned()))
    }

    // `true` and `false` are programs too; YAML takes them for booleans.
    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Command, E> {
        Ok(Command::Script(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Command, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = list.next_element::<String>()? {
            words.push(word);
        }
        Ok(Command::Program(words))
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for EntriesVisitor<V> {
    type Value = Entries<V>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a mapping of names to values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry::<Text, V>()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Err(E::custom("this mapping is empty"))
    }
}
