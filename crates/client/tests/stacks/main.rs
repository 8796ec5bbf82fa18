//! What the client of stacks says over the wire, and what it makes of the answers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "../stand_in/mod.rs"]
mod stand_in;

mod agent;
mod blocking;
mod calls;
mod stack;

use std::time::Duration;

use stand_in::{Seen, StandIn, json};
use taskyard_client::stacks::{Options, Retry, Stacks};

const JOB: &str = "01234567-89ab-4def-8123-456789abcdef";
const OTHER: &str = "d6c1f2a4-3b7e-4c59-9a10-5f0e2b8c7d61";

fn options(server: &StandIn) -> Options {
    Options::new("bkct_secret")
        .with_base_url(format!("{}/v3/", server.root_url))
        .with_retry(Retry::constant(5, Duration::from_millis(1)))
}

fn stacks(server: &StandIn) -> Stacks {
    Stacks::new(options(server)).unwrap()
}

async fn answering(body: &str) -> StandIn {
    StandIn::start(vec![json("200 OK", body)]).await
}

/// The line, the headers that every request has, and the body as text.
fn said(seen: &Seen) -> (String, String) {
    let headers = [
        ("authorization", "Token bkct_secret"),
        ("accept", "application/json"),
        ("content-type", "application/json"),
    ];
    for (name, value) in headers {
        assert_eq!(seen.headers.get(name).map(String::as_str), Some(value));
    }
    let agent = &seen.headers["user-agent"];
    assert!(agent.starts_with("taskyard-stacks/"), "{agent}");
    (
        format!("{} {}", seen.method, seen.target),
        String::from_utf8(seen.body.clone()).unwrap(),
    )
}

fn expect(server: &StandIn, line: &str, body: &str) {
    let seen = server.seen();
    assert_eq!(
        said(seen.last().unwrap()),
        (line.to_owned(), body.to_owned())
    );
}
