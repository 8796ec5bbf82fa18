//! Cloud Tasks, from the command line and with the client library.

mod command;
mod handler;
mod library;

use std::path::Path;
use std::time::Duration;

use taskyard_engine::clock::Clock;

use crate::server::Server;

/// A server that asks for credentials and sends to this machine.
async fn start(data: &Path) -> Server {
    Server::start(data, &["--outgoing-loopback"]).await
}

/// This time tomorrow, to the second, as the service writes it.
fn tomorrow() -> String {
    let at = Clock::default().now().plus(Duration::from_hours(24));
    let text = at.to_iso();
    format!("{}Z", text.split('.').next().expect("a time"))
}
