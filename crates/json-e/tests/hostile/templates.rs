//! The templates: each with what it is refused for.

use serde_json::{Map, Value, json};

pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    pub(crate) template: Value,
    pub(crate) context: Map<String, Value>,
    /// Part of the error's text.
    pub(crate) refusal: &'static str,
}

const STEPS: &str = "takes too long";
const SIZE: &str = "becomes too large";
const LEVELS: &str = "lists and objects nest deeper";
const BRACKETS: &str = "the expression nests deeper";
const TEXT: &str = "a string becomes longer";
const CALENDAR: &str = "leads out of the calendar";

/// A list in a list in a list …
pub(crate) fn deep(levels: usize) -> Value {
    // `json!` would go through all levels again for each.
    (1..levels).fold(json!([]), |inner, _| Value::Array(vec![inner]))
}

fn objects(levels: usize) -> Value {
    (0..levels).fold(Value::Null, |inner, _| {
        Value::Object(Map::from_iter([("a".to_owned(), inner)]))
    })
}

/// Runs `body` so often, on what it gave the time before.
fn repeat(times: usize, initial: &Value, body: Value) -> Value {
    json!({"$reduce": {"$eval": format!("range(0, {times})")}, "each(acc,x)": body,
           "initial": initial})
}

/// Renders `body` so often.
fn each(times: usize, body: Value) -> Value {
    json!({"$map": {"$eval": format!("range(0, {times})")}, "each(x)": body})
}

fn eval(expression: &str) -> Value {
    json!({ "$eval": expression })
}

fn with(variables: Value, body: Value) -> Value {
    json!({"$let": variables, "in": body})
}

pub(crate) fn hostile() -> Vec<Hostile> {
    let mut all = Vec::new();
    let mut add = |name, refusal, template| {
        all.push(Hostile {
            name,
            template,
            context: Map::new(),
            refusal,
        });
    };
    growth(&mut add);
    loops(&mut add);
    texts(&mut add);
    nesting(&mut add);
    times(&mut add);
    all.push(Hostile {
        name: "a deep value of the context",
        template: eval("value"),
        context: Map::from_iter([("value".to_owned(), deep(50_000))]),
        refusal: LEVELS,
    });
    all.push(Hostile {
        name: "a large value of the context, again and again",
        template: each(200_000, eval("value[7] == value")),
        context: Map::from_iter([("value".to_owned(), json!(vec![json!([1]); 10_000]))]),
        refusal: STEPS,
    });
    all
}

fn growth(add: &mut impl FnMut(&'static str, &'static str, Value)) {
    let doubles = |body| repeat(200, &json!([1]), body);
    add("a list of itself", SIZE, doubles(eval("[acc, acc]")));
    add(
        "an object of itself",
        SIZE,
        doubles(eval("{a: acc, b: acc}")),
    );
    add(
        "a template of itself",
        SIZE,
        doubles(json!([eval("acc"), eval("acc")])),
    );
    add(
        "flattened with itself",
        STEPS,
        doubles(json!({"$flatten": [eval("acc"), eval("acc")]})),
    );
    add(
        "flattened deeply with itself",
        STEPS,
        doubles(json!({"$flattenDeep": [eval("acc"), [eval("acc")]]})),
    );
    let merged = json!({"$mergeDeep": [eval("acc"), eval("acc")]});
    add(
        "merged deeply with itself",
        STEPS,
        repeat(200, &json!({"a": [1]}), merged),
    );
    let renamed = json!({"$map": eval("acc"), "each(v,k)": {"${k}0": 1, "${k}1": 1}});
    add(
        "an object with twice the keys",
        STEPS,
        repeat(200, &json!({"k": 1}), renamed),
    );
    let sum = "[".to_owned() + &"x, ".repeat(99) + "x]";
    let hundredfold = |x: &str| eval(&sum.replace('x', x));
    let lets = with(
        json!({ "a": hundredfold("1") }),
        with(
            json!({ "b": hundredfold("a") }),
            with(json!({ "c": hundredfold("b") }), hundredfold("c")),
        ),
    );
    add("a hundred times a hundred times …", SIZE, lets);
    add("a long range", SIZE, eval("range(0, 50000000)"));
    add(
        "the longest range",
        SIZE,
        eval("range(-9223372036854775807, 9223372036854775807)"),
    );
    add(
        "many ranges",
        STEPS,
        each(1000, eval("len(range(0, 900000))")),
    );
    add("a large list", STEPS, json!(vec![Value::Null; 2_000_000]));
    add("many small lists", STEPS, each(1000, each(1000, json!([]))));
    add(
        "many small objects",
        STEPS,
        each(1000, each(1000, json!({"a": {}}))),
    );
}

fn loops(add: &mut impl FnMut(&'static str, &'static str, Value)) {
    let nested = (0..10).fold(eval("x * x"), |body, _| each(1000, body));
    add("loops in loops", STEPS, nested);
    let list = json!({ "l": eval("range(0, 10000)") });
    let within = |body| with(list.clone(), each(100_000, body));
    add("a search in every round", STEPS, within(eval("-1 in l")));
    add(
        "a comparison in every round",
        STEPS,
        within(eval("l == [l][0]")),
    );
    add("a slice in every round", STEPS, within(eval("len(l[1:])")));
    add(
        "a sort in every round",
        STEPS,
        within(json!({"$sort": eval("l")})),
    );
    add(
        "a sort by an expression",
        STEPS,
        within(json!({"$sort": eval("l"), "by(x)": "-x"})),
    );
    add(
        "a find in every round",
        STEPS,
        within(json!({"$find": eval("l"), "each(y)": "y < 0"})),
    );
    add(
        "a reverse in every round",
        STEPS,
        within(json!({"$reverse": eval("l")})),
    );
    add(
        "a text in every round",
        STEPS,
        within(json!({"$json": eval("l")})),
    );
    let cases: Map<String, Value> = (0..5000).map(|n| (format!("{n} == x"), json!(n))).collect();
    add(
        "many cases",
        STEPS,
        each(100_000, json!({ "$switch": cases })),
    );
    add(
        "many matches",
        STEPS,
        each(100_000, json!({ "$match": cases })),
    );
    let name = "n".repeat(100_000);
    let scopes = (0..90).fold(eval(&name), |body, _| with(json!({"a": 1}), body));
    add(
        "a long name in many scopes",
        STEPS,
        with(json!({ name: 1 }), each(1000, scopes)),
    );
}

fn texts(add: &mut impl FnMut(&'static str, &'static str, Value)) {
    let doubles = |body| repeat(200, &json!("x"), body);
    add("a text and itself", TEXT, doubles(eval("acc + acc")));
    add(
        "a text joined with itself",
        TEXT,
        doubles(eval("join([acc, acc], acc)")),
    );
    add(
        "a text put into a text",
        TEXT,
        doubles(json!("${acc}${acc}")),
    );
    add(
        "JSON in JSON",
        TEXT,
        doubles(json!({"$json": [eval("acc"), eval("acc")]})),
    );
    let long = json!({ "t": "ab".repeat(1 << 19) });
    let within = |body| with(long.clone(), each(100_000, body));
    for expression in [
        "len(t)",
        "uppercase(t)",
        "lowercase(t)",
        "strip(t)",
        "t + ''",
        "t[-1]",
        "t[1:]",
        "t < t",
        "'ba' in t",
        "t in t",
        "split(t, 'c')",
        "number(t)",
        "str(t) == t",
        "defined(t)",
        "join([t], '')",
        "{a: 1}[t]",
        "fromNow('', t)",
    ] {
        let now = json!({"now": "2020-01-01"});
        add(
            "a long text in every round",
            STEPS,
            with(now, within(eval(expression))),
        );
    }
    add("a long text in many places", STEPS, within(eval("t")));
    add("many parts", STEPS, within(eval("split(t, 'b')")));
    add("many characters", STEPS, within(eval("split(t, '')")));
    let key = "k".repeat(1 << 20);
    let mut loops = json!({"$map": []});
    loops[format!("each({key})")] = json!(1);
    add("a long name in an operator", STEPS, each(100_000, loops));
    add(
        "a long separator",
        STEPS,
        within(eval("[split('', t), join([], t)]")),
    );
    let keyed = |body| {
        with(
            json!({ "o": { key.clone(): 1 }, "p": {"q": 1} }),
            each(100_000, body),
        )
    };
    add(
        "a long key that is merged",
        STEPS,
        keyed(json!({"$merge": [eval("o"), eval("o")]})),
    );
    let merged = json!({"$mergeDeep": [eval("o"), eval("o")]});
    add("a long key that is merged deeply", STEPS, keyed(merged));
    add(
        "a long key that is compared",
        STEPS,
        keyed(eval("[o == p, p == o, [o] == [p], o in [p]]")),
    );
    let pairs = json!({"$map": eval("o"), "each(v,k)": {"$eval": "o"}});
    add("a long key that is gone through", STEPS, keyed(pairs));
    add("blanks", STEPS, eval(&" ".repeat(20 << 20)));
    add("many signs", STEPS, eval(&"1+".repeat(1 << 20)));
    add("many expressions", STEPS, json!("${1}".repeat(1 << 20)));
    add(
        "many digits",
        TEXT,
        json!("${".to_owned() + &"9".repeat(5 << 20) + "}" + &"9".repeat(5 << 20)),
    );
}

fn nesting(add: &mut impl FnMut(&'static str, &'static str, Value)) {
    const TIMES: usize = 100_000;
    for open in [
        "(", "[", "{a:", "-", "!", "+", "2**", "min(", "x[", "x[:", "1-(", "0||1&&(",
    ] {
        add(
            "an expression without end",
            BRACKETS,
            eval(&open.repeat(TIMES)),
        );
        add(
            "an interpolation without end",
            BRACKETS,
            json!(format!("${{{}", open.repeat(TIMES))),
        );
    }
    add("lists in lists", LEVELS, deep(50_000));
    add("objects in objects", LEVELS, objects(50_000));
    add(
        "a list in itself",
        LEVELS,
        repeat(100_000, &json!([]), eval("[acc]")),
    );
    add(
        "an object in itself",
        LEVELS,
        repeat(100_000, &json!({}), json!({ "a": eval("acc") })),
    );
    let mut start = json!({"$reduce": [], "each(a,b)": 1});
    start["initial"] = deep(50_000);
    add("a deep start", LEVELS, start);
}

fn times(add: &mut impl FnMut(&'static str, &'static str, Value)) {
    for offset in [
        "999999999 years",
        "-999999999 years",
        "9223372036854775807 years",
        "99999999999999999999999 seconds",
        "-3000 years",
        "9000 years",
        "292277026596 years",
    ] {
        let template = json!({"$fromNow": offset, "from": "2017-01-01T00:00:00.000Z"});
        add("a moment too far away", CALENDAR, template);
    }
}
