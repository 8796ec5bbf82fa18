//! Every path of the service.

use crate::escape;
use crate::problem::Problem;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// `GET /groups` or `/group`: the names of all groups.
    Groups,
    /// `GET /group/NAME`: tasks of a group.
    Group(String),
    /// `GET /task/ID`: one task.
    Task(i64),
    /// `GET /tasks/ID,ID,…`: several tasks.
    Tasks(Vec<i64>),
    /// `GET /stats`: the numbers of all groups.
    AllStats,
    /// `GET /stats/NAME`: the numbers of one group.
    Stats(String),
    /// `POST /update`: adds, changes and deletes tasks.
    Update,
    /// `POST /claim`: takes tasks for a while.
    Claim,
}

impl Route {
    /// Where `path` leads, without the prefix the service is mounted at.
    pub(crate) fn find(path: &str, method: &http::Method) -> Result<Self, Problem> {
        let rest = path.strip_prefix('/').ok_or(Problem::NotFound)?;
        let (first, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let posted = match (first, rest) {
            ("groups", "") | ("group" | "task" | "tasks" | "stats", _) => false,
            ("update" | "claim", "") => true,
            _ => return Err(Problem::NotFound),
        };
        match (posted, method) {
            (false, &http::Method::GET) | (true, &http::Method::POST) => {}
            (false, _) => return Err(Problem::Method("GET")),
            (true, _) => return Err(Problem::Method("POST")),
        }
        // The rest of the path is one name, slashes and all.
        let rest = escape::path(rest)
            .ok_or_else(|| Problem::Bad("the path has an escape that is no UTF-8".to_owned()))?;
        Ok(match (first, rest.as_str()) {
            ("groups", _) | ("group", "") => Route::Groups,
            ("group", _) => Route::Group(rest),
            ("task", _) => Route::Task(id(&rest)?),
            ("tasks", "") => Route::Tasks(Vec::new()),
            ("tasks", _) => Route::Tasks(rest.split(',').map(id).collect::<Result<_, _>>()?),
            ("stats", "") => Route::AllStats,
            ("stats", _) => Route::Stats(rest),
            ("update", _) => Route::Update,
            _ => Route::Claim,
        })
    }
}

fn id(text: &str) -> Result<i64, Problem> {
    text.parse()
        .map_err(|_| Problem::Bad(format!("{text:?} is no id of a task")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Option<Route> {
        Route::find(path, &http::Method::GET).ok()
    }

    #[test]
    fn the_rest_of_the_path_is_one_name() {
        assert_eq!(
            get("/group/a/b%2Fc%20d/"),
            Some(Route::Group("a/b/c d/".to_owned()))
        );
        assert_eq!(get("/group/%C3%A9"), Some(Route::Group("é".to_owned())));
        for path in ["/groups", "/groups/", "/group", "/group/"] {
            assert_eq!(get(path), Some(Route::Groups), "{path}");
        }
    }

    #[test]
    fn ids_are_decimal_with_or_without_a_sign() {
        assert_eq!(get("/task/+7"), Some(Route::Task(7)));
        assert_eq!(get("/tasks/-1,2"), Some(Route::Tasks(vec![-1, 2])));
        assert_eq!(get("/tasks/"), Some(Route::Tasks(Vec::new())));
        for path in [
            "/task/",
            "/task",
            "/task/1/2",
            "/task/0x1",
            "/tasks/1,",
            "/group/%ff",
        ] {
            assert!(matches!(
                Route::find(path, &http::Method::GET),
                Err(Problem::Bad(_))
            ));
        }
    }

    #[test]
    fn each_path_takes_one_method() {
        for (path, allowed) in [("/groups", "GET"), ("/update", "POST"), ("/claim", "POST")] {
            let refused = Route::find(path, &http::Method::HEAD);
            assert!(matches!(refused, Err(Problem::Method(method)) if method == allowed));
        }
        assert!(matches!(
            Route::find("/x", &http::Method::HEAD),
            Err(Problem::NotFound)
        ));
        assert!(matches!(
            Route::find("", &http::Method::GET),
            Err(Problem::NotFound)
        ));
    }
}
