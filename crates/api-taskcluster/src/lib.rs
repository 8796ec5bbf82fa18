//! Taskcluster's services over HTTP, as its clients know them.
//!
//! Each service declares its methods once, in a table of contents; the table routes, authorizes,
//! validates, and is served as the service's reference document. `service` holds what all
//! services do alike, a folder each holds what one service does.

pub mod auth;
mod authentication;
mod call;
mod compression;
mod date_time;
mod error;
pub mod events;
mod exchanges;
mod follower;
pub mod hooks;
pub mod index;
mod method;
mod monitoring;
pub mod notify;
pub mod object;
mod outside;
mod paging;
mod parameter;
pub mod purge_cache;
pub mod queue;
mod reference;
mod reply;
mod route;
pub mod schema;
pub mod secrets;
mod service;

pub use exchanges::{exchange_names, translators};
pub use reference::References;
pub use service::{Context, Service};
