//! The secrets service's table of contents.

use serde_json::json;

use super::{Secrets, get, list, remove, set};
use crate::method::Verb::{Delete, Get, Put};
use crate::method::{Method, handler};
use crate::monitoring;

/// Title and description of the service.
pub(super) const ABOUT: (&str, &str) = (
    "Secrets Service",
    "Keeps JSON under a name, encrypted, for those who have the scope.",
);

const CATEGORY: &str = "Secrets Service";

/// All methods, in the order of the reference.
pub(super) fn methods() -> Vec<Method<Secrets>> {
    let mut methods = monitoring::methods();
    methods.extend([
        Method::new("set", Put, "/secret/<name>", handler!(set))
            .scopes(json!("secrets:set:<name>"))
            .input("v1/secret.json#")
            .secret("secret")
            .about(
                CATEGORY,
                "Set secret",
                "Keeps a secret, in place of one of the same name.",
            ),
        Method::new("remove", Delete, "/secret/<name>", handler!(remove))
            .scopes(json!("secrets:set:<name>"))
            .about(
                CATEGORY,
                "Delete secret",
                "Removes a secret; none being there is fine.",
            ),
        Method::new("get", Get, "/secret/<name>", handler!(get))
            .scopes(json!("secrets:get:<name>"))
            .output("v1/secret.json#")
            .about(
                CATEGORY,
                "Read secret",
                "A secret. One that has expired is told to nobody.",
            ),
        Method::new("list", Get, "/secrets", handler!(list))
            .query(&["continuationToken", "limit"])
            .scopes(json!("secrets:list-secrets"))
            .output("v1/secret-list.json#")
            .about(
                CATEGORY,
                "List secrets",
                "The names of all secrets, in order.",
            ),
    ]);
    methods
}
