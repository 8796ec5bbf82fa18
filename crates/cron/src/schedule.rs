//! A schedule: a cron expression, read.

use chrono::{
    DateTime, Datelike as _, Days as DayCount, Months, NaiveDate, NaiveTime, Timelike as _,
};

use crate::days::{Days, Weekdays};
use crate::error::ScheduleError;
use crate::field::{DAY, HOUR, MINUTE, MONTH, SECOND, Set, WEEKDAY};
use crate::time_of_day::TimesOfDay;

/// The bytes of the longest text that is read. Naming every value of every field takes about 600.
const MAX_BYTES: usize = 1024;

/// Expressions that have a name, and what they stand for.
const NAMED: [(&str, &str); 10] = [
    ("@yearly", "0 0 0 1 1 *"),
    ("@annually", "0 0 0 1 1 *"),
    ("@monthly", "0 0 0 1 * *"),
    ("@weekly", "0 0 0 * * 0"),
    ("@daily", "0 0 0 * * *"),
    ("@hourly", "0 0 * * * *"),
    ("@minutely", "0 * * * * *"),
    ("@secondly", "* * * * * *"),
    ("@weekdays", "0 0 0 * * 1-5"),
    ("@weekends", "0 0 0 * * 0,6"),
];

/// What the empty text stands for.
const EMPTY: &str = "0 * * * * *";

/// The last of these stand in front of fewer than six fields: before five the second 0, before
/// four every second of the minute 0, and so on.
const LEADING: [&str; 6] = ["*", "*", "*", "*", "*", "0"];

/// After so many months the calendar repeats itself, weekdays included.
const MONTHS_OF_A_CYCLE: u32 = 400 * 12;

/// When something is due, again and again: a parsed cron expression. All of it is UTC.
///
/// ```
/// use taskyard_cron::Schedule;
///
/// let noon_on_weekdays = Schedule::parse("0 0 12 * * MON-FRI", "group/hook")?;
/// // From Friday, 1970-01-02 at noon, to the Monday after it.
/// assert_eq!(noon_on_weekdays.next_after(129_600_000), Some(388_800_000));
/// # Ok::<(), taskyard_cron::ScheduleError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    months: Set,
    days: Days,
    times: TimesOfDay,
}

// === impl Schedule ===

impl Schedule {
    /// Reads an expression. `name` is what `H` is derived from, so that it stays the same, e.g.
    /// "group/hook".
    ///
    /// Refused are texts that are no expression, are longer than 1 KiB, or name no day that the
    /// calendar has. A schedule that is read comes due at least every 40 years.
    pub fn parse(text: &str, name: &str) -> Result<Self, ScheduleError> {
        if text.len() > MAX_BYTES {
            return Err(ScheduleError::TooLong { most: MAX_BYTES });
        }
        let [second, minute, hour, day, month, weekday] = fields(text)?;
        let schedule = Self {
            times: TimesOfDay {
                seconds: SECOND.parse(second, name)?,
                minutes: MINUTE.parse(minute, name)?,
                hours: HOUR.parse(hour, name)?,
            },
            days: Days {
                of_month: match day {
                    "*" | "?" => None,
                    day => Some(DAY.parse(day, name)?),
                },
                of_week: weekdays(weekday, name)?,
            },
            months: MONTH.parse(month, name)?,
        };
        // What is not in one cycle of the calendar, begun anywhere, is in none.
        let any_day = NaiveDate::default();
        if schedule.misses_its_month() || schedule.first_day(any_day).is_none() {
            return Err(ScheduleError::NoSuchDay);
        }
        Ok(schedule)
    }

    /// The first time strictly after `after`, in whole seconds; both are milliseconds since the
    /// Unix epoch. `None` is the end of the calendar, which spans about 262,000 years both ways.
    pub fn next_after(&self, after_ms: i64) -> Option<i64> {
        let next_second = after_ms.div_euclid(1000) + 1;
        let from = DateTime::from_timestamp(next_second, 0)?.naive_utc();
        let today = from.date();
        let time = from.time().num_seconds_from_midnight();
        let (day, second) = match self.times.at_or_after(time) {
            Some(second) if self.first_day(today)? == today => (today, second),
            _ => {
                let tomorrow = today.checked_add_days(DayCount::new(1))?;
                (self.first_day(tomorrow)?, self.times.at_or_after(0)?)
            }
        };
        let time = NaiveTime::from_num_seconds_from_midnight_opt(second, 0)?;
        Some(day.and_time(time).and_utc().timestamp_millis())
    }

    /// The first day that is named and not before `from`.
    fn first_day(&self, from: NaiveDate) -> Option<NaiveDate> {
        let mut month = from.with_day(1)?;
        let mut passed: Set = (1 << from.day()) - 1;
        // One month more than a cycle, for of the first only the rest counts.
        for _ in 0..=MONTHS_OF_A_CYCLE {
            if self.months >> month.month() & 1 == 1 {
                let days = self.days.within(month) & !passed;
                if days != 0 {
                    return month.with_day(days.trailing_zeros());
                }
            }
            passed = 0;
            month = month.checked_add_months(Months::new(1))?;
        }
        None
    }

    /// Whether a single month is named together with days that it never has. That is a mistake
    /// even if weekdays are named as well.
    fn misses_its_month(&self) -> bool {
        let month = self.months.trailing_zeros();
        let leap_year = NaiveDate::from_ymd_opt(2000, month, 1);
        let longest = leap_year.map_or(0, |first| u32::from(first.num_days_in_month()));
        let single = self.months.is_power_of_two();
        single && self.days.miss(longest)
    }
}

/// The six fields: second, minute, hour, day, month, weekday.
fn fields(text: &str) -> Result<[&str; 6], ScheduleError> {
    let text = match NAMED.iter().find(|(name, _)| *name == text) {
        Some((_, expression)) => expression,
        None if text.is_empty() => EMPTY,
        None if text.starts_with('@') => {
            let names = NAMED.map(|(name, _)| name).join(", ");
            return Err(ScheduleError::UnknownName { names });
        }
        None => text,
    };
    let count = text.split_whitespace().count();
    if !(3..=6).contains(&count) {
        return Err(ScheduleError::Fields { count });
    }
    let mut fields = LEADING;
    fields.rotate_left(count);
    for (field, given) in fields[6 - count..].iter_mut().zip(text.split_whitespace()) {
        *field = given;
    }
    Ok(fields)
}

fn weekdays(text: &str, name: &str) -> Result<Option<Weekdays>, ScheduleError> {
    if matches!(text, "*" | "?") {
        return Ok(None);
    }
    let (set, nth) = match text.split_once('#') {
        None => (WEEKDAY.parse(text, name)?, None),
        Some((weekday, nth)) => {
            let (set, nth) = WEEKDAY.parse_nth(weekday, nth, name)?;
            (set, Some(nth))
        }
    };
    Ok(Some(Weekdays { set, nth }))
}
