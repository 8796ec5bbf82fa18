//! One file a command. A command returns the exit code of the process, or why it gave up.

pub(crate) mod access;
pub(crate) mod cloudtasks;
pub(crate) mod events;
pub(crate) mod hooks;
pub(crate) mod index;
mod input;
mod lines;
pub(crate) mod notify;
pub(crate) mod purge_cache;
pub(crate) mod run;
pub(crate) mod secrets;
pub(crate) mod serve;
pub(crate) mod stack;
pub(crate) mod stacks;
mod target;
pub(crate) mod taskstore;
pub(crate) mod worker;

use std::process::ExitCode;

use clap::Subcommand;

/// What `taskyard` can be asked to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at clients and roles, and change who may do what
    Access(Box<access::Args>),
    /// Make queues and tasks of Cloud Tasks, and see what becomes of them
    Cloudtasks(Box<cloudtasks::Args>),
    /// Follow what happens to tasks, clients and roles
    Events(Box<events::Args>),
    /// Look at hooks, which make tasks by themselves; change them and fire them
    Hooks(Box<hooks::Args>),
    /// Find tasks by their paths in the index, and put them there
    Index(Box<index::Args>),
    /// Send mails and messages, and see what became of them
    Notify(Box<notify::Args>),
    /// Ask workers to forget caches
    PurgeCache(Box<purge_cache::Args>),
    /// Run a build file from start to end: server, worker and tasks in this process
    Run(Box<run::Args>),
    /// Read secrets, and change them
    Secrets(Box<secrets::Args>),
    /// Run the server: HTTP API, engine and database in one process
    Serve(Box<serve::Args>),
    /// Run the jobs of one queue on this machine, as a stack of agents
    Stack(Box<stack::Args>),
    /// Make jobs for stacks from a pipeline file, and manage the tokens of stacks
    Stacks(Box<stacks::Args>),
    /// Look at the groups of a taskstore, and change their tasks
    Taskstore(Box<taskstore::Args>),
    /// Run tasks of one queue on this machine
    Worker(Box<worker::Args>),
}

/// Runs one command to its end.
pub(crate) async fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Access(args) => Box::pin(access::execute(*args)).await,
        Command::Cloudtasks(args) => Box::pin(cloudtasks::execute(*args)).await,
        Command::Events(args) => Box::pin(events::execute(*args)).await,
        Command::Hooks(args) => Box::pin(hooks::execute(*args)).await,
        Command::Index(args) => Box::pin(index::execute(*args)).await,
        Command::Notify(args) => Box::pin(notify::execute(*args)).await,
        Command::PurgeCache(args) => Box::pin(purge_cache::execute(*args)).await,
        Command::Run(args) => Box::pin(run::execute(*args)).await,
        Command::Secrets(args) => Box::pin(secrets::execute(*args)).await,
        Command::Serve(args) => Box::pin(serve::execute(*args)).await,
        Command::Stack(args) => Box::pin(stack::execute(*args)).await,
        Command::Stacks(args) => Box::pin(stacks::execute(*args)).await,
        Command::Taskstore(args) => Box::pin(taskstore::execute(*args)).await,
        Command::Worker(args) => Box::pin(worker::execute(*args)).await,
    }
}
