//! Tests of schemas that hooks have: verdicts of Taskcluster's own, and schemas of bad will.

use serde_json::{Map, json};

use super::*;

/// Verdicts in which we mean to differ: number of the case, what of it, and why.
const DIFFERENCES: [(usize, &str, &str); 9] = [
    (5, "schema", "unknown keywords mean nothing"),
    (8, "schema", "draft 6 may be named"),
    (12, r#"{"d":"2019-10-07T23:59:60Z"}"#, "no leap seconds"),
    (21, r#"{"a":0.07}"#, "multiples are exact"),
    (21, r#"{"a":19.99}"#, "multiples are exact"),
    (22, r#"{"b":null}"#, "nullable is an unknown keyword"),
    (
        24,
        "schema",
        "patterns take linear time, so they cannot look ahead",
    ),
    (28, "schema", "unknown keywords mean nothing"),
    (34, "schema", "an enum may be empty"),
];

/// What a thread of the server has.
const STACK: usize = 2 << 20;

fn compile(schema: Value) -> TriggerSchema {
    TriggerSchema::compile(&schema).unwrap()
}

fn refusal(schema: &Value) -> String {
    TriggerSchema::compile(schema).unwrap_err()
}

fn told_of(schema: Value, payload: Value) -> String {
    compile(schema).check(&payload).unwrap_err()
}

/// Runs on the stack of a server's thread.
fn on_a_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(work);
    thread.unwrap().join().unwrap()
}

/// The schema with `wrap` around it so many times.
fn wrapped(times: usize, schema: Value, wrap: impl Fn(Value) -> Value) -> Value {
    (0..times).fold(schema, |schema, _| wrap(schema))
}

/// Definitions `a0`, `a1`…, where each is made from a reference to the next one, and the last is
/// `last`; the whole refers to the first.
fn chained(length: usize, last: Value, link: impl Fn(Value) -> Value) -> Value {
    let mut definitions = Map::new();
    for n in 0..length {
        let next = json!({"$ref": format!("#/definitions/a{}", n + 1)});
        definitions.insert(format!("a{n}"), link(next));
    }
    definitions.insert(format!("a{length}"), last);
    json!({"allOf": [{"$ref": "#/definitions/a0"}], "definitions": definitions})
}

const TOO_MUCH: &str = "data is too large or too deep to be checked against the triggerSchema";
const ENDLESS: &str =
    "data must not have a $ref that leads back to itself without going into a property or an item";

#[test]
fn verdicts_are_those_of_taskcluster_except_where_we_mean_to_differ() {
    let vectors = include_str!("../../../tests/vectors/trigger_schema.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let mut differences = Vec::new();
    let (mut schemas, mut payloads) = (0, 0);
    for (number, case) in vectors["cases"].as_array().unwrap().iter().enumerate() {
        let compiled = TriggerSchema::compile(&case["schema"]);
        schemas += 1;
        if compiled.is_ok() != case["compileError"].is_null() {
            differences.push((number, "schema".to_owned()));
        }
        for result in case["results"].as_array().unwrap() {
            // There is no verdict where there is no schema, on either side.
            if let (Ok(schema), Some(valid)) = (&compiled, result["valid"].as_bool()) {
                payloads += 1;
                if schema.check(&result["payload"]).is_ok() != valid {
                    differences.push((number, result["payload"].to_string()));
                }
            }
        }
    }
    let meant: Vec<_> = DIFFERENCES
        .iter()
        .map(|(number, what, _)| (*number, (*what).to_owned()))
        .collect();
    assert_eq!(differences, meant);
    assert_eq!((schemas, payloads), (38, 93));
}

#[test]
fn what_is_wrong_with_a_schema_is_told_in_lines() {
    assert_eq!(
        refusal(&json!({"required": "a", "properties": {"b": {"minimum": "x"}}})),
        "data/required must be array\ndata/properties/b/minimum must be number"
    );
    assert_eq!(
        refusal(&json!({"format": "nosuch"})),
        "data has format \"nosuch\", which is unknown"
    );
    assert_eq!(
        refusal(&json!({"properties": {"a": {"id": "x"}}})),
        "data must not have keyword \"id\", use \"$id\""
    );
    assert_eq!(
        refusal(&json!({"pattern": "("})),
        "data/pattern must match format \"regex\""
    );
    assert_eq!(refusal(&json!(7)), "data must be boolean or object");
    compile(json!({"properties": {"id": {"type": "string"}}}));
}

#[test]
fn what_is_wrong_with_a_payload_is_told_in_one_line() {
    let words = json!({"properties": {"a": {"type": "string"}, "b": {"maximum": 1}}});
    assert_eq!(
        told_of(words, json!({"a": 1, "b": 2})),
        "data/a must be string; data/b must be at most 1"
    );
    let none = json!({"type": "object", "additionalProperties": false});
    assert_eq!(
        told_of(none, json!({"a": 1})),
        "data must not have additional properties"
    );
    let told = told_of(
        json!({"items": {"type": "string"}}),
        vec![json!(1); 5000].into(),
    );
    assert_eq!(told.split("; ").count(), MAX_VIOLATIONS);
    let alternatives =
        json!({"anyOf": [{"items": {"type": "string"}}, {"items": {"type": "null"}}]});
    let told = told_of(alternatives, vec![json!(1); 5000].into());
    assert_eq!(told.split("; ").count(), MAX_VIOLATIONS);
}

#[test]
fn long_names_do_not_make_long_answers() {
    let name = "é".repeat(1 << 20);
    let told = told_of(
        json!({"additionalProperties": false, "properties": {"a": {}}}),
        json!({name: 1}),
    );
    assert!(told.starts_with("data must not have additional properties: 'éé"));
    assert!((MAX_TOLD_BYTES - 4..MAX_TOLD_BYTES + 4).contains(&told.len()));
}

#[test]
fn defaults_are_not_filled_in() {
    let schema = json!({"properties": {"a": {"default": 1}}, "required": ["a"]});
    assert_eq!(
        told_of(schema, json!({})),
        "data must have required property 'a'"
    );
}

#[test]
fn drafts_six_and_seven_may_be_named_in_every_spelling() {
    for (draft, then_counts) in [("06", false), ("07", true)] {
        for scheme in ["http", "https"] {
            for end in ["", "#"] {
                let name = format!("{scheme}://json-schema.org/draft-{draft}/schema{end}");
                let schema = compile(json!({"$schema": name, "if": true, "then": false}));
                assert_eq!(schema.check(&json!({})).is_err(), then_counts, "{name}");
            }
        }
    }
    for name in [
        json!("http://json-schema.org/draft-04/schema#"),
        json!("https://json-schema.org/draft/2020-12/schema"),
        json!("http://json-schema.org/schema"),
        json!("http://127.0.0.1:1/draft-07/schema#"),
        json!(""),
        json!(7),
    ] {
        let told = refusal(&json!({"$schema": name}));
        assert!(told.starts_with("data/$schema is "), "{told}");
        let within = json!({"properties": {"a": {"$id": "a", "$schema": name}}});
        assert!(TriggerSchema::compile(&within).is_err(), "{name}");
    }
}

#[test]
fn formats_of_taskcluster_are_known() {
    for (format, good, bad) in [
        (
            "uuid",
            "550e8400-e29b-41d4-a716-446655440000",
            Some("550e8400"),
        ),
        (
            "uuid",
            "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
            Some("urn:uuid:"),
        ),
        ("duration", "P1DT2H", Some("1 day")),
        ("url", "https://example.com/a", Some("a")),
        ("time", "12:00:00+02:00", Some("25:00:00")),
        ("iso-time", "12:00:00Z", Some("noon")),
        ("iso-date-time", "2026-03-01T10:00:00Z", Some("2026-03-01")),
        (
            "date-time",
            "2026-03-01 10:00:00",
            Some("2026-02-29T10:00:00Z"),
        ),
        ("json-pointer", "/a", Some("a")),
        ("password", "anything", None),
        ("int32", "anything", None),
    ] {
        let schema = compile(json!({"format": format}));
        assert_eq!(schema.check(&json!(good)), Ok(()), "{format}");
        assert_eq!(schema.check(&json!(1)), Ok(()), "{format}");
        if let Some(bad) = bad {
            assert!(schema.check(&json!(bad)).is_err(), "{format}");
        }
    }
}

#[test]
fn nothing_is_ever_fetched() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let here = format!("http://{}/x", listener.local_addr().unwrap());
    for name in [
        here.as_str(),
        "http://127.0.0.1:1/x",
        "file:///etc/passwd",
        "x.json",
    ] {
        for schema in [
            json!({"$ref": name}),
            json!({"$ref": format!("{name}#/definitions/a")}),
            json!({"properties": {"a": {"items": {"$ref": name}}}}),
            json!({"$id": "http://example.com/", "anyOf": [{"$ref": name}]}),
        ] {
            assert!(TriggerSchema::compile(&schema).is_err(), "{schema}");
        }
    }
    let nobody = listener.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn references_within_the_schema_are_followed() {
    for schema in [
        json!({"$ref": "#/definitions/a", "definitions": {"a": {"type": "string"}}}),
        json!({"$ref": "#word", "definitions": {"a": {"$id": "#word", "type": "string"}}}),
        json!({"$ref": "a.json", "definitions": {"a": {"$id": "a.json", "type": "string"}}}),
        json!({"$id": "http://example.com/s", "allOf": [{"$ref": "s#/definitions/a"}],
               "definitions": {"a": {"type": "string"}}}),
        json!({"$ref": "#/definitions/a~1b%20c", "definitions": {"a/b c": {"type": "string"}}}),
    ] {
        let compiled = compile(schema.clone());
        assert_eq!(compiled.check(&json!("a")), Ok(()), "{schema}");
        assert_eq!(
            compiled.check(&json!(1)),
            Err("data must be string".to_owned()),
            "{schema}"
        );
    }
    let schemas = compile(json!({"$ref": "http://json-schema.org/draft-07/schema#"}));
    assert_eq!(schemas.check(&json!({"items": {"minimum": 1}})), Ok(()));
    assert_eq!(
        schemas.check(&json!({"minimum": "x"})),
        Err("data/minimum must be number".to_owned())
    );
    assert!(TriggerSchema::compile(&json!({"$ref": "#/definitions/missing"})).is_err());
    // What stands elsewhere than schemas do is read as one, and need not be one.
    for no_schema in [
        json!(1),
        json!({"properties": 3}),
        json!({"type": ["q"], "allOf": {}}),
    ] {
        let schema = json!({"$ref": "#/default", "default": no_schema});
        assert!(TriggerSchema::compile(&schema).is_err(), "{schema}");
    }
}

#[test]
fn recursion_that_stays_at_the_same_value_is_refused() {
    let a = json!({"$ref": "#/definitions/a"});
    let b = json!({"$ref": "#/definitions/b"});
    for schema in [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}]}),
        json!({"anyOf": [true, {"$ref": "#"}]}),
        json!({"oneOf": [{"$ref": "#"}]}),
        json!({"not": {"$ref": "#"}}),
        json!({"if": {"$ref": "#"}}),
        json!({"if": true, "then": {"$ref": "#"}}),
        json!({"if": true, "else": {"$ref": "#"}}),
        json!({"dependencies": {"a": {"$ref": "#"}}}),
        json!({"$ref": "#/definitions/a", "definitions": {"a": b, "b": a}}),
        json!({"items": a, "definitions": {"a": {"not": b}, "b": {"if": {"anyOf": [a]}}}}),
        json!({"propertyNames": {"$id": "names", "allOf": [{"$ref": "names"}]}}),
    ] {
        assert_eq!(refusal(&schema), ENDLESS, "{schema}");
    }
}

#[test]
fn a_few_definitions_that_all_lead_to_each_other_take_no_time_to_refuse() {
    let all: Vec<_> = (0..40)
        .map(|n| json!({"$ref": format!("#/definitions/a{n}")}))
        .collect();
    let each = json!({"anyOf": all, "allOf": all});
    let definitions: Map<_, _> = (0..20).map(|n| (format!("a{n}"), each.clone())).collect();
    let missing = json!({"allOf": all, "definitions": definitions});
    assert!(refusal(&missing).contains("/definitions/"));
    let all = &all[..20];
    let each = json!({"anyOf": all, "allOf": all});
    let definitions: Map<_, _> = (0..20).map(|n| (format!("a{n}"), each.clone())).collect();
    assert_eq!(
        refusal(&json!({"allOf": all, "definitions": definitions})),
        ENDLESS
    );
}

#[test]
fn recursion_into_the_payload_is_followed() {
    let tree = compile(json!({
        "properties": {"children": {"items": {"$ref": "#"}}, "name": {"type": "string"}},
        "additionalProperties": false,
    }));
    let fits = json!({"children": [{"name": "a", "children": [{"children": []}]}, {}]});
    assert_eq!(tree.check(&fits), Ok(()));
    assert_eq!(
        tree.check(&json!({"children": [{"children": [{}, {"name": 1}]}]})),
        Err("data/children/0/children/1/name must be string".to_owned())
    );
    for schema in [
        json!({"contains": {"$ref": "#"}, "type": "array"}),
        json!({"additionalProperties": {"$ref": "#"}}),
        json!({"patternProperties": {"a": {"$ref": "#"}}}),
        json!({"items": [{"$ref": "#"}], "additionalItems": {"$ref": "#"}}),
    ] {
        compile(schema);
    }
}

#[test]
fn schemas_that_double_are_not_begun() {
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let doubling = |times| {
            let last = json!({"type": "string"});
            compile(chained(times, last, |next| json!({keyword: [next, next]})))
        };
        assert_eq!(
            doubling(40).check(&json!(1)),
            Err(TOO_MUCH.to_owned()),
            "{keyword}"
        );
        assert_eq!(
            doubling(40).check(&json!("a")),
            Err(TOO_MUCH.to_owned()),
            "{keyword}"
        );
        assert_ne!(
            doubling(3).check(&json!(1)),
            Err(TOO_MUCH.to_owned()),
            "{keyword}"
        );
    }
}

#[test]
fn payloads_that_double_are_not_begun() {
    let twice = compile(json!({
        "properties": {"x": {"$ref": "#"}}, "patternProperties": {"x": {"$ref": "#"}},
    }));
    let deep = |levels| wrapped(levels, json!({}), |value| json!({"x": value}));
    assert_eq!(twice.check(&deep(8)), Ok(()));
    assert_eq!(twice.check(&deep(100)), Err(TOO_MUCH.to_owned()));
}

#[test]
fn large_payloads_are_checked_up_to_a_bound() {
    let words = compile(json!({"items": {"type": "string"}}));
    assert_eq!(words.check(&vec![json!("a"); 100_000].into()), Ok(()));
    assert_eq!(
        words.check(&vec![json!("a"); 300_000].into()),
        Err(TOO_MUCH.to_owned())
    );
    // What no schema meets is free.
    assert_eq!(
        compile(json!({})).check(&vec![json!("a"); 300_000].into()),
        Ok(())
    );
    let matched = compile(json!({"pattern": "^a*$"}));
    assert_eq!(matched.check(&json!("a".repeat(50_000))), Ok(()));
    assert_eq!(
        matched.check(&json!("a".repeat(100_000))),
        Err(TOO_MUCH.to_owned())
    );
    let unique = compile(json!({"uniqueItems": true}));
    assert_eq!(unique.check(&(0..10_000).collect()), Ok(()));
    assert_eq!(
        unique.check(&(0..100_000).collect()),
        Err(TOO_MUCH.to_owned())
    );
}

#[test]
fn what_would_be_copied_for_every_complaint_counts() {
    let key = "k".repeat(100_000);
    let below = compile(json!({"additionalProperties": {"items": {"type": "string"}}}));
    assert_eq!(
        below.check(&json!({key: vec![1; 1000]})),
        Err(TOO_MUCH.to_owned())
    );
    let alternatives = compile(json!({"anyOf": vec![json!({"type": "string"}); 1000]}));
    assert_eq!(
        alternatives.check(&vec![json!(1); 10_000].into()),
        Err(TOO_MUCH.to_owned())
    );
    let listed: Vec<_> = (0..2000).collect();
    let not = compile(json!({"items": {"not": {"not": {"enum": listed}}}}));
    assert_eq!(
        not.check(&vec![json!(-1); 1000].into()),
        Err(TOO_MUCH.to_owned())
    );
}

#[test]
fn schemas_have_bounds() {
    let long = json!({"title": "a".repeat(MAX_SCHEMA_BYTES)});
    assert!(refusal(&long).ends_with("must not be longer than 65536"));
    let named: Map<_, _> = (0..2000).map(|n| (format!("p{n}"), json!(true))).collect();
    let below = json!({"properties": {"k".repeat(30_000): {"properties": named}}});
    assert_eq!(
        refusal(&below),
        "data must have shorter names, or fewer schemas within them"
    );
    let patterns = |count| json!({"allOf": vec![json!({"pattern": "a"}); count]});
    compile(patterns(100));
    assert_eq!(
        refusal(&patterns(101)),
        "data must not have more than 100 patterns"
    );
    assert!(TriggerSchema::compile(&json!({"pattern": "(\\p{L}{100}){100}"})).is_err());
    let nested = |levels| wrapped(levels, json!({}), |schema| json!({"not": schema}));
    compile(nested(15));
    assert_eq!(
        refusal(&nested(16)),
        "data must not have more than 16 schemas within each other"
    );
    // Neither does it help to come in by the middle first.
    let (whole, middle) = (
        "#/definitions/a",
        format!("#/definitions/a{}", "/not".repeat(10)),
    );
    let definitions = json!({"a": nested(20)});
    compile(json!({"$ref": middle, "definitions": definitions}));
    for references in [[whole, &middle], [&middle, whole]] {
        let references = references.map(|reference| json!({"$ref": reference}));
        let schema = json!({"allOf": references, "definitions": definitions});
        assert!(refusal(&schema).ends_with("within each other"), "{schema}");
    }
}

#[test]
fn the_deepest_schemas_and_payloads_fit_on_the_stack() {
    let wraps: [fn(Value) -> Value; 11] = [
        |schema| json!({"allOf": [schema]}),
        |schema| json!({"anyOf": [schema]}),
        |schema| json!({"oneOf": [schema, false]}),
        |schema| json!({"not": schema}),
        |schema| json!({"if": schema, "then": true, "else": false}),
        |schema| json!({"dependencies": {"x": schema}}),
        |schema| json!({"properties": {"x": schema}, "additionalProperties": false}),
        |schema| json!({"patternProperties": {"x": schema}}),
        |schema| json!({"additionalProperties": schema}),
        |schema| json!({"items": schema, "type": "array", "minItems": 1}),
        |schema| json!({"items": [schema], "contains": true}),
    ];
    for (number, wrap) in wraps.into_iter().enumerate() {
        on_a_small_stack(move || {
            // The compiler nests eight definitions on the stack; more are left for later.
            for length in [4, 8, 9, 20, 120, 200, 380] {
                let last = json!({"type": "string"});
                // With its reference, each definition is as deep as schemas may be.
                let schema = chained(length, last, |next| wrapped(15, next, wrap));
                match TriggerSchema::compile(&schema) {
                    Ok(schema) => {
                        for wrap in [|value| json!({"x": value}), |value| json!([value])] {
                            // Whatever the answer is, there is one.
                            let _either = schema.check(&wrapped(126, json!(1), wrap));
                        }
                    }
                    Err(told) => assert!(
                        told.ends_with("100 patterns") && length > 4
                            || told.contains("bytes long") && length > 20,
                        "{number} {length}: {told}"
                    ),
                }
            }
        });
    }
    on_a_small_stack(|| {
        let four = |next| json!({"allOf": [{"anyOf": [next]}]});
        let recursive = json!({"properties": {"x": four(json!({"$ref": "#"}))}, "required": ["x"]});
        let deep = |levels| wrapped(levels, json!({}), |value| json!({"x": value}));
        assert!(
            compile(recursive)
                .check(&deep(100))
                .unwrap_err()
                .ends_with("required property 'x'")
        );
        let items = compile(json!({"uniqueItems": true}));
        assert_eq!(
            items.check(&json!([deep(125), deep(125)])),
            Err("data must not have the same item twice".to_owned())
        );
    });
}

#[test]
fn a_chain_of_references_is_followed_as_far_as_the_stack_allows() {
    on_a_small_stack(|| {
        let chain = |length| compile(chained(length, json!({"type": "string"}), |next| next));
        assert_eq!(
            chain(200).check(&json!(1)),
            Err("data must be string".to_owned())
        );
        assert_eq!(chain(1000).check(&json!(1)), Err(TOO_MUCH.to_owned()));
    });
}
