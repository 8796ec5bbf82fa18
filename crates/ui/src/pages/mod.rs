//! One page, or the few pages of one noun, a file.

pub(crate) mod access;
pub(crate) mod claims;
pub(crate) mod cloud;
pub(crate) mod events;
pub(crate) mod group;
pub(crate) mod hook;
pub(crate) mod index;
pub(crate) mod log;
pub(crate) mod outbox;
pub(crate) mod overview;
pub(crate) mod secrets;
pub(crate) mod sign_in;
pub(crate) mod task;
pub(crate) mod task_queue;
