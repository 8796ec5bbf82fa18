//! Rust clients for the APIs of Taskyard, and for the services they are compatible with.
//!
//! Everything is asynchronous and cheap to clone. A client signs each request with Hawk when it has
//! credentials, repeats what failed for a passing reason (connection errors and 5xx) and returns
//! everything else as a typed [`Error`].
//!
//! ```no_run
//! use taskyard_client::{Options, taskcluster::Queue};
//!
//! # async fn example() -> Result<(), taskyard_client::Error> {
//! let queue = Queue::new(Options::from_env()?)?;
//! let status = queue.status("fN1SbArXTPSVFNUvaOlinQ").await?;
//! println!("{:?}", status.state);
//! # Ok(())
//! # }
//! ```

mod clock;
pub mod cloudtasks;
mod credentials;
mod error;
pub mod from_now;
mod hashes;
mod options;
mod retry;
mod service;
pub mod slugid;
pub mod stacks;
pub mod taskcluster;
pub mod taskstore;
mod timestamp;
mod transfer;
mod url;

pub use credentials::Credentials;
pub use error::Error;
pub use options::Options;
pub use reqwest::Method;
pub use retry::Retry;
pub use service::{Call, Response, Service};
pub use timestamp::Timestamp;
pub use transfer::{Content, Downloaded};
pub use url::api_url;

/// What every call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;
