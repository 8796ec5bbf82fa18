//! Notifications because somebody asks for them.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use taskyard_access::Param;
use taskyard_engine::notification::{self, Verdict};
use taskyard_store::Key;

use super::Notify;
use super::notifier::{Kind, Notice};
use crate::call::Call;
use crate::error::{ApiError, Code};
use crate::reply::Reply;

/// How long a caller waits to hear that something could not be sent. It is sent in any case.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest address, in bytes.
const LONGEST_ADDRESS: usize = 1000;
/// The longest topic of a routing key.
const LONGEST_TOPIC: usize = 100;

pub(super) async fn email(notify: Arc<Notify>, call: Call) -> Result<Reply, ApiError> {
    send(notify, &call, Kind::Email, "address").await
}

pub(super) async fn pulse(notify: Arc<Notify>, call: Call) -> Result<Reply, ApiError> {
    if call.text("routingKey").len() > LONGEST_TOPIC {
        return Err(ApiError::input(format!(
            "A routing key has {LONGEST_TOPIC} bytes at most."
        )));
    }
    send(notify, &call, Kind::Pulse, "routingKey").await
}

pub(super) async fn matrix(notify: Arc<Notify>, call: Call) -> Result<Reply, ApiError> {
    send(notify, &call, Kind::MatrixRoom, "roomId").await
}

pub(super) async fn slack(notify: Arc<Notify>, call: Call) -> Result<Reply, ApiError> {
    send(notify, &call, Kind::SlackChannel, "channelId").await
}

pub(super) async fn irc(notify: Arc<Notify>, call: Call) -> Result<Reply, ApiError> {
    if call.payload.get("channel").is_some() {
        send(notify, &call, Kind::IrcChannel, "channel").await
    } else {
        send(notify, &call, Kind::IrcUser, "user").await
    }
}

/// Sends what a call asks for to the address that stands in `field`.
async fn send(
    notify: Arc<Notify>,
    call: &Call,
    kind: Kind,
    field: &'static str,
) -> Result<Reply, ApiError> {
    let address = call.text(field).to_owned();
    call.authorize(&[
        (field, Param::from(address.as_str())),
        ("channelRequest", Param::Flag(kind == Kind::IrcChannel)),
    ])?;
    if address.len() > LONGEST_ADDRESS {
        return Err(ApiError::input(format!(
            "`{field}` has {LONGEST_ADDRESS} bytes at most."
        )));
    }
    let notice = Notice {
        kind,
        address: address.clone(),
        body: (*call.payload).clone(),
    };
    let (notifier, now) = (Arc::clone(&notify.notifier), call.now);
    let accepted = notify
        .notifier
        .store
        .write(Key::of("notifications"), move |tx| {
            notifier.accept_to_send(tx, now, &notice)
        });
    let (verdict, is_mine) = accepted.await?;
    match verdict {
        Verdict::Duplicate | Verdict::TooMany => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        Verdict::Denied => Err(denied(kind, &address)),
        Verdict::Accepted(number) => {
            if is_mine {
                try_now(notify, number).await?;
            }
            Ok(Reply::text("OK"))
        }
    }
}

fn denied(kind: Kind, address: &str) -> ApiError {
    let what = match kind {
        Kind::Email => "Email",
        Kind::Pulse => "Pulse routing key pattern",
        Kind::MatrixRoom => "Matrix room",
        Kind::SlackChannel => "Slack channel",
        Kind::IrcUser | Kind::IrcChannel => "IRC address",
    };
    ApiError::new(
        Code::DenylistedAddress,
        format!("{what} {address} is denylisted"),
    )
}

/// Tries to send a notification that is this caller's to send. What may be sent later is, and whoever
/// is slow is not waited for.
async fn try_now(notify: Arc<Notify>, number: i64) -> Result<(), ApiError> {
    // On a task of its own, so that a caller who hangs up does not end it.
    let trying = tokio::spawn(async move {
        let notifier = &notify.notifier;
        let loaded = notifier
            .store
            .read(move |tx| notification::load(tx, number));
        match loaded.await? {
            Some(claimed) => notifier.try_to_send(&claimed).await,
            None => Ok(Ok(())),
        }
    });
    let Ok(Ok(tried)) = tokio::time::timeout(PATIENCE, trying).await else {
        return Ok(());
    };
    match tried? {
        Err(unsent) if !unsent.is_temporary => Err(ApiError::input(unsent.text)),
        _ => Ok(()),
    }
}
