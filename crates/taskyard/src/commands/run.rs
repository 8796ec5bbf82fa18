//! `taskyard run FILE`: a build from nothing. Starts a server and a worker in this process,
//! submits the tasks of a build file through the public API, shows how they go, and sums up.

mod group;
mod harvest;
mod workplace;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use taskyard_client::stacks::{self, ClusterTokens, NewClusterToken};
use taskyard_client::taskcluster::Queue;
use taskyard_client::{Options, Timestamp};
use taskyard_worker::stack::StackConfig;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::group::Group;
use self::workplace::Workplace;
use super::serve::{self, Running};
use crate::build_file::definition::Runner;
use crate::build_file::{self, BuildFile};
use crate::config::ServeConfig;
use crate::logging;
use crate::progress::{Display, Outcome, State, settled, standings, summary};
use crate::signals::StopSignals;

/// How often the queue is asked how the tasks are going.
const POLL: Duration = Duration::from_millis(200);
/// The server has no clients but this process, so there is nobody to wait for.
const SERVER_SHUTDOWN: Duration = Duration::from_secs(2);
/// What a shell reports for a program that ended on Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Options of `taskyard run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "--help explains the build file.", after_long_help = build_file::FORMAT)]
pub(crate) struct Args {
    /// The build file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Keep the server's database in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Put logs and artifacts into this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// How many tasks run at the same time, 1 to 32 [default: the number of processors]
    #[arg(long, short, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=32))]
    jobs: Option<u32>,

    /// Run the tasks as jobs of a stack, through the Stacks API, instead of a worker
    #[arg(long)]
    stack: bool,

    /// Leave the server running afterwards and print its address; Ctrl-C ends it
    #[arg(long)]
    keep: bool,

    /// What the server and the worker log on the standard error: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "error")]
    log_level: String,
}

/// How following a build ended.
enum End {
    /// Nothing can move any more, or following it failed.
    Settled(anyhow::Result<()>),
    /// A signal asked for the end.
    Interrupted,
    /// The worker ended although nobody asked it to.
    WorkerGone(anyhow::Error),
}

/// What runs the tasks: a worker or a stack.
type Worker = JoinHandle<anyhow::Result<()>>;

/// Runs one build to its end.
pub(crate) async fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let build = build_file::load(&args.file)?;
    // Before anything starts, so that no signal leaves something running.
    let mut signals = StopSignals::new()?;
    let workplace = Workplace::create(args.data.as_deref(), args.output.as_deref())?;
    let outcome = serve_and_build(&build, &args, &workplace, &mut signals).await;
    workplace.clean_up();
    outcome
}

/// Starts the server, builds on it, and ends it whatever happened.
async fn serve_and_build(
    build: &BuildFile,
    args: &Args,
    workplace: &Workplace,
    signals: &mut StopSignals,
) -> anyhow::Result<ExitCode> {
    let mut config = ServeConfig::local(workplace.data())?;
    config.shutdown_limit = SERVER_SHUTDOWN;
    config.log.level.clone_from(&args.log_level);
    logging::install(&config.log)?;
    let mut server = serve::start(config).await?;
    let code = Box::pin(build_on(&server, build, args, workplace, signals)).await;
    if let (true, Ok(code)) = (args.keep, &code)
        && *code != ExitCode::from(INTERRUPTED)
    {
        say(&invitation(&server));
        tokio::select! {
            () = signals.next() => {}
            ended = server.ended() => ended?,
        }
    }
    server.drain();
    server.ended().await?;
    code
}

/// Builds on a running server and says how it went.
async fn build_on(
    server: &Running,
    build: &BuildFile,
    args: &Args,
    workplace: &Workplace,
    signals: &mut StopSignals,
) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let options = Options::new(&server.root_url).with_credentials(server.root_credentials.clone());
    let runner = if args.stack {
        Runner::Stack
    } else {
        Runner::Worker
    };
    let queue = Queue::new(options)?;
    let group = Group::new(queue, build, &server.root_url, now()?, runner);
    let stop_worker = CancellationToken::new();
    let mut worker = match runner {
        Runner::Worker => start_worker(server, &group, args, workplace, &stop_worker),
        Runner::Stack => start_stack(server, &group, args, workplace, &stop_worker).await?,
    };
    let mut display = Display::new(build, began);

    let end = tokio::select! {
        followed = follow(&group, build, &mut display) => End::Settled(followed),
        () = signals.next() => End::Interrupted,
        gone = &mut worker => End::WorkerGone(reason(gone)),
    };
    let took = began.elapsed();
    let interrupted = matches!(end, End::Interrupted);
    let closing = async {
        let canceled = group.cancel_rest().await;
        stop_worker.cancel();
        if !matches!(end, End::WorkerGone(_)) {
            worker.await.context("the worker ended unexpectedly")??;
        }
        match end {
            End::Settled(followed) => followed?,
            End::Interrupted => {}
            End::WorkerGone(error) => return Err(error),
        }
        canceled?;
        // What the last poll saw may be older than what canceling has changed.
        let statuses = group.statuses().await?;
        let standings = standings(&needs(build), &statuses);
        display.update(&standings, Instant::now());
        display.end();
        harvest::harvest(
            group.queue(),
            build,
            standings,
            &statuses,
            workplace.output(),
        )
        .await
    };
    let outcomes = tokio::select! {
        outcomes = closing => outcomes?,
        // Whoever asks a second time does not want to wait.
        () = signals.next() => return Ok(ExitCode::from(INTERRUPTED)),
    };
    say(&summary(build, &outcomes, took));
    let completed = |outcome: &Outcome| outcome.standing.state == State::Completed;
    Ok(match (interrupted, outcomes.iter().all(completed)) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}

/// Submits the tasks and shows how they go, until nothing can move any more.
async fn follow(group: &Group, build: &BuildFile, display: &mut Display) -> anyhow::Result<()> {
    let needs = needs(build);
    group.submit().await?;
    let mut due = tokio::time::interval(POLL);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let standings = standings(&needs, &group.statuses().await?);
        display.update(&standings, Instant::now());
        if settled(&standings) {
            return Ok(());
        }
    }
}

fn needs(build: &BuildFile) -> Vec<&[usize]> {
    build
        .tasks
        .iter()
        .map(|task| task.needs.as_slice())
        .collect()
}

fn start_worker(
    server: &Running,
    group: &Group,
    args: &Args,
    workplace: &Workplace,
    stop: &CancellationToken,
) -> Worker {
    let mut config = taskyard_worker::Config::new(
        &server.root_url,
        group.task_queue_id(),
        "local",
        "taskyard-run",
        workplace.work(),
    );
    config.credentials = Some(server.root_credentials.clone());
    config.concurrency = args.at_once();
    // Their logs are fetched from the server, as anybody else would.
    config.keep = taskyard_worker::Keep::Nothing;
    let worker = taskyard_worker::run(config, stop.clone());
    tokio::spawn(async { Ok(worker.await.map(drop)?) })
}

/// A stack with a token of its own, good for the queue of this build alone.
async fn start_stack(
    server: &Running,
    group: &Group,
    args: &Args,
    workplace: &Workplace,
    stop: &CancellationToken,
) -> anyhow::Result<Worker> {
    let queue = group.task_queue_id();
    let queue = queue.split_once('/').map_or(queue, |(_, key)| key);
    let options = Options::new(&server.root_url).with_credentials(server.root_credentials.clone());
    let token = NewClusterToken {
        description: "taskyard run".to_owned(),
        queues: vec![queue.to_owned()],
        expires_at: None,
    };
    let token = ClusterTokens::new(options)?
        .create(&token)
        .await
        .context("cannot make a token for the stack")?;
    let options = stacks::Options::new(token.token)
        .with_base_url(format!("{}/v3", server.root_url.trim_end_matches('/')));
    let mut config = StackConfig::new(options, "taskyard-run", queue, workplace.work());
    config.concurrency = args.at_once();
    config.poll_interval = POLL;
    config.keep = taskyard_worker::Keep::Nothing;
    let stack = taskyard_worker::stack::run(config, stop.clone());
    Ok(tokio::spawn(async { Ok(stack.await.map(drop)?) }))
}

impl Args {
    /// How many tasks run at the same time.
    fn at_once(&self) -> u32 {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.unwrap_or_else(|| processors.clamp(1, 32) as u32)
    }
}

/// Why a worker ended that nobody had told to.
fn reason(gone: Result<anyhow::Result<()>, tokio::task::JoinError>) -> anyhow::Error {
    match gone {
        Ok(Ok(())) => anyhow::anyhow!("the worker ended before the build did"),
        Ok(Err(error)) => error.context("the worker gave up"),
        Err(error) => anyhow::Error::from(error).context("the worker ended unexpectedly"),
    }
}

/// How to reach the server that `--keep` leaves running.
fn invitation(server: &Running) -> String {
    let Running {
        root_url,
        root_credentials: root,
        ..
    } = server;
    format!(
        "\nThe server still runs at {root_url}; Ctrl-C ends it. Open it in a browser, or use it from\n\
         another shell:\n\
         \x20 export TASKCLUSTER_ROOT_URL={root_url}\n\
         \x20 export TASKCLUSTER_CLIENT_ID={}\n\
         \x20 export TASKCLUSTER_ACCESS_TOKEN={}\n",
        root.client_id, root.access_token
    )
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody is left to tell when the standard output is gone.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// The moment at which tasks are created and from which their deadlines count.
#[expect(
    clippy::disallowed_methods,
    reason = "a command is a client of the server, and a client reads its own clock"
)]
pub(super) fn now() -> anyhow::Result<Timestamp> {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    i64::try_from(since_1970.as_millis())
        .ok()
        .and_then(Timestamp::from_millis)
        .context("the clock of this machine shows a year that no calendar has")
}
