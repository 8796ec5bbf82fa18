//! How an attempt came out.

use serde::{Deserialize, Serialize};

/// How an attempt came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// The handler answered with this HTTP status.
    Status(u16),
    /// There was no complete answer within the deadline, or the server that waited for it was lost.
    TimedOut,
    /// There was no answer, because the handler could not be reached or broke off.
    Unreachable,
    /// The server itself did not send: the address is forbidden, or unknown.
    Refused,
}

impl Outcome {
    /// Whether the task is done.
    pub fn is_success(self) -> bool {
        matches!(self, Outcome::Status(200..=299))
    }

    /// Whether the handler answered at all.
    pub fn is_answer(self) -> bool {
        matches!(self, Outcome::Status(_))
    }

    /// Whether the answer counts as an execution: any but 5xx.
    pub fn is_execution(self) -> bool {
        matches!(self, Outcome::Status(status) if !(500..=599).contains(&status))
    }

    pub(super) fn stored(self) -> i64 {
        match self {
            Outcome::Status(status) => status.into(),
            Outcome::TimedOut => 0,
            Outcome::Unreachable => -1,
            Outcome::Refused => -2,
        }
    }

    pub(super) fn from_stored(stored: i64) -> Self {
        match stored {
            0 => Outcome::TimedOut,
            -2 => Outcome::Refused,
            other => u16::try_from(other).map_or(Outcome::Unreachable, Outcome::Status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome;

    #[test]
    fn outcomes_are_read_as_they_were_stored() {
        for outcome in [
            Outcome::Status(200),
            Outcome::Status(503),
            Outcome::TimedOut,
            Outcome::Unreachable,
            Outcome::Refused,
        ] {
            assert_eq!(Outcome::from_stored(outcome.stored()), outcome);
        }
    }
}
