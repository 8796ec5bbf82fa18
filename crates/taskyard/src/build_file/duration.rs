//! How long: `90s`, `10m`, `1h30m`.

use std::time::Duration;

/// Reads a sum of whole hours, minutes and seconds, each with its unit.
///
/// The error says what is wrong with the text; it is followed by a hint about the format.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let mut total: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("it is empty".to_owned());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let amount: u64 = match number {
            "" => return Err(format!("a number is expected before `{after}`")),
            _ => number
                .parse()
                .map_err(|_| format!("`{number}` is too large"))?,
        };
        let mut letters = after.chars();
        let seconds = match letters.next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some(other) => return Err(format!("`{other}` is no unit of time")),
            None => return Err(format!("`{number}` has no unit")),
        };
        total = amount
            .checked_mul(seconds)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| "it is too large".to_owned())?;
        rest = letters.as_str().trim_start();
    }
    Ok(Duration::from_secs(total))
}

/// For a reader at a terminal: `0.04s`, `12.0s`, `3m05s`, `2h10m`.
pub(crate) fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 1 {
        format!("0.{:02}s", duration.subsec_millis() / 10)
    } else if seconds < 60 {
        format!("{}.{}s", seconds, duration.subsec_millis() / 100)
    } else if seconds < 3600 {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    } else {
        format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_minutes_and_seconds_add_up() {
        for (text, seconds) in [
            ("30s", 30),
            ("10m", 600),
            ("1h30m", 5400),
            (" 1h 2m 3s ", 3723),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn a_duration_that_says_nothing_clear_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "it is empty"),
            ("30", "`30` has no unit"),
            ("5 minutes", "` ` is no unit of time"),
            ("5d", "`d` is no unit of time"),
            ("-5s", "a number is expected before `-5s`"),
            (
                "99999999999999999999s",
                "`99999999999999999999` is too large",
            ),
            ("9999999999999999999h", "it is too large"),
        ] {
            assert_eq!(parse(text), Err(reason.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn a_duration_is_shown_in_the_unit_that_matters() {
        for (milliseconds, shown) in [
            (0, "0.00s"),
            (49, "0.04s"),
            (12_000, "12.0s"),
            (185_000, "3m05s"),
            (7_800_000, "2h10m"),
        ] {
            assert_eq!(short(Duration::from_millis(milliseconds)), shown);
        }
    }
}
