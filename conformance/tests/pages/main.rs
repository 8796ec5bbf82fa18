//! The web pages, as people use them with a real browser.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what the tests stand on fails a test by panicking"
)]

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::FutureExt as _;
use taskyard_conformance::{Database, Server};

use self::browser::Browser;
use self::house::House;

mod browser;
mod cloud;
mod hooks;
mod house;
mod logs;
mod outbox;
mod tasks;
mod visitors;

/// Makes a test of each function, on each database.
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident)*) => {
        $(mod $name {
            use taskyard_conformance::Database;

            #[test]
            fn on_sqlite() {
                $crate::run(Database::sqlite(), async |house, browser| super::$name(house, browser).await);
            }

            #[test]
            fn on_postgres() {
                let database = Database::postgres().unwrap();
                $crate::run(database, async |house, browser| super::$name(house, browser).await);
            }
        })*
    };
}

/// Runs a test in a house of its own, with a browser that ends with it, however it ends. Databases
/// and servers come and go outside of it, for they block.
pub(crate) fn run(database: Database, test: impl AsyncFnOnce(&House, &Browser)) {
    let server = Server::start(database).unwrap();
    let house = House::new(server.root_url());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let browser = Browser::open(&house.root_url).await;
        let ended = AssertUnwindSafe(test(&house, &browser))
            .catch_unwind()
            .await;
        browser.closes().await;
        if let Err(panic) = ended {
            resume_unwind(panic);
        }
    });
    server.stop().unwrap();
}
