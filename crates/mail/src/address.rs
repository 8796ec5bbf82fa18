//! The address of a mailbox.

use lettre::Address;

use crate::MailError;

/// Reads an address that needs no extension of SMTP and can end no header and no command: ASCII,
/// without quoted names.
pub(crate) fn address(text: &str) -> Result<Address, MailError> {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\'));
    match text.parse() {
        Ok(address) if is_plain => Ok(address),
        _ => Err(MailError::Address(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn an_address_is_one_mailbox_and_nothing_else() {
        for text in [
            "a@example.com",
            "a.b+c@sub.example.com",
            "a@xn--bcher-kva.example",
            "a@b",
        ] {
            assert_eq!(address(text).expect(text).to_string(), text);
        }
        for text in [
            "",
            "a",
            "@example.com",
            "a@",
            "a@b@c",
            "a b@example.com",
            "a@example.com\r\nBcc: b@example.com",
            "a@example.com\n",
            "\"a\r\nb\"@example.com",
            "\"a b\"@example.com",
            "Name <a@example.com>",
            "a@example.com>",
            "a@example.com, b@example.com",
            "a@example.com\0",
            "ä@example.com",
            "a@bücher.example",
        ] {
            assert!(address(text).is_err(), "{text:?}");
        }
    }
}
