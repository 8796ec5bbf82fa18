//! The inputs that the fuzz targets begin with, and those that once made them fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

use std::path::Path;

#[path = "../../../fuzz/src/lib.rs"]
mod checks;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(target);
    let mut count = 0;
    for seed in folder.read_dir().expect("a folder of seeds") {
        check(&std::fs::read(seed.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "there are no seeds for {target}");
}

#[test]
fn seeds_of_authorization_headers_hold() {
    replay("authorization", checks::authorization);
}

#[test]
fn seeds_of_bewits_hold() {
    replay("bewit", checks::bewit);
}

#[test]
fn seeds_of_scopes_hold() {
    replay("scopes", checks::scopes);
}
