//! Known answers: offsets in time and addresses.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use serde_json::Value;
use taskyard_client::{Options, Timestamp, api_url, from_now, taskcluster::Queue};

fn vectors(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn offsets_in_time_mean_what_they_mean_to_official_clients() {
    let vectors = vectors(include_str!("vectors/fromnow.json"));
    let reference: Timestamp = vectors["reference"].as_str().unwrap().parse().unwrap();
    for case in vectors["valid"].as_array().unwrap() {
        let input = case["input"].as_str().unwrap();
        assert_eq!(
            from_now::parse(input),
            Ok(case["offset_ms"].as_i64().unwrap()),
            "{input:?}"
        );
        let moment = from_now::from_now(input, reference).unwrap();
        assert_eq!(
            moment.to_string(),
            case["result"].as_str().unwrap(),
            "{input:?}"
        );
    }
    for case in vectors["invalid"].as_array().unwrap() {
        let input = case["input"].as_str().unwrap();
        let error = from_now::parse(input).unwrap_err();
        assert!(error.to_string().contains(input), "{error}");
    }
}

#[test]
fn addresses_of_methods_are_joined_as_official_clients_do() {
    let vectors = vectors(include_str!("vectors/urls.json"));
    let cases = vectors["lib"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|case| case["fn"] == "api");
    let mut seen = 0;
    for case in cases {
        let argument = |index: usize| case["args"][index].as_str().unwrap();
        let root = case["rootUrl"].as_str().unwrap();
        let url = api_url(root, argument(0), argument(1), argument(2));
        assert_eq!(url, case["url"].as_str().unwrap(), "{case}");
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn arguments_are_escaped_as_official_clients_do() {
    let vectors = vectors(include_str!("vectors/urls.json"));
    let queue = Queue::new(Options::new("https://tc.example.com")).unwrap();
    let mut seen = 0;
    for case in vectors["build"].as_array().unwrap() {
        let argument = |index: usize| case["args"][index].as_str().unwrap();
        let path = match (
            case["service"].as_str().unwrap(),
            case["method"].as_str().unwrap(),
        ) {
            ("queue", "getArtifact") => {
                vec!["task", argument(0), "runs", "0", "artifacts", argument(2)]
            }
            ("queue", "createTask") => vec!["task", argument(0)],
            _ => continue,
        };
        let url = queue.service().url(&path, &[]).unwrap();
        assert_eq!(url, case["url"].as_str().unwrap());
        seen += 1;
    }
    assert_eq!(seen, 2);
}
