//! Cloud Tasks: its API, and what sends its tasks.

use std::sync::Arc;

use anyhow::Context as _;
use taskyard_access::{Directory, Sealer};
use taskyard_api_cloudtasks::{CloudTasks, Identity, Parts, Runner};
use taskyard_dispatch::request::Rules;
use taskyard_dispatch::{AppEngine, Dispatcher, Tokens};
use taskyard_engine::clock::Clock;
use taskyard_engine::cloud::record::Conduct;
use taskyard_outbound::Client;
use taskyard_store::Store;

use crate::config::{Database, Outgoing, ServeConfig};

/// What both stand on.
pub(crate) struct Ground<'a> {
    pub(crate) config: &'a ServeConfig,
    /// How clients reach the server.
    pub(crate) root_url: &'a str,
    pub(crate) store: &'a Store,
    pub(crate) clock: &'a Clock,
    pub(crate) directory: &'a Arc<Directory>,
    pub(crate) sealer: &'a Sealer,
}

/// Starts sending tasks, and makes the API.
///
/// # Errors
/// When the database cannot be used, or a setting cannot.
pub(crate) async fn start(ground: Ground<'_>) -> anyhow::Result<(CloudTasks, Dispatcher)> {
    let Ground {
        config,
        root_url,
        store,
        clock,
        directory,
        sealer,
    } = ground;
    let cloud = &config.cloud;
    let issuer = cloud.issuer.as_deref().unwrap_or(root_url);
    let tokens = Tokens::open(store, sealer, clock.now(), issuer)
        .await
        .context("cannot sign the tokens of tasks")?;
    let identity = Identity {
        discovery: tokens.discovery(),
        keys: tokens.jwks(),
    };
    let client = client(&config.outgoing).await?;
    let settings = taskyard_dispatch::Settings {
        rules: Rules {
            app_engine: AppEngine {
                services: cloud.app_engine_services.clone(),
                base: cloud.app_engine_url.clone().or_else(emulated_app_engine),
            },
            hosts: cloud.hosts.clone(),
            strict_empty_override: cloud.strict_empty_override,
        },
        conduct: Conduct {
            keep_failures: cloud.keep_failures,
            slow_down: cloud.slow_down,
        },
        is_alone: config.database == Database::Sqlite,
        ..taskyard_dispatch::Settings::default()
    };
    let (tokens, store, clock) = (Arc::new(tokens), store.clone(), clock.clone());
    let dispatcher = Dispatcher::start(store.clone(), clock.clone(), client, tokens, settings)
        .await
        .context("cannot begin to send tasks")?;
    let sender = dispatcher.clone();
    let api = CloudTasks::new(Parts {
        store,
        clock,
        directory: Arc::clone(directory),
        dev: config.dev,
        queue_name_reserve: cloud.queue_name_reserve,
        locations: cloud.locations.clone(),
        tokens_need_https: cloud.tokens_need_https,
        identity,
        runner: Runner::new(dispatcher.node(), move |dispatch| sender.send(dispatch)),
    })
    .context("a message definition of ours is broken")?;
    Ok((api, dispatcher))
}

/// Where applications are that run in an emulator of App Engine, as other emulators of Cloud Tasks
/// are told.
fn emulated_app_engine() -> Option<String> {
    let host = std::env::var("APP_ENGINE_EMULATOR_HOST").ok();
    let host = host.filter(|host| !host.is_empty())?;
    Some(if host.contains("://") {
        host
    } else {
        format!("http://{host}")
    })
}

/// What calls addresses that users name.
async fn client(outgoing: &Outgoing) -> anyhow::Result<Client> {
    let mut roots = Vec::new();
    if let Some(file) = &outgoing.ca_file {
        let read = tokio::fs::read(file).await;
        roots.push(read.with_context(|| format!("cannot read {}", file.display()))?);
    }
    let settings = taskyard_outbound::Settings {
        rules: outgoing.rules.clone(),
        proxy: outgoing.proxy.clone(),
        roots,
        ..taskyard_outbound::Settings::default()
    };
    Ok(Client::new(&settings)?)
}
