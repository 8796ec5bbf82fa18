//! `taskyard index`: finds tasks by their paths, and puts them there.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};
use taskyard_client::taskcluster::{Index, IndexedTask, Namespace, NewIndexedTask};

use super::access::moment;
use super::lines::print;
use super::target::{Target, credentials};

/// Options of `taskyard index`.
#[derive(Debug, clap::Args)]
#[command(after_help = credentials!(
    " A path is made of names with\ndots between them. Tasks with a route `index.PATH` are put \
     there when they complete."
))]
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
    /// Show the task at a path
    Find {
        /// The path
        path: String,
    },
    /// List what stands directly in a namespace: namespaces, which end in a dot, then tasks
    List {
        /// The namespace; everything stands in the one without a name
        #[arg(default_value = "")]
        namespace: String,
    },
    /// Put a task at a path, unless one of a higher rank is there; print what is there now
    Insert {
        /// The path
        path: String,
        /// The task
        task_id: String,
        /// It replaces tasks of the same or a lower rank
        #[arg(
            long,
            value_name = "NUMBER",
            default_value_t = 0.0,
            allow_negative_numbers = true
        )]
        rank: f64,
        /// What is to be told with it: a JSON object of up to 32 KiB
        #[arg(long, value_name = "JSON", default_value = "{}")]
        data: String,
        /// When it is not to be found any more: an offset such as "30 days", or a time
        #[arg(long, value_name = "WHEN", default_value = "1 year")]
        expires: String,
    },
    /// Take the task at a path away
    Delete {
        /// The path
        path: String,
    },
}

/// Does one action.
pub(crate) async fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let index = Index::new(args.target.options()?)?;
    let json = args.json;
    match args.action {
        Action::Find { path } => {
            let found = index.find_task(&path).await?;
            let found = found.with_context(|| format!("there is no task at {path:?}"))?;
            print([task_line(&found, json)])?;
        }
        Action::List { namespace } => {
            let namespaces = index.list_namespaces_all(&namespace).await?;
            let tasks = index.list_tasks_all(&namespace).await?;
            print(namespaces.iter().map(|each| namespace_line(each, json)))?;
            print(tasks.iter().map(|task| task_line(task, json)))?;
        }
        Action::Insert {
            path,
            task_id,
            rank,
            data,
            expires,
        } => {
            let data: Value = serde_json::from_str(&data).context("--data is not JSON")?;
            let task = NewIndexedTask {
                task_id,
                rank,
                data,
                expires: moment(&expires)?,
            };
            let there = index.insert_task(&path, &task).await?;
            print([task_line(&there, json)])?;
        }
        Action::Delete { path } => index.delete_task(&path).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn namespace_line(each: &Namespace, json: bool) -> String {
    let (path, until) = (&each.namespace, each.expires);
    if json {
        return json!({"namespace": path, "expires": until}).to_string();
    }
    format!("{path}.\t\t\tuntil {until}")
}

fn task_line(task: &IndexedTask, json: bool) -> String {
    let (path, id, rank, until) = (&task.namespace, &task.task_id, task.rank, task.expires);
    if json {
        let it = json!({"path": path, "taskId": id, "rank": rank, "data": task.data,
            "expires": until});
        return it.to_string();
    }
    format!("{path}\t{id}\trank {rank}\tuntil {until}")
}
