//! The link of a mail, once it is known to be harmless.

use url::Url;

use crate::{Link, MailError};

/// A link with a URL that is written in the one normal way, so that every reader finds the same in it.
#[derive(Debug)]
pub(crate) struct SafeLink {
    pub(crate) text: String,
    pub(crate) href: Url,
}

impl SafeLink {
    pub(crate) fn new(link: &Link) -> Result<Self, MailError> {
        let refused = || MailError::Link(link.href.clone());
        let href = Url::parse(&link.href).map_err(|_| refused())?;
        if !matches!(href.scheme(), "http" | "https" | "mailto") {
            return Err(refused());
        }
        Ok(SafeLink {
            text: one_line(&link.text),
            href,
        })
    }
}

/// A text with spaces instead of control characters.
pub(crate) fn one_line(text: &str) -> String {
    text.replace(|character: char| is_break(character), " ")
}

/// Whether this may end a line somewhere.
fn is_break(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::SafeLink;
    use crate::Link;

    fn safe(href: &str) -> Option<String> {
        let link = Link {
            text: "a\r\nb".to_owned(),
            href: href.to_owned(),
        };
        let link = SafeLink::new(&link).ok()?;
        assert_eq!(link.text, "a  b");
        Some(link.href.to_string())
    }

    #[test]
    fn a_link_leads_to_the_web_or_to_a_mailbox() {
        assert_eq!(
            safe("https://a.b/?c=1&d=2").expect("safe"),
            "https://a.b/?c=1&d=2"
        );
        assert_eq!(
            safe("HTTP://A.B/\"<>").expect("safe"),
            "http://a.b/%22%3C%3E"
        );
        assert_eq!(safe("mailto:a@b.c").expect("safe"), "mailto:a@b.c");
        for href in [
            "javascript:alert(1)",
            "java\nscript:alert(1)",
            " javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "data:text/html,<script>",
            "vbscript:x",
            "file:///etc/passwd",
            "//a.b",
            "/a",
            "a",
            "",
        ] {
            assert_eq!(safe(href), None, "{href:?}");
        }
    }
}
