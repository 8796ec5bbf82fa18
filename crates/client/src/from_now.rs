//! Offsets in time as people write them: `2 days 3 hours`, `-1h`.

use crate::Timestamp;

/// A text that is no offset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an offset in time; write for example `1 day 2 hours`, `-30min` or `1y2mo3w4d5h6m7s`"
)]
pub struct InvalidOffset(pub String);

/// Units from the longest to the shortest: spellings and seconds.
const UNITS: [(&[&str], i64); 7] = [
    (&["years", "year", "yr", "y"], 365 * 86_400),
    (&["months", "month", "mo"], 30 * 86_400),
    (&["weeks", "week", "wk", "w"], 7 * 86_400),
    (&["days", "day", "d"], 86_400),
    (&["hours", "hour", "hr", "h"], 3_600),
    (&["minutes", "minute", "min", "m"], 60),
    (&["seconds", "second", "sec", "s"], 1),
];

/// The offset in milliseconds. Units go from years to seconds, each at most once; a sign in front
/// applies to all of them; nothing at all means no offset.
///
/// # Errors
/// [`InvalidOffset`] for anything else, and for offsets beyond 64 bits.
pub fn parse(text: &str) -> Result<i64, InvalidOffset> {
    parse_seconds(text)
        .and_then(|seconds| seconds.checked_mul(1000))
        .ok_or_else(|| InvalidOffset(text.to_owned()))
}

/// `reference` moved by the offset `text`.
///
/// # Errors
/// [`InvalidOffset`] for a text that is none, or that leaves the calendar.
pub fn from_now(text: &str, reference: Timestamp) -> Result<Timestamp, InvalidOffset> {
    reference
        .millis()
        .checked_add(parse(text)?)
        .and_then(Timestamp::from_millis)
        .ok_or_else(|| InvalidOffset(text.to_owned()))
}

fn parse_seconds(text: &str) -> Option<i64> {
    let lower = text.to_lowercase();
    let mut rest = lower.trim();
    let mut sign = 1;
    if let Some(after) = rest.strip_prefix('-') {
        (sign, rest) = (-1, after);
    } else if let Some(after) = rest.strip_prefix('+') {
        rest = after;
    }
    let mut units = UNITS.iter();
    let mut total: i64 = 0;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some(sign * total);
        }
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let count: i64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        // A unit is taken together with every letter that follows the number, so that `mon` or
        // `mins` are not read as `mo` or `min` and a rest. Units already used are gone.
        let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_alphabetic()).len();
        let (word, after) = rest.split_at(letters);
        let (_, length) = units
            .by_ref()
            .find(|(spellings, _)| spellings.contains(&word))?;
        total = total.checked_add(count.checked_mul(*length)?)?;
        rest = after;
    }
}
