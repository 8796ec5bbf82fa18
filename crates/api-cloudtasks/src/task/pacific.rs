//! The time in California, which is how one refusal tells times.

use chrono::{DateTime, Datelike as _, FixedOffset, NaiveDate, SecondsFormat, Weekday};
use taskyard_engine::Timestamp;

/// `2099-12-31T16:00:00-08:00`.
pub(crate) fn text(time: Timestamp) -> String {
    let utc = time.to_utc();
    let winter = utc.with_timezone(&offset(8));
    let local = if is_summer(&winter) {
        utc.with_timezone(&offset(7))
    } else {
        winter
    };
    local.to_rfc3339_opts(SecondsFormat::AutoSi, false)
}

fn offset(hours_west: i32) -> FixedOffset {
    // Never out of bounds, so the fallback, which is UTC, is never seen.
    FixedOffset::west_opt(hours_west * 3600)
        .unwrap_or_else(|| FixedOffset::east_opt(0).unwrap_or(chrono::Offset::fix(&chrono::Utc)))
}

/// Summer lasts from the second Sunday of March, 2:00, to the first of November, 1:00 winter time.
fn is_summer(winter: &DateTime<FixedOffset>) -> bool {
    let year = winter.year();
    let sunday = |month, nth| NaiveDate::from_weekday_of_month_opt(year, month, Weekday::Sun, nth);
    let bounds = (
        sunday(3, 2).and_then(|day| day.and_hms_opt(2, 0, 0)),
        sunday(11, 1).and_then(|day| day.and_hms_opt(1, 0, 0)),
    );
    match bounds {
        (Some(from), Some(to)) => (from..to).contains(&winter.naive_local()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summer_and_winter_are_told_apart() {
        for (utc, pacific) in [
            ("2100-01-01T00:00:00Z", "2099-12-31T16:00:00-08:00"),
            ("2026-07-01T12:00:00.5Z", "2026-07-01T05:00:00.500-07:00"),
            ("2026-03-08T09:59:59Z", "2026-03-08T01:59:59-08:00"),
            ("2026-03-08T10:00:00Z", "2026-03-08T03:00:00-07:00"),
            ("2026-11-01T08:59:59Z", "2026-11-01T01:59:59-07:00"),
            ("2026-11-01T09:00:00Z", "2026-11-01T01:00:00-08:00"),
        ] {
            let time = DateTime::parse_from_rfc3339(utc).expect("a time");
            assert_eq!(text(Timestamp(time.timestamp_micros())), pacific, "{utc}");
        }
    }
}
