//! Bindings as the official clients make them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use taskyard_client::taskcluster::exchange::{self, Exchange};
use taskyard_client::taskcluster::{Binding, QueueEvents};

fn classes() -> BTreeMap<&'static str, &'static [Exchange]> {
    BTreeMap::from([
        ("AuthEvents", exchange::AuthEvents::ALL),
        ("AwsProvisionerEvents", exchange::AwsProvisionerEvents::ALL),
        ("GithubEvents", exchange::GithubEvents::ALL),
        ("HooksEvents", exchange::HooksEvents::ALL),
        ("NotifyEvents", exchange::NotifyEvents::ALL),
        ("PurgeCacheEvents", exchange::PurgeCacheEvents::ALL),
        ("QueueEvents", exchange::QueueEvents::ALL),
        ("TreeherderEvents", exchange::TreeherderEvents::ALL),
        ("WorkerManagerEvents", exchange::WorkerManagerEvents::ALL),
    ])
}

fn find(class: &str, method: &str) -> Exchange {
    let classes = classes();
    *classes[class]
        .iter()
        .find(|exchange| exchange.name() == method)
        .unwrap_or_else(|| panic!("{class}.{method}"))
}

/// The values of a vector as words; `None` if they are of a type that has no place in ours.
fn words(values: &Value) -> Option<Vec<(String, String)>> {
    let mut words = Vec::new();
    for (name, value) in values.as_object()? {
        match value {
            Value::Null => {}
            Value::String(text) => words.push((name.clone(), text.clone())),
            Value::Number(number) => words.push((name.clone(), number.to_string())),
            _ => return None,
        }
    }
    Some(words)
}

/// What our builder makes of one argument; `None` if it cannot be said in Rust.
fn bind(exchange: Exchange, argument: &Value) -> Option<Result<Binding, String>> {
    Some(match argument {
        Value::Null => Ok(exchange.all()),
        Value::String(pattern) => Ok(exchange.matching(pattern.as_str())),
        values => {
            let words = words(values)?;
            let words: Vec<_> = words
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            exchange.with(&words).map_err(|error| error.to_string())
        }
    })
}

#[test]
fn every_exchange_of_the_clients_is_there_with_its_words() {
    let facts: Value = serde_json::from_str(include_str!("vectors/exchanges.json")).unwrap();
    let facts = facts["classes"].as_object().unwrap();
    let classes = classes();
    assert_eq!(
        classes.keys().copied().collect::<BTreeSet<_>>(),
        facts.keys().map(String::as_str).collect::<BTreeSet<_>>()
    );
    for (class, exchanges) in &classes {
        let fact = &facts[*class];
        assert_eq!(
            exchanges.len(),
            fact["exchanges"].as_object().unwrap().len(),
            "{class}"
        );
        for exchange in *exchanges {
            let entry = &fact["exchanges"][exchange.name()];
            let prefix = fact["exchangePrefix"].as_str().unwrap();
            let name = entry["exchange"].as_str().unwrap();
            assert_eq!(exchange.full_name(), format!("{prefix}{name}"));
            let words: Vec<Value> = exchange
                .words()
                .iter()
                .map(|word| json!([word.name, word.constant, word.multiple]))
                .collect();
            let known: Vec<Value> = entry["routingKey"]
                .as_array()
                .unwrap()
                .iter()
                .map(|word| json!([word["name"], word["constant"], word["multipleWords"]]))
                .collect();
            assert_eq!(words, known, "{class}.{}", exchange.name());
        }
    }
}

#[test]
fn bindings_are_those_of_the_javascript_client() {
    let facts: Value = serde_json::from_str(include_str!("vectors/routingkeys.json")).unwrap();
    let mut compared = 0;
    for case in facts["cases"].as_array().unwrap() {
        let class = case["client"].as_str().unwrap();
        let exchange = find(class, case["method"].as_str().unwrap());
        let Some(bound) = bind(exchange, &case["args"]) else {
            assert!(case.get("error").is_some(), "{case}");
            continue;
        };
        compared += 1;
        match bound {
            Ok(binding) => {
                assert_eq!(json!(binding.exchange), case["exchange"], "{case}");
                assert_eq!(
                    json!(binding.routing_key_pattern),
                    case["routingKeyPattern"],
                    "{case}"
                );
            }
            Err(_) => assert!(case.get("error").is_some(), "{case}"),
        }
    }
    // Two cases give a number and a truth value where Rust takes words.
    assert_eq!(compared, 19);
}

#[test]
fn bindings_are_those_of_the_python_client() {
    let facts = include_str!("../../events/tests/vectors/topics.json");
    let facts: Value = serde_json::from_str(facts).unwrap();
    let mut compared = 0;
    for case in facts["client_binding"].as_array().unwrap() {
        let class = case["class"].as_str().unwrap();
        let exchange = find(class, case["method"].as_str().unwrap());
        let argument = match case["args"].as_array().unwrap().first() {
            Some(argument) => argument.clone(),
            None => case["kwargs"].clone(),
        };
        let Some(bound) = bind(exchange, &argument) else {
            continue;
        };
        compared += 1;
        match bound {
            Ok(binding) => {
                assert_eq!(
                    json!(binding.exchange),
                    case["result"]["exchange"],
                    "{case}"
                );
                assert_eq!(
                    json!(binding.routing_key_pattern),
                    case["result"]["routingKeyPattern"],
                    "{case}"
                );
            }
            Err(_) => assert!(case.get("raises").is_some(), "{case}"),
        }
    }
    assert!(compared >= 16, "{compared}");
}

#[test]
fn a_routing_key_is_taken_apart_into_its_words() {
    let key = "primary.t.0.g.w.p.wt.s.tg.a.b.c";
    let parsed = QueueEvents::task_running().parse(key);
    let word = |name: &str| {
        let found = parsed.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(word("taskId"), Some("t"));
    assert_eq!(word("taskGroupId"), Some("tg"));
    assert_eq!(word("reserved"), Some("a.b.c"));
    assert_eq!(exchange::GithubEvents::push().parse("primary.o").len(), 2);
}
