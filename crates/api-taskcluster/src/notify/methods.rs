//! The notify service's table of contents.

use serde_json::json;

use super::{Notify, calls, denylist, outbox};
use crate::method::Verb::{Delete, Get, Post};
use crate::method::{Method, handler};
use crate::monitoring;

/// Title and description of the service.
pub(super) const ABOUT: (&str, &str) = (
    "Notification Service",
    "Tells people and programs what they want to know: by mail, on Matrix, Slack and IRC, and by \
     messages on an exchange. What is said twice is sent once.",
);

const NOTIFICATIONS: &str = "Notifications";
const DENYLIST: &str = "Denylist";

/// All methods, in the order of the reference.
pub(super) fn methods() -> Vec<Method<Notify>> {
    let mut methods = monitoring::methods();
    methods.extend([
        Method::new("email", Post, "/email", handler!(calls::email))
            .scopes(json!("notify:email:<address>"))
            .input("v1/email-request.json#")
            .experimental()
            .about(
                NOTIFICATIONS,
                "Send an Email",
                "Sends a mail. Its content is Markdown; no more than 50 mails go to one address in ten \
                 minutes.",
            ),
        Method::new("pulse", Post, "/pulse", handler!(calls::pulse))
            .scopes(json!("notify:pulse:<routingKey>"))
            .input("v1/pulse-request.json#")
            .experimental()
            .about(
                NOTIFICATIONS,
                "Publish a Pulse Message",
                "Publishes a message on the exchange `notification`.",
            ),
        Method::new("irc", Post, "/irc", handler!(calls::irc))
            .scopes(json!({
                "if": "channelRequest",
                "then": "notify:irc-channel:<channel>",
                "else": "notify:irc-user:<user>",
            }))
            .input("v1/irc-request.json#")
            .experimental()
            .about(
                NOTIFICATIONS,
                "Post IRC Message",
                "Publishes a message on the exchange `irc-request`, for a bot that says it.",
            ),
        Method::new("matrix", Post, "/matrix", handler!(calls::matrix))
            .scopes(json!("notify:matrix-room:<roomId>"))
            .input("v1/matrix-request.json#")
            .experimental()
            .about(
                NOTIFICATIONS,
                "Post Matrix Message",
                "Sends a message to a room on Matrix, in which the server's user has to be.",
            ),
        Method::new("slack", Post, "/slack", handler!(calls::slack))
            .scopes(json!("notify:slack-channel:<channelId>"))
            .input("v1/slack-request.json#")
            .experimental()
            .about(
                NOTIFICATIONS,
                "Post Slack Message",
                "Sends a message to a channel on Slack.",
            ),
        Method::new("addDenylistAddress", Post, "/denylist/add", handler!(denylist::add))
            .scopes(json!("notify:manage-denylist"))
            .input("v1/notification-address.json#")
            .experimental()
            .about(
                DENYLIST,
                "Denylist Given Address",
                "Lets nothing be sent to an address any more.",
            ),
        Method::new(
            "deleteDenylistAddress",
            Delete,
            "/denylist/delete",
            handler!(denylist::delete),
        )
        .scopes(json!("notify:manage-denylist"))
        .input("v1/notification-address.json#")
        .experimental()
        .about(
            DENYLIST,
            "Delete Denylisted Address",
            "Lets notifications be sent to an address again.",
        ),
        Method::new("listDenylist", Get, "/denylist/list", handler!(denylist::list))
            .query(&["continuationToken", "limit"])
            .scopes(json!("notify:manage-denylist"))
            .output("v1/notification-address-list.json#")
            .experimental()
            .about(
                DENYLIST,
                "List Denylisted Notifications",
                "The addresses to which nothing is sent, by type and address.",
            ),
        Method::new("listOutbox", Get, "/outbox", handler!(outbox::list))
            .query(&["continuationToken", "limit"])
            .scopes(json!("notify:list-outbox"))
            .unpublished(),
    ]);
    methods
}
