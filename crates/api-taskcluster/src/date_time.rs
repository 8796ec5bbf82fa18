//! Times as clients write them.

use chrono::NaiveDate;
use taskyard_engine::Timestamp;

use crate::schema::is_date_time;

/// Reads a date-time as leniently as Taskcluster: any fraction, a zone with or without colon and
/// minutes, or no zone for UTC. What is finer than a millisecond is cut off.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    if !is_date_time(text) {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(number(0, 4)?).ok()?,
        number(5, 7)?,
        number(8, 10)?,
    )?;
    let time = date.and_hms_opt(number(11, 13)?, number(14, 16)?, number(17, 19)?)?;
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(
            rest.find(|next: char| !next.is_ascii_digit())
                .unwrap_or(rest.len()),
        ),
        None => ("", rest),
    };
    let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
    let offset_minutes = match zone.chars().next() {
        None | Some('Z' | 'z') => 0,
        Some(sign) => {
            let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
            let hours: i64 = digits.get(..2)?.parse().ok()?;
            let minutes: i64 = digits.get(2..4).map_or(Ok(0), str::parse).ok()?;
            let total = hours * 60 + minutes;
            if sign == '-' { -total } else { total }
        }
    };
    let utc = time.and_utc().timestamp_millis() + millis.parse::<i64>().ok()?;
    Some(Timestamp::from_millis(utc - offset_minutes * 60_000))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn all_spellings_of_a_moment_are_read() {
        for text in [
            "2026-03-01T10:00:00.123Z",
            "2026-03-01t10:00:00.1239999z",
            "2026-03-01 10:00:00.123",
            "2026-03-01T12:00:00.123+02:00",
            "2026-03-01T12:00:00.123+0200",
            "2026-03-01T12:00:00.123+02",
            "2026-03-01T05:30:00.123-04:30",
        ] {
            let read = parse(text).map(taskyard_engine::Timestamp::to_iso);
            assert_eq!(read.as_deref(), Some("2026-03-01T10:00:00.123Z"), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2026-02-30T10:00:00Z",
            "2026-03-01",
            "2026-03-01T25:00:00Z",
            "now",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
