//! What every API of the server shares: one port for HTTP/1.1 and HTTP/2, limits against slow and
//! greedy clients, request ids, health, traffic figures, and a shutdown that lets work finish.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use taskyard_http::{Draining, Limits};
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let draining = Draining::new();
//! let drained =
//!     taskyard_http::serve(listener, axum::Router::new(), Limits::default(), draining).await;
//! assert_eq!(drained.cut_off, 0);
//! # Ok(())
//! # }
//! ```

pub mod body;
mod connection;
mod entrance;
pub mod health;
mod limits;
mod listener;
mod request_id;
mod traffic;
mod watched;
mod wire;

pub use self::entrance::{Door, Entrance};
pub use self::limits::Limits;
pub use self::listener::{Drained, serve};
pub use self::request_id::RequestId;
pub use self::traffic::{Api, Traffic};

/// Cancelled when the server begins to shut down. Whatever waits on behalf of a client (a long
/// poll, a stream of events) watches it and answers early.
pub type Draining = tokio_util::sync::CancellationToken;
