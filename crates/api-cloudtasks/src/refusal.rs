//! The engine's refusals in the words of the API.

use taskyard_engine::cloud::Refusal;
use tonic::Code;

use crate::failure::Failure;

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = match refusal {
            Refusal::QueueMissing => return Failure::queue_not_found(),
            Refusal::TaskMissing => return Failure::entity_not_found(),
            Refusal::QueueExists => (Code::AlreadyExists, "Queue already exists"),
            Refusal::QueueTombstoned => (
                Code::FailedPrecondition,
                "The queue cannot be created because a queue with this name existed too recently.",
            ),
            Refusal::KindChange => (
                Code::InvalidArgument,
                "A push queue cannot become a pull queue, nor a pull queue a push queue.",
            ),
            Refusal::TaskGone => (
                Code::NotFound,
                "The task no longer exists, though a task with this name existed recently. The \
                 task either successfully completed or was deleted.",
            ),
            Refusal::TaskExists => (Code::AlreadyExists, "Requested entity already exists"),
            Refusal::TaskTombstoned => (
                Code::AlreadyExists,
                "The task cannot be created because a task with this name existed too recently. \
                 For more information about task de-duplication see \
                 https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.\
                 tasks/create#body.request_body.FIELDS.task.",
            ),
            Refusal::NotPull => (
                Code::FailedPrecondition,
                "This is a push queue: its tasks are sent to handlers and cannot be leased.",
            ),
            Refusal::NotPush => (
                Code::FailedPrecondition,
                "This is a pull queue: its tasks are leased and cannot be run.",
            ),
            Refusal::QueueNotRunning => (
                Code::FailedPrecondition,
                "The queue is not running: resume it before leasing tasks.",
            ),
            Refusal::LeaseMismatch => (
                Code::FailedPrecondition,
                "The task is not leased until this schedule_time: the lease has expired, or \
                 somebody else has it now.",
            ),
            Refusal::EtagMismatch => (
                Code::Aborted,
                "There were concurrent policy changes. Please retry the whole read-modify-write \
                 with exponential backoff.",
            ),
        };
        Failure::new(code, message)
    }
}
