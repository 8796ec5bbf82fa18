//! How much of a task an answer shows.

use crate::failure::Failure;
use crate::iam::Permission;
use crate::message::Fields;

/// How much of a task an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// All but the bodies.
    Basic,
    Full,
}

impl View {
    /// What a request asks for.
    pub(crate) fn of(request: &impl Fields) -> Result<Self, Failure> {
        match request.choice("response_view") {
            0 | 1 => Ok(View::Basic),
            2 => Ok(View::Full),
            other => Err(Failure::invalid(format!(
                "{other} is not a valid Task.View."
            ))),
        }
    }

    pub(crate) fn number(self) -> i32 {
        match self {
            View::Basic => 1,
            View::Full => 2,
        }
    }

    /// `permission`, and what it takes to see the bodies.
    pub(crate) fn with(self, permission: Permission) -> Vec<Permission> {
        match self {
            View::Basic => vec![permission],
            View::Full => vec![permission, Permission::TasksFullView],
        }
    }
}
