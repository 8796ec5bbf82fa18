//! A request of a browser, from its cookie to its answer.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts as Head;
use http::{Method, Request, StatusCode};
use maud::Markup;
use taskyard_access::Credentials;
use taskyard_engine::Timestamp;
use taskyard_http::body;
use taskyard_store::Store;

use crate::apis::Apis;
use crate::path;
use crate::route::{self, Route};
use crate::shell::{self, Shell};
use crate::trouble::Trouble;
use crate::{Parts, asset, guard, pages, session};

/// The largest form.
const FORM_LIMIT: usize = 1024 * 1024;

/// What may happen on a page: nothing from elsewhere is loaded, nothing written into it runs, and
/// no other site shows it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' \
    data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// The same where a log is shown, which a worker may serve while its task runs.
const POLICY_OF_LOGS: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src \
    'self' data:; connect-src 'self' http: https:; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// Whoever looks, and what a page needs to show them something.
pub(crate) struct Visit {
    pub(crate) apis: Apis,
    pub(crate) store: Store,
    pub(crate) now: Timestamp,
    /// Values of the query, by their names.
    pub(crate) query: HashMap<String, String>,
    /// Values of the form that was sent, by their names.
    pub(crate) form: HashMap<String, String>,
    headers: HeaderMap,
}

/// What comes of a visit.
pub(crate) enum Shown {
    /// A page.
    Page(Sheet),
    /// Another page, which shows what was done.
    Elsewhere(String),
    /// Something that is no page.
    Raw(Response),
}

/// A page without what all pages have.
pub(crate) struct Sheet {
    pub(crate) title: String,
    pub(crate) main: Markup,
    /// When the page is out of date.
    pub(crate) stale: Stale,
}

/// When a page is out of date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stale {
    /// Never, as far as it knows.
    Never,
    /// After some seconds.
    After(u32),
    /// When a message comes of one of these bindings: pairs of exchange and routing key pattern.
    Upon(Vec<(String, String)>),
}

impl Visit {
    /// A value of the query; empty if there is none.
    pub(crate) fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// What to ask a listing of Taskcluster for: the page whose token stands under `token` in the
    /// query.
    pub(crate) fn listing(&self, target: &str, limit: &str, token: &str) -> String {
        let token = self.query(token);
        path::with_query(target, &[("limit", limit), ("continuationToken", token)])
    }

    /// A value of the form; empty if there is none.
    pub(crate) fn form(&self, name: &str) -> &str {
        self.form.get(name).map_or("", String::as_str)
    }

    /// A header as it was sent.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.headers.get(name)
    }
}

impl From<Sheet> for Shown {
    fn from(sheet: Sheet) -> Self {
        Shown::Page(sheet)
    }
}

/// Answers a request.
pub(crate) async fn answer(parts: &Arc<Parts>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let now = parts.clock.now();
    let credentials = session::read(&head.headers, &parts.sealer, now);
    let shell = Shell {
        client_id: credentials
            .as_ref()
            .map(|credentials| credentials.client_id.clone()),
        dev: parts.dev,
        path: head.uri.path().to_owned(),
    };
    let Some(route) = route::find(&head.method, head.uri.path()) else {
        return trouble(&shell, &Trouble::NoPage);
    };
    let is_secure = parts.root_url.starts_with("https:");
    let shown = match read(parts, &head, body, credentials, now).await {
        Ok(visit) => match route {
            Route::BeginSession => return begin(parts, visit, &shell, is_secure).await,
            Route::EndSession => return with_cookie(redirect("/"), session::end(is_secure)),
            Route::Asset(name) => return asset::answer(&name),
            ref other => show(&visit, other).await,
        },
        Err(trouble) => Err(trouble),
    };
    match shown {
        Ok(Shown::Page(sheet)) => {
            let is_log = matches!(route, Route::Log(..));
            let policy = if is_log { POLICY_OF_LOGS } else { POLICY };
            html(StatusCode::OK, &shell.page(&sheet), policy)
        }
        Ok(Shown::Elsewhere(path)) => redirect(&path),
        Ok(Shown::Raw(response)) => response,
        Err(reason) => trouble(&shell, &reason),
    }
}

async fn read(
    parts: &Parts,
    head: &Head,
    body: Body,
    credentials: Option<Credentials>,
    now: Timestamp,
) -> Result<Visit, Trouble> {
    let mut form = HashMap::new();
    if head.method == Method::POST {
        guard::check(&head.headers, &parts.root_url).map_err(Trouble::Foreign)?;
        let read = body::read(body, FORM_LIMIT, body::IDLE).await;
        let bytes = read.map_err(|error| Trouble::Bad(error.to_string()))?;
        form = url::form_urlencoded::parse(&bytes).into_owned().collect();
    }
    let query = head.uri.query().unwrap_or_default();
    Ok(Visit {
        apis: Apis::new(Arc::clone(&parts.apis), now, credentials),
        store: parts.store.clone(),
        now,
        query: url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        form,
        headers: head.headers.clone(),
    })
}

async fn show(visit: &Visit, route: &Route) -> Result<Shown, Trouble> {
    match route {
        Route::Overview => pages::overview::page(visit).await.map(Shown::from),
        Route::Find => pages::overview::find(visit).await,
        Route::Task(task) => pages::task::page(visit, task).await.map(Shown::from),
        Route::Log(task, run, name) => pages::log::page(visit, task, run, name)
            .await
            .map(Shown::from),
        Route::Artifact(task, run, name) => pages::log::artifact(visit, task, run, name).await,
        Route::ActOnTask(task, action) => pages::task::act(visit, task, action).await,
        Route::Group(group) => pages::group::page(visit, group).await.map(Shown::from),
        Route::ActOnGroup(group, action) => pages::group::act(visit, group, action).await,
        Route::TaskQueue(provisioner, worker_type) => {
            pages::task_queue::page(visit, provisioner, worker_type)
                .await
                .map(Shown::from)
        }
        Route::Hooks => pages::hook::list(visit).await.map(Shown::from),
        Route::Hook(group, hook) => pages::hook::page(visit, group, hook).await.map(Shown::from),
        Route::FireHook(group, hook) => pages::hook::fire(visit, group, hook).await,
        Route::Index(namespace) => pages::index::page(visit, namespace).await.map(Shown::from),
        Route::CloudPlaces => pages::cloud::list(visit).await.map(Shown::from),
        Route::CloudQueue(name) => pages::cloud::queue(visit, name).await.map(Shown::from),
        Route::ActOnCloudQueue(name, action) => {
            pages::cloud::act_on_queue(visit, name, action).await
        }
        Route::CloudTask(name) => pages::cloud::task(visit, name).await.map(Shown::from),
        Route::ActOnCloudTask(name, action) => pages::cloud::act_on_task(visit, name, action).await,
        Route::ClaimGroups => pages::claims::list(visit).await.map(Shown::from),
        Route::ClaimGroup(name) => pages::claims::page(visit, name).await.map(Shown::from),
        Route::Events => Ok(pages::events::page(visit).into()),
        Route::Live => pages::events::live(visit).await,
        Route::Outbox => pages::outbox::page(visit).await.map(Shown::from),
        Route::Secrets => pages::secrets::page(visit).await.map(Shown::from),
        Route::Clients => pages::access::clients(visit).await.map(Shown::from),
        Route::Roles => pages::access::roles(visit).await.map(Shown::from),
        Route::SignIn => Ok(pages::sign_in::page(visit, None).into()),
        // These are answered before, for they need no more than the request.
        Route::Asset(_) | Route::BeginSession | Route::EndSession => Err(Trouble::NoPage),
    }
}

async fn begin(parts: &Parts, visit: Visit, shell: &Shell, is_secure: bool) -> Response {
    let credentials = Credentials {
        client_id: visit.form("clientId").trim().to_owned(),
        access_token: visit.form("accessToken").trim().into(),
        certificate: None,
    };
    let apis = Apis::new(
        Arc::clone(&parts.apis),
        visit.now,
        Some(credentials.clone()),
    );
    match pages::sign_in::check(&apis).await {
        Ok(()) => {
            let to = pages::sign_in::back(visit.form("back"));
            let cookie = session::begin(&credentials, &parts.sealer, visit.now, is_secure);
            with_cookie(redirect(to), cookie)
        }
        Err(refusal) => {
            let sheet = pages::sign_in::page(&visit, Some(refusal.message()));
            html(refusal.status(), &shell.page(&sheet), POLICY)
        }
    }
}

fn trouble(shell: &Shell, trouble: &Trouble) -> Response {
    html(
        trouble.status(),
        &shell.page(&shell::trouble(shell, trouble)),
        POLICY,
    )
}

fn html(status: StatusCode, page: &Markup, policy: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Forms tell their origin only where a referrer may be told.
        (header::REFERRER_POLICY, "same-origin"),
    ];
    (status, headers, page.0.clone()).into_response()
}

fn redirect(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, path)]).into_response()
}

fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
