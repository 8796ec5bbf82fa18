//! The references say what clients of all generations expect. The facts in `tests/facts/` are what
//! the published references of three releases have in common with ours; of a method that several
//! have, the newest.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use taskyard_access::secrets::Secrets as Kept;
use taskyard_access::{Directory, Sealer};
use taskyard_api_taskcluster::auth::{Auth, Guarded};
use taskyard_api_taskcluster::hooks::{Firing, Hooks};
use taskyard_api_taskcluster::index::Index;
use taskyard_api_taskcluster::notify::{Notifier, Notify, Sinks};
use taskyard_api_taskcluster::object::Objects;
use taskyard_api_taskcluster::purge_cache::PurgeCache;
use taskyard_api_taskcluster::queue::{self, Files, Queue};
use taskyard_api_taskcluster::schema::Schemas;
use taskyard_api_taskcluster::secrets::Secrets;
use taskyard_api_taskcluster::{Context, References};
use taskyard_engine::clock::Clock;
use taskyard_http::Draining;
use taskyard_store::testing::{Database, Kind};

/// Methods of clients so old that their reference names no scopes; ours does.
const SCOPES_UNKNOWN: &[&str] = &["expandScopesGet", "webhooktunnelToken"];

/// The reference of each service.
async fn references() -> BTreeMap<&'static str, Value> {
    let database = Database::new(Kind::Sqlite);
    let migrations = [
        taskyard_events::MIGRATIONS,
        taskyard_engine::MIGRATIONS,
        taskyard_access::directory::MIGRATIONS,
    ]
    .concat();
    let store = database.open(&migrations);
    let folder = tempfile::tempdir().unwrap();
    let sealer = Arc::new(Sealer::new(&[7; 32]));
    let directory = Directory::open(store.clone(), Arc::clone(&sealer), false)
        .await
        .unwrap();
    let clock = Clock::default();
    let context = Context {
        clock: clock.clone(),
        directory: Arc::new(directory),
        schemas: Arc::new(Schemas::load("https://tc.example.com").unwrap()),
        trust_forwarded: false,
    };
    let files = Files::open(folder.path().to_owned()).await.unwrap();
    let hook_sealer = Arc::clone(&sealer);
    let secrets = Kept::new(store.clone(), Arc::clone(&sealer));
    let transfers = Arc::new(queue::transfers(
        "https://tc.example.com",
        sealer,
        files,
        store.clone(),
        clock,
    ));
    let objects = Objects::service(store.clone(), Arc::clone(&transfers), context.clone());
    let secrets = Secrets::service(secrets, context.clone()).reference();
    let parts = queue::Parts {
        store,
        claim_timeout: Duration::from_mins(20),
        draining: Draining::new(),
        transfers,
    };
    let purge_cache = PurgeCache::service(parts.store.clone(), context.clone());
    let index = Index::service(
        parts.store.clone(),
        "https://tc.example.com",
        context.clone(),
    );
    let auth = Auth::service(Guarded::default(), context.clone()).reference();
    let store = parts.store.clone();
    let queue = Arc::new(Queue::service(parts, context.clone()));
    let (clock, directory) = (context.clock.clone(), Arc::clone(&context.directory));
    let notifier = Notifier::new(store, clock, Sinks::default(), "https://tc.example.com");
    let notify = Notify::service(Arc::clone(&notifier), context.clone());
    let firing = Firing::new(directory, Arc::clone(&queue), notifier);
    let hooks = Hooks::service(Arc::new(firing), hook_sealer, context);
    BTreeMap::from([
        ("auth", auth),
        ("hooks", hooks.reference()),
        ("index", index.reference()),
        ("notify", notify.reference()),
        ("object", objects.reference()),
        ("purge-cache", purge_cache.reference()),
        ("queue", queue.reference()),
        ("secrets", secrets),
    ])
}

fn entries(reference: &Value) -> BTreeMap<&str, &Value> {
    let entries = reference["entries"].as_array().unwrap();
    let named: BTreeMap<_, _> = entries
        .iter()
        .map(|entry| (entry["name"].as_str().unwrap(), entry))
        .collect();
    assert_eq!(named.len(), entries.len(), "a name is there twice");
    named
}

/// What differs between a reference and the facts, one line each.
fn differences(reference: &Value, facts: &str) -> Vec<String> {
    let facts: BTreeMap<String, Value> = serde_json::from_str(facts).unwrap();
    let entries = entries(reference);
    let mut found = Vec::new();
    for name in entries.keys().filter(|name| !facts.contains_key(**name)) {
        found.push(format!("{name}: nobody knows this method"));
    }
    for (name, fact) in &facts {
        let Some(entry) = entries.get(name.as_str()) else {
            found.push(format!("{name}: is missing"));
            continue;
        };
        let mut compare = |what: &str, is: &Value| {
            if *is != fact[what] {
                found.push(format!("{name}: {what} is {is}, should be {}", fact[what]));
            }
        };
        for what in ["method", "route", "args", "query", "stability"] {
            compare(what, &entry[what]);
        }
        for what in ["input", "output"] {
            compare(what, &entry[what].is_string().into());
        }
        if !SCOPES_UNKNOWN.contains(&name.as_str()) {
            compare("scopes", &entry["scopes"]);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_is_what_its_clients_know() {
    let references = references().await;
    let facts = [
        ("auth", include_str!("facts/auth.json")),
        ("hooks", include_str!("facts/hooks.json")),
        ("index", include_str!("facts/index.json")),
        ("notify", include_str!("facts/notify.json")),
        ("object", include_str!("facts/object.json")),
        ("purge-cache", include_str!("facts/purge-cache.json")),
        ("queue", include_str!("facts/queue.json")),
        ("secrets", include_str!("facts/secrets.json")),
    ];
    assert!(facts.iter().map(|(name, _)| name).eq(references.keys()));
    for (name, facts) in facts {
        let found = differences(&references[name], facts);
        assert!(found.is_empty(), "{name}: {}", found.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_schema_that_a_reference_names_is_served_with_the_manifest() {
    let references = references().await;
    let root = "https://tc.example.com";
    let schemas = Arc::new(Schemas::load(root).unwrap());
    for (service, reference) in &references {
        for (name, entry) in entries(reference) {
            for what in ["input", "output"] {
                if let Some(schema) = entry[what].as_str() {
                    let full = format!("{service}/{schema}");
                    assert!(schemas.get(&full).is_some(), "{name}: there is no {full}");
                }
            }
        }
    }
    let served = References::new(root, schemas, references);
    let manifest = body(&served, "/references/manifest.json").await;
    for url in manifest["references"].as_array().unwrap() {
        let path = url.as_str().unwrap().strip_prefix(root).unwrap();
        assert_eq!(served.answer(path).status(), 200, "{path}");
    }
    // A list of methods for each service, and one of exchanges for the five that publish.
    assert_eq!(manifest["references"].as_array().unwrap().len(), 8 + 5);
    everything_is_in_one_document(&served, &manifest, root).await;
}

/// The document that has all others in it, by paths instead of addresses.
async fn everything_is_in_one_document(served: &References, manifest: &Value, root: &str) {
    let together = body(served, "/references/references.json").await;
    let mut documents = BTreeMap::new();
    for entry in together.as_array().unwrap() {
        let name = entry["filename"].as_str().unwrap();
        let content = &entry["content"];
        assert!(
            documents.insert(name, content).is_none(),
            "{name} is there twice"
        );
        let text = content.to_string();
        assert!(
            !text.contains(root),
            "{name} says where this installation is"
        );
        let served = body(served, &format!("/{name}")).await;
        assert_eq!(
            served.to_string().replace(&format!("\"{root}/"), "\"/"),
            text,
            "{name} is served as something else"
        );
    }
    for url in manifest["references"].as_array().unwrap() {
        let name = url.as_str().unwrap().strip_prefix(root).unwrap();
        assert!(
            documents.contains_key(name.trim_start_matches('/')),
            "{name}"
        );
    }
    assert!(documents.contains_key("references/manifest.json"));
    assert!(documents.contains_key("schemas/auth/v1/scopeset.json"));
}

async fn body(served: &References, path: &str) -> Value {
    let answer = served.answer(path);
    assert_eq!(answer.status(), 200, "{path}");
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX)
        .await
        .unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_about_exchanges_stands_beside_that_of_the_methods() {
    let root = "https://tc.example.com";
    let schemas = Arc::new(Schemas::load(root).unwrap());
    let served = References::new(root, schemas, references().await);
    let found = body(&served, "/references/auth/v1/exchanges.json").await;
    let schema = format!("{root}/schemas/common/exchanges-reference-v0.json#");
    assert_eq!(found["$schema"], schema);
    let manifest = body(&served, "/references/manifest.json").await;
    let url = format!("{root}/references/auth/v1/exchanges.json");
    assert!(
        manifest["references"]
            .as_array()
            .unwrap()
            .contains(&url.into())
    );
}
