//! Moments as clients of this service write them: they send whatever their language makes of a date.

use chrono::{DateTime, NaiveDate, NaiveTime};
use taskyard_engine::Timestamp;

use crate::date_time;

/// Reads a date-time, a day, what JavaScript prints (`Mon Oct 07 2019 15:46:01 GMT+0000 (UTC)`) and
/// what mails have.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    if let Some(time) = date_time::parse(text) {
        return Some(time);
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(Timestamp::from(day.and_time(NaiveTime::MIN).and_utc()));
    }
    let zone_is_named = text.find(" (");
    let plain = zone_is_named.map_or(text, |at| &text[..at]);
    // A plus that was not escaped has become a blank.
    let plain = plain.replace("GMT ", "GMT+");
    DateTime::parse_from_str(&plain, "%a %b %d %Y %H:%M:%S GMT%z")
        .or_else(|_| DateTime::parse_from_rfc2822(&plain))
        .ok()
        .map(|time| Timestamp::from(time.to_utc()))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_moment_is_read_however_it_is_written() {
        for text in [
            "2019-10-07T15:46:01Z",
            "2019-10-07T17:46:01.000+02:00",
            "Mon Oct 07 2019 15:46:01 GMT+0000 (Coordinated Universal Time)",
            "Mon Oct 07 2019 17:46:01 GMT 0200",
            "Mon, 07 Oct 2019 15:46:01 GMT",
        ] {
            let told = parse(text).map(taskyard_engine::Timestamp::to_iso);
            assert_eq!(told.as_deref(), Some("2019-10-07T15:46:01.000Z"), "{text}");
        }
        let day = parse("2019-10-07").map(taskyard_engine::Timestamp::to_iso);
        assert_eq!(day.as_deref(), Some("2019-10-07T00:00:00.000Z"));
        for text in ["", "yesterday", "2019-13-01", "Mon Oct 07 2019"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
