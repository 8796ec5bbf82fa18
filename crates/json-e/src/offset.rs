//! Offsets in time as people write them: `2 days 3 hours`, `-1h`.

use chrono::TimeDelta;

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

/// Why a text gives no offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoOffset {
    /// It is none.
    Malformed,
    /// It is longer than can be counted.
    TooLong,
}

/// Reads an offset. Units go from years to seconds, each at most once; a sign in front applies to
/// all of them; nothing at all means no offset.
pub(crate) fn parse(text: &str) -> Result<TimeDelta, NoOffset> {
    let lower = text.to_ascii_lowercase();
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
            return TimeDelta::try_seconds(sign * total).ok_or(NoOffset::TooLong);
        }
        let (digits, after) = split_where(rest, |byte| !byte.is_ascii_digit());
        if digits.is_empty() {
            return Err(NoOffset::Malformed);
        }
        // Taken together with every letter that follows the number, so that `mins` is not read as
        // `min` and a rest. Units already used are gone.
        let (word, after) = split_where(after.trim_start(), |byte| !byte.is_ascii_alphabetic());
        let (_, seconds) = units
            .find(|(spellings, _)| spellings.contains(&word))
            .ok_or(NoOffset::Malformed)?;
        let count: i64 = digits.parse().map_err(|_| NoOffset::TooLong)?;
        total = count
            .checked_mul(*seconds)
            .and_then(|seconds| total.checked_add(seconds))
            .ok_or(NoOffset::TooLong)?;
        rest = after;
    }
}

/// Splits before the first byte that ends the beginning.
fn split_where(text: &str, ends: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(ends).unwrap_or(text.len());
    text.split_at(end)
}
