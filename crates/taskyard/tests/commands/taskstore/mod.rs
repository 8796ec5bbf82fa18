//! Taskstore, as an operator and a user see it.

mod command;
mod crash;
#[path = "../../../../client/examples/mapreduce.rs"]
mod mapreduce;
mod workers;

use std::path::Path;

use crate::server::Server;

/// A server on which everybody may do everything.
async fn start(data: &Path) -> Server {
    let (server, _) = start_alone(data).await;
    server
}

/// The same, and the address where taskstore is alone.
async fn start_alone(data: &Path) -> (Server, String) {
    let arguments = ["--dev", "--taskstore-listen", "127.0.0.1:0"];
    let mut server = Server::start(data, &arguments).await;
    let line = server.line().await;
    let alone = line.strip_prefix("taskstore alone on ").expect(&line);
    (server, alone.to_owned())
}
