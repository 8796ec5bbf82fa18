//! Puts the server together: store, engine, clients and APIs, behind one router.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::response::IntoResponse;
use http::{StatusCode, header};
use taskyard_access::{Directory, Sealer};
use taskyard_api_stacks::Stacks;
use taskyard_api_taskcluster::auth::{self, Auth};
use taskyard_api_taskcluster::events::{Events, Guest, Pace};
use taskyard_api_taskcluster::hooks::{self, Firing, Hooks, Listener};
use taskyard_api_taskcluster::index::Index;
use taskyard_api_taskcluster::notify::{self, Notifier, Observer};
use taskyard_api_taskcluster::object::Objects;
use taskyard_api_taskcluster::purge_cache::PurgeCache;
use taskyard_api_taskcluster::queue::{self, BuiltIn, Files, Queue};
use taskyard_api_taskcluster::schema::Schemas;
use taskyard_api_taskcluster::secrets::{self, Secrets};
use taskyard_api_taskcluster::{Context, References, exchange_names, translators};
use taskyard_api_taskstore::Taskstore;
use taskyard_client::Credentials;
use taskyard_dispatch::Dispatcher;
use taskyard_engine::clock::Clock;
use taskyard_engine::timer::Timer;
use taskyard_events::Translators;
use taskyard_events::hub::Hub;
use taskyard_events::relay::{Broker, Relay};
use taskyard_events::retention::{self, Now};
use taskyard_http::health::Health;
use taskyard_http::{Api, Door, Draining, Entrance, Traffic};
use taskyard_store::{PostgresConfig, SqliteConfig, Store};
use taskyard_ui::Pages;
use tokio::sync::Notify;

use crate::background::Background;
use crate::ceiling;
use crate::cloud;
use crate::config::{Artifacts, Database, ServeConfig};
use crate::doors::{self, Alone, Doors, Front};
use crate::figures::Figures;
use crate::job_artifacts::JobArtifacts;
use crate::queue_figures;
use crate::{dev_clock, root};

/// The APIs as the figures tell them apart. One line an API.
const APIS: &[Api] = &[
    Api {
        prefix: "/api/auth/",
        name: "auth",
    },
    Api {
        prefix: "/api/events/",
        name: "events",
    },
    Api {
        prefix: "/api/hooks/",
        name: "hooks",
    },
    Api {
        prefix: "/api/index/",
        name: "index",
    },
    Api {
        prefix: "/api/notify/",
        name: "notify",
    },
    Api {
        prefix: "/api/object/",
        name: "object",
    },
    Api {
        prefix: "/api/purge-cache/",
        name: "purge-cache",
    },
    Api {
        prefix: "/api/queue/",
        name: "queue",
    },
    Api {
        prefix: "/api/secrets/",
        name: "secrets",
    },
    Api {
        prefix: "/artifacts/",
        name: "artifacts",
    },
    Api {
        prefix: "/bench/",
        name: "bench",
    },
    Api {
        prefix: "/taskyard.bench.",
        name: "bench",
    },
    Api {
        prefix: "/taskstore/",
        name: "taskstore",
    },
    Api {
        prefix: "/google.cloud.tasks.",
        name: "cloudtasks",
    },
    Api {
        prefix: "/v2/",
        name: "cloudtasks",
    },
    Api {
        prefix: "/v2beta3/",
        name: "cloudtasks",
    },
    Api {
        prefix: "/v2beta2/",
        name: "cloudtasks",
    },
    Api {
        prefix: "/v3/",
        name: "stacks",
    },
];

/// A server that has everything but a port.
#[derive(Debug)]
pub(crate) struct Server {
    /// Every route, and the figures of its traffic.
    pub(crate) entrance: Entrance,
    /// Taskstore alone, for a listener of its own.
    pub(crate) taskstore: Entrance,
    /// The client that may do everything.
    pub(crate) root_credentials: Credentials,
    /// Whether this start made the root client.
    pub(crate) root_is_new: bool,
    /// Timers and the like; to be ended after the last request.
    pub(crate) background: Background,
    /// Sends the tasks of cloud queues; to be stopped while requests are seen off.
    pub(crate) dispatcher: Dispatcher,
}

/// Opens what the server needs and connects it. `root_url` is how clients will reach it; long polls
/// end when `draining` is cancelled.
///
/// # Errors
/// When the data folder or the database can't be used; the text says what to do.
pub(crate) async fn assemble(
    config: &ServeConfig,
    root_url: &str,
    figures: Figures,
    draining: &Draining,
) -> anyhow::Result<Server> {
    prepare_data_folder(config).await?;
    let clock = Clock::default();
    let store = open_store(config).await?;
    let key_file = config
        .secret_key_file
        .clone()
        .unwrap_or_else(|| config.data.join("secret.key"));
    let sealer = Arc::new(Sealer::from_key_file(&key_file)?);
    let directory = Directory::open(store.clone(), Arc::clone(&sealer), config.dev).await?;
    let directory = Arc::new(directory);
    let (root_credentials, root_is_new) = root::ensure(&directory, &clock, config).await?;
    root::stand(&directory, &clock, &config.standing).await?;

    let files = open_files(config).await?;
    let schemas = Arc::new(Schemas::load(root_url).context("a schema of ours is broken")?);
    let context = Context {
        clock: clock.clone(),
        directory: Arc::clone(&directory),
        schemas: Arc::clone(&schemas),
        trust_forwarded: !config.trusted_proxies.is_empty(),
    };
    let transfers = Arc::new(queue::transfers(
        root_url,
        Arc::clone(&sealer),
        files.clone(),
        store.clone(),
        clock.clone(),
    ));
    let parts = queue::Parts {
        store: store.clone(),
        claim_timeout: config.claim_timeout,
        draining: draining.clone(),
        transfers: Arc::clone(&transfers),
    };
    let background = Background::default();
    let events = follow_events(config, &context, &store, draining, &background).await?;
    let auth = Arc::new(Auth::service(config.guarded.clone(), context.clone()));
    let object = Arc::new(Objects::service(
        store.clone(),
        Arc::clone(&transfers),
        context.clone(),
    ));
    let index = Arc::new(Index::service(store.clone(), root_url, context.clone()));
    let kept = taskyard_access::secrets::Secrets::new(store.clone(), Arc::clone(&sealer));
    let secrets = Arc::new(Secrets::service(kept.clone(), context.clone()));
    background.run(secrets::upkeep(kept, clock.clone()));
    let purge_cache = Arc::new(PurgeCache::service(store.clone(), context.clone()));
    let queue = Arc::new(Queue::service(parts, context.clone()));
    let sinks = config.notify.sinks();
    let notifier = Notifier::new(store.clone(), clock.clone(), sinks, root_url);
    let observer = Observer::new(Arc::clone(&notifier), all_translators(), node(config));
    background.run(notify::deliver(Arc::clone(&notifier)));
    background.run_until(|stop| observer.run(stop));
    let notify = notify::Notify::service(Arc::clone(&notifier), context.clone());
    let notify = Arc::new(notify);
    let firing = Arc::new(Firing::new(
        Arc::clone(&directory),
        Arc::clone(&queue),
        notifier,
    ));
    let listener = Listener::new(Arc::clone(&firing), all_translators(), node(config));
    background.run(hooks::schedule(Arc::clone(&firing)));
    background.run_until(|stop| listener.run(stop));
    let hooks = Arc::new(Hooks::service(firing, Arc::clone(&sealer), context));
    let references = References::new(
        root_url,
        schemas,
        [
            ("auth", auth.reference()),
            ("hooks", hooks.reference()),
            ("index", index.reference()),
            ("notify", notify.reference()),
            ("object", object.reference()),
            ("purge-cache", purge_cache.reference()),
            ("queue", queue.reference()),
            ("secrets", secrets.reference()),
        ],
    );
    let taskstore = Taskstore::new(taskyard_api_taskstore::Parts {
        store: store.clone(),
        clock: clock.clone(),
        directory: Arc::clone(&directory),
        draining: draining.clone(),
        trust_forwarded: !config.trusted_proxies.is_empty(),
    });
    let references = Arc::new(references);
    let ground = cloud::Ground {
        config,
        root_url,
        store: &store,
        clock: &clock,
        directory: &directory,
        sealer: &sealer,
    };
    let (cloudtasks, dispatcher) = cloud::start(ground).await?;
    let stacks = Stacks::new(taskyard_api_stacks::Parts {
        store: store.clone(),
        clock: clock.clone(),
        directory: Arc::clone(&directory),
        sealer: Arc::clone(&sealer),
        artifacts: Arc::new(JobArtifacts::new(Arc::clone(&transfers))),
        root_url: root_url.to_owned(),
        queues: config.stacks_queues.clone(),
        rate_limits: config.stacks_rate_limits,
        dev: config.dev,
    });
    background.run(figures.clone().keep_up());
    let following = Arc::clone(&directory);
    background.run(async move { following.follow().await });
    background.run(auth::upkeep(Arc::clone(&directory), clock.clone()));
    background.run(queue::upkeep(files.clone(), store.clone(), clock.clone()));
    background.run(stacks.clone().upkeep());
    let timer = Timer::new(store.clone(), clock.clone(), Arc::new(files));
    // The background drops what still runs when the server ends.
    background.run(BuiltIn::succeed(store.clone(), clock.clone()).run());
    background.run(BuiltIn::fail(store.clone(), clock.clone()).run());
    background.run(timer.run(Arc::new(Notify::new())));

    let checked = store.clone();
    let health = Health::new(draining.clone()).check("database", move || {
        let store = checked.clone();
        async move {
            match store.health().await {
                taskyard_store::Health::Up => Ok(()),
                taskyard_store::Health::Down => Err("the database does not answer".to_owned()),
            }
        }
    });
    let mut router = Router::new()
        .merge(health.routes())
        .merge(queue_figures::routes(
            &figures,
            store.clone(),
            clock.clone(),
        ));
    if config.dev {
        router = router.merge(dev_clock::routes(clock.clone()));
    }
    if std::env::var_os("TASKYARD_BENCH").is_some() {
        router = router.merge(ceiling::routes());
    }
    let unknown = cloudtasks.clone();
    let others = router
        .method_not_allowed_fallback(not_found)
        .fallback(move |request| doors::others(unknown.clone(), Arc::clone(&references), request));
    let doors = Doors {
        auth,
        events,
        hooks,
        index,
        notify,
        object,
        purge_cache,
        queue,
        secrets,
        transfers,
        taskstore: taskstore.clone(),
        cloudtasks,
        stacks,
        others: Arc::new(others),
    };
    let doors = Arc::new(doors);
    let pages = Pages::new(taskyard_ui::Parts {
        apis: Arc::clone(&doors) as Arc<dyn Door>,
        store: store.clone(),
        clock: clock.clone(),
        sealer: Arc::clone(&sealer),
        root_url: root_url.to_owned(),
        dev: config.dev,
    });
    let front = Front { pages, doors };
    let proxies = &config.trusted_proxies;
    let entrance = Entrance::new(front, Traffic::of(APIS)).trusting(proxies);
    let alone = Entrance::new(
        Alone(taskstore),
        Traffic::of(&[Api {
            prefix: "/",
            name: "taskstore",
        }]),
    )
    .trusting(proxies);
    Ok(Server {
        entrance,
        taskstore: alone,
        root_credentials,
        root_is_new,
        background,
        dispatcher,
    })
}

/// What makes messages of the events of all APIs.
fn all_translators() -> Translators {
    translators().and(&taskyard_api_cloudtasks::translator())
}

/// What this node is called among those of its database.
fn node(config: &ServeConfig) -> String {
    match config.database {
        // Alone, and at once itself again after a restart.
        Database::Sqlite => "local".to_owned(),
        Database::Postgres(_) => uuid::Uuid::new_v4().to_string(),
    }
}

/// Starts what reads the event log: subscribers, the relay to a broker if there is one, and what
/// forgets old events.
async fn follow_events(
    config: &ServeConfig,
    context: &Context,
    store: &Store,
    draining: &Draining,
    background: &Background,
) -> anyhow::Result<Events> {
    let clock = context.clock.clone();
    let now: Now = Arc::new(move || clock.now().0);
    let translators = all_translators();
    let guests = taskyard_api_cloudtasks::exchanges();
    if let Some(url) = &config.amqp_url {
        let broker = Broker {
            url: url.reveal().to_owned(),
            exchanges: [
                exchange_names(),
                guests.iter().map(|(name, _)| name.to_string()).collect(),
            ]
            .concat(),
            node: node(config),
            alarming: config.events.backlog / 10,
        };
        let relay = Relay::new(store.clone(), translators.clone(), broker, Arc::clone(&now));
        let relay = relay.await.context("cannot prepare the relay of events")?;
        background.run_until(|stop| relay.run(stop));
    }
    background.run(retention::run(store.clone(), config.events, now));
    let hub = Hub::new(store.clone(), translators);
    background.run(Arc::clone(&hub).run());
    Ok(Events::new(
        context.clone(),
        hub,
        draining.clone(),
        Pace::default(),
        guests
            .into_iter()
            .map(|(name, exchange)| Guest {
                name,
                exchange,
                scope: taskyard_api_cloudtasks::listening_scope,
            })
            .collect(),
    ))
}

async fn prepare_data_folder(config: &ServeConfig) -> anyhow::Result<()> {
    let folder = &config.data;
    tokio::fs::create_dir_all(folder)
        .await
        .with_context(|| format!("cannot create the data folder {}", folder.display()))
}

async fn open_files(config: &ServeConfig) -> anyhow::Result<Files> {
    match &config.artifacts {
        Artifacts::Folder(folder) => {
            let folder = folder
                .clone()
                .unwrap_or_else(|| config.data.join("artifacts"));
            Files::open(folder.clone())
                .await
                .with_context(|| format!("cannot keep artifacts in {}", folder.display()))
        }
        Artifacts::Bucket(bucket) => Files::bucket(bucket.clone())
            .await
            .with_context(|| format!("cannot keep artifacts in the bucket {}", bucket.name)),
    }
}

async fn open_store(config: &ServeConfig) -> anyhow::Result<Store> {
    let database = match &config.database {
        Database::Sqlite => {
            taskyard_store::Config::Sqlite(SqliteConfig::new(config.data.join("taskyard.db")))
        }
        Database::Postgres(url) => {
            taskyard_store::Config::Postgres(PostgresConfig::new(url.reveal()))
        }
    };
    let migrations = [
        taskyard_events::MIGRATIONS,
        taskyard_engine::MIGRATIONS,
        taskyard_engine::group::MIGRATIONS,
        taskyard_engine::cloud::MIGRATIONS,
        taskyard_engine::cloud::operation::MIGRATIONS,
        taskyard_engine::cloud::cmek::MIGRATIONS,
        taskyard_engine::stacks::MIGRATIONS,
        taskyard_access::directory::MIGRATIONS,
        taskyard_access::secrets::MIGRATIONS,
    ]
    .concat();
    let opened = tokio::task::spawn_blocking(move || Store::open(&database, &migrations)).await;
    Ok(opened.context("opening the database panicked")??)
}

/// What the APIs' own clients expect of a path that leads nowhere.
async fn not_found() -> impl IntoResponse {
    let json = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (StatusCode::NOT_FOUND, json, r#"{"error":"Not found"}"#)
}
