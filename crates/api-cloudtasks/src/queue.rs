//! Queues.

mod filter;
mod methods;
mod render;
mod settings;
mod upload;
mod yaml;

pub(crate) use self::methods::{
    create_queue, delete_queue, get_queue, list_queues, pause_queue, purge_queue, resume_queue,
    update_queue,
};
pub(crate) use self::settings::{put_retry, retry};
pub(crate) use self::upload::upload_queue_yaml;
