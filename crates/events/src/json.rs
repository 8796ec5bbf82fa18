//! JSON objects and lists, written where there is one for every request or event.
//!
//! A general serializer looks at each byte of each name and text in turn; most of a status is names,
//! and ids that need no escaping. What is not text goes through `serde_json` all the same.

use serde::Serialize;

/// An object that is being written.
#[derive(Debug)]
pub struct Object<'t> {
    into: &'t mut Vec<u8>,
    is_empty: bool,
}

impl<'t> Object<'t> {
    /// Begins an object at the end of `into`. Names must not need escaping.
    pub fn begin(into: &'t mut Vec<u8>) -> Self {
        into.push(b'{');
        Object {
            into,
            is_empty: true,
        }
    }

    /// Ends the object.
    pub fn end(self) {
        self.into.push(b'}');
    }

    /// A member that is a text.
    #[inline]
    pub fn text(&mut self, name: &'static str, value: &str) {
        write_text(self.member(name), value);
    }

    /// A member that is a text, if there is one.
    pub fn maybe(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A member of any kind.
    ///
    /// # Errors
    /// `value` cannot be JSON.
    pub fn value(
        &mut self,
        name: &'static str,
        value: &impl Serialize,
    ) -> Result<(), serde_json::Error> {
        serde_json::to_writer(self.member(name), value)
    }

    /// A member whose value is JSON already.
    pub fn json(&mut self, name: &'static str, value: &str) {
        self.member(name).extend_from_slice(value.as_bytes());
    }

    /// A member that is a whole number.
    pub fn number(&mut self, name: &'static str, value: i64) {
        write_number(self.member(name), value);
    }

    /// A member whose value is appended, as JSON, to what this returns.
    #[inline] // where the name's length is known, which makes copying it a move or two
    pub fn member(&mut self, name: &'static str) -> &mut Vec<u8> {
        self.into.reserve(name.len() + 4);
        if !self.is_empty {
            self.into.push(b',');
        }
        self.is_empty = false;
        self.into.push(b'"');
        self.into.extend_from_slice(name.as_bytes());
        self.into.extend_from_slice(b"\":");
        self.into
    }
}

/// A list that is being written whose items each have a place of their own, as the members of an
/// object have a name: shorter, and read without comparing names.
#[derive(Debug)]
pub struct List<'t> {
    into: &'t mut Vec<u8>,
    is_empty: bool,
    skipped: usize,
}

impl<'t> List<'t> {
    /// Begins a list at the end of `into`.
    pub fn begin(into: &'t mut Vec<u8>) -> Self {
        into.push(b'[');
        List {
            into,
            is_empty: true,
            skipped: 0,
        }
    }

    /// Ends the list. What was left out at its end is not written.
    pub fn end(self) {
        self.into.push(b']');
    }

    /// An item that is appended, as JSON, to what this returns.
    pub fn item(&mut self) -> &mut Vec<u8> {
        for _ in 0..std::mem::take(&mut self.skipped) {
            self.next().extend_from_slice(b"null");
        }
        self.next()
    }

    /// Leaves an item out: it is `null` if others follow.
    pub fn skip(&mut self) {
        self.skipped += 1;
    }

    /// An item that is a text.
    pub fn text(&mut self, value: &str) {
        write_text(self.item(), value);
    }

    /// An item that is a whole number.
    pub fn number(&mut self, value: i64) {
        write_number(self.item(), value);
    }

    /// An item that `write` appends, if there is one.
    pub fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
        match value {
            Some(value) => write(self.item(), value),
            None => self.skip(),
        }
    }

    fn next(&mut self) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.is_empty) {
            self.into.push(b',');
        }
        self.into
    }
}

/// Appends an array, whose items `write` appends.
pub fn write_array<T>(
    into: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    into.push(b'[');
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            into.push(b',');
        }
        write(into, item);
    }
    into.push(b']');
}

/// Appends a whole number.
pub fn write_number(into: &mut Vec<u8>, value: i64) {
    // Numbers are always JSON, and a vector takes whatever is written to it.
    serde_json::to_writer(into, &value).unwrap_or_default();
}

/// Appends a text.
pub fn write_text(into: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        into.reserve(text.len() + 2);
        into.push(b'"');
        into.extend_from_slice(text.as_bytes());
        into.push(b'"');
    } else {
        serde_json::to_writer(into, text).unwrap_or_default();
    }
}

/// Whether text stands in JSON as it is: no quotes, backslashes or control characters. Eight bytes
/// are looked at together; a byte is odd if its highest bit is set at the end.
fn is_plain(text: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHEST: u64 = ONES << 7;
    const QUOTES: u64 = ONES * b'"' as u64;
    const BACKSLASHES: u64 = ONES * b'\\' as u64;
    const SPACES: u64 = ONES * b' ' as u64;
    // Subtracting borrows from a byte that is too small, which sets its highest bit. A borrow may
    // make the byte behind it look odd as well, but never the only odd one look plain.
    let odd = |word: u64| {
        let quote = word ^ QUOTES;
        let backslash = word ^ BACKSLASHES;
        (quote.wrapping_sub(ONES) & !quote
            | backslash.wrapping_sub(ONES) & !backslash
            | word.wrapping_sub(SPACES) & !word)
            & HIGHEST
    };
    let (words, rest) = text.as_chunks::<8>();
    // The last eight may have been looked at before; fewer are filled up.
    let last = text.last_chunk().copied().unwrap_or_else(|| {
        let mut last = [b' '; 8];
        last[..rest.len()].copy_from_slice(rest);
        last
    });
    let odd_ones = words
        .iter()
        .fold(odd(u64::from_ne_bytes(last)), |odd_ones, word| {
            odd_ones | odd(u64::from_ne_bytes(*word))
        });
    odd_ones == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        let mut into = Vec::new();
        write_text(&mut into, text);
        String::from_utf8(into).expect("UTF-8")
    }

    #[test]
    fn every_character_at_every_place_is_written_as_by_serde_json() {
        let odd = (0..=0x17f).filter_map(char::from_u32);
        for character in odd.chain(['\u{2028}', '\u{ffff}', '🦀']) {
            for before in 0..10 {
                for after in [0, 1, 7, 8] {
                    let plain = ["abcdefghij", "~~~~~~~~~~"];
                    for filler in plain {
                        let (head, tail) = (&filler[..before], &filler[..after]);
                        let whole = format!("{head}{character}{tail}");
                        let wanted = serde_json::to_string(&whole).expect("a text");
                        assert_eq!(text(&whole), wanted, "{whole:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn only_what_needs_escaping_takes_the_long_way() {
        assert!(is_plain(b""));
        assert!(is_plain(" !#[]~\u{7f}ü🦀".as_bytes()));
        for odd in [&b"\""[..], b"\\", b"\n", b"\0", b"1234567\t", b"12345678\""] {
            assert!(!is_plain(odd), "{odd:?}");
        }
    }

    #[test]
    fn what_a_list_leaves_out_is_null_unless_nothing_follows() {
        let mut into = Vec::new();
        let mut list = List::begin(&mut into);
        list.skip();
        list.text("a");
        list.maybe(None, write_number);
        list.maybe(Some(-1), write_number);
        list.number(2);
        list.skip();
        list.maybe(None, write_text);
        list.end();
        List::begin(&mut into).end();
        assert_eq!(into, br#"[null,"a",null,-1,2][]"#);
    }

    #[test]
    fn members_and_items_stand_apart() {
        let mut into = Vec::new();
        let mut object = Object::begin(&mut into);
        object.text("a", "x\"y");
        object.maybe("none", None);
        object.number("b", i64::MIN);
        object.value("c", &[1.5]).expect("a list");
        write_array(object.member("d"), ["p", "q"], write_text);
        write_array(object.member("e"), [""; 0], write_text);
        object.end();
        Object::begin(&mut into).end();
        let text = String::from_utf8(into).expect("UTF-8");
        assert_eq!(
            text,
            r#"{"a":"x\"y","b":-9223372036854775808,"c":[1.5],"d":["p","q"],"e":[]}{}"#
        );
    }
}
