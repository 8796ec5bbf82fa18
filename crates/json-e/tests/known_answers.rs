//! Templates with known answers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use serde_json::{Map, Value, json};
use taskyard_json_e::{Error, render};

/// Whether two values are the same, with numbers taken by value: `1` is `1.0`.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let in_b = |(key, value): (&String, &Value)| {
                b.get(key).is_some_and(|other| same(value, other))
            };
            a.len() == b.len() && a.iter().all(in_b)
        }
        _ => a == b,
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

fn cases(file: &str) -> Value {
    serde_json::from_str(file).unwrap()
}

#[test]
fn every_case_of_the_language_gives_its_known_answer() {
    let file = cases(include_str!("vectors/jsone.json"));
    let mut context = object(file["context"].clone());
    context.insert("now".into(), file["now"].clone());
    let cases = file["cases"].as_array().unwrap();
    let mut wrong = Vec::new();
    for case in cases {
        let rendered = render(&case["template"], &context);
        let right = match (&rendered, case.get("ok")) {
            (Ok(rendered), Some(known)) => same(rendered, known),
            (Err(_), None) => case.get("err").is_some(),
            _ => false,
        };
        if !right {
            wrong.push(format!("{case}\n  gives {rendered:?}"));
        }
    }
    assert_eq!(cases.len(), 234);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn error(template: &Value) -> String {
    let context = object(json!({"a": {"b": 5}, "list": [1]}));
    let error: Error = render(template, &context).unwrap_err();
    error.to_string()
}

#[test]
fn errors_tell_where_and_what() {
    let told = [
        (json!("${b}"), "at template: nothing is called `b`"),
        (
            json!({"payload": {"env": [1, "${a.c}"]}}),
            "at template.payload.env[1]: the object has no property `c`",
        ),
        (
            json!({"a b": {"$if": "a.b ==", "then": 1}}),
            "at template[\"a b\"].$if: the expression ends where a value is expected",
        ),
        (
            json!({"$if": "a.b", "then": {"x": {"$eval": "a.b b"}}}),
            "at template.then.x.$eval: `b` stands where an operator or the end is expected",
        ),
        (
            json!({"$map": [1], "each(x)": {"y": {"$eval": "x + 'z'"}}}),
            "at template[\"each(x)\"].y.$eval: `+` takes two numbers or two strings",
        ),
        (
            json!([{"$switch": {"q": 1}}]),
            "at template[0].$switch.q: nothing is called `q`",
        ),
        (
            json!({"$eval": "len(a)"}),
            "at template.$eval: `len` takes a string or a list",
        ),
        (
            json!({"$nothing": 1}),
            "at template.$nothing: `$nothing` is no operator; a key that is to begin with `$` is \
             written `$$nothing`",
        ),
        (
            json!({"t": {"$fromNow": "1 fortnight", "from": "2020-01-01"}}),
            "at template.t: `1 fortnight` is no offset in time, such as `2 days 3 hours`",
        ),
        (
            json!({"x": {"$fromNow": "1 day"}}),
            "at template.x: nothing is called `now`",
        ),
    ];
    for (template, text) in told {
        assert_eq!(error(&template), text);
    }
}

#[test]
fn a_message_repeats_only_the_beginning_of_a_long_name() {
    let name = "n".repeat(100_000);
    assert!(error(&json!({"$eval": name})).len() < 200);
    assert!(error(&json!({ name: "${b}" })).len() < 200);
}

#[test]
fn a_context_with_a_name_that_can_not_be_written_is_refused() {
    let context = object(json!({"my-key": 1}));
    assert!(render(&json!(1), &context).is_err());
}

#[test]
fn functions_can_be_passed_on_until_they_are_called() {
    let template = json!({"$let": {"f": {"$eval": "[min, max]"}}, "in": {"$eval": "f[1](2, 3)"}});
    assert_eq!(render(&template, &Map::new()).unwrap(), json!(3));
}

#[test]
fn whole_numbers_stay_exact_while_they_fit_in_64_bits() {
    let context = object(json!({"big": 9_007_199_254_740_993_u64}));
    let template = json!([{"$eval": "big + 1"}, "${big}", {"$eval": "big * big > big"}]);
    assert_eq!(
        render(&template, &context).unwrap(),
        json!([9_007_199_254_740_994_u64, "9007199254740993", true])
    );
}

#[test]
fn numbers_are_written_with_the_fewest_digits() {
    let written = [
        ("100000000000 * 1000000000", "100000000000000000000"),
        ("10000000000.0 * 100000000000.0", "1e+21"),
        ("-15 / 10", "-1.5"),
        ("1 / 8", "0.125"),
        ("1 / 1000000", "0.000001"),
        ("1 / 10000000", "1e-7"),
        ("-3 / 2000000000", "-1.5e-9"),
        ("1234567.5", "1234567.5"),
        ("4 / 2", "2"),
    ];
    for (expression, text) in written {
        let template = json!(format!("${{{expression}}}"));
        assert_eq!(
            render(&template, &Map::new()).unwrap(),
            json!(text),
            "{expression}"
        );
    }
}

#[test]
fn objects_keep_the_order_of_their_entries() {
    let template = json!({"z": 1, "$$a": 2, "m": {"$merge": [{"y": 1, "b": 2}, {"a": 3, "y": 4}]}});
    let rendered = render(&template, &Map::new()).unwrap();
    assert_eq!(
        rendered.to_string(),
        r#"{"z":1,"$a":2,"m":{"y":4,"b":2,"a":3}}"#
    );
}
