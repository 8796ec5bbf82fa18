//! Percent escapes in paths, queries and forms.

/// What `raw` stands for. What is no escape stays as it is; in a form, `+` is a space.
fn decode(raw: &[u8], plus_is_space: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(byte) = raw.get(at) {
        let digit = |at: usize| char::from(*raw.get(at)?).to_digit(16);
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                at += 3;
                continue;
            }
            (b'+', _, _) if plus_is_space => bytes.push(b' '),
            (other, _, _) => bytes.push(*other),
        }
        at += 1;
    }
    bytes
}

/// Decodes a part of a path; `None` if the outcome is no text.
pub(crate) fn path(raw: &str) -> Option<String> {
    String::from_utf8(decode(raw.as_bytes(), false)).ok()
}

/// The first value of `name` in a query string or an urlencoded form.
pub(crate) fn form_value(form: &[u8], name: &str) -> Option<Vec<u8>> {
    form.split(|byte| *byte == b'&').find_map(|pair| {
        let split = pair
            .iter()
            .position(|byte| *byte == b'=')
            .unwrap_or(pair.len());
        let (key, value) = pair.split_at(split);
        (decode(key, true) == name.as_bytes())
            .then(|| decode(value.get(1..).unwrap_or_default(), true))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_is_a_space_in_forms_only() {
        assert_eq!(path("a+b%20c%2Fd").as_deref(), Some("a+b c/d"));
        assert_eq!(
            form_value(b"x=1&na%6de=a+b%2B", "name").as_deref(),
            Some(&b"a b+"[..])
        );
    }

    #[test]
    fn the_first_of_equal_names_counts_and_a_name_alone_is_empty() {
        assert_eq!(form_value(b"a=1&a=2", "a").as_deref(), Some(&b"1"[..]));
        assert_eq!(form_value(b"a&b=2", "a").as_deref(), Some(&b""[..]));
        assert_eq!(form_value(b"b=2", "a"), None);
    }

    #[test]
    fn what_is_no_escape_stays_and_what_is_no_text_is_none() {
        assert_eq!(path("50%").as_deref(), Some("50%"));
        assert_eq!(path("%zz").as_deref(), Some("%zz"));
        assert_eq!(path("%ff"), None);
    }
}
