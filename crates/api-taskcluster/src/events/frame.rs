//! Events as a stream writes them.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use taskyard_events::exchange::{parse, routes};
use taskyard_events::translate::{Delivery, Place};

use super::Known;
use super::binding::write_place;

/// A message as listeners read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Heard<'a> {
    payload: &'a RawValue,
    exchange: &'a str,
    routing_key: &'a str,
    /// Always false: whether it was sent before is not known here.
    redelivered: bool,
    /// The custom routes it has.
    routes: Vec<&'a str>,
    /// The words of its routing key, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    routing: Option<Map<String, Value>>,
}

/// Bindings are in place; everything behind `place` follows.
pub(super) fn ready(place: Place) -> Bytes {
    write("ready", Some(place), "{}")
}

/// The stream is alive; everything up to `place` was sent.
pub(super) fn ping(place: Place, time: &str) -> Bytes {
    write("ping", Some(place), &json!({"time": time}).to_string())
}

/// Something is wrong.
pub(super) fn error(text: &str) -> Bytes {
    write("error", None, &Value::from(text).to_string())
}

/// A message.
pub(super) fn message(delivery: &Delivery, exchanges: &Known) -> Bytes {
    let message = &delivery.message;
    // What does not parse is a message that no translator of ours makes.
    let Ok(payload) = serde_json::from_slice(&message.payload) else {
        return Bytes::new();
    };
    let declared = exchanges
        .get(&*message.exchange)
        .and_then(|listed| listed.exchange);
    let routing = declared.map(|exchange| {
        let words: Vec<_> = exchange
            .key
            .iter()
            .map(|word| (word.name, word.multiple))
            .collect();
        parse(&words, &message.routing_key)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect()
    });
    let heard = Heard {
        payload,
        exchange: &message.exchange,
        routing_key: &message.routing_key,
        redelivered: false,
        routes: routes(&message.cc).collect(),
        routing,
    };
    let data = serde_json::to_string(&heard).unwrap_or_default();
    write("message", Some(delivery.place), &data)
}

/// One event. `data` is JSON on one line, so it needs no escaping.
fn write(event: &str, place: Option<Place>, data: &str) -> Bytes {
    let mut frame = format!("event: {event}\ndata: {data}\n");
    if let Some(place) = place {
        frame.push_str("id: ");
        frame.push_str(&write_place(place));
        frame.push('\n');
    }
    frame.push('\n');
    Bytes::from(frame)
}
