//! What must hold for all scopes and roles, tried on random small ones.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use proptest::prelude::*;
use taskyard_access::scope::{merge, pattern_match};
use taskyard_access::*;

/// Few letters, so that they often meet; stars and parameters anywhere.
fn scope() -> impl Strategy<Value = String> {
    "(assume:){0,1}[ab!*]{0,3}(<\\.\\.>){0,1}[ab*]{0,1}"
}

fn scopes() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(scope(), 0..8)
}

fn roles() -> impl Strategy<Value = Vec<Role>> {
    let role = ("[ab!*]{1,3}\\*{0,1}", prop::collection::vec(scope(), 0..4))
        .prop_map(|(role_id, scopes)| Role { role_id, scopes });
    prop::collection::vec(role, 0..5)
}

fn satisfied_by_any(held: &[String], scope: &str) -> bool {
    held.iter().any(|pattern| pattern_match(pattern, scope))
}

/// The rules of expansion, word for word, without any index.
fn expand_naively(roles: &[Role], scopes: &[String]) -> Vec<String> {
    let mut held = scopes.to_vec();
    let mut position = 0;
    while position < held.len() {
        let scope = held[position].clone();
        position += 1;
        let stem = scope.strip_suffix('*');
        for role in roles {
            let pattern = format!("assume:{}", role.role_id);
            let parameter = match pattern.strip_suffix('*') {
                None => {
                    let applies =
                        scope == pattern || stem.is_some_and(|stem| pattern.starts_with(stem));
                    applies.then_some(None)
                }
                Some(prefix) => match scope.strip_prefix(prefix) {
                    Some(parameter) => Some(Some(parameter)),
                    None if stem.is_some_and(|stem| prefix.starts_with(stem)) => Some(Some("*")),
                    None => None,
                },
            };
            let Some(parameter) = parameter else { continue };
            for granted in &role.scopes {
                let granted = match (parameter, granted.split_once("<..>")) {
                    (Some(parameter), Some((before, _))) if parameter.ends_with('*') => {
                        format!("{before}{parameter}")
                    }
                    (Some(parameter), Some((before, after))) => {
                        format!("{before}{parameter}{after}")
                    }
                    _ => granted.clone(),
                };
                if !held.contains(&granted) {
                    held.push(granted);
                }
            }
        }
    }
    ScopeSet::new(held).to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        // About half of the random sets of roles have cycles.
        max_global_rejects: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn normalizing_again_changes_nothing(scopes in scopes()) {
        let once = ScopeSet::new(scopes);
        prop_assert_eq!(&ScopeSet::new(once.to_vec()), &once);
    }

    #[test]
    fn a_set_satisfies_what_one_of_its_scopes_satisfies(held in scopes(), asked in scope()) {
        let set = ScopeSet::new(held.clone());
        prop_assert_eq!(set.satisfies(&asked), satisfied_by_any(&held, &asked));
        for scope in &held {
            prop_assert!(set.satisfies(scope));
        }
    }

    #[test]
    fn a_union_satisfies_what_either_set_does(a in scopes(), b in scopes(), asked in scope()) {
        let union = ScopeSet::new(a.clone()).union(&ScopeSet::new(b.clone()));
        prop_assert_eq!(
            union.satisfies(&asked),
            satisfied_by_any(&a, &asked) || satisfied_by_any(&b, &asked)
        );
    }

    #[test]
    fn an_intersection_satisfies_what_both_sets_do(a in scopes(), b in scopes(), asked in scope()) {
        // The text `x**` stands for what starts with `x*`, and so satisfies the scope `x*` itself,
        // though not all that `x*` does: no client or role is given scopes of that form.
        prop_assume!(a.iter().chain(&b).all(|scope| !scope.ends_with("**")));
        let both = ScopeSet::new(a.clone()).intersection(&ScopeSet::new(b.clone()));
        prop_assert_eq!(
            both.satisfies(&asked),
            satisfied_by_any(&a, &asked) && satisfied_by_any(&b, &asked)
        );
    }

    #[test]
    fn merging_normal_forms_gives_the_union(a in scopes(), b in scopes()) {
        let (a, b) = (ScopeSet::new(a), ScopeSet::new(b));
        prop_assert_eq!(merge(&a.to_vec(), &b.to_vec()), a.union(&b).to_vec());
    }

    #[test]
    fn expansion_is_the_least_fixpoint(roles in roles(), scopes in scopes()) {
        // Only sets without cycles have a fixpoint that is surely finite.
        prop_assume!(check(&roles).is_ok());
        let expanded = Roles::new(&roles).expand(&scopes);
        prop_assert_eq!(expanded.to_vec(), expand_naively(&roles, &scopes));
        prop_assert_eq!(Roles::new(&roles).expand(&expanded.to_vec()), expanded);
    }

    #[test]
    fn what_is_missing_is_what_would_be_enough(held in scopes(), required in scopes()) {
        let held = ScopeSet::new(held);
        let required = Rendered::all_of(required);
        match required.missing(&held) {
            None => prop_assert!(required.satisfied_by(&held)),
            Some(missing) => {
                prop_assert!(!required.satisfied_by(&held));
                let lacking: Vec<String> = match missing {
                    Rendered::Scope(scope) => vec![scope],
                    Rendered::AllOf(parts) => parts.iter().map(ToString::to_string).collect(),
                    Rendered::AnyOf(_) => unreachable!(),
                };
                prop_assert!(required.satisfied_by(&held.union(&ScopeSet::new(lacking))));
            }
        }
    }
}
