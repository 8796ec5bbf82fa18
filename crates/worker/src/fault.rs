//! Why a run did not simply complete.

use taskyard_client::{Error, taskcluster::ExceptionReason};

use crate::Resolution;

/// The first thing that went wrong in a run. It decides what is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What is reported for it.
    pub(crate) resolution: Resolution,
    /// For the log.
    pub(crate) message: String,
}

impl Fault {
    /// The task is at fault.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self {
            resolution: Resolution::Failed,
            message: message.into(),
        }
    }

    /// The run could not be finished.
    pub(crate) fn exception(reason: ExceptionReason, message: impl Into<String>) -> Self {
        Self {
            resolution: Resolution::Exception(reason),
            message: message.into(),
        }
    }

    /// The payload asks for something wrong.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::exception(ExceptionReason::MalformedPayload, message)
    }

    /// The worker itself could not do its part.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::exception(ExceptionReason::InternalError, message)
    }

    /// The claim is somebody else's, or nobody's: nothing may be reported.
    pub(crate) fn lost(message: impl Into<String>) -> Self {
        Self {
            resolution: Resolution::Lost,
            message: message.into(),
        }
    }

    /// The queue refused to record the artifact `name`.
    pub(crate) fn artifact_refused(name: &str, error: &Error) -> Self {
        let message = format!("cannot create artifact `{name}`: {error}");
        match error.status() {
            // The payload chose the name, type and expiry: they are wrong (400), or contradict
            // another artifact of the same name (409).
            Some(400 | 409) => Self::malformed(message),
            Some(status) if status < 500 => Self::internal(message),
            _ => Self::exception(ExceptionReason::ResourceUnavailable, message),
        }
    }

    /// The bytes of the artifact `name` did not arrive.
    pub(crate) fn upload_failed(name: &str, error: &Error) -> Self {
        Self::exception(
            ExceptionReason::ResourceUnavailable,
            format!("cannot upload artifact `{name}`: {error}"),
        )
    }
}
