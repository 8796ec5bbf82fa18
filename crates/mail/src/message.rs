//! A mail as it is sent.

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, MultiPartKind, SinglePart};
use lettre::{Address, Message as Lettre};
use uuid::Uuid;

use crate::address::address;
use crate::link::{SafeLink, one_line};
use crate::{Mail, MailError, markdown, page};

/// A mail as it is sent.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) to: Address,
    /// Headers and both parts, in ASCII.
    pub(crate) bytes: Vec<u8>,
}

impl Message {
    /// Puts a mail together. Long content takes tens of milliseconds.
    pub(crate) fn new(mail: &Mail, sender: &Mailbox) -> Result<Self, MailError> {
        let to = address(&mail.to)?;
        let link = mail.link.as_ref().map(SafeLink::new).transpose()?;
        let subject = one_line(&mail.subject);
        let text = match &link {
            Some(link) => format!("{}\n\n{}: {}\n", mail.content, link.text, link.href),
            None => mail.content.clone(),
        };
        let content = markdown::to_html(&mail.content);
        let html = page::page(mail.template, &subject, &content, link.as_ref());
        // Who knows a boundary beforehand could write parts of their own, and who gets many mails
        // could tell the next one of a weaker source of randomness.
        let parts = MultiPart::builder()
            .kind(MultiPartKind::Alternative)
            .boundary(Uuid::new_v4().simple().to_string())
            .singlepart(part(ContentType::TEXT_PLAIN, &text))
            .singlepart(part(ContentType::TEXT_HTML, &html));
        let id = format!("<{}@{}>", Uuid::new_v4(), sender.email.domain());
        let mut message = Lettre::builder()
            .from(sender.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(subject)
            .message_id(Some(id))
            // Keeps notices of absence from being sent back: RFC 3834.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        if let Some(reply_to) = &mail.reply_to {
            message = message.reply_to(Mailbox::new(None, address(reply_to)?));
        }
        let message = message
            .multipart(parts)
            .map_err(|error| MailError::Content(error.to_string()))?;
        Ok(Message {
            to,
            bytes: message.formatted(),
        })
    }
}

fn part(kind: ContentType, text: &str) -> SinglePart {
    SinglePart::builder().header(kind).body(network_text(text))
}

/// A text with line ends as SMTP wants them, and without what it cannot carry.
fn network_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 32);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' => {
                characters.next_if_eq(&'\n');
                out.push_str("\r\n");
            }
            '\n' => out.push_str("\r\n"),
            '\0' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Message, network_text};
    use crate::{Link, Mail, MailError, Template};

    fn mail() -> Mail {
        Mail {
            to: "to@example.com".to_owned(),
            subject: "subject".to_owned(),
            content: "content".to_owned(),
            link: None,
            reply_to: None,
            template: Template::Simple,
        }
    }

    fn message(mail: &Mail) -> Result<String, MailError> {
        let sender = "Ünser Server <from@example.com>".parse().expect("a sender");
        let message = Message::new(mail, &sender)?;
        Ok(String::from_utf8(message.bytes).expect("text"))
    }

    /// The names of the headers.
    fn headers(message: &str) -> Vec<&str> {
        let (head, _) = message.split_once("\r\n\r\n").expect("a head");
        head.split("\r\n")
            .filter(|line| !line.starts_with(' '))
            .map(|line| line.split_once(": ").expect(line).0)
            .collect()
    }

    #[test]
    fn no_field_of_a_mail_adds_a_header() {
        let expected = headers(&message(&mail()).expect("a message")).len();
        for attack in [
            "a\r\nBcc: b@example.com",
            "a\nBcc: b@example.com",
            "a\rBcc: b@example.com",
            "ä\r\n\r\n<script>",
            "a\u{2028}Bcc: b",
            "\r\n.\r\nMAIL FROM:<x@example.com>",
            "=?utf-8?q?a=0D=0ABcc:_b@example.com?=",
        ] {
            let attacked = Mail {
                subject: attack.to_owned(),
                link: Some(Link {
                    text: attack.to_owned(),
                    href: format!("https://example.com/{attack}"),
                }),
                ..mail()
            };
            let text = message(&attacked).expect("a message");
            assert!(text.is_ascii());
            assert_eq!(headers(&text).len(), expected, "{text}");
            for (field, refused) in [
                (
                    "to",
                    Mail {
                        to: attack.to_owned(),
                        ..mail()
                    },
                ),
                (
                    "reply_to",
                    Mail {
                        reply_to: Some(attack.to_owned()),
                        ..mail()
                    },
                ),
            ] {
                let refused = message(&refused);
                assert!(
                    matches!(refused, Err(MailError::Address(_))),
                    "{field}: {refused:?}"
                );
            }
        }
    }

    #[test]
    fn a_long_subject_in_any_language_stays_in_its_header() {
        for word in ["long ", "lang\u{e4}", "\u{1f600}", "x"] {
            let long = Mail {
                subject: word.repeat(255),
                ..mail()
            };
            let text = message(&long).expect("a message");
            assert!(text.lines().all(|line| line.len() < 998), "{word}");
            assert!(headers(&text).contains(&"Subject"));
        }
    }

    #[test]
    fn every_line_ends_as_smtp_wants_it() {
        assert_eq!(
            network_text("a\nb\r\nc\rd\r\r\n\0"),
            "a\r\nb\r\nc\r\nd\r\n\r\n\u{fffd}"
        );
        let mixed = Mail {
            content: "a\nb\rc\r\n.\r\n\0d".to_owned(),
            ..mail()
        };
        let text = message(&mixed).expect("a message");
        assert!(
            !text.replace("\r\n", "").contains(['\r', '\n', '\0']),
            "{text:?}"
        );
    }
}
