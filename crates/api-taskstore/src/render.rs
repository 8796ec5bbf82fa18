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

use crate::time::millis;

/// How tasks are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Style {
    /// The data as `data64` (base64) instead of `data`.
    pub(crate) base64: bool,
    /// Also `attempts`: how often the task has been claimed.
    pub(crate) attempts: bool,
}

/// 200 with `json`.
pub(crate) fn ok(json: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(json));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn push(json: &mut Vec<u8>, text: &str) {
    json.extend_from_slice(text.as_bytes());
}

fn push_int(json: &mut Vec<u8>, int: i64) {
    // Writing to memory cannot fail.
    let _ = std::io::Write::write_fmt(json, format_args!("{int}"));
}

fn push_text(json: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(json, text);
}

fn push_list<T>(json: &mut Vec<u8>, items: &[T], mut push_item: impl FnMut(&mut Vec<u8>, &T)) {
    json.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        push_item(json, item);
    }
    json.push(b']');
}

fn push_task(json: &mut Vec<u8>, entry: &Entry, style: Style) {
    push(json, "{\"id\":");
    push_int(json, entry.id);
    push(json, ",\"group\":");
    push_text(json, group::name_of(entry).unwrap_or_default());
    let text = std::str::from_utf8(&entry.data);
    if !style.base64 {
        push(json, ",\"data\":");
        match text {
            Ok(text) => push_text(json, text),
            Err(_) => push_text(json, &String::from_utf8_lossy(&entry.data)),
        }
    }
    // What is no text never goes out without its bytes.
    if style.base64 || text.is_err() {
        push(json, ",\"data64\":\"");
        push(json, &STANDARD.encode(&entry.data));
        json.push(b'"');
    }
    push(json, ",\"timespec\":");
    push_int(json, millis(entry.available_at));
    push(json, ",\"duration\":");
    push_int(json, entry.available_at.0);
    push(json, ",\"at\":");
    push_int(json, entry.available_at.0);
    push(json, ",\"ownerid\":");
    push_int(json, entry.owner.parse().unwrap_or(0));
    if style.attempts {
        push(json, ",\"attempts\":");
        push_int(json, entry.attempt);
    }
    json.push(b'}');
}

/// One task, or `null`.
pub(crate) fn task(entry: Option<&Entry>, style: Style) -> Vec<u8> {
    let mut json = Vec::new();
    push_task_or_null(&mut json, entry, style);
    json
}

fn push_task_or_null(json: &mut Vec<u8>, entry: Option<&Entry>, style: Style) {
    match entry {
        Some(entry) => push_task(json, entry, style),
        None => push(json, "null"),
    }
}

/// A list of tasks, `null` for each that is absent.
pub(crate) fn tasks_or_null(entries: &[Option<Entry>], style: Style) -> Vec<u8> {
    let mut json = Vec::new();
    push_list(&mut json, entries, |json, entry| {
        push_task_or_null(json, entry.as_ref(), style);
    });
    json
}

/// A list of tasks.
pub(crate) fn tasks(entries: &[Entry], style: Style) -> Vec<u8> {
    let mut json = Vec::new();
    push_list(&mut json, entries, |json, entry| {
        push_task(json, entry, style);
    });
    json
}

/// A list of group names.
pub(crate) fn names(names: &[String]) -> Vec<u8> {
    let mut json = Vec::new();
    push_list(&mut json, names, |json, name| push_text(json, name));
    json
}

fn push_count(json: &mut Vec<u8>, count: &Count) {
    push(json, "{\"group\":");
    push_text(json, &count.group);
    push(json, ",\"available\":");
    push_int(json, count.available);
    push(json, ",\"claimed\":");
    push_int(json, count.total - count.available);
    push(json, ",\"total\":");
    push_int(json, count.total);
    json.push(b'}');
}

/// The numbers of one group.
pub(crate) fn count(count: &Count) -> Vec<u8> {
    let mut json = Vec::new();
    push_count(&mut json, count);
    json
}

/// The numbers of several groups.
pub(crate) fn counts(counts: &[Count]) -> Vec<u8> {
    let mut json = Vec::new();
    push_list(&mut json, counts, push_count);
    json
}

/// An update or claim that succeeded; `None` is a claim that found nothing.
pub(crate) fn success(entries: Option<&[Entry]>, style: Style) -> Vec<u8> {
    let list = entries.map_or_else(|| b"null".to_vec(), |entries| tasks(entries, style));
    let mut json = Vec::with_capacity(2 * list.len() + 64);
    push(&mut json, "{\"tasks\":");
    json.extend_from_slice(&list);
    push(&mut json, ",\"Tasks\":");
    json.extend_from_slice(&list);
    push(&mut json, ",\"error\":null,\"Error\":null}");
    json
}

/// An update or claim that was refused.
pub(crate) fn refusal(refusal: &Refusal) -> Vec<u8> {
    let mut json = b"{\"tasks\":null,\"Tasks\":null,\"error\":".to_vec();
    push_refusal(
        &mut json,
        refusal,
        ["changes", "deletes", "depends", "owned", "bugs"],
    );
    // The Go client reads only nulls in the list of bugs; what they say stands beside it.
    push(&mut json, ",\"messages\":");
    push_list(&mut json, &refusal.bugs, |json, text| push_text(json, text));
    push(&mut json, "},\"Error\":");
    push_refusal(
        &mut json,
        refusal,
        ["Changes", "Deletes", "Depends", "Owned", "Bugs"],
    );
    push(&mut json, "}}");
    json
}

/// All lists of a refusal, without the closing brace.
fn push_refusal(json: &mut Vec<u8>, refusal: &Refusal, keys: [&str; 5]) {
    let Refusal {
        changes,
        deletes,
        depends,
        owned,
        bugs,
    } = refusal;
    let [.., bugs_key] = keys;
    let mut before = '{';
    for (key, ids) in keys.into_iter().zip([changes, deletes, depends, owned]) {
        push(json, &format!("{before}\"{key}\":"));
        push_list(json, ids, |json, id| push_int(json, *id));
        before = ',';
    }
    push(json, &format!(",\"{bugs_key}\":"));
    push_list(json, bugs, |json, _| push(json, "null"));
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
