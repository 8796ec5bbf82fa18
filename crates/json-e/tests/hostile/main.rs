//! Templates that would take too much are refused.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod templates;

use serde_json::{Map, Value, json};
use taskyard_json_e::render;

use templates::{deep, hostile};

/// What the standard library gives a thread.
const STACK_BYTES: usize = 2 << 20;

fn on_a_usual_stack<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    thread.spawn(run).unwrap().join().unwrap()
}

#[test]
fn hostile_templates_are_refused_for_what_they_do() {
    let wrong = on_a_usual_stack(|| {
        let mut wrong = Vec::new();
        // Never dropped: some are too deep for that on this stack.
        for hostile in hostile().leak() {
            let told = match render(&hostile.template, &hostile.context) {
                Ok(_) => "rendered".to_owned(),
                Err(error) => error.to_string(),
            };
            if !told.contains(hostile.refusal) {
                wrong.push(format!("{}: {told:.300}", hostile.name));
            }
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_nests_as_deep_as_it_may_fits_on_the_stack() {
    let templates: [fn(Value) -> Value; 6] = [
        |inner| json!([inner]),
        |inner| json!({"a": inner}),
        |inner| json!({"$let": {"x": 1}, "in": inner}),
        |inner| json!({"$map": [1], "each(x)": inner}),
        |inner| json!({"$reduce": [1], "each(x,y)": inner, "initial": 0}),
        |inner| json!({"$sort": inner, "by(x)": "1"}),
    ];
    let brackets = [
        ("(", ")"),
        ("[", "]"),
        ("{a: ", "}"),
        ("!", ""),
        ("str(", ")"),
        ("2 ** ", ""),
    ];
    for wrap in templates {
        for (open, close) in brackets {
            let rendered = on_a_usual_stack(move || {
                let expression = format!("{}1{}", open.repeat(96), close.repeat(96));
                let inner = json!({ "$eval": format!("[typeof({expression})][0:0]") });
                let template = (0..99).fold(inner, |inner, _| wrap(inner));
                render(&template, &Map::new())
            });
            let refused = rendered.map_or_else(|error| error.to_string(), |_| String::new());
            assert!(!refused.contains("expression nests"), "{refused}");
        }
    }
}

fn error_or_value(template: &Value) -> String {
    match render(template, &Map::new()) {
        Ok(value) => value.to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_hundred_levels_are_rendered_and_no_more() {
    let rendered = render(&deep(100), &Map::new());
    assert_eq!(rendered.unwrap(), deep(100));
    assert!(render(&deep(101), &Map::new()).is_err());
    let context = |levels| Map::from_iter([("value".to_owned(), deep(levels))]);
    let template = json!({"$eval": "value"});
    assert!(render(&template, &context(100)).is_ok());
    assert!(render(&template, &context(101)).is_err());
}

#[test]
fn long_expressions_and_lists_are_no_hostile_ones() {
    let sum = format!("0{}", " + 1".repeat(20_000));
    assert_eq!(error_or_value(&json!({ "$eval": sum })), "20000");
    let list = json!({"$map": {"$eval": "range(0, 10000)"}, "each(x)": {"k": "v${x}"}});
    let rendered = render(&list, &Map::new()).unwrap();
    assert_eq!(rendered[9_999], json!({"k": "v9999"}));
}

#[test]
fn a_string_may_have_a_mebibyte_and_no_more() {
    let double = |times: i32| {
        json!({"$reduce": {"$eval": format!("range(0, {times})")},
               "each(text,x)": {"$eval": "text + text"}, "initial": "x"})
    };
    let rendered = render(&double(20), &Map::new()).unwrap();
    assert_eq!(rendered.as_str().unwrap().len(), 1 << 20);
    assert!(render(&double(21), &Map::new()).is_err());
}
