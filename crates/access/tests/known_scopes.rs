//! Known answers about scopes, roles and expressions, computed with the reference implementation.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use taskyard_access::scope::{compare, is_valid, merge, pattern_match};
use taskyard_access::*;

fn cases(part: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/scopes.json");
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases: Vec<Value> = serde_json::from_value(file[part].take()).unwrap();
    assert!(!cases.is_empty());
    cases
}

fn get<T: DeserializeOwned>(case: &Value, key: &str) -> T {
    serde_json::from_value(case[key].clone()).unwrap()
}

fn set(case: &Value, key: &str) -> ScopeSet {
    ScopeSet::new(get::<Vec<String>>(case, key))
}

fn roles(case: &Value) -> Vec<Role> {
    // The file's order is kept: it decides where the search for cycles starts.
    let Value::Object(roles) = &case["roles"] else {
        panic!("{case}")
    };
    roles
        .keys()
        .map(|id| Role {
            role_id: id.clone(),
            scopes: get(&case["roles"], id),
        })
        .collect()
}

#[test]
fn valid_scopes_are_printable_ascii() {
    for case in cases("valid_scope") {
        assert_eq!(
            case["scope"].as_str().is_some_and(is_valid),
            case["expect"],
            "{case}"
        );
    }
}

#[test]
fn patterns_match_as_known() {
    for case in cases("pattern_match") {
        let (pattern, scope) = (
            get::<String>(&case, "pattern"),
            get::<String>(&case, "scope"),
        );
        assert_eq!(pattern_match(&pattern, &scope), case["expect"], "{case}");
        assert_eq!(
            ScopeSet::new([pattern]).satisfies(&scope),
            case["expect"],
            "{case}"
        );
    }
}

#[test]
fn lists_are_sorted_normalized_and_merged_as_known() {
    for case in cases("sort") {
        let mut scopes: Vec<String> = get(&case, "input");
        scopes.sort_by(|a, b| compare(a, b));
        assert_eq!(json!(scopes), case["expect"]);
    }
    for case in cases("normalize") {
        assert_eq!(json!(set(&case, "input")), case["expect"], "{case}");
    }
    for case in cases("merge") {
        let (a, b): (Vec<String>, Vec<String>) = (get(&case, "a"), get(&case, "b"));
        assert_eq!(json!(merge(&a, &b)), case["expect"], "{case}");
    }
}

#[test]
fn unions_and_intersections_are_as_known() {
    for case in cases("union") {
        assert_eq!(
            json!(set(&case, "a").union(&set(&case, "b"))),
            case["expect"],
            "{case}"
        );
    }
    for case in cases("intersection") {
        let intersection = set(&case, "a").intersection(&set(&case, "b"));
        assert_eq!(json!(intersection), case["expect"], "{case}");
    }
}

#[test]
fn expressions_are_satisfied_as_known() {
    for case in cases("expressions") {
        let scopes = set(&case, "scopes");
        let expression: Expression = get(&case, "expression");
        assert_eq!(json!(expression), case["expression"]);
        let required = expression.render(&|_| None).unwrap().unwrap();
        assert_eq!(required.satisfied_by(&scopes), case["satisfied"], "{case}");
        assert_eq!(
            json!(required.satisfying(&scopes)),
            case["satisfying"],
            "{case}"
        );
        assert_eq!(json!(required.missing(&scopes)), case["missing"], "{case}");
    }
}

#[test]
fn scopes_are_expanded_as_known() {
    for case in cases("expansion") {
        let roles = Roles::new(&roles(&case));
        let scopes: Vec<String> = get(&case, "scopes");
        assert_eq!(json!(roles.expand(&scopes)), case["expect"], "{case}");
        assert_eq!(
            json!(roles.expand_list(&scopes.into())),
            case["expect"],
            "{case}"
        );
    }
}

#[test]
fn sets_of_roles_are_checked_as_known() {
    for case in cases("role_sets") {
        let found = match check(&roles(&case)) {
            Ok(()) => json!({"expect": "ok"}),
            Err(RoleError::Cycle { cycle }) => {
                json!({"code": "DependencyCycleError", "cycle": cycle})
            }
            Err(
                RoleError::ManyParameters { scope, .. }
                | RoleError::StarBeforeParameter { scope, .. },
            ) => json!({"code": "InvalidScopeError", "scope": scope}),
        };
        for (key, value) in found.as_object().unwrap() {
            assert_eq!(*value, case[key], "{case}");
        }
    }
}

fn param(value: &Value) -> Param<'_> {
    match value {
        Value::String(text) => Param::from(text.as_str()),
        Value::Number(number) => Param::from(number.as_i64().unwrap()),
        Value::Bool(flag) => Param::from(*flag),
        other => Param::from(serde_json::from_value::<Vec<String>>(other.clone()).unwrap()),
    }
}

#[test]
fn templates_are_rendered_as_known() {
    for case in cases("template_render") {
        let template: Expression = get(&case, "template");
        assert_eq!(json!(template), case["template"]);
        assert_eq!(json!(template.parameters()), case["parameters"], "{case}");
        let params: BTreeMap<String, Value> = get(&case, "params");
        match template.render(&|name| params.get(name).map(param)) {
            Ok(rendered) => assert_eq!(json!(rendered), case["expect"], "{case}"),
            Err(error) => {
                let known = case["error"]
                    .as_str()
                    .unwrap_or_else(|| panic!("{error}: {case}"));
                assert!(
                    known.contains(&format!("'{}'", error.parameter)),
                    "{error}: {case}"
                );
            }
        }
    }
}

#[test]
fn templates_are_recognized_as_known() {
    for case in cases("template_valid") {
        let template = serde_json::from_value::<Expression>(case["template"].clone());
        assert_eq!(template.is_ok(), case["expect"], "{case}");
    }
}
