//! The file that says what a hook is to be.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;
use serde_json::{Map, Value};
use taskyard_client::taskcluster::{Binding, HookDefinition, HookMetadata};

use super::Name;
use crate::build_file;

/// The form of the file, for the command's help.
pub(super) const FORMAT: &str = "\
The file is YAML, or JSON if it begins with a brace, as `show` prints it:

  hookGroupId: project                # or --name
  hookId: nightly
  metadata:
    name: Nightly build
    description: Builds the main branch every night
    owner: someone@example.com
    emailOnError: false               # true without: the owner hears of failures
  schedule: [\"0 30 2 * * *\"]          # second, minute, hour, day, month, weekday; in UTC
  bindings:                           # messages that fire the hook
    - exchange: exchange/taskcluster-queue/v1/task-failed
      routingKeyPattern: \"primary.#\"
  triggerSchema:                      # JSON schema of what it may be triggered with
    type: object
    properties: {branch: {type: string}}
  task:                               # JSON-e template
    taskQueueId: project/linux
    created: {$fromNow: 0 seconds}
    deadline: {$fromNow: 2 hours}
    payload:
      $if: \"firedBy == 'triggerHook'\"
      then: {branch: \"${payload.branch}\"}
      else: {branch: main}
    metadata:
      name: Build
      description: Made by a hook
      owner: someone@example.com
      source: https://example.com/project

Without a schedule or bindings the hook has none, and without a triggerSchema it takes no payload.";

/// A hook as people write it; a word that means nothing is refused here, with its line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Document {
    hook_group_id: Option<String>,
    hook_id: Option<String>,
    metadata: WrittenMetadata,
    #[serde(default)]
    bindings: Vec<WrittenBinding>,
    #[serde(default)]
    schedule: Vec<String>,
    task: Map<String, Value>,
    trigger_schema: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenMetadata {
    name: String,
    description: String,
    owner: String,
    email_on_error: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenBinding {
    exchange: String,
    routing_key_pattern: String,
}

/// What messages call the file.
pub(super) fn shown(file: &Path) -> String {
    if file.as_os_str() == "-" {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    }
}

/// Reads the text of a file, called `shown` in messages: the hook's name if it is there, and what
/// the hook is to be.
pub(super) fn parse(text: &str, shown: &str) -> anyhow::Result<(Option<Name>, HookDefinition)> {
    let document = document(text, shown)?;
    let name = match (document.hook_group_id, document.hook_id) {
        (Some(group), Some(hook)) => Some(Name { group, hook }),
        (None, None) => None,
        _ => bail!("{shown}: hookGroupId and hookId go together"),
    };
    let metadata = document.metadata;
    let metadata = HookMetadata {
        name: metadata.name,
        description: metadata.description,
        owner: metadata.owner,
        email_on_error: metadata.email_on_error.unwrap_or(true),
    };
    let mut definition = HookDefinition::new(metadata, document.task.into());
    definition.schedule = document.schedule;
    definition.bindings = document
        .bindings
        .into_iter()
        .map(|binding| Binding {
            exchange: binding.exchange,
            routing_key_pattern: binding.routing_key_pattern,
        })
        .collect();
    if let Some(schema) = document.trigger_schema {
        definition.trigger_schema = schema.into();
    }
    Ok((name, definition))
}

fn document(text: &str, shown: &str) -> anyhow::Result<Document> {
    // YAML takes most JSON, but not all of it: not the escapes of characters beyond U+FFFF.
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).with_context(|| format!("cannot understand {shown}"));
    }
    build_file::parse::parse(text).map_err(|mistake| {
        let (line, column) = (mistake.line, mistake.column);
        let hint = mistake.hint.map(|hint| format!("\n  hint: {hint}"));
        let hint = hint.unwrap_or_default();
        if line == 0 {
            return anyhow!("{shown}: {}{hint}", mistake.message);
        }
        anyhow!("{shown}:{line}:{column}: {}{hint}", mistake.message)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> (Option<Name>, HookDefinition) {
        parse(text, "hook.yml").unwrap()
    }

    fn refusal(text: &str) -> String {
        format!("{:#}", parse(text, "hook.yml").unwrap_err())
    }

    #[test]
    fn the_example_in_the_help_is_understood() {
        let example: String = FORMAT
            .lines()
            .filter(|line| line.starts_with("  "))
            .fold(String::new(), |text, line| text + line + "\n");
        let (name, definition) = read(&example);
        assert_eq!(name, Some("project/nightly".parse().unwrap()));
        assert!(!definition.metadata.email_on_error);
        assert_eq!(definition.schedule, ["0 30 2 * * *"]);
        assert_eq!(definition.bindings[0].routing_key_pattern, "primary.#");
        assert_eq!(
            definition.trigger_schema["properties"]["branch"]["type"],
            "string"
        );
        assert_eq!(definition.task["deadline"], json!({"$fromNow": "2 hours"}));
        assert_eq!(
            definition.task["payload"]["then"]["branch"],
            "${payload.branch}"
        );
    }

    #[test]
    fn json_is_read_as_json() {
        let text = r#"
            {"metadata": {"name": "\ud83d\ude00", "description": "", "owner": "o@example.com"},
             "task": {"payload": {"on": "yes"}}}"#;
        let (name, definition) = read(text);
        assert_eq!((name, definition.metadata.name.as_str()), (None, "😀"));
        assert!(definition.metadata.email_on_error);
        assert_eq!(definition.trigger_schema["additionalProperties"], false);
        assert!(refusal("{\"metadata\": }").contains("line 1 column 14"));
    }

    #[test]
    fn yaml_keeps_texts_that_look_like_something_else() {
        let (_, definition) = read(
            "metadata: {name: n, description: d, owner: o@example.com}\n\
             task: {payload: {on: yes, count: 3, version: '1.10', much: 1.5, none: null}}\n",
        );
        let payload = &definition.task["payload"];
        assert_eq!(
            payload,
            &json!({"on": "yes", "count": 3, "version": "1.10", "much": 1.5, "none": null})
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let metadata = "metadata: {name: n, description: d, owner: o@example.com}\n";
        let unknown = refusal(&format!("{metadata}task: {{}}\ntriggerschema: {{}}\n"));
        assert!(
            unknown.contains("hook.yml:3:1: unknown key `triggerschema`")
                && unknown.contains("did you mean `triggerSchema`?"),
            "{unknown}"
        );
        let half = refusal(&format!("{metadata}task: {{}}\nhookId: h\n"));
        assert!(half.contains("go together"), "{half}");
        let list = refusal(&format!("{metadata}task: []\n"));
        assert!(list.contains("hook.yml:2:"), "{list}");
        let none = refusal("");
        assert!(none.contains("hook.yml"), "{none}");
    }
}
