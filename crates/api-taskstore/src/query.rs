//! The query of an address. Unknown keys are passed over: a `?` in the name of a group makes some.

use crate::escape;
use crate::problem::Problem;
use crate::render::Style;

/// A query string.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a>(pub(crate) &'a str);

impl Query<'_> {
    fn text(self, name: &str) -> Option<String> {
        let value = escape::form_value(self.0.as_bytes(), name)?;
        Some(String::from_utf8_lossy(&value).into_owned())
    }

    /// An integer; nothing if it is absent or empty.
    pub(crate) fn int(self, name: &str) -> Result<Option<i64>, Problem> {
        let Some(text) = self.text(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let refused = |_| Problem::Bad(format!("{name} must be an integer, not {text:?}"));
        text.parse().map(Some).map_err(refused)
    }

    /// Yes or no in the words that the original server takes; no if it is absent or empty.
    pub(crate) fn flag(self, name: &str) -> Result<bool, Problem> {
        let text = self.text(name).unwrap_or_default();
        match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "1" => Ok(true),
            "no" | "false" | "0" | "" => Ok(false),
            _ => Err(Problem::Bad(format!(
                "{name} must be one of yes, true, 1, no, false, 0, not {text:?}"
            ))),
        }
    }

    /// How tasks are to be written: `encoding=base64` asks for bytes.
    pub(crate) fn style(self) -> Result<Style, Problem> {
        match self.text("encoding").as_deref() {
            None | Some("" | "text") => Ok(Style::default()),
            Some("base64") => Ok(Style {
                base64: true,
                ..Style::default()
            }),
            Some(other) => Err(Problem::Bad(format!(
                "encoding must be text or base64, not {other:?}"
            ))),
        }
    }

    /// Whether durations are in milliseconds: `unit=ms`. Otherwise they are in nanoseconds.
    pub(crate) fn in_millis(self) -> Result<bool, Problem> {
        match self.text("unit").as_deref() {
            None | Some("" | "ns") => Ok(false),
            Some("ms") => Ok(true),
            Some(other) => Err(Problem::Bad(format!(
                "unit must be ns or ms, not {other:?}"
            ))),
        }
    }

    /// The task after which a page begins: `after=AT:ID`, as that task has them.
    pub(crate) fn after(self) -> Result<Option<(i64, i64)>, Problem> {
        let Some(text) = self.text("after").filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let pair = text
            .split_once(':')
            .and_then(|(at, id)| at.parse().ok().zip(id.parse().ok()));
        pair.map(Some).ok_or_else(|| {
            Problem::Bad(format!(
                "after must be AT:ID of the last task of a page, not {text:?}"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_taken_in_all_words_of_the_original_server() {
        for (text, meant) in [("YES", true), ("True", true), ("1", true), ("no", false)] {
            assert_eq!(
                Query(&format!("owned={text}")).flag("owned").ok(),
                Some(meant)
            );
        }
        assert!(Query("owned=2").flag("owned").is_err());
        assert_eq!(Query("b?owned=1").flag("owned").ok(), Some(false));
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        assert_eq!(Query("limit=-1").int("limit").ok(), Some(Some(-1)));
        assert_eq!(Query("limit=").int("limit").ok(), Some(None));
        assert!(Query("limit=1x").int("limit").is_err());
        assert_eq!(Query("after=7:9").after().ok(), Some(Some((7, 9))));
        assert!(Query("after=7").after().is_err());
    }
}
