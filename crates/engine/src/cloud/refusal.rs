//! Why a call on a cloud queue or task is refused. Nothing was changed then.

/// Why a call on a cloud queue or task is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such queue.
    #[error("the queue does not exist")]
    QueueMissing,
    /// The name is taken.
    #[error("the queue already exists")]
    QueueExists,
    /// The name belonged to a queue that was deleted too recently.
    #[error("a queue of this name existed too recently")]
    QueueTombstoned,
    /// A push queue stays one, and so does a pull queue.
    #[error("a push queue cannot become a pull queue, nor a pull queue a push queue")]
    KindChange,
    /// There is no such task, and as far as is known there never was.
    #[error("the task does not exist")]
    TaskMissing,
    /// There is no such task any more.
    #[error("the task no longer exists")]
    TaskGone,
    /// The name is taken by a task that is there.
    #[error("the task already exists")]
    TaskExists,
    /// The name was taken by a task that ended too recently.
    #[error("a task of this name existed too recently")]
    TaskTombstoned,
    /// Only a pull queue, or its task, can do this.
    #[error("this is not a pull queue")]
    NotPull,
    /// Only a push queue, or its task, can do this.
    #[error("this is a pull queue")]
    NotPush,
    /// Tasks are lent by running queues only.
    #[error("the queue is not running")]
    QueueNotRunning,
    /// The lease is over, or another one than the caller thinks.
    #[error("the task is not leased until this time")]
    LeaseMismatch,
    /// The policy has changed since it was read.
    #[error("the policy was changed by somebody else")]
    EtagMismatch,
}
