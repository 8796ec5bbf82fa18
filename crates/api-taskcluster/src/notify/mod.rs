//! The notify service: mails, and messages to rooms and channels, because somebody asks for it or
//! because of the routes of a task.
//!
//! A notification is accepted by one transaction (`Notifier::accept`) and sent afterwards
//! ([`deliver`]), so that none is lost; [`Observer`] makes notifications of what happens to tasks.

mod calls;
mod chat;
mod courier;
mod denylist;
mod exchanges;
mod methods;
mod notifier;
mod observer;
mod outbox;
mod report;
mod route;
mod sinks;

use std::sync::Arc;
use std::time::Duration;

use taskyard_engine::Timestamp;

use crate::monitoring::Monitored;
use crate::service::{Context, Service};

pub use courier::deliver;
pub(crate) use exchanges::{EXCHANGES, NotifyMessages};
pub use notifier::Notifier;
pub(crate) use notifier::{Kind, Notice};
pub use observer::Observer;
pub(crate) use route::is_wanted;
pub use sinks::{Matrix, Sinks, Slack};

/// What the handlers of the notify service share.
#[derive(Debug)]
pub struct Notify {
    notifier: Arc<Notifier>,
    started: Timestamp,
}

impl Notify {
    /// The notify service.
    pub fn service(notifier: Arc<Notifier>, context: Context) -> Service<Notify> {
        let notify = Notify {
            notifier,
            started: context.clock.now(),
        };
        Service::new(
            "notify",
            methods::ABOUT,
            methods::methods(),
            notify,
            context,
        )
    }
}

impl Monitored for Notify {
    fn uptime(&self) -> Duration {
        self.notifier.clock.now().since(self.started)
    }
}
