//! `taskyard cloudtasks`: makes and changes queues of Cloud Tasks, their tasks, and looks at what
//! became of them.

mod place;
mod queues;
mod request;
mod shown;
mod tail;
mod tasks;

use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Subcommand;
use taskyard_client::cloudtasks::{CloudTasks, Code, Error, Options, TokenSource};
use taskyard_client::{Credentials, Options as ServerOptions};

use place::Place;

use super::target::Target;

/// Options of `taskyard cloudtasks`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Print one JSON object a line
    #[arg(long, global = true)]
    json: bool,

    #[command(flatten, next_help_heading = WHERE)]
    target: Target,

    /// Address of another service that speaks Cloud Tasks, instead of --root-url
    #[arg(
        long,
        value_name = "URL",
        env = "TASKYARD_CLOUDTASKS_ENDPOINT",
        help_heading = WHERE,
        global = true
    )]
    endpoint: Option<String>,

    /// Bearer token of the caller, instead of TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN
    #[arg(
        long,
        value_name = "TOKEN",
        env = "TASKYARD_CLOUDTASKS_TOKEN",
        hide_env_values = true,
        help_heading = WHERE,
        global = true
    )]
    token: Option<String>,

    /// Project of queues that are named by their id
    #[arg(
        long,
        value_name = "ID",
        env = "GOOGLE_CLOUD_PROJECT",
        help_heading = WHERE,
        global = true,
        default_value = "my-project"
    )]
    project: String,

    /// Location of queues that are named by their id
    #[arg(
        long,
        value_name = "ID",
        env = "GOOGLE_CLOUD_LOCATION",
        help_heading = WHERE,
        global = true,
        default_value = "here"
    )]
    location: String,

    #[command(subcommand)]
    action: Action,
}

/// What all actions have in common stands apart in their help.
const WHERE: &str = "Where, and as whom";

const HELP: &str = "\
A queue is named by its id, such as `mail`, or in full, such as
`projects/my-project/locations/here/queues/mail`; a task by the id of its queue and its own, such as
`mail/reminder-7`, or in full.

Calls carry TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN, or are anonymous when these are not
set. Those are never sent to an --endpoint, which gets --token alone.

Examples:
  taskyard cloudtasks queues create mail --max-dispatches-per-second 5 --max-attempts 10
  taskyard cloudtasks tasks create mail --url http://127.0.0.1:9000/send --body hello --in 10m
  taskyard cloudtasks tasks attempts mail
  taskyard cloudtasks tasks tail mail
  taskyard cloudtasks --endpoint https://cloudtasks.googleapis.com \\
      --token \"$(gcloud auth print-access-token)\" --location us-central1 queues list";

#[derive(Debug, Subcommand)]
enum Action {
    /// Make queues, look at them, and change them
    #[command(subcommand)]
    Queues(Box<queues::Action>),
    /// Make tasks, look at them, and see what becomes of them
    #[command(subcommand)]
    Tasks(Box<tasks::Action>),
}

/// Does one action.
pub(crate) async fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let given = args.token.filter(|token| !token.is_empty());
    let mut events = None;
    let (address, token) = if let Some(endpoint) = args.endpoint {
        (endpoint, given.map(TokenSource::fixed))
    } else {
        let server = args.target.options()?;
        let address = server.root_url.clone();
        let own = server.credentials.clone().map(own_token);
        events = Some(server);
        (address, given.map(TokenSource::fixed).or(own))
    };
    let mut options = Options::at(address);
    options.token = token;
    let session = Session {
        client: CloudTasks::new(options)?,
        events,
        place: Place {
            project: args.project,
            location: args.location,
        },
        json: args.json,
    };
    match args.action {
        Action::Queues(action) => queues::execute(&session, *action).await?,
        Action::Tasks(action) => tasks::execute(&session, *action).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Credentials of this environment as a bearer token.
fn own_token(credentials: Credentials) -> TokenSource {
    if credentials.certificate.is_some() {
        return TokenSource::new(|| async {
            Err(
                "temporary credentials cannot be used here; unset TASKCLUSTER_CERTIFICATE and set \
                 the id and the access token of a client"
                    .to_owned(),
            )
        });
    }
    let Credentials {
        client_id,
        access_token,
        ..
    } = credentials;
    TokenSource::fixed(format!("{client_id}:{access_token}"))
}

/// What every action works with.
struct Session {
    client: CloudTasks,
    /// Where events are told; not by other services.
    events: Option<ServerOptions>,
    place: Place,
    json: bool,
}

/// Says what was not done, and what may be done about it.
trait Explain<T> {
    /// `what` is what could not be done to what, such as `cannot pause projects/…`.
    fn or_explain(self, what: impl FnOnce() -> String) -> anyhow::Result<T>;
}

impl<T> Explain<T> for Result<T, Error> {
    fn or_explain(self, what: impl FnOnce() -> String) -> anyhow::Result<T> {
        self.map_err(|error| {
            let advice = advice(&error);
            let error = anyhow::Error::from(error);
            match advice {
                Some(advice) => anyhow!("{error:#}; {advice}"),
                None => error,
            }
        })
        .with_context(what)
    }
}

fn advice(error: &Error) -> Option<&'static str> {
    error.status()?;
    match error.code() {
        Code::Unauthenticated => Some(
            "set TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN to those of a client, or give \
             --token",
        ),
        Code::PermissionDenied => Some(
            "the client needs a scope such as cloudtasks:tasks.create:projects/P/*, or a role in \
             the queue's policy",
        ),
        Code::NotFound => Some("--project and --location say where ids are looked for"),
        _ => None,
    }
}
