//! The hooks service: tasks made of templates, when somebody asks for it, upon messages, or on a
//! schedule.
//!
//! [`Firing`] makes a task of a template; it has the scopes of the hook's role and nothing of
//! whoever made it fire. It is asked by callers ([`Hooks`]), by the clock ([`schedule`]) and by what
//! happens ([`Listener`]).

mod definition;
mod definitions;
mod exchanges;
mod fires;
mod firing;
mod listener;
mod methods;
mod scheduler;
mod tokens;
mod trigger_schema;
mod triggers;

use std::sync::Arc;
use std::time::Duration;

use taskyard_access::Sealer;
use taskyard_engine::Timestamp;
use taskyard_engine::hook::{self, Hook, Name};
use taskyard_store::Key;

use crate::call::Call;
use crate::error::ApiError;
use crate::monitoring::Monitored;
use crate::service::{Context, Service};

pub(crate) use exchanges::{EXCHANGES, HookMessages};
pub use firing::Firing;
pub use listener::Listener;
pub use scheduler::schedule;

/// What the history calls a hook.
const KIND: &str = "hook";

/// What the handlers of the hooks service share.
#[derive(Debug)]
pub struct Hooks {
    firing: Arc<Firing>,
    sealer: Arc<Sealer>,
    started: Timestamp,
}

impl Hooks {
    /// The hooks service, which keeps the tokens of hooks sealed by `sealer`.
    pub fn service(firing: Arc<Firing>, sealer: Arc<Sealer>, context: Context) -> Service<Hooks> {
        let hooks = Hooks {
            firing,
            sealer,
            started: context.clock.now(),
        };
        Service::new("hooks", methods::ABOUT, methods::methods(), hooks, context)
    }

    /// The hook that a call is about.
    async fn load(&self, call: &Call) -> Result<Hook, ApiError> {
        let name = name_of(call);
        let found = self.firing.store.read(move |tx| hook::load(tx, &name));
        found.await?.ok_or_else(no_such_hook)
    }
}

impl Monitored for Hooks {
    fn uptime(&self) -> Duration {
        self.firing.clock.now().since(self.started)
    }
}

fn name_of(call: &Call) -> Name {
    Name::new(call.param("hookGroupId"), call.param("hookId"))
}

/// The key of a change to a hook.
fn key(name: &Name) -> Key {
    Key::of(("hook", name))
}

fn no_such_hook() -> ApiError {
    ApiError::not_found("No such hook")
}
