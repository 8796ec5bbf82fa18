//! Mails as a mail server takes them and a mail library reads them.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use taskcluster::{ClientBuilder, Credentials, Notify};
use taskyard_conformance::{Database, MailServer, ROOT_ACCESS_TOKEN, ROOT_CLIENT_ID, Server};
use taskyard_mail::{Link, Mail, MailError, Mailer, Template};

const SENDER: &str = "Prüfer & Söhne <server@example.com>";

fn mail() -> Mail {
    Mail {
        to: "user@example.com".to_owned(),
        subject: "Task failed: \u{201e}größer\u{201c} \u{1f600}\r\nBcc: other@example.com"
            .to_owned(),
        content: "Task **failed**\n.\n\n> größer <script>alert(1)</script>\r\n\r\n".to_owned()
            + &"long ".repeat(500),
        link: Some(Link {
            text: "Inspect <Task>".to_owned(),
            href: "https://tasks.example.com/tasks/abc?a=1&b=2".to_owned(),
        }),
        reply_to: Some("owner@example.com".to_owned()),
        template: Template::Simple,
    }
}

#[tokio::test]
async fn a_mail_is_taken_and_read_as_it_was_written() -> Result<()> {
    let server = MailServer::start()?;
    let mailer = Mailer::new(&server.url(), SENDER)?;
    mailer.send(&mail()).await?;
    let seen: Value = serde_json::from_str(&server.mail()?)?;
    assert_eq!(seen["defects"], json!([]));
    assert_eq!(
        seen["envelope"],
        json!(["server@example.com", "user@example.com"])
    );
    let headers = &seen["headers"];
    assert_eq!(headers["From"], SENDER);
    assert_eq!(headers["To"], "user@example.com");
    assert_eq!(headers["Reply-To"], "owner@example.com");
    assert_eq!(
        headers["Subject"],
        "Task failed: \u{201e}größer\u{201c} \u{1f600}  Bcc: other@example.com"
    );
    assert_eq!(headers.get("Bcc"), None);
    assert_eq!(seen["type"], "multipart/alternative");
    let (text, html) = (&seen["parts"][0], &seen["parts"][1]);
    let content = mail().content.replace("\r\n", "\n");
    let link = "Inspect <Task>: https://tasks.example.com/tasks/abc?a=1&b=2";
    assert_eq!(
        *text,
        json!(["text/plain", format!("{content}\n\n{link}\n")])
    );
    assert_eq!(html[0], "text/html");
    let html = html[1].as_str().unwrap_or_default();
    for expected in [
        "<strong>failed</strong><br>\n.</p>",
        "<blockquote>\n<p>größer </p>\n</blockquote>",
        "<a href=\"https://tasks.example.com/tasks/abc?a=1&amp;b=2\"",
        ">Inspect &lt;Task&gt;</a>",
        "\"target\":\"https://tasks.example.com/tasks/abc?a=1&b=2\"",
    ] {
        ensure!(html.contains(expected), "{expected} is not in {html}");
    }
    ensure!(!html.contains("alert"), "{html}");
    Ok(())
}

#[tokio::test]
async fn a_mail_server_says_what_it_does_not_take() -> Result<()> {
    let server = MailServer::start()?;
    let stranger = Mail {
        to: "user@example.org".to_owned(),
        ..mail()
    };
    let refused = Mailer::new(&server.url(), SENDER)?.send(&stranger).await;
    let text = "only for example.com".to_owned();
    assert_eq!(refused, Err(MailError::Refused { code: 550, text }));
    let url = server.url().replace("pass%20word", "guess");
    let refused = Mailer::new(&url, SENDER)?.send(&mail()).await;
    assert_eq!(refused, Err(MailError::Login { code: 535 }));
    let url = server.url().replace("user:pass%20word@", "");
    let refused = Mailer::new(&url, SENDER)?.send(&mail()).await;
    ensure!(refused.is_err_and(|error| !error.is_temporary()));
    Ok(())
}

#[tokio::test]
async fn the_server_sends_what_its_clients_ask_for() -> Result<()> {
    let mails = MailServer::start()?;
    let url = mails.url();
    let variables = [
        ("TASKYARD_NOTIFY_SMTP_URL", url.as_str()),
        ("TASKYARD_NOTIFY_SENDER", "Tasks <server@example.com>"),
    ];
    let server = Server::start_with(Database::sqlite(), "", &variables)?;
    let credentials = Credentials::new(ROOT_CLIENT_ID, ROOT_ACCESS_TOKEN);
    let client = ClientBuilder::new(server.root_url()).credentials(credentials);
    let notify = Notify::new(client)?;
    notify
        .email(&json!({
            "address": "user@example.com", "subject": "hello", "content": "**world**",
            "replyTo": "owner@example.com",
        }))
        .await?;
    let seen: Value = serde_json::from_str(&mails.mail()?)?;
    assert_eq!(
        seen["envelope"],
        json!(["server@example.com", "user@example.com"])
    );
    assert_eq!(seen["headers"]["Subject"], "hello");
    assert_eq!(seen["headers"]["Reply-To"], "owner@example.com");
    assert!(
        seen["parts"][1].to_string().contains("<strong>world"),
        "{seen}"
    );
    // A domain that the mail server does not take: whoever asks for it hears so.
    let refused = notify
        .email(&json!({"address": "user@elsewhere.test", "subject": "x", "content": "x"}))
        .await;
    let refused = refused.err().map(|error| format!("{error:?}"));
    ensure!(
        refused
            .as_deref()
            .is_some_and(|error| error.contains("refused with 5")),
        "{refused:?}"
    );
    ensure!(
        !server.log().contains("pass word"),
        "the log has a password"
    );
    server.stop()
}
