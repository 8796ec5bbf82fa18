//! HTML whose elements are closed in order and nest only so deep.
//!
//! The sanitizer builds a tree as a browser does, which takes quadratic time for elements that nest as
//! deep as the text is long (seconds for 20 KiB of `>`) and quadratic memory for `<b>` that is opened
//! again and again in new paragraphs (8 MB for 20 KiB). So it is given only elements that it would
//! keep, closed where they must be, and none below a depth that no honest text reaches.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

/// Elements that content may have.
#[rustfmt::skip]
pub(crate) const TAGS: [&str; 70] = [
    "address", "article", "aside", "footer", "header", "h1", "h2", "h3", "h4", "h5", "h6", "hgroup",
    "main", "nav", "section", "blockquote", "dd", "div", "dl", "dt", "figcaption", "figure", "hr",
    "li", "menu", "ol", "p", "pre", "ul", "a", "abbr", "b", "bdi", "bdo", "br", "cite", "code",
    "data", "dfn", "em", "i", "kbd", "mark", "q", "rb", "rp", "rt", "rtc", "ruby", "s", "samp",
    "small", "span", "strong", "sub", "sup", "time", "u", "var", "wbr", "caption", "col",
    "colgroup", "table", "tbody", "td", "tfoot", "th", "thead", "tr",
];

/// Attributes that `a` may have; no other element has any.
pub(crate) const LINK_ATTRIBUTES: [&str; 3] = ["href", "name", "target"];

/// How deep elements may nest. Those further down lose their tags and keep their text.
const DEPTH: usize = 50;

/// The same HTML with elements of [`TAGS`] only, closed in order and at most [`DEPTH`] deep. This does
/// not make it harmless: the sanitizer does.
pub(crate) fn flatten(html: &str) -> String {
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(html));
    let tokenizer = Tokenizer::new(Flattener::default(), TokenizerOpts::default());
    // The sink never asks for a pause, so all is taken at once.
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    tokenizer.sink.0.into_inner().finish()
}

/// Receives the tokens of HTML.
#[derive(Debug, Default)]
struct Flattener(RefCell<Flat>);

/// What has been written so far.
#[derive(Debug)]
struct Flat {
    out: String,
    /// Elements that are open, by their place in [`TAGS`]; only the first [`DEPTH`] were written.
    open: Vec<usize>,
    /// How many of each element are open, so that ends without a beginning cost nothing.
    counts: [usize; TAGS.len()],
    /// Whether this is the inside of a script or style, which no reader is shown.
    is_hidden: bool,
}

impl Default for Flat {
    fn default() -> Self {
        Flat {
            out: String::new(),
            open: Vec::new(),
            counts: [0; TAGS.len()],
            is_hidden: false,
        }
    }
}

// === impl Flattener ===

impl TokenSink for Flattener {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut flat = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::EndTag => flat.end(&tag),
            Token::TagToken(tag) => {
                flat.start(&tag);
                if flat.is_hidden {
                    return TokenSinkResult::RawData(RawKind::Rawtext);
                }
            }
            Token::CharacterTokens(text) => flat.text(&text),
            Token::NullCharacterToken
            | Token::CommentToken(_)
            | Token::DoctypeToken(_)
            | Token::EOFToken
            | Token::ParseError(_) => {}
        }
        TokenSinkResult::Continue
    }
}

// === impl Flat ===

impl Flat {
    fn start(&mut self, tag: &Tag) {
        let name = &*tag.name;
        if matches!(name, "script" | "style") {
            self.is_hidden = true;
            return;
        }
        let Some(known) = place(name) else {
            return;
        };
        if !is_void(name) {
            self.open.push(known);
            self.counts[known] += 1;
        }
        if self.open.len() > DEPTH {
            return;
        }
        self.out.push('<');
        self.out.push_str(name);
        for attribute in &tag.attrs {
            let key = &*attribute.name.local;
            if name == "a" && LINK_ATTRIBUTES.contains(&key) {
                self.out.push(' ');
                self.out.push_str(key);
                self.out.push_str("=\"");
                escape(&attribute.value, &mut self.out);
                self.out.push('"');
            }
        }
        self.out.push('>');
    }

    /// Ends the innermost element of this name and all within it.
    fn end(&mut self, tag: &Tag) {
        self.is_hidden = false;
        let Some(known) = place(&tag.name) else {
            return;
        };
        if self.counts[known] == 0 {
            return;
        }
        while let Some(innermost) = self.close() {
            if innermost == known {
                return;
            }
        }
    }

    /// Ends the innermost element; which one that was.
    fn close(&mut self) -> Option<usize> {
        let known = self.open.pop()?;
        self.counts[known] -= 1;
        if self.open.len() < DEPTH {
            self.out.push_str("</");
            self.out.push_str(TAGS[known]);
            self.out.push('>');
        }
        Some(known)
    }

    fn text(&mut self, text: &str) {
        if !self.is_hidden {
            escape(text, &mut self.out);
        }
    }

    fn finish(mut self) -> String {
        while self.close().is_some() {}
        self.out
    }
}

/// Where an element stands among those that content may have.
fn place(name: &str) -> Option<usize> {
    TAGS.iter().position(|known| *known == name)
}

/// Whether an element has no inside, and no end.
fn is_void(name: &str) -> bool {
    matches!(name, "br" | "col" | "hr" | "wbr")
}

/// Appends text so that it is text anywhere in HTML, also between double quotes.
pub(crate) fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DEPTH, flatten};

    #[test]
    fn elements_are_closed_in_order_and_ends_without_a_beginning_vanish() {
        for (html, flat) in [
            ("<b>a<i>b</b>c</i>", "<b>a<i>b</i></b>c"),
            ("<p><b>a</p>b", "<p><b>a</b></p>b"),
            ("</p></b>a<br/>b</br>", "a<br>b"),
            ("<img src=x onerror=y>a<svg><b>c</svg>", "a<b>c</b>"),
            ("<script>a<b></script>c<STYLE>d", "c"),
            ("<!-- a --><!DOCTYPE b>c<?d?>", "c"),
            (
                "<a href='x\"&amp;' onclick=y name=z>a</a>",
                "<a href=\"x&quot;&amp;\" name=\"z\">a</a>",
            ),
            ("<b title='</b>'>a", "<b>a</b>"),
            ("a &lt; b &amp; c", "a &lt; b &amp; c"),
        ] {
            assert_eq!(flatten(html), flat, "{html}");
        }
    }

    #[test]
    fn elements_that_are_too_deep_lose_their_tags_and_keep_their_text() {
        let deep = format!(
            "{}a{}b",
            "<div>".repeat(DEPTH + 5),
            "</div>".repeat(DEPTH + 5)
        );
        let flat = format!("{}a{}b", "<div>".repeat(DEPTH), "</div>".repeat(DEPTH));
        assert_eq!(flatten(&deep), flat);
    }
}
