//! `taskyard serve`: starts the server, waits for the signal to stop, and sees requests off.

use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use taskyard_client::Credentials;
use taskyard_http::{Draining, Limits};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::assembly;
use crate::config::{Flags, ServeConfig};
use crate::figures::Figures;
use crate::logging;
use crate::signals::StopSignals;

/// Options of `taskyard serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = SETTINGS)]
pub(crate) struct Args {
    #[command(flatten)]
    flags: Flags,
}

const SETTINGS: &str = "\
Every option can also be set by an environment variable (--root-url is TASKYARD_ROOT_URL) or by a
line of the configuration file (root-url = \"https://tasks.example.com\"). An option given here wins
over the environment, the environment over the file. The access token of the root client comes from
TASKYARD_ROOT_ACCESS_TOKEN or root-access-token, or is made and printed on the first start.

Durations are a number with ms, s, m or h. SIGTERM and Ctrl-C stop accepting, finish the requests
in flight and end; a second one ends at once.

  taskyard serve --dev                        try it out, no credentials needed
  taskyard serve --data /var/lib/taskyard     one machine, embedded database
  taskyard serve --database-url postgres://taskyard@db/taskyard --listen 0.0.0.0:80 \\
      --root-url https://tasks.example.com    one node of several";

/// A server that answers requests.
#[derive(Debug)]
pub(crate) struct Running {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where taskstore is served alone, if it is.
    pub(crate) taskstore_address: Option<SocketAddr>,
    /// How clients reach it.
    pub(crate) root_url: String,
    /// The client that may do everything.
    pub(crate) root_credentials: Credentials,
    /// Whether the root client was made by this start, so that nobody knows its token yet.
    pub(crate) root_is_new: bool,
    draining: Draining,
    ended: JoinHandle<()>,
}

impl Running {
    /// Stops accepting and tells long polls to answer. Does not wait.
    pub(crate) fn drain(&self) {
        self.draining.cancel();
    }

    /// Waits until the last request is answered or cut off and the background work has ended.
    ///
    /// # Errors
    /// When the server's own task panicked.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<()> {
        (&mut self.ended)
            .await
            .context("the server ended unexpectedly")
    }
}

/// Runs until a signal comes.
pub(crate) async fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let variable = |name: &str| -> Option<OsString> { std::env::var_os(name) };
    let config = ServeConfig::resolve(&args.flags, &variable)?;
    logging::install(&config.log)?;
    // Before anything starts, so that no signal finds the default of ending at once.
    let mut stop = StopSignals::new()?;
    let mut running = start(config).await?;
    tracing::info!(address = %running.address, root_url = running.root_url, "listening");
    announce(&running)?;

    tokio::select! {
        ended = running.ended() => return ended.map(|()| ExitCode::FAILURE),
        () = stop.next() => {}
    }
    tracing::info!("shutting down; a second signal ends at once");
    running.drain();
    tokio::select! {
        ended = running.ended() => ended.map(|()| ExitCode::SUCCESS),
        () = stop.next() => {
            tracing::warn!("ending at once");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Starts a server in this process. It answers when this returns.
///
/// # Errors
/// When the address is taken, or the database can't be opened.
pub(crate) async fn start(config: ServeConfig) -> anyhow::Result<Running> {
    let figures = Figures::install()?;
    let (listener, address) = listen(config.listen, "listen").await?;
    let taskstore = match config.taskstore_listen {
        Some(wanted) => Some(listen(wanted, "taskstore-listen").await?),
        None => None,
    };
    let taskstore_address = taskstore.as_ref().map(|(_, address)| *address);
    let root_url = config.root_url_at(address);
    let draining = Draining::new();
    let limits = Limits {
        connections: config.max_connections,
        shutdown: config.shutdown_limit,
        ..Limits::default()
    };

    let server = assembly::assemble(&config, &root_url, figures, &draining).await?;
    let root_credentials = server.root_credentials;
    let root_is_new = server.root_is_new;
    let (watched, stopping) = (draining.clone(), draining.clone());
    let patience = config.shutdown_limit;
    let ended = tokio::spawn(async move {
        let main = taskyard_http::serve(listener, server.entrance, limits.clone(), watched.clone());
        let alone = async {
            match taskstore {
                Some((listener, _)) => {
                    let drained = taskyard_http::serve(listener, server.taskstore, limits, watched);
                    drained.await.cut_off
                }
                None => 0,
            }
        };
        let sending = async {
            stopping.cancelled().await;
            if let Err(error) = server.dispatcher.stop(patience).await {
                tracing::warn!(%error, "what is being sent was not given back");
            }
        };
        let (drained, alone_cut_off, ()) = tokio::join!(main, alone, sending);
        server.background.end().await;
        tracing::info!(cut_off = drained.cut_off + alone_cut_off, "stopped");
    });
    Ok(Running {
        address,
        taskstore_address,
        root_url,
        root_credentials,
        root_is_new,
        draining,
        ended,
    })
}

/// Binds what the setting `key` says.
async fn listen(wanted: SocketAddr, key: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(wanted)
        .await
        .with_context(|| format!("cannot listen on {wanted}; choose another --{key}"))?;
    let address = listener
        .local_addr()
        .context("the listener has no address")?;
    Ok((listener, address))
}

/// Tells whoever started the server where it is. Other programs read the first line and may close
/// the output then, so everything is written at once.
fn announce(running: &Running) -> anyhow::Result<()> {
    let root = &running.root_credentials;
    let mut lines = vec![format!("listening on http://{}", running.address)];
    if let Some(address) = running.taskstore_address {
        lines.push(format!("taskstore alone on http://{address}"));
    }
    if running.root_is_new {
        lines.push(format!("root client: {}", root.client_id));
        lines.push(format!("access token: {}", root.access_token));
        lines.push("Keep the token; it is not shown again.".to_owned());
    }
    let text = lines.join("\n") + "\n";
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write to the output")
}
