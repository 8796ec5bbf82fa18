//! The auth service's table of contents.

use serde_json::{Value, json};

use super::Auth;
use super::guarded::{aws, azure, gcp, github, sentry};
use super::{clients, hawk, history, roles, scopes, test_authenticate, tunnel};
use crate::method::Verb::{Delete, Get, Post, Put};
use crate::method::{Method, handler};
use crate::monitoring;

/// Title and description of the service.
pub(super) const ABOUT: (&str, &str) = (
    "Auth Service",
    "Knows who there is and what they may do, judges signed requests, and gives out credentials \
     for services outside.",
);

const PAGED: &[&str] = &["continuationToken", "limit"];

/// All methods, in the order of the reference.
pub(super) fn methods() -> Vec<Method<Auth>> {
    [
        monitoring::methods(),
        client_methods(),
        role_methods(),
        scope_methods(),
    ]
    .into_iter()
    .chain([storage_methods(), token_methods(), hawk_methods()])
    .flatten()
    .collect()
}

fn client_methods() -> Vec<Method<Auth>> {
    const CLIENTS: &str = "Clients";
    const AUDIT: &str = "Audit";
    vec![
        Method::new(
            "listClients",
            Get,
            "/clients/",
            handler!(clients::list_clients),
        )
        .scopes(json!("auth:list-clients"))
        .query(&["prefix", "continuationToken", "limit"])
        .output("v1/list-clients-response.json#")
        .about(
            CLIENTS,
            "List clients",
            "Clients by id, all or those with a prefix.",
        ),
        Method::new(
            "client",
            Get,
            "/clients/<clientId>",
            handler!(clients::client),
        )
        .scopes(json!("auth:get-client:<clientId>"))
        .output("v1/get-client-response.json#")
        .about(
            CLIENTS,
            "Get a client",
            "A client as it stands, without its secret.",
        ),
        Method::new(
            "createClient",
            Put,
            "/clients/<clientId>",
            handler!(clients::create_client),
        )
        .scopes(json!({"AllOf": [
            "auth:create-client:<clientId>",
            {"for": "scope", "in": "scopes", "each": "<scope>"},
        ]}))
        .input("v1/create-client-request.json#")
        .output("v1/create-client-response.json#")
        .about(
            CLIENTS,
            "Create a client",
            "Makes a client and tells its access token, which is not told again. The same \
                 request finds the same client for a quarter of an hour.",
        ),
        Method::new(
            "getEntityHistory",
            Get,
            "/audit/<entityType>/<entityId>",
            handler!(history::get_entity_history),
        )
        .scopes(json!("auth:audit-history:<entityType>"))
        .query(PAGED)
        .output("v1/get-entity-history-response.json#")
        .about(
            AUDIT,
            "History of something",
            "What was done to it in the last 30 days.",
        ),
        Method::new(
            "listAuditHistory",
            Get,
            "/clients/<clientId>/audit",
            handler!(history::list_audit_history),
        )
        .scopes(json!("auth:client-audit-history:<clientId>"))
        .query(PAGED)
        .output("v1/get-entity-history-response.json#")
        .about(
            AUDIT,
            "Deeds of a client",
            "What a client did in the last 30 days.",
        ),
        Method::new(
            "resetAccessToken",
            Post,
            "/clients/<clientId>/reset",
            handler!(clients::reset_access_token),
        )
        .scopes(json!("auth:reset-access-token:<clientId>"))
        .output("v1/create-client-response.json#")
        .about(
            CLIENTS,
            "Reset an access token",
            "Gives a client a new access token; the old one is worth nothing from then on.",
        ),
        Method::new(
            "updateClient",
            Post,
            "/clients/<clientId>",
            handler!(clients::update_client),
        )
        .scopes(json!({"AllOf": [
            "auth:update-client:<clientId>",
            {"for": "scope", "in": "scopesAdded", "each": "<scope>"},
        ]}))
        .input("v1/create-client-request.json#")
        .output("v1/get-client-response.json#")
        .about(
            CLIENTS,
            "Update a client",
            "Changes what a client is. Scopes are left as they are if none are given.",
        ),
        Method::new(
            "enableClient",
            Post,
            "/clients/<clientId>/enable",
            handler!(clients::enable_client),
        )
        .scopes(json!("auth:enable-client:<clientId>"))
        .output("v1/get-client-response.json#")
        .about(
            CLIENTS,
            "Enable a client",
            "Takes back that a client was disabled.",
        ),
        Method::new(
            "disableClient",
            Post,
            "/clients/<clientId>/disable",
            handler!(clients::disable_client),
        )
        .scopes(json!("auth:disable-client:<clientId>"))
        .output("v1/get-client-response.json#")
        .about(
            CLIENTS,
            "Disable a client",
            "Refuses a client, and all credentials it has issued, until it is enabled again.",
        ),
        Method::new(
            "deleteClient",
            Delete,
            "/clients/<clientId>",
            handler!(clients::delete_client),
        )
        .scopes(json!("auth:delete-client:<clientId>"))
        .about(
            CLIENTS,
            "Delete a client",
            "Afterwards there is none of this id.",
        ),
    ]
}

fn role_methods() -> Vec<Method<Auth>> {
    const ROLES: &str = "Roles";
    vec![
        Method::new("listRoles", Get, "/roles/", handler!(roles::list_roles))
            .scopes(json!("auth:list-roles"))
            .output("v1/list-roles-response.json#")
            .about(ROLES, "List all roles", "All roles by id, in one answer."),
        Method::new("listRoles2", Get, "/roles2/", handler!(roles::list_roles2))
            .scopes(json!("auth:list-roles"))
            .query(PAGED)
            .output("v1/list-roles2-response.json#")
            .about(
                ROLES,
                "List roles",
                "Roles by id; in pages, if a limit is given.",
            ),
        Method::new(
            "listRoleIds",
            Get,
            "/roleids/",
            handler!(roles::list_role_ids),
        )
        .scopes(json!("auth:list-roles"))
        .query(PAGED)
        .output("v1/list-role-ids-response.json#")
        .about(
            ROLES,
            "List role ids",
            "Ids of roles; in pages, if a limit is given.",
        ),
        Method::new("role", Get, "/roles/<roleId>", handler!(roles::role))
            .scopes(json!("auth:get-role:<roleId>"))
            .output("v1/get-role-response.json#")
            .about(ROLES, "Get a role", "A role as it stands."),
        Method::new(
            "createRole",
            Put,
            "/roles/<roleId>",
            handler!(roles::create_role),
        )
        .scopes(json!({"AllOf": [
            "auth:create-role:<roleId>",
            {"for": "scope", "in": "scopes", "each": "<scope>"},
        ]}))
        .input("v1/create-role-request.json#")
        .output("v1/get-role-response.json#")
        .about(
            ROLES,
            "Create a role",
            "Makes a role; the same request again finds it. Roles that lead back to \
                 themselves are refused.",
        ),
        Method::new(
            "updateRole",
            Post,
            "/roles/<roleId>",
            handler!(roles::update_role),
        )
        .scopes(json!({"AllOf": [
            "auth:update-role:<roleId>",
            {"for": "scope", "in": "scopesAdded", "each": "<scope>"},
        ]}))
        .input("v1/create-role-request.json#")
        .output("v1/get-role-response.json#")
        .about(
            ROLES,
            "Update a role",
            "Changes what a role grants, and its description.",
        ),
        Method::new(
            "deleteRole",
            Delete,
            "/roles/<roleId>",
            handler!(roles::delete_role),
        )
        .scopes(json!("auth:delete-role:<roleId>"))
        .about(
            ROLES,
            "Delete a role",
            "Afterwards there is none of this id.",
        ),
    ]
}

fn scope_methods() -> Vec<Method<Auth>> {
    const SCOPES: &str = "Scopes and Auth";
    vec![
        Method::new(
            "expandScopes",
            Post,
            "/scopes/expand",
            handler!(scopes::expand_scopes),
        )
        .scopes(json!("auth:expand-scopes"))
        .input("v1/scopeset.json#")
        .output("v1/scopeset.json#")
        .about(
            SCOPES,
            "Expand scopes",
            "Adds all that roles grant to holders of scopes.",
        ),
        Method::new(
            "expandScopesGet",
            Get,
            "/scopes/expand",
            handler!(scopes::expand_scopes),
        )
        .scopes(json!("auth:expand-scopes"))
        .input("v1/scopeset.json#")
        .output("v1/scopeset.json#")
        .deprecated()
        .about(
            SCOPES,
            "Expand scopes by GET",
            "As expandScopes, for clients that still GET.",
        ),
        Method::new(
            "currentScopes",
            Get,
            "/scopes/current",
            handler!(scopes::current_scopes),
        )
        .scopes(json!("auth:current-scopes"))
        .output("v1/scopeset.json#")
        .about(
            SCOPES,
            "Current scopes",
            "Everything that the caller may do.",
        ),
    ]
}

/// What access to something at a level takes: who may write may read.
fn by_level(kind: &str, of: &str) -> Value {
    let write = format!("auth:{kind}:read-write:{of}");
    json!({
        "if": "levelIsReadOnly",
        "then": {"AnyOf": [format!("auth:{kind}:read-only:{of}"), write]},
        "else": write,
    })
}

fn storage_methods() -> Vec<Method<Auth>> {
    const AZURE: &str = "Azure Credentials";
    vec![
        Method::new(
            "awsS3Credentials",
            Get,
            "/aws/s3/<level>/<bucket>/<prefix>",
            handler!(aws::aws_s3_credentials),
        )
        .scopes(by_level("aws-s3", "<bucket>/<prefix>"))
        .query(&["format"])
        .output("v1/aws-s3-credentials-response.json#")
        .about(
            "AWS Credentials",
            "Access to S3",
            "Credentials for a prefix of a bucket.",
        ),
        Method::new(
            "azureAccounts",
            Get,
            "/azure/accounts",
            handler!(azure::azure_accounts),
        )
        .scopes(json!("auth:azure-table:list-accounts"))
        .output("v1/azure-account-list-response.json#")
        .deprecated()
        .about(
            AZURE,
            "List Azure accounts",
            "Accounts that credentials can be had for.",
        ),
        Method::new(
            "azureTables",
            Get,
            "/azure/<account>/tables",
            handler!(azure::azure_tables),
        )
        .scopes(json!("auth:azure-table:list-tables:<account>"))
        .query(&["continuationToken"])
        .output("v1/azure-table-list-response.json#")
        .deprecated()
        .about(AZURE, "List Azure tables", "The tables of an account."),
        Method::new(
            "azureTableSAS",
            Get,
            "/azure/<account>/table/<table>/<level>",
            handler!(azure::azure_table_sas),
        )
        .scopes(by_level("azure-table", "<account>/<table>"))
        .output("v1/azure-table-access-response.json#")
        .deprecated()
        .about(
            AZURE,
            "Access to an Azure table",
            "A signature for a table.",
        ),
        Method::new(
            "azureContainers",
            Get,
            "/azure/<account>/containers",
            handler!(azure::azure_containers),
        )
        .scopes(json!("auth:azure-container:list-containers:<account>"))
        .query(&["continuationToken"])
        .output("v1/azure-container-list-response.json#")
        .deprecated()
        .about(
            AZURE,
            "List Azure containers",
            "The containers of an account.",
        ),
        Method::new(
            "azureContainerSAS",
            Get,
            "/azure/<account>/containers/<container>/<level>",
            handler!(azure::azure_container_sas),
        )
        .scopes(by_level("azure-container", "<account>/<container>"))
        .output("v1/azure-container-response.json#")
        .deprecated()
        .about(
            AZURE,
            "Access to an Azure container",
            "A signature for a container.",
        ),
    ]
}

fn token_methods() -> Vec<Method<Auth>> {
    vec![
        Method::new(
            "sentryDSN",
            Get,
            "/sentry/<project>/dsn",
            handler!(sentry::sentry_dsn),
        )
        .scopes(json!("auth:sentry:<project>"))
        .output("v1/sentry-dsn-response.json#")
        .about(
            "Sentry Credentials",
            "Access to Sentry",
            "Where a project sends reports.",
        ),
        Method::new(
            "statsumToken",
            Get,
            "/statsum/<project>/token",
            handler!(tunnel::statsum_token),
        )
        .scopes(json!("auth:statsum:<project>"))
        .output("v1/statsum-token-response.json#")
        .about(
            "Statsum Credentials",
            "Access to statsum",
            "A token for a project's figures.",
        ),
        Method::new(
            "webhooktunnelToken",
            Get,
            "/webhooktunnel",
            handler!(tunnel::webhooktunnel_token),
        )
        .scopes(json!("auth:webhooktunnel"))
        .output("v1/webhooktunnel-token-response.json#")
        .about(
            "Webhooktunnel Credentials",
            "Webhook tunnel",
            "A token to open a tunnel.",
        ),
        Method::new(
            "websocktunnelToken",
            Get,
            "/websocktunnel/<wstAudience>/<wstClient>",
            handler!(tunnel::websocktunnel_token),
        )
        .scopes(json!("auth:websocktunnel-token:<wstAudience>/<wstClient>"))
        .output("v1/websocktunnel-token-response.json#")
        .about(
            "Websocktunnel Credentials",
            "Websocket tunnel",
            "A token to open a tunnel.",
        ),
        Method::new(
            "gcpCredentials",
            Get,
            "/gcp/credentials/<projectId>/<serviceAccount>",
            handler!(gcp::gcp_credentials),
        )
        .scopes(json!("auth:gcp:access-token:<projectId>/<serviceAccount>"))
        .output("v1/gcp-credentials-response.json#")
        .about(
            "GCP Credentials",
            "Access to Google Cloud",
            "A service account's token.",
        ),
        Method::new(
            "githubRepoToken",
            Post,
            "/github/<appName>/<owner>/repo-token",
            handler!(github::github_repo_token),
        )
        .scopes(json!({"AllOf": [{
            "for": "repoPerm",
            "in": "repoPerms",
            "each": "auth:github-repo-token:<appName>/<owner>/<repoPerm>",
        }]}))
        .input("v1/github-repo-token-request.json#")
        .output("v1/github-token-response.json#")
        .experimental()
        .about(
            "Github Credentials",
            "Access to repositories",
            "A token of a GitHub app.",
        ),
    ]
}

fn hawk_methods() -> Vec<Method<Auth>> {
    const SCOPES: &str = "Scopes and Auth";
    vec![
        Method::new(
            "authenticateHawk",
            Post,
            "/authenticate-hawk",
            handler!(hawk::authenticate_hawk),
        )
        .input("v1/authenticate-hawk-request.json#")
        .output("v1/authenticate-hawk-response.json#")
        .about(
            SCOPES,
            "Judge a request",
            "Tells a service who signed a request it got.",
        ),
        Method::new(
            "testAuthenticate",
            Post,
            "/test-authenticate",
            handler!(test_authenticate::test_authenticate),
        )
        .input("v1/test-authenticate-request.json#")
        .output("v1/test-authenticate-response.json#")
        .sees_original()
        .about(
            SCOPES,
            "Test authentication",
            "Shows the author of a client whether it signs as it should, as the client `tester` \
             with the access token `no-secret`.",
        ),
        Method::new(
            "testAuthenticateGet",
            Get,
            "/test-authenticate-get/",
            handler!(test_authenticate::test_authenticate_get),
        )
        .output("v1/test-authenticate-response.json#")
        .sees_original()
        .about(
            SCOPES,
            "Test authentication by GET",
            "As testAuthenticate, with fixed scopes.",
        ),
    ]
}
