//! The exchanges of the services: what each declares, in one place for those who publish, those
//! who subscribe and the reference documents.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use taskyard_events::{Exchange, Translate, Translators, Word};

use crate::{auth, hooks, notify, purge_cache, queue};

/// The exchanges of one service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchanges {
    pub(crate) service: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    pub(crate) entries: &'static [Exchange],
}

/// Of every service that publishes.
pub(crate) const ALL: [Exchanges; 5] = [
    auth::EXCHANGES,
    hooks::EXCHANGES,
    notify::EXCHANGES,
    purge_cache::EXCHANGES,
    queue::EXCHANGES,
];

/// Exchanges of services that this server does not have. Consumers expect them to be there, and
/// refuse to start if they are not.
const ELSEWHERE: &[(&str, &[&str])] = &[
    (
        "aws-provisioner",
        &[
            "worker-type-created",
            "worker-type-updated",
            "worker-type-removed",
        ],
    ),
    (
        "github",
        &[
            "pull-request",
            "push",
            "release",
            "rerun",
            "task-group-creation-requested",
            "task-group-defined",
            "taskcluster-yml-update",
        ],
    ),
    ("treeherder", &["jobs"]),
    (
        "worker-manager",
        &[
            "worker-pool-created",
            "worker-pool-updated",
            "worker-pool-error",
            "worker-requested",
            "worker-running",
            "worker-stopped",
            "worker-removed",
            "launch-config-created",
            "launch-config-updated",
            "launch-config-archived",
        ],
    ),
];

/// What the names of a service's exchanges begin with.
fn prefix(service: &str) -> String {
    format!("exchange/taskcluster-{service}/v1/")
}

/// The full names of all exchanges that consumers may bind to, whether or not something is
/// published there.
pub fn exchange_names() -> Vec<String> {
    let ours = ALL.iter().flat_map(|exchanges| {
        let entries = exchanges.entries.iter();
        entries.map(|entry| exchanges.full_name(entry))
    });
    let others = ELSEWHERE.iter().flat_map(|(service, names)| {
        let prefix = prefix(service);
        names.iter().map(move |name| format!("{prefix}{name}"))
    });
    ours.chain(others).collect()
}

/// What makes messages of the events of all services.
pub fn translators() -> Translators {
    let all: [Arc<dyn Translate>; 5] = [
        Arc::new(auth::AuthMessages::default()),
        Arc::new(hooks::HookMessages::default()),
        Arc::new(notify::NotifyMessages::default()),
        Arc::new(purge_cache::PurgeCacheMessages::default()),
        Arc::new(queue::QueueMessages::default()),
    ];
    Translators::new(all)
}

impl Exchanges {
    /// The name of one of them on a broker.
    pub(crate) fn full_name(&self, entry: &Exchange) -> String {
        format!("{}{}", prefix(self.service), entry.exchange)
    }

    /// Each of them with its full name.
    pub(crate) fn named(&self) -> Vec<(Arc<str>, &'static Exchange)> {
        let entries = self.entries.iter();
        entries
            .map(|entry| (self.full_name(entry).into(), entry))
            .collect()
    }

    /// The service's reference document of its exchanges.
    pub(crate) fn reference(&self) -> Value {
        let entries: Vec<Value> = self.entries.iter().map(reference_of).collect();
        json!({
            "$schema": "/schemas/common/exchanges-reference-v0.json#",
            "title": self.title,
            "description": self.description,
            "serviceName": self.service,
            "apiVersion": "v1",
            "exchangePrefix": prefix(self.service),
            "entries": entries,
        })
    }
}

fn reference_of(entry: &Exchange) -> Value {
    let key: Vec<Value> = entry.key.iter().map(word).collect();
    json!({
        "type": "topic-exchange",
        "exchange": entry.exchange,
        "name": entry.name,
        "title": entry.title,
        "description": entry.description,
        "routingKey": key,
        "schema": entry.schema,
    })
}

fn word(word: &Word) -> Value {
    let mut entry = Map::new();
    entry.insert("name".to_owned(), word.name.into());
    entry.insert("summary".to_owned(), word.summary.into());
    if let Some(constant) = word.constant {
        entry.insert("constant".to_owned(), constant.into());
    }
    entry.insert("multipleWords".to_owned(), word.multiple.into());
    entry.insert("required".to_owned(), word.required.into());
    Value::Object(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_fits_into_what_a_broker_takes() {
        for exchanges in ALL {
            for entry in exchanges.entries {
                assert!(entry.is_sound(), "{}", exchanges.full_name(entry));
            }
        }
    }

    #[test]
    fn no_exchange_is_declared_twice() {
        let mut names = exchange_names();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
