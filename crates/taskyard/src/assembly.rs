//! Puts the server together: store, engine, clients and APIs, behind one router.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::response::IntoResponse;
use http::{StatusCode, header};
use taskyard_access::{Directory, Sealer};
use taskyard_api_taskcluster::auth::{self, Auth};
use taskyard_api_taskcluster::queue::{self, Files, Queue};
use taskyard_api_taskcluster::schema::Schemas;
use taskyard_api_taskcluster::{Context, References};
use taskyard_api_taskstore::Taskstore;
use taskyard_client::Credentials;
use taskyard_engine::clock::Clock;
use taskyard_engine::timer::Timer;
use taskyard_http::health::Health;
use taskyard_http::{Api, Draining, Entrance, Traffic};
use taskyard_store::{PostgresConfig, SqliteConfig, Store};
use tokio::sync::Notify;

use crate::background::Background;
use crate::config::{Database, ServeConfig};
use crate::doors::Doors;
use crate::figures::Figures;
use crate::queue_figures;
use crate::{dev_clock, root};

/// The APIs as the figures tell them apart. One line an API.
const APIS: [Api; 5] = [
    Api {
        prefix: "/api/auth/",
        name: "auth",
    },
    Api {
        prefix: "/api/queue/",
        name: "queue",
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
        prefix: "/taskstore/",
        name: "taskstore",
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

    let files = Files::open(config.data.join("artifacts"))
        .await
        .with_context(|| {
            format!(
                "cannot keep artifacts in {}",
                config.data.join("artifacts").display()
            )
        })?;
    files
        .remove_drafts()
        .await
        .context("cannot clear unfinished uploads")?;
    let schemas = Arc::new(Schemas::load(root_url).context("a schema of ours is broken")?);
    let context = Context {
        clock: clock.clone(),
        directory: Arc::clone(&directory),
        schemas: Arc::clone(&schemas),
        trust_forwarded: config.trust_forwarded,
    };
    let transfers = Arc::new(queue::transfers(
        root_url,
        sealer,
        files.clone(),
        clock.clone(),
    ));
    let parts = queue::Parts {
        store: store.clone(),
        claim_timeout: config.claim_timeout,
        draining: draining.clone(),
        transfers: Arc::clone(&transfers),
    };
    let auth = Arc::new(Auth::service(config.guarded.clone(), context.clone()));
    let queue = Arc::new(Queue::service(parts, context));
    let references = References::new(
        root_url,
        schemas,
        [("auth", auth.reference()), ("queue", queue.reference())],
    );
    let taskstore = Taskstore::new(taskyard_api_taskstore::Parts {
        store: store.clone(),
        clock: clock.clone(),
        directory: Arc::clone(&directory),
        draining: draining.clone(),
        trust_forwarded: config.trust_forwarded,
    });
    let references = Arc::new(references);
    let doors = Doors {
        auth,
        queue,
        transfers,
        references,
        taskstore: taskstore.clone(),
    };

    let background = Background::default();
    background.run(figures.clone().keep_up());
    let following = Arc::clone(&directory);
    background.run(async move { following.follow().await });
    background.run(auth::upkeep(Arc::clone(&directory), clock.clone()));
    let timer = Timer::new(store.clone(), clock.clone(), Arc::new(files));
    // The background drops what still runs when the server ends.
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
        .merge(queue_figures::routes(&figures, store, clock.clone()));
    if config.dev {
        router = router.merge(dev_clock::routes(clock));
    }
    if std::env::var_os("TASKYARD_BENCH").is_some() {
        // The ceiling that benchmarks compare with: this listener, and nothing behind it.
        let empty = || async { StatusCode::NO_CONTENT };
        router = router.route("/bench/empty", axum::routing::get(empty));
    }
    let router = router
        .method_not_allowed_fallback(not_found)
        .fallback(move |request| {
            let doors = doors.clone();
            async move { doors.answer(request).await }
        });
    let entrance = Entrance::new(router, Traffic::of(&APIS));
    let alone = Router::new().fallback(move |request| {
        let taskstore = taskstore.clone();
        async move { taskstore.answer("", request).await }
    });
    let alone = Entrance::new(
        alone,
        Traffic::of(&[Api {
            prefix: "/",
            name: "taskstore",
        }]),
    );
    Ok(Server {
        entrance,
        taskstore: alone,
        root_credentials,
        root_is_new,
        background,
    })
}

async fn prepare_data_folder(config: &ServeConfig) -> anyhow::Result<()> {
    let folder = &config.data;
    tokio::fs::create_dir_all(folder)
        .await
        .with_context(|| format!("cannot create the data folder {}", folder.display()))
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
        taskyard_engine::MIGRATIONS,
        taskyard_engine::group::MIGRATIONS,
        taskyard_access::directory::MIGRATIONS,
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
