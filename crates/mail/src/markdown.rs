//! HTML of Markdown that anybody may have written.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use ammonia::Builder;
use comrak::Options;

use crate::html;

/// Schemes of links in content.
const SCHEMES: [&str; 5] = ["http", "https", "ftp", "mailto", "tel"];

static SANITIZER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut sanitizer = Builder::new();
    sanitizer
        .tags(html::TAGS.into_iter().collect())
        .generic_attributes(HashSet::new())
        .tag_attributes(HashMap::from([(
            "a",
            html::LINK_ATTRIBUTES.into_iter().collect(),
        )]))
        .url_schemes(SCHEMES.into_iter().collect())
        .link_rel(None);
    sanitizer
});

/// The HTML of Markdown, with only harmless elements left of what stands in it.
///
/// 100 KiB take tens of milliseconds, or one second if they were written to take long, and become a
/// few megabytes at most.
pub(crate) fn to_html(content: &str) -> String {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.strikethrough = true;
    options.extension.autolink = true;
    options.extension.tasklist = true;
    options.render.hardbreaks = true;
    // HTML within the Markdown; what of it is harmful is taken out below.
    options.render.r#unsafe = true;
    let raw = comrak::markdown_to_html(content, &options);
    SANITIZER.clean(&html::flatten(&raw)).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use serde_json::Value;
    use url::Url;

    use super::{SCHEMES, to_html};
    use crate::html::{LINK_ATTRIBUTES, TAGS};

    /// HTML without white space, and with one spelling of what has two.
    fn squeezed(html: &str) -> String {
        let squeezed: String = html.split_whitespace().collect();
        squeezed.replace("<br/>", "<br>")
    }

    #[test]
    fn markdown_becomes_the_html_that_taskcluster_makes_of_it() {
        let vectors = include_str!("../tests/vectors/markdown.json");
        let vectors: Value = serde_json::from_str(vectors).expect("JSON");
        let cases = vectors["cases"].as_array().expect("cases");
        assert_eq!(cases.len(), 13);
        for case in cases {
            let (markdown, html) = (case["md"].as_str(), case["html"].as_str());
            let (markdown, html) = (markdown.expect("Markdown"), html.expect("HTML"));
            assert_eq!(squeezed(&to_html(markdown)), squeezed(html), "{markdown}");
        }
    }

    /// Panics unless every tag is known, and every attribute is one of a link and leads where links may.
    fn assert_harmless(html: &str) {
        for (at, _) in html.match_indices('<') {
            let (tag, _) = html[at + 1..].split_once('>').expect("the end of a tag");
            let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
            assert!(TAGS.contains(&name.trim_start_matches('/')), "<{tag}>");
            while !rest.is_empty() {
                let (key, after) = rest.split_once("=\"").expect("a value");
                let (value, after) = after.split_once('"').expect("the end of a value");
                assert!(name == "a" && LINK_ATTRIBUTES.contains(&key), "<{tag}>");
                if key == "href" {
                    let value = value.replace("&amp;", "&");
                    match Url::parse(&value) {
                        Ok(url) => assert!(SCHEMES.contains(&url.scheme()), "<{tag}>"),
                        Err(url::ParseError::RelativeUrlWithoutBase) => {}
                        Err(error) => panic!("<{tag}>: {error}"),
                    }
                }
                rest = after.trim_start();
            }
        }
    }

    const ATTACKS: &[&str] = &[
        "<script>alert(1)</script>",
        "<scr<script>ipt>alert(1)</script>",
        "<SCRIPT SRC=//e.com/x.js>",
        "<style>*{background:url(//e.com)}</style>",
        "<img src=x onerror=alert(1)>",
        "![a](https://e.com/pixel.png)",
        "![a](javascript:alert(1))",
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt:alert(1))",
        "[a](java\tscript:alert(1))",
        "[a](&#106;avascript:alert(1))",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "[a](vbscript:x)",
        "<javascript:alert(1)>",
        "[a]: javascript:alert(1)\n\n[a]",
        "<a href=\"java&#10;script:alert(1)\">a</a>",
        "<a href=javascript&colon;alert(1)>a</a>",
        "<a href='x' onclick='alert(1)' style='color:red' id=a>a</a>",
        "<b onmouseover=alert(1) style=position:fixed class=x>b</b>",
        "<iframe src=javascript:alert(1)></iframe>",
        "<object data=x><embed src=x><applet code=x>",
        "<svg onload=alert(1)><a xlink:href=javascript:alert(1)>x</a></svg>",
        "<math><mi xlink:href=javascript:alert(1)>x",
        "<svg></p><style><a id=\"</style><img src=1 onerror=alert(1)>\">",
        "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
        "<form action=javascript:alert(1)><button formaction=javascript:alert(1)>x</form>",
        "<input autofocus onfocus=alert(1)><select><option>",
        "<meta http-equiv=refresh content='0;url=//e.com'><base href=//e.com><link rel=stylesheet href=x>",
        "<video src=x onerror=alert(1)><audio src=x><source src=x>",
        "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
        "<textarea><p title=\"</textarea><img src=x onerror=alert(1)>\">",
        "<xmp><p title=\"</xmp><img src=x onerror=alert(1)>\">",
        "<template><script>alert(1)</script></template>",
        "<plaintext>",
        "<!--><script>alert(1)</script-->",
        "<!--[if IE]><script>alert(1)</script><![endif]-->",
        "<![CDATA[<script>alert(1)</script>]]>",
        "<?xml <script>alert(1)</script>?>",
        "<body onload=alert(1)><html></body></html>",
        "<table background=javascript:alert(1)><tr><td background=x>",
        "</div></td></table></body>",
        "`<script>`",
        "```html\" onclick=\"x\n<script>\n```\n",
        "<b\x00 onclick=x>",
        "\u{0}<\u{0}script>",
        "<a href=\"",
        "<b title='",
        "-->",
        "| a | <img src=x> |\n|---|---|\n| <script> | b |\n\n",
        "- [x] <input type=image src=x>\n",
        "> <p>\n",
        "\n\n",
        "    ",
    ];

    #[test]
    fn nothing_that_runs_or_loads_survives() {
        for attack in ATTACKS {
            assert_harmless(&to_html(attack));
        }
    }

    proptest! {
        #[test]
        fn nothing_that_runs_or_loads_survives_in_any_company(
            parts in prop::collection::vec(prop::sample::select(ATTACKS), 1..12),
        ) {
            assert_harmless(&to_html(&parts.concat()));
        }

        #[test]
        fn any_text_is_rendered(text in any::<String>()) {
            assert_harmless(&to_html(&text));
        }
    }

    #[test]
    fn long_content_takes_neither_long_nor_much_memory_whoever_wrote_it() {
        const LENGTH: usize = 100 * 1024;
        let counted = |unit: &dyn Fn(usize) -> String| -> String {
            let mut text = String::new();
            for count in 0.. {
                text.push_str(&unit(count));
                if text.len() >= LENGTH {
                    break;
                }
            }
            text
        };
        let mut contents: Vec<(&str, String)> = [
            ">",
            "> ",
            "[",
            "*",
            "_",
            "`",
            "~",
            "!",
            "<",
            "|",
            "#",
            "\\",
            "- ",
            "* ",
            "1. ",
            "\n",
            "\0",
            "\t",
            "a\n",
            "a\n\n",
            "a**b",
            "**a *a ",
            "*a_ ",
            "a_b*",
            "~~a",
            "![[]()",
            "[a](",
            "[a](<b",
            "[a]: b\n",
            "[^1]",
            "`` ` ",
            "www.",
            "http://",
            "a@",
            "a.b@c.",
            "- a\n",
            "<a ",
            "<a href='",
            "<a>",
            "<b>",
            "<i><p>",
            "<div>",
            "<pre>",
            "<li>",
            "<table>",
            "<table><tr><td>",
            "<b><i></b></i>",
            "<svg>",
            "<script>",
            "<textarea>",
            "<button>",
            "<!--",
            "<?",
            "</p>",
        ]
        .map(|unit| (unit, unit.repeat(LENGTH / unit.len())))
        .into();
        let half = LENGTH / 2;
        contents.extend([
            (
                "quotes, then lines",
                format!("{}\n{}", ">".repeat(half), "x\n".repeat(half / 2)),
            ),
            (
                "quotes in each line",
                counted(&|_| format!("{}a\n", ">".repeat(300))),
            ),
            (
                "lists that grow",
                counted(&|count| format!("{}- a\n", " ".repeat(count * 2 % 400))),
            ),
            (
                "backticks that grow",
                counted(&|count| format!("a{}", "`".repeat(count + 1))),
            ),
            ("references", counted(&|count| format!("[a{count}]: b\n"))),
            (
                "a long reference",
                format!("[a]: {}\n\n{}", "b".repeat(half), "[a] ".repeat(half / 4)),
            ),
            (
                "a wide table",
                format!(
                    "{}\n{}\n{}",
                    "|a".repeat(LENGTH / 6),
                    "|-".repeat(LENGTH / 6),
                    "|\n".repeat(LENGTH / 6),
                ),
            ),
            (
                "bold that is never closed",
                counted(&|count| format!("<b id={count}><p>")),
            ),
            (
                "bold in paragraphs",
                counted(&|count| format!("<p><b id={count}></p>")),
            ),
            (
                "bold, then paragraphs",
                counted(&|count| match count {
                    0..4000 => format!("<b id={count}>"),
                    _ => "a\n\n".to_owned(),
                }),
            ),
            // The sanitizer, unoptimized, is slow at gluing these together.
            ("a quarter of &", "&".repeat(half / 2)),
            (
                "text in a table, which goes before it",
                format!("<table>{}", "a<br>".repeat(half / 10)),
            ),
            (
                "brackets",
                format!("{}{}", "[".repeat(half), "](a)".repeat(half / 4)),
            ),
            (
                "stars",
                format!("{}a{}", "*".repeat(half), "*".repeat(half)),
            ),
        ]);
        for (name, content) in contents {
            let begun = Instant::now();
            let html = to_html(&content);
            let took = begun.elapsed();
            println!(
                "{:>8.1} ms {:>8} bytes  {name:?}",
                took.as_secs_f64() * 1e3,
                html.len()
            );
            // Unoptimized and beside other tests; what is quadratic takes minutes.
            assert!(took < Duration::from_secs(20), "{name:?} took {took:?}");
            assert!(
                html.len() < 20 * LENGTH,
                "{name:?} became {} bytes",
                html.len()
            );
        }
    }
}
