//! Messages to rooms and channels of chat services.

use http::StatusCode;
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde_json::{Value, json};

use super::sinks::{Matrix, Slack, Unsent};
use crate::outside::{Answer, Outside, OutsideError};

/// Why Matrix refuses.
#[derive(Deserialize)]
struct Refusal {
    errcode: String,
    #[serde(default)]
    error: String,
}

/// What Slack says.
#[derive(Deserialize)]
struct Told {
    ok: bool,
    #[serde(default)]
    error: String,
}

impl From<OutsideError> for Unsent {
    fn from(error: OutsideError) -> Self {
        Unsent {
            text: error.to_string(),
            is_temporary: true,
        }
    }
}

fn never(text: String) -> Unsent {
    Unsent {
        text,
        is_temporary: false,
    }
}

async fn ask(request: RequestBuilder, token: &str, body: &Value) -> Result<Answer, Unsent> {
    let request = request.bearer_auth(token).json(body);
    Ok(Answer::to(request).await?)
}

/// Says something in a room. The number of the notification keeps the room from hearing twice what is
/// sent twice.
pub(super) async fn say_on_matrix(
    outside: &Outside,
    matrix: &Matrix,
    number: i64,
    body: &Value,
) -> Result<(), Unsent> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut event = json!({"msgtype": text("msgtype"), "body": text("body")});
    for (name, field) in [("format", "format"), ("formattedBody", "formatted_body")] {
        if let (Some(value), Some(event)) = (body.get(name), event.as_object_mut()) {
            event.insert(field.to_owned(), value.clone());
        }
    }
    let unusable = |()| never("the address of the home server cannot be used".to_owned());
    let mut url = reqwest::Url::parse(&matrix.url).map_err(|_| unusable(()))?;
    let transaction = format!("taskyard-{number}");
    url.path_segments_mut()
        .map_err(unusable)?
        .pop_if_empty()
        .extend([
            "_matrix",
            "client",
            "v3",
            "rooms",
            text("roomId"),
            "send",
            "m.room.message",
            &transaction,
        ]);
    let request = outside.client()?.put(url);
    let answer = ask(request, matrix.token.expose(), &event).await?;
    if answer.status.is_success() {
        return Ok(());
    }
    let is_temporary = is_temporary(answer.status);
    let refusal: Refusal = answer.json().unwrap_or_else(|_| Refusal {
        errcode: answer.status.to_string(),
        error: String::new(),
    });
    Err(Unsent {
        text: format!("Matrix refuses: {} {}", refusal.errcode, refusal.error),
        is_temporary,
    })
}

/// Says something in a channel.
pub(super) async fn say_on_slack(
    outside: &Outside,
    slack: &Slack,
    body: &Value,
) -> Result<(), Unsent> {
    let mut message = json!({});
    for (name, field) in [
        ("channelId", "channel"),
        ("text", "text"),
        ("blocks", "blocks"),
        ("attachments", "attachments"),
        ("unfurlLinks", "unfurl_links"),
        ("unfurlMedia", "unfurl_media"),
    ] {
        if let (Some(value), Some(message)) = (body.get(name), message.as_object_mut()) {
            message.insert(field.to_owned(), value.clone());
        }
    }
    let request = outside
        .client()?
        .post(format!("{}/chat.postMessage", slack.url));
    let answer = ask(request, slack.token.expose(), &message).await?;
    if !answer.status.is_success() {
        return Err(Unsent {
            text: format!("Slack refuses with {}", answer.status),
            is_temporary: is_temporary(answer.status),
        });
    }
    let told: Told = answer.json()?;
    if told.ok {
        return Ok(());
    }
    let is_temporary = [
        "ratelimited",
        "internal_error",
        "service_unavailable",
        "fatal_error",
    ]
    .contains(&told.error.as_str());
    Err(Unsent {
        text: format!("Slack refuses: {}", told.error),
        is_temporary,
    })
}

fn is_temporary(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}
