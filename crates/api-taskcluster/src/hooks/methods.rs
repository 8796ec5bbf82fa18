//! The hooks service's table of contents.

use serde_json::json;

use super::{Hooks, definitions, fires, tokens, triggers};
use crate::method::Verb::{Delete, Get, Post, Put};
use crate::method::{Method, handler};
use crate::monitoring;

/// Title and description of the service.
pub(super) const ABOUT: (&str, &str) = (
    "Hooks Service",
    "Creates tasks of templates: when somebody asks for it, upon messages, or on a schedule.",
);

const HOOKS: &str = "Hooks";
const STATUS: &str = "Hook Status";

/// All methods, in the order of the reference.
pub(super) fn methods() -> Vec<Method<Hooks>> {
    let mut methods = monitoring::methods();
    methods.extend(hooks());
    methods.extend(firing());
    methods
}

fn hooks() -> Vec<Method<Hooks>> {
    let modify = json!({"AllOf": [
        "hooks:modify-hook:<hookGroupId>/<hookId>",
        "assume:hook-id:<hookGroupId>/<hookId>",
    ]});
    vec![
        Method::new(
            "listHookGroups",
            Get,
            "/hooks",
            handler!(definitions::list_hook_groups),
        )
        .scopes(json!("hooks:list-hooks:"))
        .output("v1/list-hook-groups-response.json#")
        .about(HOOKS, "List hook groups", "The groups that have hooks."),
        Method::new(
            "listHooks",
            Get,
            "/hooks/<hookGroupId>",
            handler!(definitions::list_hooks),
        )
        .scopes(json!("hooks:list-hooks:<hookGroupId>"))
        .output("v1/list-hooks-response.json#")
        .about(
            HOOKS,
            "List hooks in a given group",
            "What the hooks of a group are, by name.",
        ),
        Method::new(
            "hook",
            Get,
            "/hooks/<hookGroupId>/<hookId>",
            handler!(definitions::hook),
        )
        .scopes(json!("hooks:get:<hookGroupId>:<hookId>"))
        .output("v1/hook-definition.json#")
        .about(HOOKS, "Get hook definition", "What a hook is."),
        Method::new(
            "createHook",
            Put,
            "/hooks/<hookGroupId>/<hookId>",
            handler!(definitions::create_hook),
        )
        .scopes(modify.clone())
        .input("v1/create-hook-request.json#")
        .output("v1/hook-definition.json#")
        .about(
            HOOKS,
            "Create a hook",
            "Makes a hook. To make the same one twice is fine; to make another one of the same \
             name is not. Its tasks are created with the scopes of the role \
             `hook-id:<hookGroupId>/<hookId>`.",
        ),
        Method::new(
            "updateHook",
            Post,
            "/hooks/<hookGroupId>/<hookId>",
            handler!(definitions::update_hook),
        )
        .scopes(modify)
        .input("v1/create-hook-request.json#")
        .output("v1/hook-definition.json#")
        .about(
            HOOKS,
            "Update a hook",
            "Gives a hook another definition. Without `bindings` it keeps those it has; everything \
             else that is left out becomes what it would be for a new hook.",
        ),
        Method::new(
            "removeHook",
            Delete,
            "/hooks/<hookGroupId>/<hookId>",
            handler!(definitions::remove_hook),
        )
        .scopes(json!("hooks:modify-hook:<hookGroupId>/<hookId>"))
        .about(
            HOOKS,
            "Delete a hook",
            "Removes a hook and what is known of its fires; none being there is fine.",
        ),
        Method::new(
            "getTriggerToken",
            Get,
            "/hooks/<hookGroupId>/<hookId>/token",
            handler!(tokens::get_trigger_token),
        )
        .scopes(json!("hooks:get-trigger-token:<hookGroupId>/<hookId>"))
        .output("v1/trigger-token-response.json#")
        .about(
            HOOKS,
            "Get a trigger token",
            "The token with which anybody may fire the hook.",
        ),
        Method::new(
            "resetTriggerToken",
            Post,
            "/hooks/<hookGroupId>/<hookId>/token",
            handler!(tokens::reset_trigger_token),
        )
        .scopes(json!("hooks:reset-trigger-token:<hookGroupId>/<hookId>"))
        .output("v1/trigger-token-response.json#")
        .about(
            HOOKS,
            "Reset a trigger token",
            "Gives the hook another token; the old one is worth nothing from then on.",
        ),
    ]
}

fn firing() -> Vec<Method<Hooks>> {
    vec![
        Method::new(
            "triggerHook",
            Post,
            "/hooks/<hookGroupId>/<hookId>/trigger",
            handler!(triggers::trigger_hook),
        )
        .scopes(json!("hooks:trigger-hook:<hookGroupId>/<hookId>"))
        .input("v1/trigger-hook.json#")
        .output("v1/trigger-hook-response.json#")
        .about(
            HOOKS,
            "Trigger a hook",
            "Fires a hook. The body must fit the hook's `triggerSchema` and is `payload` to its \
             template.",
        ),
        Method::new(
            "triggerHookWithToken",
            Post,
            "/hooks/<hookGroupId>/<hookId>/trigger/<token>",
            handler!(triggers::trigger_hook_with_token),
        )
        .secret("token")
        .input("v1/trigger-hook.json#")
        .output("v1/trigger-hook-response.json#")
        .about(
            HOOKS,
            "Trigger a hook with a token",
            "As triggerHook, for whoever knows the hook's token.",
        ),
        Method::new(
            "getHookStatus",
            Get,
            "/hooks/<hookGroupId>/<hookId>/status",
            handler!(fires::get_hook_status),
        )
        .scopes(json!("hooks:status:<hookGroupId>/<hookId>"))
        .output("v1/hook-status.json#")
        .deprecated()
        .about(
            STATUS,
            "Get hook status",
            "What came of the last fire, and when the hook fires next.",
        ),
        Method::new(
            "listLastFires",
            Get,
            "/hooks/<hookGroupId>/<hookId>/last-fires",
            handler!(fires::list_last_fires),
        )
        .query(&["continuationToken", "limit"])
        .scopes(json!("hooks:list-last-fires:<hookGroupId>/<hookId>"))
        .output("v1/list-lastFires-response.json#")
        .about(
            STATUS,
            "Get information about recent hook fires",
            "What came of the last fires, the newest first.",
        ),
    ]
}
