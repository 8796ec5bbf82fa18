//! The table of contents: every page, and what its buttons do.
//!
//! Paths of what Taskcluster's clients make links to (tasks, groups, hooks, the index, pools of
//! workers) are those of its own pages.

use http::Method;

use crate::path;

/// Where a request leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    // Pages.
    Overview,
    Find,
    Task(String),
    Log(String, String, String),
    Group(String),
    TaskQueue(String, String),
    Hooks,
    Hook(String, String),
    Index(String),
    CloudPlaces,
    CloudQueue(String),
    CloudTask(String),
    ClaimGroups,
    ClaimGroup(String),
    Events,
    Outbox,
    Clients,
    Roles,
    Secrets,
    SignIn,
    // What pages load.
    Asset(String),
    Artifact(String, String, String),
    Live,
    // Buttons.
    BeginSession,
    EndSession,
    ActOnTask(String, String),
    ActOnGroup(String, String),
    FireHook(String, String),
    ActOnCloudQueue(String, String),
    ActOnCloudTask(String, String),
}

/// First segments of what is found here.
const FIRST: [&str; 15] = [
    "",
    "assets",
    "auth",
    "claims",
    "cloudtasks",
    "events",
    "hooks",
    "live",
    "outbox",
    "provisioners",
    "secrets",
    "sign-in",
    "sign-out",
    "tasks",
    "find",
];

/// Whether something here answers to `path`, if only that there is nothing.
pub(crate) fn is_page(path: &str) -> bool {
    let rest = path.strip_prefix('/').unwrap_or(path);
    let first = rest.split('/').next().unwrap_or_default();
    FIRST.contains(&first)
}

/// Where a request leads; `None` if nowhere.
pub(crate) fn find(method: &Method, path: &str) -> Option<Route> {
    let segments = path::segments(path)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    if method == Method::POST {
        return button(&segments);
    }
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    page(&segments)
}

fn page(segments: &[&str]) -> Option<Route> {
    let own = |text: &&str| (*text).to_owned();
    Some(match segments {
        [""] => Route::Overview,
        ["find"] => Route::Find,
        ["tasks", "groups", group] => Route::Group(own(group)),
        ["tasks", "index"] => Route::Index(String::new()),
        ["tasks", "index", namespace] => Route::Index(own(namespace)),
        ["tasks", task] | ["tasks", task, "runs", _] => Route::Task(own(task)),
        ["tasks", task, "runs", run, "logs", name @ ..] if !name.is_empty() => {
            Route::Log(own(task), own(run), name.join("/"))
        }
        ["tasks", task, "runs", run, "artifacts", name @ ..] if !name.is_empty() => {
            Route::Artifact(own(task), own(run), name.join("/"))
        }
        ["provisioners", provisioner, "worker-types", worker_type] => {
            Route::TaskQueue(own(provisioner), own(worker_type))
        }
        ["hooks"] => Route::Hooks,
        ["hooks", group, hook] => Route::Hook(own(group), own(hook)),
        ["cloudtasks"] => Route::CloudPlaces,
        ["cloudtasks", name @ ..] => match name {
            ["projects", _, "locations", _, "queues", _] => Route::CloudQueue(name.join("/")),
            ["projects", _, "locations", _, "queues", _, "tasks", _] => {
                Route::CloudTask(name.join("/"))
            }
            _ => return None,
        },
        ["claims"] => Route::ClaimGroups,
        ["claims", group] => Route::ClaimGroup(own(group)),
        ["events"] => Route::Events,
        ["outbox"] => Route::Outbox,
        ["secrets"] => Route::Secrets,
        ["auth", "clients"] => Route::Clients,
        ["auth", "roles"] => Route::Roles,
        ["sign-in"] => Route::SignIn,
        ["assets", name] => Route::Asset(own(name)),
        ["live"] => Route::Live,
        _ => return None,
    })
}

fn button(segments: &[&str]) -> Option<Route> {
    let own = |text: &&str| (*text).to_owned();
    Some(match segments {
        ["sign-in"] => Route::BeginSession,
        ["sign-out"] => Route::EndSession,
        ["tasks", "groups", group, action] => Route::ActOnGroup(own(group), own(action)),
        ["tasks", task, action] => Route::ActOnTask(own(task), own(action)),
        ["hooks", group, hook, "trigger"] => Route::FireHook(own(group), own(hook)),
        ["cloudtasks", name @ .., action] => match name {
            ["projects", _, "locations", _, "queues", _] => {
                Route::ActOnCloudQueue(name.join("/"), own(action))
            }
            ["projects", _, "locations", _, "queues", _, "tasks", _] => {
                Route::ActOnCloudTask(name.join("/"), own(action))
            }
            _ => return None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Option<Route> {
        find(&Method::GET, path)
    }

    #[test]
    fn links_of_taskcluster_lead_to_pages() {
        let task = "fN1SbArXTPSVFNUvaOlinQ".to_owned();
        for path in [
            "/tasks/fN1SbArXTPSVFNUvaOlinQ",
            "/tasks/fN1SbArXTPSVFNUvaOlinQ/runs/0/",
        ] {
            assert_eq!(get(path), Some(Route::Task(task.clone())), "{path}");
        }
        assert_eq!(
            get("/tasks/fN1SbArXTPSVFNUvaOlinQ/runs/1/logs/public/logs/live.log"),
            Some(Route::Log(
                task.clone(),
                "1".to_owned(),
                "public/logs/live.log".to_owned()
            ))
        );
        assert_eq!(
            get("/tasks/groups/fN1SbArXTPSVFNUvaOlinQ"),
            Some(Route::Group(task))
        );
        assert_eq!(
            get("/hooks/a/b%2Fc"),
            Some(Route::Hook("a".to_owned(), "b/c".to_owned()))
        );
    }

    #[test]
    fn what_changes_something_is_posted() {
        assert_eq!(get("/sign-out"), None);
        assert_eq!(get("/tasks/a/cancel"), None);
        assert_eq!(
            find(&Method::POST, "/tasks/a/cancel"),
            Some(Route::ActOnTask("a".to_owned(), "cancel".to_owned()))
        );
        assert_eq!(find(&Method::DELETE, "/tasks/a"), None);
        assert_eq!(find(&Method::POST, "/"), None);
    }

    #[test]
    fn apis_keep_their_paths() {
        for path in [
            "/api/queue/v1/ping",
            "/v2/projects/p",
            "/v3/ping",
            "/taskstore/groups",
            "/metrics",
            "/healthz",
            "/task",
        ] {
            assert!(!is_page(path), "{path}");
        }
        for path in ["/", "/tasks", "/hooks/", "/events", "/claims/a"] {
            assert!(is_page(path), "{path}");
        }
    }
}
