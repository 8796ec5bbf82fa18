//! Moments: `now`, and those before and after it.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, SecondsFormat, Utc};

use crate::datum::Datum;
use crate::error::{Cause, excerpt};
use crate::evaluate::Evaluator;
use crate::offset::{self, NoOffset};

/// The moment so far from `from`, or from `now`. Null where that is no moment.
pub(crate) fn from_now(
    offset: &str,
    from: Option<Datum>,
    evaluator: &mut Evaluator<'_, '_>,
) -> Result<Datum, Cause> {
    let from = match from {
        Some(from) => from,
        None => evaluator
            .name("now")?
            .ok_or_else(|| Cause::UnknownName("now".into()))?,
    };
    let Datum::Text(from) = from else {
        return Err(Cause::NotMoment);
    };
    evaluator.budget.spend_text(offset.len() + from.len())?;
    let delta = offset::parse(offset).map_err(|reason| match reason {
        NoOffset::Malformed => Cause::NotOffset(excerpt(offset)),
        NoOffset::TooLong => Cause::OutOfCalendar(excerpt(offset)),
    })?;
    let Some(from) = parse(&from) else {
        return Ok(Datum::Null);
    };
    let moment = from
        .checked_add_signed(delta)
        // Beyond these years a moment is not written with four digits.
        .filter(|moment| (0..=9999).contains(&moment.year()))
        .ok_or_else(|| Cause::OutOfCalendar(excerpt(offset)))?;
    let text = moment.to_rfc3339_opts(SecondsFormat::Millis, true);
    Datum::text(&text, evaluator.budget)
}

/// Reads a date, or a date with a time of day; what is not said is the first there is, in UTC.
fn parse(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Some(moment.to_utc());
    }
    for zoned in ["%Y-%m-%dT%H:%M%:z", "%Y-%m-%dT%H:%M%#z"] {
        if let Ok(moment) = DateTime::parse_from_str(text, zoned) {
            return Some(moment.to_utc());
        }
    }
    let text = text.strip_suffix('Z').unwrap_or(text);
    for local in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"] {
        if let Ok(moment) = NaiveDateTime::parse_from_str(text, local) {
            return Some(moment.and_utc());
        }
    }
    let midnight = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(midnight.and_hms_opt(0, 0, 0)?.and_utc())
}
