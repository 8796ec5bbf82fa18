//! Tasks.

mod batch;
mod buffer;
mod methods;
mod pacific;
mod pull;
mod read;
mod render;
mod view;

pub(crate) use self::batch::{batch_create_tasks, batch_delete_tasks};
pub(crate) use self::buffer::buffer_task;
pub(crate) use self::methods::{create_task, delete_task, get_task, list_tasks, run_task};
pub(crate) use self::pull::{acknowledge_task, cancel_lease, lease_tasks, renew_lease};
pub(crate) use self::render::{put_outcome, task as render};
pub(crate) use self::view::View;
