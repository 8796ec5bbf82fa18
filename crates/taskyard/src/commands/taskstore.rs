//! `taskyard taskstore`: looks at groups of a taskstore, and changes their tasks.

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use taskyard_client::taskstore::{
    Available, Claim, Listing, NewTask, Stats, Task, Taskstore, Update,
};

use super::lines::print;
use super::target::Target;
use crate::config::any_duration as duration;

/// Options of `taskyard taskstore`.
#[derive(Debug, clap::Args)]
#[command(after_help = CREDENTIALS)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,

    /// Address of a listener that serves taskstore alone, instead of --root-url
    #[arg(
        long,
        value_name = "URL",
        env = "TASKYARD_TASKSTORE_URL",
        global = true
    )]
    taskstore_url: Option<String>,

    /// Number under which tasks are held; only the holder of a task may change it
    #[arg(long, value_name = "ID", default_value_t = 0, global = true)]
    id: i32,

    /// Print one JSON object a line
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    action: Action,
}

const CREDENTIALS: &str = "\
Calls are signed with TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN, or anonymous when these
are not set. Each change gives a task a new id, which is printed.";

#[derive(Debug, Subcommand)]
enum Action {
    /// List all groups with the numbers of their tasks
    Groups,
    /// List the tasks of a group that may be claimed
    List {
        /// Name of the group
        group: String,
        /// List at most so many; 0 means all
        #[arg(long, value_name = "COUNT", default_value_t = 0)]
        limit: usize,
        /// Also list tasks that somebody holds, or that wait for a later time
        #[arg(long)]
        held: bool,
    },
    /// Add tasks to a group, all or none
    Add {
        /// Name of the group
        group: String,
        /// Data of each task
        #[arg(required = true)]
        data: Vec<String>,
        /// Keep them from being claimed for so long
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        after: Option<Duration>,
    },
    /// Claim tasks; exit code 1 if there are none
    Claim {
        /// Groups to look in
        #[arg(required = true)]
        groups: Vec<String>,
        /// Hold the tasks for so long
        #[arg(long = "for", value_name = "DURATION", value_parser = duration, default_value = "1m")]
        lease: Duration,
        /// Wait so long for a task, up to a minute
        #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s")]
        wait: Duration,
        /// Claim at most so many tasks, 1 to 1000
        #[arg(long, value_name = "COUNT", default_value_t = 1)]
        count: u32,
    },
    /// Give a task new data, and hold it on or let it go
    Update {
        /// Id of the task
        task: i64,
        /// Its new data
        data: String,
        /// Hold it for so long; otherwise anybody may claim it
        #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
        lease: Option<Duration>,
        /// Only if these tasks exist
        #[arg(long, value_name = "ID")]
        depends: Vec<i64>,
    },
    /// Delete tasks, all or none
    Delete {
        /// Ids of the tasks
        #[arg(required = true)]
        tasks: Vec<i64>,
        /// Only if these tasks exist
        #[arg(long, value_name = "ID")]
        depends: Vec<i64>,
    },
    /// Print the numbers of groups whenever they change, until Ctrl-C
    Watch {
        /// Names of the groups; all if there are none
        groups: Vec<String>,
        /// Look so often
        #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1s")]
        every: Duration,
        /// Stop after so many looks
        #[arg(long, value_name = "COUNT")]
        looks: Option<u64>,
    },
}

/// Does one action.
pub(crate) async fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let options = args.target.options()?;
    let store = match &args.taskstore_url {
        Some(url) => Taskstore::at(url, options)?,
        None => Taskstore::new(options)?,
    };
    let store = store.with_id(args.id);
    let json = args.json;
    match args.action {
        Action::Groups => print_stats(&store.stats().await?, json)?,
        Action::List { group, limit, held } => {
            let listing = Listing {
                limit,
                with_held: held,
                after: None,
            };
            print_tasks(&store.group(&group, listing).await?, json)?;
        }
        Action::Add { group, data, after } => {
            let available = after.map_or(Available::Now, Available::After);
            let tasks = data
                .into_iter()
                .map(|data| NewTask::new(&group, data).available(available));
            print_tasks(
                &store
                    .update(tasks.fold(Update::new(), Update::add_task))
                    .await?,
                json,
            )?;
        }
        Action::Claim {
            groups,
            lease,
            wait,
            count,
        } => {
            let claim = Claim {
                groups,
                count,
                wait,
                ..Claim::new("", lease)
            };
            let tasks = store.claim(&claim).await?;
            print_tasks(&tasks, json)?;
            if tasks.is_empty() {
                return Ok(ExitCode::FAILURE);
            }
        }
        Action::Update {
            task,
            data,
            lease,
            depends,
        } => {
            let available = lease.map_or(Available::Now, Available::After);
            let update = Update {
                depends,
                ..Update::new().change(task, data, available)
            };
            print_tasks(&store.update(update).await?, json)?;
        }
        Action::Delete { tasks, depends } => {
            store
                .update(Update {
                    deletes: tasks,
                    depends,
                    ..Update::new()
                })
                .await?;
        }
        Action::Watch {
            groups,
            every,
            looks,
        } => watch(&store, &groups, every, looks, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn watch(
    store: &Taskstore,
    groups: &[String],
    every: Duration,
    looks: Option<u64>,
    json: bool,
) -> anyhow::Result<()> {
    let mut last = None;
    let mut looked = 0;
    loop {
        let mut stats = store.stats().await?;
        stats.retain(|it| groups.is_empty() || groups.contains(&it.group));
        if last.as_ref() != Some(&stats) {
            print_stats(&stats, json)?;
            last = Some(stats);
        }
        looked += 1;
        if looks.is_some_and(|most| looked >= most) {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

fn print_stats(stats: &[Stats], json: bool) -> anyhow::Result<()> {
    let lines = stats.iter().map(|it| {
        let Stats {
            group,
            available,
            claimed,
            total,
        } = it;
        if json {
            let it = serde_json::json!({ "group": group, "available": available,
                "claimed": claimed, "total": total });
            return it.to_string();
        }
        let group = group.escape_debug();
        format!("{group}\t{available} available\t{claimed} claimed\t{total} in all")
    });
    print(lines)
}

fn print_tasks(tasks: &[Task], json: bool) -> anyhow::Result<()> {
    let lines = tasks.iter().map(|task| {
        let data = String::from_utf8_lossy(&task.data);
        if json {
            let it = serde_json::json!({ "id": task.id, "group": task.group, "data": data,
                "availableAt": task.available_at, "ownerId": task.owner_id });
            return it.to_string();
        }
        format!(
            "{}\t{}\t{}",
            task.id,
            task.group.escape_debug(),
            data.escape_debug()
        )
    });
    print(lines)
}
