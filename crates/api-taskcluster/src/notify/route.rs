//! Routes of tasks that notify somebody: `notify.<type>.<address>.on-<filter>`.

use super::notifier::Kind;

/// What such routes begin with.
const PREFIX: &str = "notify.";

/// What a route asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish<'r> {
    pub(super) kind: Kind,
    pub(super) address: &'r str,
    /// The route itself.
    pub(super) route: &'r str,
    filter: &'r str,
}

/// Whether any of a task's routes notifies somebody.
pub(crate) fn is_wanted(routes: &[String]) -> bool {
    routes.iter().any(|route| Wish::parse(route).is_some())
}

impl<'r> Wish<'r> {
    /// Reads a route; `None` if it is another one.
    pub(super) fn parse(route: &'r str) -> Option<Self> {
        let (kind, rest) = route.strip_prefix(PREFIX)?.split_once('.')?;
        let (address, filter) = rest.rsplit_once(".on-")?;
        // A filter is one word.
        if filter.contains('.') || address.is_empty() {
            return None;
        }
        Some(Wish {
            kind: Kind::parse(kind)?,
            address,
            route,
            filter,
        })
    }

    /// Whether it is wanted to hear of a task in this state, of which a message to this exchange
    /// tells.
    pub(super) fn wants(&self, exchange: &str, state: &str) -> bool {
        let is_of_state = match self.filter {
            "transition" => true,
            "any" | "resolved" => ["completed", "failed", "exception"].contains(&state),
            "defined" => state == "unscheduled",
            filter => filter == state,
        };
        let is_told_there = match exchange {
            "task-defined" => ["defined", "transition"].contains(&self.filter),
            "task-pending" => ["pending", "transition"].contains(&self.filter),
            "task-running" => ["running", "transition"].contains(&self.filter),
            "task-completed" => self.is_of_end("completed"),
            "task-failed" => self.is_of_end("failed"),
            "task-exception" => self.is_of_end("exception"),
            _ => false,
        };
        is_of_state && is_told_there
    }

    fn is_of_end(&self, state: &str) -> bool {
        self.filter == state || ["any", "resolved", "transition"].contains(&self.filter)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn routes_are_told_from_others() {
        let wish = Wish::parse("notify.email.a.b@example.com.on-failed").expect("a wish");
        assert_eq!((wish.kind, wish.address), (Kind::Email, "a.b@example.com"));
        let wish = Wish::parse("notify.pulse.on-a.b.on-any").expect("a wish");
        assert_eq!((wish.kind, wish.address), (Kind::Pulse, "on-a.b"));
        for other in [
            "notify.email.on-any",
            "notify.email..on-any",
            "notify.email.a@example.com",
            "notify.email.a@example.com.on-any.more",
            "notify.fax.1.on-any",
            "index.pulse.a.on-any",
            "notify",
        ] {
            assert_eq!(Wish::parse(other), None, "{other}");
        }
    }

    #[test]
    fn each_filter_wants_the_states_it_is_known_for() {
        let known: Value =
            serde_json::from_str(include_str!("../../tests/vectors/notify.json")).expect("JSON");
        let mut seen = 0;
        for case in known["routing"].as_array().expect("cases") {
            let filter = case["filter"].as_str().expect("a filter");
            // One that nothing is bound to; and one that is no filter.
            if filter == "on-unscheduled" || !filter.starts_with("on-") {
                continue;
            }
            let route = format!("notify.pulse.k.{filter}");
            let wish = Wish::parse(&route).expect(&route);
            for (state, fires) in case["fires"].as_object().expect("states") {
                let exchange = match state.as_str() {
                    "unscheduled" => "task-defined".to_owned(),
                    state => format!("task-{state}"),
                };
                let wants = wish.wants(&exchange, state);
                assert_eq!(Some(wants), fires.as_bool(), "{filter} {state}");
                seen += 1;
            }
        }
        assert_eq!(seen, 60);
    }
}
