//! What happens, as a stream: follows the events of a Taskyard server without a broker.

use std::time::Duration;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::exchange::Binding;
use crate::{Error, Options, Result, Service, retry};

/// The server says every 20 s that it is alive; a stream that says nothing for longer is dead.
const SILENCE: Duration = Duration::from_mins(1);
/// Bytes of one event; no message comes near it.
const LARGEST: usize = 16 << 20;

/// The events service of a Taskyard server.
#[derive(Debug, Clone)]
pub struct Events {
    service: Service,
}

/// A message of an exchange.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventMessage {
    /// What it says.
    pub payload: Value,
    /// The exchange it was published to.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// The custom routes it has.
    pub routes: Vec<String>,
    /// Where it stands; [`Subscription::after`] goes on behind it.
    #[serde(skip)]
    pub id: String,
}

/// What a subscription hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Everything from here on is heard. Comes once, before the first message.
    Ready,
    /// A message.
    Message(Box<EventMessage>),
    /// The server no longer has what stands behind the last message that was heard, so some may
    /// be missing. It goes on with what happens from now on.
    Missed,
}

/// Messages of some bindings. When the connection is lost it comes back and goes on where it was.
#[derive(Debug)]
pub struct Subscription {
    service: Service,
    bindings: String,
    last_id: Option<String>,
    stream: Option<Stream>,
    is_ready: bool,
    failures: u32,
}

#[derive(Debug)]
struct Stream {
    response: reqwest::Response,
    buffer: BytesMut,
}

/// One event of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Frame {
    event: String,
    data: String,
    id: Option<String>,
}

impl Events {
    /// The events service of the deployment in `options`.
    ///
    /// # Errors
    /// `Usage` when an option is wrong.
    pub fn new(options: Options) -> Result<Self> {
        Ok(Self {
            service: Service::new("events", "v1", options)?,
        })
    }

    /// Messages for `bindings` from now on.
    ///
    /// # Errors
    /// `Usage` if there are none.
    pub fn subscribe(&self, bindings: &[Binding]) -> Result<Subscription> {
        #[derive(Serialize)]
        struct Wanted<'a> {
            bindings: &'a [Binding],
        }
        if bindings.is_empty() {
            return Err(Error::Usage("a subscription needs a binding".to_owned()));
        }
        let bindings = serde_json::to_string(&Wanted { bindings })
            .map_err(|error| Error::Usage(error.to_string()))?;
        Ok(Subscription {
            service: self.service.clone(),
            bindings,
            last_id: None,
            stream: None,
            is_ready: false,
            failures: 0,
        })
    }
}

impl Subscription {
    /// The same, beginning behind the message with this id.
    pub fn after(mut self, id: impl Into<String>) -> Self {
        self.last_id = Some(id.into());
        self
    }

    /// Waits for what is heard next. May be cancelled and called again.
    ///
    /// # Errors
    /// What the server has against the subscription, or the last of several failures to reach it.
    pub async fn next(&mut self) -> Result<Heard> {
        loop {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                slot => match open(&self.service, &self.bindings, self.last_id.as_deref()).await {
                    Ok(stream) => slot.insert(stream),
                    Err(error) => {
                        self.wait_before_retry(error).await?;
                        continue;
                    }
                },
            };
            let frame = match stream.frame().await {
                Ok(frame) => frame,
                Err(error) => {
                    self.stream = None;
                    self.wait_before_retry(error).await?;
                    continue;
                }
            };
            self.failures = 0;
            if let Some(id) = &frame.id {
                self.last_id = Some(id.clone());
            }
            match frame.event.as_str() {
                "ready" if !self.is_ready => {
                    self.is_ready = true;
                    return Ok(Heard::Ready);
                }
                "message" => {
                    let mut message: EventMessage = serde_json::from_str(&frame.data)
                        .map_err(|error| Error::Decode(error.to_string()))?;
                    message.id = frame.id.unwrap_or_default();
                    return Ok(Heard::Message(Box::new(message)));
                }
                "error" => {
                    let text: String = serde_json::from_str(&frame.data).unwrap_or(frame.data);
                    if text == "expired" {
                        return Ok(Heard::Missed);
                    }
                    self.stream = None;
                    return Err(Error::Usage(text));
                }
                _ => {}
            }
        }
    }

    /// Waits as the options say, or gives up with `error`.
    async fn wait_before_retry(&mut self, error: Error) -> Result<()> {
        let retry = &self.service.shared.retry;
        if !error.is_transient() || self.failures >= retry.retries {
            return Err(error);
        }
        self.failures += 1;
        tracing::debug!(%error, "connecting again to a stream of events");
        tokio::time::sleep(retry.pause(self.failures, retry::random())).await;
        Ok(())
    }
}

async fn open(service: &Service, bindings: &str, last_id: Option<&str>) -> Result<Stream> {
    let mut query = vec![("bindings", bindings)];
    query.extend(last_id.map(|id| ("after", id)));
    Ok(Stream {
        response: service.stream(&["connect"], &query).await?,
        buffer: BytesMut::new(),
    })
}

impl Stream {
    /// The next event.
    async fn frame(&mut self) -> Result<Frame> {
        loop {
            if let Some(end) = find(&self.buffer, b"\n\n") {
                let text = self.buffer.split_to(end + 2);
                return Ok(Frame::read(&String::from_utf8_lossy(&text)));
            }
            if self.buffer.len() > LARGEST {
                return Err(Error::Decode(format!(
                    "an event is larger than {LARGEST} bytes"
                )));
            }
            let lost = |reason: String| Error::Connection {
                url: "the stream of events".to_owned(),
                reason,
            };
            match tokio::time::timeout(SILENCE, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => self.buffer.extend_from_slice(&chunk),
                Ok(Ok(None)) => return Err(lost("the server ended it".to_owned())),
                Ok(Err(error)) => return Err(lost(error.to_string())),
                Err(_) => return Err(lost(format!("nothing was heard for {SILENCE:?}"))),
            }
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

impl Frame {
    fn read(text: &str) -> Self {
        let mut frame = Frame::default();
        for line in text.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut frame.event),
                "data" => frame.data.push_str(value),
                "id" => frame.id = Some(value.to_owned()),
                _ => {}
            }
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_streams_write_them() {
        let frame = Frame::read("event: message\ndata: {\"a\": 1}\nid: 7.0\n\n");
        assert_eq!(frame.event, "message");
        assert_eq!(frame.data, "{\"a\": 1}");
        assert_eq!(frame.id.as_deref(), Some("7.0"));
        assert_eq!(Frame::read(": a comment\n\n"), Frame::default());
    }
}
