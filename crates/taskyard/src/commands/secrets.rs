//! `taskyard secrets`: reads secrets, and changes them.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Subcommand;
use serde_json::Value;
use taskyard_client::taskcluster::{Secret, Secrets};

use super::access::moment;
use super::input::text_of;
use super::lines::print;
use super::target::{Target, credentials};

/// Options of `taskyard secrets`.
#[derive(Debug, clap::Args)]
#[command(after_help = credentials!(
    " They need the scope\nsecrets:get:NAME or secrets:set:NAME; listing takes \
     secrets:list-secrets."
))]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print a secret as JSON
    Get {
        /// Name of the secret
        name: String,
    },
    /// Keep a secret, in place of one of the same name
    ///
    /// The secret is a JSON object from a file or from standard input; arguments can be seen by
    /// others on this machine.
    Set {
        /// Name of the secret
        name: String,
        /// The file; standard input if none is given
        #[arg(long)]
        file: Option<PathBuf>,
        /// When nobody is to read it any more: an offset such as "30 days", or a time
        #[arg(long, value_name = "WHEN", default_value = "1 year")]
        expires: String,
    },
    /// List the names of all secrets
    List,
    /// Remove a secret
    Remove {
        /// Name of the secret
        name: String,
    },
}

/// Does one action.
pub(crate) async fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let secrets = Secrets::new(args.target.options()?)?;
    match args.action {
        Action::Get { name } => {
            let found = secrets.get(&name).await?;
            let found = found.with_context(|| format!("there is no secret {name:?}"))?;
            print([found.secret.to_string()])?;
        }
        Action::Set {
            name,
            file,
            expires,
        } => {
            let text = text_of(file.as_deref())?;
            // What is wrong with it is told without it.
            let secret = serde_json::from_str(&text).unwrap_or(Value::Null);
            ensure!(
                secret.is_object(),
                "the secret is no JSON object; write {{\"key\": \"…\"}}"
            );
            let expires = moment(&expires)?;
            secrets.set(&name, &Secret { secret, expires }).await?;
        }
        Action::List => print(secrets.list_all().await?)?,
        Action::Remove { name } => secrets.remove(&name).await?,
    }
    Ok(ExitCode::SUCCESS)
}
