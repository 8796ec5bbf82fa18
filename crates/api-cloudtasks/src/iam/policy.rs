//! What the policy of a queue says.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{DynamicMessage, Value};
use serde::Deserialize;
use taskyard_engine::cloud;
use taskyard_store::{Error, Tx};

use super::{Permission, members, role};
use crate::caller::Caller;
use crate::failure::Failure;
use crate::message::{Fields as _, Kept as _};
use crate::name::QueueName;

/// Most members of all bindings together.
const MOST_PRINCIPALS: usize = 1500;
/// Most groups among them.
const MOST_GROUPS: usize = 250;

/// The part of a policy that grants something.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Policy {
    #[serde(default)]
    bindings: Vec<Binding>,
}

#[derive(Debug, Deserialize)]
struct Binding {
    #[serde(default)]
    role: String,
    #[serde(default)]
    members: Vec<String>,
    condition: Option<serde::de::IgnoredAny>,
}

/// The policy of a queue; an empty one if it was never set or there is no such queue.
pub(crate) fn of(tx: &mut Tx<'_>, queue: &QueueName) -> Result<Policy, Error> {
    match cloud::policy::get(tx, queue.as_str())? {
        Ok(Some(policy)) => read(&policy.document),
        Ok(None) | Err(_) => Ok(Policy::default()),
    }
}

fn read(document: &str) -> Result<Policy, Error> {
    serde_json::from_str(document)
        .map_err(|error| Error::Statement(format!("reading a stored policy: {error}")))
}

impl Policy {
    /// Whether one of the caller's roles holds `permission`. Conditions are kept and never met:
    /// there is nothing here that could evaluate them.
    pub(crate) fn grants(&self, permission: Permission, caller: &Caller) -> bool {
        self.bindings.iter().any(|binding| {
            binding.condition.is_none()
                && role::holds(&binding.role, permission)
                && binding
                    .members
                    .iter()
                    .any(|member| members::includes(member, caller))
        })
    }
}

/// Checks a policy that somebody wants to set, and brings its bindings into order: one for each
/// role and condition, members sorted, nothing twice.
pub(crate) fn normalize(policy: &mut DynamicMessage) -> Result<(), Failure> {
    let version = policy.int("version");
    if !matches!(version, 0 | 1 | 3) {
        let text = format!("Policy version {version} is not one of 0, 1 and 3.");
        return Err(Failure::invalid(text));
    }
    // By role and condition; the message is kept for its condition.
    let mut merged: BTreeMap<(String, String), (DynamicMessage, BTreeSet<String>)> =
        BTreeMap::new();
    for binding in policy.children("bindings") {
        let role = binding.text("role");
        if !role::is_role(role) {
            return Err(Failure::invalid(format!(
                "Role \"{role}\" is not a valid role."
            )));
        }
        let condition = binding.child("condition");
        if condition.is_some() && version != 3 {
            return Err(Failure::invalid(
                "A policy with conditions must have version 3.",
            ));
        }
        let members = binding.texts("members");
        if let Some(odd) = members.iter().find(|member| !members::is_member(member)) {
            return Err(Failure::invalid(format!(
                "Member \"{odd}\" is not valid. Members are allUsers, allAuthenticatedUsers, \
                 user:ID, serviceAccount:ID, group:ROLE and domain:NAME."
            )));
        }
        let condition = condition.map(serde_json::to_string);
        let condition = condition.and_then(Result::ok).unwrap_or_default();
        let (_, all) = merged
            .entry((role.to_owned(), condition))
            .or_insert_with(|| (binding.clone(), BTreeSet::new()));
        all.extend(members.into_iter().map(str::to_owned));
    }
    let members = || merged.values().flat_map(|(_, members)| members);
    let groups = members().filter(|member| members::is_group(member)).count();
    if members().count() > MOST_PRINCIPALS || groups > MOST_GROUPS {
        return Err(Failure::invalid(format!(
            "A policy may name {MOST_PRINCIPALS} members, {MOST_GROUPS} of which may be groups."
        )));
    }
    let bindings = merged
        .into_values()
        .filter(|(_, members)| !members.is_empty());
    let bindings = bindings.map(|(mut binding, members)| {
        let members = members.into_iter().map(Value::String).collect();
        binding.put("members", Value::List(members));
        Value::Message(binding)
    });
    let bindings = bindings.collect();
    policy.put("bindings", Value::List(bindings));
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost_reflect::ReflectMessage as _;
    use serde_json::json;

    use super::*;
    use crate::schema::Schema;

    fn normalized(json: serde_json::Value) -> Result<serde_json::Value, Failure> {
        let schema = Schema::load().expect("it loads");
        let empty = schema.message("google.iam.v1.Policy").expect("a policy");
        let mut policy = DynamicMessage::deserialize(empty.descriptor(), json).expect("it fits");
        normalize(&mut policy)?;
        Ok(serde_json::to_value(&policy).expect("json"))
    }

    #[test]
    fn bindings_are_merged_and_members_sorted() {
        let given = json!({"bindings": [
            {"role": "roles/viewer", "members": ["user:b", "user:a"]},
            {"role": "roles/viewer", "members": ["user:a", "allUsers"]},
            {"role": "roles/editor", "members": []},
        ]});
        assert_eq!(
            normalized(given),
            Ok(json!({"bindings": [
                {"role": "roles/viewer", "members": ["allUsers", "user:a", "user:b"]},
            ]}))
        );
    }

    #[test]
    fn a_condition_makes_a_binding_of_its_own() {
        let condition = json!({"expression": "true", "title": "t"});
        let given = json!({"version": 3, "bindings": [
            {"role": "roles/viewer", "members": ["user:a"]},
            {"role": "roles/viewer", "members": ["user:b"], "condition": condition},
        ]});
        assert_eq!(normalized(given.clone()), Ok(given));
    }

    #[test]
    fn what_no_policy_can_be_is_refused() {
        let many: Vec<String> = (0..1501).map(|at| format!("user:{at}")).collect();
        let groups: Vec<String> = (0..251).map(|at| format!("group:{at}")).collect();
        for json in [
            json!({"version": 2}),
            json!({"bindings": [{"role": "viewer", "members": ["user:a"]}]}),
            json!({"bindings": [{"role": "roles/viewer", "members": ["somebody"]}]}),
            json!({"version": 1, "bindings": [{"role": "roles/viewer", "condition": {"title": "t"}}]}),
            json!({"bindings": [{"role": "roles/viewer", "members": many}]}),
            json!({"bindings": [{"role": "roles/viewer", "members": groups}]}),
        ] {
            let refused = normalized(json.clone()).expect_err("not a policy");
            assert_eq!(refused.code, tonic::Code::InvalidArgument, "{json}");
        }
    }
}
