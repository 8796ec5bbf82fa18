//! How long a handler asks to be left alone.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime};
use http::{HeaderMap, header};
use taskyard_engine::Timestamp;

/// The longest pause a handler can ask for.
const LONGEST: Duration = Duration::from_hours(24);

/// What `Retry-After` says in an answer that says "slow down": seconds, or a date.
pub(crate) fn read(status: u16, headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    if !matches!(status, 429 | 503) {
        return None;
    }
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => date(text)?.since(now),
    };
    Some(pause.min(LONGEST))
}

fn date(text: &str) -> Option<Timestamp> {
    if let Ok(date) = DateTime::parse_from_rfc2822(text) {
        return Some(date.to_utc().into());
    }
    let date = NaiveDateTime::parse_from_str(text, "%A, %d-%b-%y %H:%M:%S GMT");
    Some(date.ok()?.and_utc().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(status: u16, text: &'static str) -> Option<Duration> {
        let headers = [(header::RETRY_AFTER, text.parse().expect("a value"))];
        // 2027-01-15T08:00:00Z
        read(
            status,
            &HeaderMap::from_iter(headers),
            Timestamp(1_800_000_000_000_000),
        )
    }

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        assert_eq!(pause(429, "120"), Some(Duration::from_mins(2)));
        let date = "Fri, 15 Jan 2027 08:01:00 GMT";
        assert_eq!(pause(503, date), Some(Duration::from_mins(1)));
        assert_eq!(
            pause(503, "Fri, 15 Jan 2027 07:00:00 GMT"),
            Some(Duration::ZERO)
        );
        assert_eq!(pause(503, "99999999999"), Some(LONGEST));
    }

    #[test]
    fn other_answers_and_other_texts_ask_for_nothing() {
        assert_eq!(pause(500, "120"), None);
        assert_eq!(pause(503, "soon"), None);
        assert_eq!(pause(503, "-1"), None);
    }
}
