//! `taskyard access`: looks at clients and roles, and changes who may do what.

mod apply;
mod wanted;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;
use taskyard_client::taskcluster::{
    Auth, Client, ClientDefinition, ClientWithToken, Role, RoleDefinition,
};
use taskyard_client::{Timestamp, from_now};
use taskyard_engine::clock::Clock;

use super::lines::print;
use super::target::{Target, credentials};

/// Options of `taskyard access`.
#[derive(Debug, clap::Args)]
#[command(after_help = credentials!(" Access tokens are printed once, when they are made."))]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,

    /// Print one JSON object a line
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Look at clients, and change them
    #[command(subcommand)]
    Clients(Clients),
    /// Look at roles, and change them
    #[command(subcommand)]
    Roles(Roles),
    /// List what the credentials of this call may do
    Scopes,
    /// Make clients and roles what a file says they are; others are left alone
    #[command(after_help = wanted::FORMAT)]
    Apply {
        /// The file (TOML)
        file: PathBuf,
        /// Only print what would change; exit code 1 if there is anything
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Clients {
    /// List clients by id
    List {
        /// Only those whose ids begin so
        #[arg(default_value = "")]
        prefix: String,
    },
    /// Create a client and print its access token
    Create {
        /// Name of the client
        client_id: String,
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// Something it may do; may be given more than once
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// When it is to expire: an offset such as "30 days", or a time
        #[arg(long, value_name = "WHEN", default_value = "1 year")]
        expires: String,
        /// Delete it some time after it has expired
        #[arg(long)]
        delete_on_expiration: bool,
    },
    /// Give a client a new access token and print it; the old one is worth nothing any more
    Rotate {
        /// Name of the client
        client_id: String,
    },
    /// Refuse a client, and all credentials it has issued
    Disable {
        /// Name of the client
        client_id: String,
    },
    /// Take back that a client was disabled
    Enable {
        /// Name of the client
        client_id: String,
    },
    /// Delete a client
    Delete {
        /// Name of the client
        client_id: String,
    },
}

#[derive(Debug, Subcommand)]
enum Roles {
    /// List roles by id
    List,
    /// Create a role
    Create {
        /// Name of the role
        role_id: String,
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// Something it grants; may be given more than once
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
    },
    /// Change what a role grants; what is not given stays as it is
    Update {
        /// Name of the role
        role_id: String,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Something it grants, instead of all that it grants now; may be given more than once
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
    },
    /// Delete a role
    Delete {
        /// Name of the role
        role_id: String,
    },
}

/// Does one action.
pub(crate) async fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let options = args.target.options()?;
    let auth = Auth::new(options)?;
    let json = args.json;
    match args.action {
        Action::Clients(action) => clients(&auth, action, json).await?,
        Action::Roles(action) => roles(&auth, action, json).await?,
        Action::Scopes => print(auth.current_scopes().await?)?,
        Action::Apply { file, dry_run } => return apply::execute(&auth, &file, dry_run).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn clients(auth: &Auth, action: Clients, json: bool) -> anyhow::Result<()> {
    let changed = match action {
        Clients::List { prefix } => auth.list_clients_all(&prefix).await?,
        Clients::Create {
            client_id,
            description,
            scopes,
            expires,
            delete_on_expiration,
        } => {
            let definition = ClientDefinition {
                description,
                expires: moment(&expires)?,
                scopes: Some(scopes),
                delete_on_expiration,
            };
            let made = auth.create_client(&client_id, &definition).await?;
            return print([with_token(&made, json)]);
        }
        Clients::Rotate { client_id } => {
            let rotated = auth.reset_access_token(&client_id).await?;
            return print([with_token(&rotated, json)]);
        }
        Clients::Disable { client_id } => vec![auth.disable_client(&client_id).await?],
        Clients::Enable { client_id } => vec![auth.enable_client(&client_id).await?],
        Clients::Delete { client_id } => {
            auth.delete_client(&client_id).await?;
            Vec::new()
        }
    };
    print(changed.iter().map(|client| client_line(client, json)))
}

async fn roles(auth: &Auth, action: Roles, json: bool) -> anyhow::Result<()> {
    let roles = match action {
        Roles::List => auth.list_roles().await?,
        Roles::Create {
            role_id,
            description,
            scopes,
        } => {
            let definition = RoleDefinition {
                description,
                scopes,
            };
            vec![auth.create_role(&role_id, &definition).await?]
        }
        Roles::Update {
            role_id,
            description,
            scopes,
        } => {
            let known = auth.role(&role_id).await?;
            let known = known.with_context(|| format!("there is no role {role_id:?}"))?;
            let definition = RoleDefinition {
                description: description.unwrap_or(known.description),
                scopes: if scopes.is_empty() {
                    known.scopes
                } else {
                    scopes
                },
            };
            vec![auth.update_role(&role_id, &definition).await?]
        }
        Roles::Delete { role_id } => {
            auth.delete_role(&role_id).await?;
            Vec::new()
        }
    };
    print(roles.iter().map(|role| role_line(role, json)))
}

/// A time, or an offset from now.
pub(super) fn moment(text: &str) -> anyhow::Result<Timestamp> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let now = Timestamp::from_millis(Clock::default().now().millis())
        .context("this machine's clock is out of all bounds")?;
    from_now::from_now(text, now).with_context(|| {
        format!("'{text}' is no time; write \"30 days\" or \"2030-01-31T12:00:00Z\"")
    })
}

fn client_line(client: &Client, json: bool) -> String {
    if json {
        let it = json!({
            "clientId": client.client_id,
            "description": client.description,
            "expires": client.expires,
            "deleteOnExpiration": client.delete_on_expiration,
            "disabled": client.disabled,
            "scopes": client.scopes,
            "lastDateUsed": client.last_date_used,
            "lastRotated": client.last_rotated,
        });
        return it.to_string();
    }
    let state = if client.disabled {
        "disabled"
    } else {
        "enabled"
    };
    let (id, until, scopes) = (&client.client_id, client.expires, client.scopes.join(" "));
    format!("{id}\t{state}\tuntil {until}\t{}", scopes.escape_debug())
}

fn with_token(made: &ClientWithToken, json: bool) -> String {
    let (id, token) = (&made.client.client_id, made.access_token());
    if json {
        return json!({"clientId": id, "accessToken": token}).to_string();
    }
    // What a shell can take in.
    format!("TASKCLUSTER_CLIENT_ID={id}\nTASKCLUSTER_ACCESS_TOKEN={token}")
}

fn role_line(role: &Role, json: bool) -> String {
    if json {
        let it = json!({
            "roleId": role.role_id,
            "description": role.description,
            "scopes": role.scopes,
        });
        return it.to_string();
    }
    let (id, scopes) = (&role.role_id, role.scopes.join(" "));
    format!("{}\t{}", id.escape_debug(), scopes.escape_debug())
}
