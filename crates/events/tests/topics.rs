//! Topic matching and routing keys, against what a broker and other implementations do.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::Value;
use taskyard_events::exchange::{Exchange, Word, parse, routes};
use taskyard_events::index::Index;
use taskyard_events::topic::matches;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/topics.json")).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn keys_match_patterns_as_a_broker_matches_them() {
    let vectors = vectors();
    let keys: Vec<&str> = vectors["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect();
    let mut compared = 0;
    for case in vectors["topic_match"].as_array().unwrap() {
        let pattern = text(&case["pattern"]);
        let matching: Vec<u64> = case["matches"]
            .as_array()
            .unwrap()
            .iter()
            .map(|at| at.as_u64().unwrap())
            .collect();
        let mut index = Index::default();
        index.bind("x", pattern, 1);
        for (at, key) in keys.iter().enumerate() {
            let expected = matching.contains(&(at as u64));
            assert_eq!(matches(pattern, key), expected, "{pattern:?} {key:?}");
            let found = !index.matching("x", [*key]).is_empty();
            assert_eq!(found, expected, "index: {pattern:?} {key:?}");
            compared += 1;
        }
    }
    assert!(compared > 2000, "{compared}");
}

#[test]
fn a_message_comes_once_however_many_keys_and_bindings_match() {
    for case in vectors()["cc_delivery"].as_array().unwrap() {
        let mut index = Index::default();
        for binding in case["bindings"].as_array().unwrap() {
            index.bind("x", text(binding), 7);
        }
        let cc = case["cc"].as_array().unwrap().iter().map(text);
        let keys = std::iter::once(text(&case["routing_key"])).chain(cc);
        let copies = index.matching("x", keys).len() as u64;
        assert_eq!(Some(copies), case["copies"].as_u64(), "{case}");
    }
}

const TASK_KEY: &[Word] = &[
    Word::constant("routingKeyKind", "primary", ""),
    Word::required("taskId", 22, ""),
    Word::optional("runId", 3, ""),
    Word::optional("workerGroup", 38, ""),
    Word::optional("workerId", 38, ""),
    Word::required("provisionerId", 38, ""),
    Word::required("workerType", 38, ""),
    Word::required("schedulerId", 38, ""),
    Word::required("taskGroupId", 22, ""),
    Word::reserved(1),
];

const NOTHING: &[Word] = &[Word::reserved(1)];
const REPOSITORY: &[Word] = &[
    Word::constant("routingKeyKind", "primary", ""),
    Word::required("organization", 100, ""),
    Word::required("repository", 100, ""),
];
const JOB: &[Word] = &[
    Word::required("destination", 25, ""),
    Word::required("project", 25, ""),
    Word::reserved(1),
];
const TOPIC: &[Word] = &[
    Word::constant("routingKeyKind", "primary", ""),
    Word {
        multiple: true,
        ..Word::required("topic", 100, "")
    },
];

fn key_of(entry: &str) -> &'static [Word] {
    match entry {
        "queue.task-defined" => TASK_KEY,
        "auth.client-created" => NOTHING,
        "github.push" => REPOSITORY,
        "treeherder.jobs" => JOB,
        "notify.notification" => TOPIC,
        other => panic!("{other}"),
    }
}

#[test]
fn routing_keys_are_built_as_publishers_build_them() {
    for case in vectors()["routing_key_build"].as_array().unwrap() {
        let values: Vec<(&str, String)> = case["values"]
            .as_object()
            .unwrap()
            .iter()
            .filter_map(|(name, value)| match value {
                Value::Null => None,
                Value::String(text) => Some((name.as_str(), text.clone())),
                other => Some((name.as_str(), other.to_string())),
            })
            .collect();
        let values: Vec<(&str, &str)> = values
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let exchange = Exchange {
            name: "",
            exchange: "",
            title: "",
            description: "",
            key: key_of(text(&case["exchange_entry"])),
            schema: "",
        };
        let built = exchange.routing_key(&values);
        match case.get("key") {
            Some(key) => assert_eq!(built.as_deref(), Ok(text(key)), "{case}"),
            None => assert!(built.is_err(), "{case}: {built:?}"),
        }
    }
}

#[test]
fn routing_keys_are_read_as_consumers_read_them() {
    for case in vectors()["routing_key_parse"].as_array().unwrap() {
        let words: Vec<(&str, bool)> = case["reference"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| (text(&word["name"]), word["multipleWords"] == true))
            .collect();
        let parsed = parse(&words, text(&case["key"]));
        let expected = case["routing"].as_object().unwrap();
        assert_eq!(parsed.len(), expected.len(), "{case}");
        for (name, value) in parsed {
            assert_eq!(Value::from(value), expected[name], "{case}");
        }
        let cc: Vec<String> = case["cc"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|key| text(key).to_owned())
            .collect();
        let found: Vec<&str> = routes(&cc).collect();
        let known: Vec<&str> = case["routes"]
            .as_array()
            .unwrap()
            .iter()
            .map(text)
            .collect();
        assert_eq!(found, known, "{case}");
    }
}

/// Few different words, so that patterns and keys often meet.
fn words(pattern: &'static str) -> impl Strategy<Value = String> {
    proptest::collection::vec(pattern, 0..6).prop_map(|words| words.join("."))
}

proptest! {
    #[test]
    fn the_index_finds_whom_each_pattern_finds(
        bindings in proptest::collection::vec((0_u32..2, words("[ab*#]|")), 0..40),
        gone in proptest::collection::vec(0_usize..40, 0..20),
        keys in proptest::collection::vec(words("[ab]|"), 1..4),
    ) {
        let mut index = Index::default();
        for (at, (exchange, pattern)) in bindings.iter().enumerate() {
            index.bind(&exchange.to_string(), pattern, at);
        }
        for at in &gone {
            if let Some((exchange, pattern)) = bindings.get(*at) {
                index.unbind(&exchange.to_string(), pattern, *at);
            }
        }
        let expected: Vec<usize> = bindings
            .iter()
            .enumerate()
            .filter(|(at, (exchange, pattern))| {
                *exchange == 0
                    && !gone.contains(at)
                    && keys.iter().any(|key| matches(pattern, key))
            })
            .map(|(at, _)| at)
            .collect();
        prop_assert_eq!(index.matching("0", keys.iter().map(String::as_str)), expected);
        for (at, (exchange, pattern)) in bindings.iter().enumerate() {
            index.unbind(&exchange.to_string(), pattern, at);
        }
        prop_assert!(index.is_empty());
    }

    #[test]
    fn many_hashes_are_matched_in_no_time(count in 1_usize..60) {
        let pattern = format!("{}z", "#.a.".repeat(count));
        let pattern: String = pattern.chars().take(255).collect();
        let key = vec!["a"; 127].join(".");
        let mut index = Index::default();
        index.bind("x", &pattern, 1);
        prop_assert_eq!(index.matching("x", [key.as_str()]).is_empty(), !matches(&pattern, &key));
    }
}

/// Bindings as listeners make them: of single tasks, of routes, of everything of a group.
fn many_bindings() -> Vec<String> {
    let mut bindings: Vec<String> = (0..10_000)
        .map(|at| match at % 5 {
            0 => format!("primary.task{at}.*.*.*.*.*.*.*.#"),
            1 => format!("route.index.project.p{at}.#"),
            2 => format!("primary.*.*.*.*.*.*.*.group{}.#", at % 100),
            3 => format!("#.worker{at}.#"),
            _ => format!("route.*.project.*.revision{at}"),
        })
        .collect();
    bindings.push("#".to_owned());
    bindings
}

#[test]
fn ten_thousand_bindings_are_found_at_the_cost_of_those_that_match() {
    let bindings = many_bindings();
    let mut index = Index::default();
    for (at, pattern) in bindings.iter().enumerate() {
        index.bind("x", pattern, at);
    }
    assert_eq!(index.len(), bindings.len());
    let messages: Vec<[String; 2]> = (0..12)
        .map(|at| {
            [
                format!(
                    "primary.task{}.0.g.worker{}.p.w.s.group{at}._",
                    at * 5,
                    at * 5 + 3
                ),
                format!("route.index.project.p{}.revision{}", at * 5 + 1, at * 5 + 4),
            ]
        })
        .collect();
    // The best of several times, as the machine may be at something else.
    let (mut by_index, mut one_by_one) = (Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        let began = Instant::now();
        let found: Vec<Vec<usize>> = messages
            .iter()
            .map(|keys| index.matching("x", keys.iter().map(String::as_str)))
            .collect();
        by_index = by_index.min(began.elapsed());
        let began = Instant::now();
        let expected: Vec<Vec<usize>> = messages
            .iter()
            .map(|keys| {
                let wanted = |pattern: &String| keys.iter().any(|key| matches(pattern, key));
                let all = bindings.iter().enumerate();
                all.filter(|(_, pattern)| wanted(pattern))
                    .map(|(at, _)| at)
                    .collect()
            })
            .collect();
        one_by_one = one_by_one.min(began.elapsed());
        assert_eq!(found, expected);
        assert!(
            found.iter().all(|found| found.len() >= 4),
            "each kind is met"
        );
    }
    assert!(
        by_index * 10 < one_by_one,
        "{by_index:?} instead of {one_by_one:?}"
    );
    for (at, pattern) in bindings.iter().enumerate() {
        index.unbind("x", pattern, at);
    }
    assert!(index.is_empty());
}
