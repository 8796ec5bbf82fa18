//! The HTML around the content of a mail.

use serde_json::json;

use crate::Template;
use crate::html::escape;
use crate::link::SafeLink;

/// A whole document: `content`, which is HTML already, and the link as a button.
pub(crate) fn page(
    template: Template,
    subject: &str,
    content: &str,
    link: Option<&SafeLink>,
) -> String {
    let width = match template {
        Template::Simple => "max-width:580px",
        Template::Fullscreen => "max-width:100%",
    };
    let title = escaped(subject);
    let described = link.map_or_else(String::new, |link| description(subject, link));
    let button = link.map_or_else(String::new, button);
    // Mail readers keep little of a style sheet, so styles stand with their elements.
    format!(
        "<!DOCTYPE html>\n\
         <html>\n<head>\n\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n\
         {described}\
         </head>\n\
         <body style=\"margin:0;padding:16px;background:#f6f6f6;color:#222;\
         font-family:sans-serif;font-size:14px;line-height:1.5\">\n\
         <div style=\"{width};margin:0 auto;padding:16px;background:#fff;overflow-wrap:anywhere\">\n\
         {content}\n\
         {button}\
         </div>\n</body>\n</html>\n"
    )
}

fn button(link: &SafeLink) -> String {
    format!(
        "<p style=\"margin:24px 0\"><a href=\"{}\" style=\"display:inline-block;padding:10px 20px;\
         background:#0b62a4;color:#fff;text-decoration:none;border-radius:4px\">{}</a></p>\n",
        escaped(link.href.as_str()),
        escaped(&link.text),
    )
}

/// What lets mail readers show the link beside the subject: <https://schema.org/EmailMessage>.
fn description(subject: &str, link: &SafeLink) -> String {
    let data = json!({
        "@context": "https://schema.org",
        "@type": "EmailMessage",
        "description": subject,
        "potentialAction": {
            "@type": "ViewAction",
            "name": link.text,
            "target": link.href.as_str(),
        },
    });
    // Within a script nothing but its end means anything to HTML; without `<` there is none.
    let data = data.to_string().replace('<', "\\u003c");
    format!("<script type=\"application/ld+json\">{data}</script>\n")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape(text, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::link::SafeLink;
    use crate::{Link, Template};

    #[test]
    fn nothing_in_a_link_or_subject_leaves_its_place() {
        let attack = "</script><script>alert(1)</script><!--\" onclick=\"x";
        let link = SafeLink::new(&Link {
            text: attack.to_owned(),
            href: format!("https://example.com/{attack}"),
        })
        .expect("a link");
        let html = page(Template::Simple, attack, "<p>content</p>", Some(&link));
        assert_eq!(html.matches("<script").count(), 1, "{html}");
        assert_eq!(html.matches("</script").count(), 1, "{html}");
        assert!(!html.contains("<!--"), "{html}");
        let (_, body) = html.split_once("<body").expect("a body");
        assert!(!body.contains("\" onclick"), "{html}");
        let start = html.find("ld+json\">").expect("a description") + "ld+json\">".len();
        let end = html.find("</script>").expect("its end");
        let data: serde_json::Value = serde_json::from_str(&html[start..end]).expect("JSON");
        assert_eq!(data["@type"], "EmailMessage");
        assert_eq!(data["description"], attack);
        assert_eq!(data["potentialAction"]["@type"], "ViewAction");
        assert_eq!(data["potentialAction"]["target"], link.href.as_str());
    }

    #[test]
    fn a_template_is_narrow_or_wide() {
        let narrow = page(Template::Simple, "s", "c", None);
        assert!(narrow.contains("max-width:580px") && !narrow.contains("ld+json"));
        let wide = page(Template::Fullscreen, "s", "c", None);
        assert!(wide.contains("max-width:100%") && !wide.contains("<a "));
    }
}
