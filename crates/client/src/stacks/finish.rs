use serde::Serialize;

/// Most bytes of a detail.
const MAX_DETAIL_BYTES: usize = 4096;

/// How a text that was cut ends.
const CUT: &str = "… (cut, because it was too long)";

/// The end of a job that no agent ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedJob {
    /// 0 is success. Unlike other clients, this one always sends it: without, the job has failed.
    pub exit_status: i32,
    /// Why, for whoever looks at the job. What is longer than 4096 bytes is cut.
    pub detail: String,
    /// What brought it about, such as `stack_error`.
    pub signal_reason: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct FinishRequest {
    exit_status: i32,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal_reason: Option<String>,
}

impl FinishedJob {
    /// The stack could not get the job to run.
    pub fn stack_error(detail: impl Into<String>) -> Self {
        Self {
            exit_status: -1,
            detail: detail.into(),
            signal_reason: Some("stack_error".to_owned()),
        }
    }

    /// The job ended with `exit_status`, for the reason that `detail` gives.
    pub fn exited(exit_status: i32, detail: impl Into<String>) -> Self {
        Self {
            exit_status,
            detail: detail.into(),
            signal_reason: None,
        }
    }

    pub(super) fn request(&self) -> FinishRequest {
        FinishRequest {
            exit_status: self.exit_status,
            detail: cut(&self.detail, MAX_DETAIL_BYTES),
            signal_reason: self.signal_reason.clone(),
        }
    }
}

/// `text`, or as much of it as `limit` bytes hold with a note that it was cut, never within a
/// character.
fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit.saturating_sub(CUT.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{CUT}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        assert_eq!(cut(&"x".repeat(4096), 4096).len(), 4096);
        for text in ["é".repeat(4096), format!("x{}", "😀".repeat(2000))] {
            let cut = cut(&text, MAX_DETAIL_BYTES);
            assert!(cut.len() <= MAX_DETAIL_BYTES && cut.len() > MAX_DETAIL_BYTES - 4);
            assert!(cut.ends_with(CUT) && !cut.contains('\u{fffd}'));
        }
    }

    #[test]
    fn success_is_said_and_not_left_out() {
        let sent = serde_json::to_string(&FinishedJob::exited(0, "done").request()).unwrap();
        assert_eq!(sent, r#"{"exit_status":0,"detail":"done"}"#);
    }
}
