//! Answers: keys in both spellings, times in both units, so that every kind of client finds what
//! it looks for.

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, HeaderValue};
use taskyard_engine::group::{self, Count};
use taskyard_engine::lease::Entry;
use taskyard_engine::update::Refusal;
use taskyard_events::json::{Object, write_array, write_number, write_text};

use crate::time::millis;

/// How tasks are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Style {
    /// The data as `data64` (base64) instead of `data`.
    pub(crate) base64: bool,
    /// Also `attempts`: how often the task has been claimed.
    pub(crate) attempts: bool,
}

const NULL: &[u8] = b"null";

/// 200 with `json`.
pub(crate) fn ok(json: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(json));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn write_task(json: &mut Vec<u8>, entry: &Entry, style: Style) {
    let mut task = Object::begin(json);
    task.number("id", entry.id);
    task.text("group", group::name_of(entry).unwrap_or_default());
    let text = std::str::from_utf8(&entry.data);
    if !style.base64 {
        match text {
            Ok(text) => task.text("data", text),
            Err(_) => task.text("data", &String::from_utf8_lossy(&entry.data)),
        }
    }
    // What is no text never goes out without its bytes.
    if style.base64 || text.is_err() {
        task.text("data64", &STANDARD.encode(&entry.data));
    }
    task.number("timespec", millis(entry.available_at));
    task.number("duration", entry.available_at.0);
    task.number("at", entry.available_at.0);
    task.number("ownerid", entry.owner.parse().unwrap_or(0));
    if style.attempts {
        task.number("attempts", entry.attempt);
    }
    task.end();
}

/// One task, or `null`.
pub(crate) fn task(entry: Option<&Entry>, style: Style) -> Vec<u8> {
    let mut json = Vec::new();
    write_task_or_null(&mut json, entry, style);
    json
}

fn write_task_or_null(json: &mut Vec<u8>, entry: Option<&Entry>, style: Style) {
    match entry {
        Some(entry) => write_task(json, entry, style),
        None => json.extend_from_slice(NULL),
    }
}

/// A list of tasks, `null` for each that is absent.
pub(crate) fn tasks_or_null(entries: &[Option<Entry>], style: Style) -> Vec<u8> {
    list(entries, |json, entry| {
        write_task_or_null(json, entry.as_ref(), style);
    })
}

/// A list of tasks.
pub(crate) fn tasks(entries: &[Entry], style: Style) -> Vec<u8> {
    list(entries, |json, entry| write_task(json, entry, style))
}

/// A list of group names.
pub(crate) fn names(names: &[String]) -> Vec<u8> {
    list(names, |json, name| write_text(json, name))
}

fn write_count(json: &mut Vec<u8>, count: &Count) {
    let mut group = Object::begin(json);
    group.text("group", &count.group);
    group.number("available", count.available);
    group.number("claimed", count.total - count.available);
    group.number("total", count.total);
    group.end();
}

/// The numbers of one group.
pub(crate) fn count(count: &Count) -> Vec<u8> {
    let mut json = Vec::new();
    write_count(&mut json, count);
    json
}

/// The numbers of several groups.
pub(crate) fn counts(counts: &[Count]) -> Vec<u8> {
    list(counts, write_count)
}

fn list<T>(items: &[T], write: impl FnMut(&mut Vec<u8>, &T)) -> Vec<u8> {
    let mut json = Vec::new();
    write_array(&mut json, items, write);
    json
}

/// An update or claim that succeeded; `None` is a claim that found nothing.
pub(crate) fn success(entries: Option<&[Entry]>, style: Style) -> Vec<u8> {
    let list = entries.map_or_else(|| NULL.to_vec(), |entries| tasks(entries, style));
    let mut json = Vec::with_capacity(2 * list.len() + 64);
    let mut answer = Object::begin(&mut json);
    answer.member("tasks").extend_from_slice(&list);
    answer.member("Tasks").extend_from_slice(&list);
    answer.member("error").extend_from_slice(NULL);
    answer.member("Error").extend_from_slice(NULL);
    answer.end();
    json
}

/// An update or claim that was refused.
pub(crate) fn refusal(refusal: &Refusal) -> Vec<u8> {
    let mut json = Vec::new();
    let mut answer = Object::begin(&mut json);
    answer.member("tasks").extend_from_slice(NULL);
    answer.member("Tasks").extend_from_slice(NULL);
    let names = ["changes", "deletes", "depends", "owned", "bugs"];
    let mut error = Object::begin(answer.member("error"));
    write_refusal(&mut error, refusal, names);
    // The Go client reads only nulls in the list of bugs; what they say stands beside it.
    write_array(error.member("messages"), &refusal.bugs, |json, text| {
        write_text(json, text);
    });
    error.end();
    let names = ["Changes", "Deletes", "Depends", "Owned", "Bugs"];
    let mut error = Object::begin(answer.member("Error"));
    write_refusal(&mut error, refusal, names);
    error.end();
    answer.end();
    json
}

/// All lists of a refusal.
fn write_refusal(error: &mut Object<'_>, refusal: &Refusal, names: [&'static str; 5]) {
    let Refusal {
        changes,
        deletes,
        depends,
        owned,
        bugs,
    } = refusal;
    let [.., bugs_name] = names;
    for (name, ids) in names.into_iter().zip([changes, deletes, depends, owned]) {
        write_array(error.member(name), ids, |json, id| write_number(json, *id));
    }
    write_array(error.member(bugs_name), bugs, |json, _| {
        json.extend_from_slice(NULL);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskyard_engine::lease::Queue;
    use taskyard_engine::{Nanos, Timestamp};

    fn entry(data: &[u8]) -> Entry {
        Entry {
            id: 523_623,
            queue: Queue::group("map"),
            priority: 0,
            enqueued_at: Timestamp(0),
            available_at: Nanos(1_388_552_400_000_000_000),
            owner: "2624".to_owned(),
            subject: String::new(),
            attempt: 2,
            data: data.to_vec(),
        }
    }

    fn text(json: Vec<u8>) -> String {
        String::from_utf8(json).expect("JSON is text")
    }

    #[test]
    fn a_task_has_its_time_under_all_three_keys() {
        let json = text(task(
            Some(&entry(b"/path/to/file:1024:2048")),
            Style::default(),
        ));
        assert_eq!(
            json,
            "{\"id\":523623,\"group\":\"map\",\"data\":\"/path/to/file:1024:2048\",\
             \"timespec\":1388552400000,\"duration\":1388552400000000000,\
             \"at\":1388552400000000000,\"ownerid\":2624}"
        );
    }

    #[test]
    fn bytes_that_are_no_text_come_as_base64_too() {
        let json = text(task(Some(&entry(b"\xff")), Style::default()));
        assert!(
            json.contains("\"data\":\"\u{fffd}\",\"data64\":\"/w==\""),
            "{json}"
        );
        let style = Style {
            base64: true,
            attempts: true,
        };
        let json = text(task(Some(&entry(b"a")), style));
        assert!(
            json.contains("\"group\":\"map\",\"data64\":\"YQ==\""),
            "{json}"
        );
        assert!(json.ends_with("\"ownerid\":2624,\"attempts\":2}"), "{json}");
    }

    #[test]
    fn a_refusal_has_both_spellings_and_its_bugs_as_nulls() {
        let json = text(refusal(&Refusal {
            changes: vec![14],
            depends: vec![12],
            owned: vec![16],
            ..Refusal::default()
        }));
        assert_eq!(
            json,
            "{\"tasks\":null,\"Tasks\":null,\"error\":{\"changes\":[14],\"deletes\":[],\
             \"depends\":[12],\"owned\":[16],\"bugs\":[],\"messages\":[]},\
             \"Error\":{\"Changes\":[14],\"Deletes\":[],\"Depends\":[12],\"Owned\":[16],\
             \"Bugs\":[]}}"
        );
    }
}
