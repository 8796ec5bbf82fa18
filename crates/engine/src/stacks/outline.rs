//! What a listing says of a job and never changes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The pipeline of jobs that name none.
const UNNAMED: &str = "default";

/// What a listing says of a job and never changes. It is made of the definition when the task is
/// created and kept beside it, so that listing a thousand jobs does not mean to read a thousand
/// definitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline<'a> {
    /// The name of the pipeline: what the task says, or else its project or its scheduler.
    #[serde(borrow)]
    pub pipeline: Cow<'a, str>,
    /// The number of the build; 0 if the task gives none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub build_number: i64,
    /// The branch; empty if the task names none.
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    pub branch: Cow<'a, str>,
    /// The key of the step; empty if the task has no name.
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    pub step: Cow<'a, str>,
    /// What an agent must have beside the job's queue, as `name=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl<'a> Outline<'a> {
    /// The outline of the job that a task with this definition is. What a task may have and a job
    /// cannot use is passed over.
    pub fn of(definition: &'a Value) -> Self {
        let stacks = definition.get("extra").and_then(|it| it.get("stacks"));
        let extra = |name: &str| text(stacks?.get(name)?);
        let pipeline = extra("pipeline").unwrap_or_else(|| {
            let named =
                |name: &str, none: &str| text(definition.get(name)?).filter(|it| *it != none);
            named("projectId", "none")
                .or_else(|| named("schedulerId", "-"))
                .unwrap_or(UNNAMED)
        });
        let of = |place: &str, name: &str| text(definition.get(place)?.get(name)?);
        let number = stacks.and_then(|it| it.get("buildNumber"));
        let labels = [definition.get("payload"), stacks];
        Outline {
            pipeline: pipeline.into(),
            build_number: number.and_then(Value::as_i64).unwrap_or(0),
            branch: extra("branch")
                .or(of("tags", "branch"))
                .unwrap_or("")
                .into(),
            step: extra("step")
                .or(of("metadata", "name"))
                .unwrap_or("")
                .into(),
            labels: labels
                .into_iter()
                .filter_map(|place| place?.get("agents"))
                .flat_map(read_labels)
                .filter(|label| !label.starts_with("queue="))
                .collect(),
        }
    }

    /// Reads what [`Outline::to_text`] wrote.
    ///
    /// # Errors
    /// The text is none of those.
    pub fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// This outline as it is kept.
    ///
    /// # Errors
    /// Never: it is made of texts and a number.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// Labels given as an object or as a list.
fn read_labels(given: &Value) -> Vec<String> {
    match given {
        Value::Object(labels) => labels
            .iter()
            .filter_map(|(name, value)| {
                let value = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(_) | Value::Bool(_) => value.to_string(),
                    Value::Null | Value::Array(_) | Value::Object(_) => return None,
                };
                Some(format!("{name}={value}"))
            })
            .collect(),
        Value::Array(labels) => {
            let texts = labels.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_read_wherever_they_stand_and_the_queue_is_none() {
        let labels = json!({"agents": {"queue": "other", "os": "linux", "cpus": 4, "x": null}});
        for definition in [
            json!({"payload": labels}),
            json!({"payload": {}, "extra": {"stacks": labels}}),
            json!({"extra": {"stacks": {"agents": ["queue=other", "os=linux", 1, "cpus=4"]}}}),
        ] {
            assert_eq!(Outline::of(&definition).labels, ["os=linux", "cpus=4"]);
        }
    }

    #[test]
    fn a_pipeline_is_named_by_the_first_who_names_it() {
        for (definition, name) in [
            (json!({}), "default"),
            (json!({"projectId": "none", "schedulerId": "-"}), "default"),
            (json!({"projectId": "", "schedulerId": "s"}), "s"),
            (json!({"projectId": "p", "schedulerId": "s"}), "p"),
            (
                json!({"projectId": "p", "extra": {"stacks": {"pipeline": "x"}}}),
                "x",
            ),
            (
                json!({"projectId": "p", "extra": {"stacks": {"pipeline": ""}}}),
                "p",
            ),
            (json!({"projectId": "p", "extra": {"stacks": []}}), "p"),
        ] {
            assert_eq!(Outline::of(&definition).pipeline, name, "{definition}");
        }
    }

    #[test]
    fn what_was_kept_is_read_again() {
        let all = json!({
            "payload": {"agents": {"os": "li\"nux"}},
            "metadata": {"name": "co\nmpile"},
            "tags": {"branch": "main"},
            "extra": {"stacks": {"pipeline": "ü", "buildNumber": 7}},
        });
        for definition in [&all, &json!({})] {
            let outline = Outline::of(definition);
            let text = outline.to_text().expect("a text");
            assert_eq!(Outline::read(&text).expect("an outline"), outline);
        }
        assert_eq!(Outline::of(&all).step, "co\nmpile");
        assert_eq!(
            Outline::of(&json!({})).to_text().expect("a text"),
            r#"{"pipeline":"default"}"#
        );
    }
}
