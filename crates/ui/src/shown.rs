//! How times, states, links and tables look on every page.

use maud::{Markup, html};
use serde::Serialize;
use serde_json::Value;
use taskyard_client::Timestamp;
use taskyard_engine::Timestamp as Now;

use crate::path::{path, with_query};

/// A time as how long ago or how soon it is, with the exact one to point at.
pub(crate) fn time(at: Timestamp, now: Now) -> Markup {
    let left = at.millis() - now.millis();
    let text = if left.abs() < 1000 {
        "now".to_owned()
    } else if left < 0 {
        format!("{} ago", span(-left))
    } else {
        format!("in {}", span(left))
    };
    html! { time datetime=(at) title=(at) { (text) } }
}

/// A time if there is one.
pub(crate) fn time_or_dash(at: Option<Timestamp>, now: Now) -> Markup {
    at.map_or_else(|| html! { "–" }, |at| time(at, now))
}

/// A time as Cloud Tasks writes it.
pub(crate) fn written_time(at: Option<&str>, now: Now) -> Markup {
    match at.map(|at| (at, at.parse::<Timestamp>())) {
        Some((_, Ok(at))) => time(at, now),
        Some((text, Err(_))) => html! { (text) },
        None => html! { "–" },
    }
}

/// How long it took, or has been taking.
pub(crate) fn took(from: Option<Timestamp>, to: Option<Timestamp>, now: Now) -> String {
    match from {
        Some(from) => {
            let end = to.map_or(now.millis(), Timestamp::millis);
            span((end - from.millis()).max(0))
        }
        None => "–".to_owned(),
    }
}

/// A number of milliseconds in the two largest units that it has.
fn span(millis: i64) -> String {
    let seconds = millis / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    if days >= 730 {
        format!("{} years", days / 365)
    } else if days > 0 {
        format!("{days} d {} h", hours % 24)
    } else if hours > 0 {
        format!("{hours} h {} min", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes} min {} s", seconds % 60)
    } else if seconds >= 10 {
        format!("{seconds} s")
    } else if seconds > 0 {
        format!("{seconds}.{} s", millis % 1000 / 100)
    } else {
        format!("{millis} ms")
    }
}

/// A state, in its colour.
pub(crate) fn state(name: &str) -> Markup {
    html! { span class={ "state " (name.to_ascii_lowercase()) } { (name) } }
}

/// The word that an API has for a variant of an enumeration.
pub(crate) fn word(variant: impl Serialize) -> String {
    let written = serde_json::to_value(variant).unwrap_or_default();
    written.as_str().unwrap_or("unknown").to_owned()
}

/// JSON as people read it.
pub(crate) fn pretty(value: &Value) -> Markup {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    html! { pre.json { (text) } }
}

/// A link to a task; long lists show the beginning of its id.
pub(crate) fn task_link(task_id: &str) -> Markup {
    html! { a.id href=(path("/tasks/{}", &[task_id])) { (task_id) } }
}

/// A link to a task queue, `<provisionerId>/<workerType>`.
pub(crate) fn queue_link(task_queue_id: &str) -> Markup {
    let (provisioner, worker_type) = task_queue_id.split_once('/').unwrap_or((task_queue_id, ""));
    let to = path(
        "/provisioners/{}/worker-types/{}",
        &[provisioner, worker_type],
    );
    html! { a href=(to) { (task_queue_id) } }
}

/// An address somebody wrote; a link only where it leads to another page.
pub(crate) fn address(text: &str) -> Markup {
    let is_web = text.starts_with("https://") || text.starts_with("http://");
    html! {
        @if is_web {
            a href=(text) rel="noreferrer" { (text) }
        } @else {
            (text)
        }
    }
}

/// A link to what a listing has beyond this page.
pub(crate) fn more(here: &str, name: &str, token: Option<&str>) -> Markup {
    html! {
        @if let Some(token) = token {
            p { a.button href=(with_query(here, &[(name, token)])) { "More" } }
        }
    }
}

/// A button that does something.
pub(crate) fn button(action: &str, label: &str) -> Markup {
    html! { form.act method="post" action=(action) { button { (label) } } }
}

/// What is said where nothing is.
pub(crate) fn nothing(text: &str) -> Markup {
    html! { p.nothing { (text) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).unwrap()
    }

    #[test]
    fn times_are_told_by_their_distance() {
        let now = Now::from_millis(100_000_000);
        let text = |millis: i64| time(at(100_000_000 + millis), now).0;
        assert!(text(0).contains(">now<"));
        assert!(text(-1500).contains(">1.5 s ago<"));
        assert!(text(-61_000).contains(">1 min 1 s ago<"));
        assert!(text(3 * 3_600_000 + 60_000).contains(">in 3 h 1 min<"));
        assert_eq!(took(Some(at(0)), Some(at(25)), now), "25 ms");
        assert!(text(-90_000_000).contains(">1 d 1 h ago<"));
        assert!(text(1000).contains(r#"datetime="1970-01-02T03:46:41.000Z""#));
    }

    #[test]
    fn what_others_wrote_is_no_markup() {
        let shown = address("javascript:alert(1)<b>").0;
        assert_eq!(shown, "javascript:alert(1)&lt;b&gt;");
        assert!(
            address("https://a/\"><b>")
                .0
                .starts_with("<a href=\"https://a/&quot;&gt;")
        );
    }
}
