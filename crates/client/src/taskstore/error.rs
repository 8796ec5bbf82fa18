use std::fmt;

/// Why a call did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store says no, and has changed nothing.
    #[error("the store refused: {0}")]
    Refused(Refusal),
    /// The call did not get that far, or its answer did not arrive.
    #[error(transparent)]
    Call(#[from] crate::Error),
}

/// What stood in the way of an update or a claim: offending ids, in the order of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Tasks to be changed that are gone.
    pub changes: Vec<i64>,
    /// Tasks to be deleted that are gone.
    pub deletes: Vec<i64>,
    /// Tasks depended on that are gone.
    pub depends: Vec<i64>,
    /// Tasks that somebody else holds.
    pub owned: Vec<i64>,
    /// What is wrong with the request itself.
    pub bugs: Vec<String>,
}

impl Error {
    /// The refusal, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Call(_) => None,
        }
    }

    /// Whether the same call may succeed later. It may have been carried out nevertheless: then
    /// the ids it named are gone.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Call(error) if error.is_transient())
    }
}

impl Refusal {
    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [
            ("to be changed but gone", &self.changes),
            ("to be deleted but gone", &self.deletes),
            ("depended on but gone", &self.depends),
            ("held by somebody else", &self.owned),
        ];
        let lists = lists.iter().filter(|(_, ids)| !ids.is_empty());
        let mut parts: Vec<String> = lists
            .map(|(what, ids)| format!("{what}: {ids:?}"))
            .collect();
        parts.extend(self.bugs.iter().cloned());
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_stood_in_the_way() {
        let refusal = Refusal {
            depends: vec![1, 2],
            bugs: vec!["empty update requested".to_owned()],
            ..Refusal::default()
        };
        let text = Error::Refused(refusal).to_string();
        assert_eq!(
            text,
            "the store refused: depended on but gone: [1, 2]; empty update requested"
        );
    }
}
