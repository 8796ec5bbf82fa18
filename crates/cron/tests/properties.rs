//! What must hold for all expressions, tried on random ones.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use chrono::{DateTime, Datelike as _, Days, NaiveDate, Timelike as _, Utc};
use croner::parser::{CronParser, Seconds, Year};
use proptest::prelude::*;
use taskyard_cron::{Schedule, ScheduleError};

/// A field as it is written, and what it means.
#[derive(Debug, Clone)]
struct Field {
    text: String,
    values: BTreeSet<u32>,
}

impl Field {
    fn is_star(&self) -> bool {
        self.text == "*"
    }
}

/// A star, a list, a range or steps; every value once.
fn field(range: RangeInclusive<u32>) -> impl Strategy<Value = Field> {
    let (min, max) = (*range.start(), *range.end());
    let star = Just(Field {
        text: "*".to_owned(),
        values: range.clone().collect(),
    });
    let list = prop::collection::btree_set(range.clone(), 1..4).prop_map(|values| {
        let texts: Vec<String> = values.iter().rev().map(ToString::to_string).collect();
        Field {
            text: texts.join(","),
            values,
        }
    });
    let ranged = (range.clone(), range.clone(), 1..20_usize).prop_map(|(one, other, step)| {
        let (from, to) = (one.min(other), one.max(other));
        let text = match step {
            1 => format!("{from}-{to}"),
            step => format!("{from}-{to}/{step}"),
        };
        Field {
            text,
            values: (from..=to).step_by(step).collect(),
        }
    });
    let stepped = (1..20_usize).prop_map(move |step| Field {
        text: format!("*/{step}"),
        values: (min..=max).step_by(step).collect(),
    });
    prop_oneof![2 => star, 2 => list, 1 => ranged, 1 => stepped]
}

/// Which of the weekdays in a month counts.
#[derive(Debug, Clone, Copy)]
enum Which {
    Every,
    Nth(u32),
    Last,
}

#[derive(Debug, Clone)]
struct Expression {
    second: Field,
    minute: Field,
    hour: Field,
    day: Field,
    last_day: bool,
    month: Field,
    weekday: Field,
    which: Which,
}

impl Expression {
    fn text(&self) -> String {
        let last_day = if self.last_day { ",L" } else { "" };
        let day = format!("{}{last_day}", self.day.text);
        let weekday = match self.which {
            Which::Every => self.weekday.text.clone(),
            Which::Nth(nth) => format!("{}#{nth}", self.weekday.text),
            Which::Last => format!("{}L", self.weekday.text),
        };
        let (second, minute) = (&self.second.text, &self.minute.text);
        let (hour, month) = (&self.hour.text, &self.month.text);
        format!("{second} {minute} {hour} {day} {month} {weekday}")
    }

    fn names_day(&self, date: NaiveDate) -> bool {
        let tomorrow = date.checked_add_days(Days::new(1)).unwrap();
        let last_day = tomorrow.month() != date.month();
        let next_week = date.checked_add_days(Days::new(7)).unwrap();
        let day = self.day.values.contains(&date.day()) || self.last_day && last_day;
        let which = match self.which {
            Which::Every => true,
            Which::Nth(nth) => date.day().div_ceil(7) == nth,
            Which::Last => next_week.month() != date.month(),
        };
        let weekday = date.weekday().num_days_from_sunday();
        let weekday = self.weekday.values.contains(&weekday) && which;
        let any_day = self.day.is_star() && !self.last_day;
        let any_weekday = self.weekday.is_star() && matches!(self.which, Which::Every);
        let named = match (any_day, any_weekday) {
            (true, true) => true,
            (true, false) => weekday,
            (false, true) => day,
            (false, false) => day || weekday,
        };
        named && self.month.values.contains(&date.month())
    }

    fn names(&self, time: DateTime<Utc>) -> bool {
        self.second.values.contains(&time.second())
            && self.minute.values.contains(&time.minute())
            && self.hour.values.contains(&time.hour())
            && self.names_day(time.date_naive())
    }
}

fn expression() -> impl Strategy<Value = Expression> {
    let days = (field(1..=31), any::<bool>());
    let which = prop_oneof![
        2 => Just(Which::Every),
        1 => (1..=5_u32).prop_map(Which::Nth),
        1 => Just(Which::Last),
    ];
    let time = (field(0..=59), field(0..=59), field(0..=23));
    let date = (days, field(1..=12), field(0..=6), which);
    (time, date).prop_map(
        |((second, minute, hour), ((day, last), month, weekday, which))| {
            // `*/7` names one day, too, but takes no `#` or `L`.
            let single = weekday.values.len() == 1 && weekday.text.parse::<u32>().is_ok();
            // `*/7` has one value, too, but is not one weekday.
            let which = if single { which } else { Which::Every };
            // A star that is not alone is no longer one.
            let last_day = last && !day.is_star();
            Expression {
                second,
                minute,
                hour,
                day,
                last_day,
                month,
                weekday,
                which,
            }
        },
    )
}

/// From 1950 to 2110.
fn millis() -> impl Strategy<Value = i64> {
    -631_152_000_000..4_417_977_600_000_i64
}

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap()
}

fn parse(text: &str) -> Result<Schedule, ScheduleError> {
    Schedule::parse(text, "group/hook")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_next_time_is_later_a_whole_second_and_named(expression in expression(), after in millis()) {
        if let Ok(schedule) = parse(&expression.text()) {
            let next = schedule.next_after(after).unwrap();
            prop_assert!(next > after);
            prop_assert_eq!(next % 1000, 0);
            prop_assert!(expression.names(at(next)));
            // Everything between is passed over by whoever asks from there.
            let between = after + (next - after) / 2;
            prop_assert_eq!(schedule.next_after(between.min(next - 1)), Some(next));
        }
    }

    #[test]
    fn no_day_before_the_next_is_named(expression in expression(), after in millis()) {
        let schedule = parse(&expression.text());
        let start = at(after).date_naive();
        let mut days = start.iter_days().skip(1).take(366 * 9);
        let named = days.find(|day| expression.names_day(*day));
        match schedule {
            Ok(schedule) => {
                let midnight = start.and_hms_opt(23, 59, 59).unwrap().and_utc();
                let next = schedule.next_after(midnight.timestamp_millis()).unwrap();
                let next = at(next).date_naive();
                match named {
                    Some(named) => prop_assert_eq!(next, named),
                    None => prop_assert!(next > start + Days::new(366 * 9)),
                }
            }
            // A single month without such a day is refused even if its weekdays are named.
            Err(error) => {
                prop_assert_eq!(error, ScheduleError::NoSuchDay);
                let first = expression.day.values.first().copied().unwrap();
                let lengths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
                let months = &expression.month.values;
                prop_assert!(months.iter().all(|month| first > lengths[*month as usize - 1]));
                prop_assert!(named.is_none() || months.len() == 1);
            }
        }
    }

    /// Where the two languages are the same: six fields, no second naming, no lonely step.
    #[test]
    fn another_implementation_agrees(expression in expression(), after in millis()) {
        let text = expression.text();
        let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Disallowed).build();
        if let Ok(schedule) = parse(&text) {
            let other = parser.parse(&text).unwrap();
            // It takes whole seconds and, like ours, looks strictly after them.
            let after = at(after.div_euclid(1000) * 1000);
            let expected = other.find_next_occurrence(&after, false).unwrap();
            let next = schedule.next_after(after.timestamp_millis()).map(at);
            prop_assert_eq!(next, Some(expected), "{}", text);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}", after in any::<i64>()) {
        if let Ok(schedule) = parse(&text) {
            prop_assert!(schedule.next_after(after).is_none_or(|next| next > after));
        }
    }

    #[test]
    fn any_text_of_the_right_letters_is_read_or_refused(
        fields in prop::collection::vec("[0-9*]|[0-9*?,/LH#-]{1,5}|(mon|JUL)[,L#-]{0,1}[1-7]{0,1}", 3..=6),
        after in any::<i64>(),
    ) {
        if let Ok(schedule) = parse(&fields.join(" ")) {
            prop_assert!(schedule.next_after(after).is_none_or(|next| next > after));
            prop_assert!(schedule.next_after(0).is_some());
            prop_assert_eq!(parse(&format!(" {}\n", fields.join("\t "))), Ok(schedule));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_second_before_the_next_is_named(expression in expression(), after in millis()) {
        // Days are tried elsewhere, and would leave most of these windows empty.
        let expression = Expression {
            day: Field { text: "*".to_owned(), ..expression.day },
            last_day: false,
            month: Field { text: "*".to_owned(), values: (1..=12).collect() },
            weekday: Field { text: "*".to_owned(), values: (0..=6).collect() },
            which: Which::Every,
            ..expression
        };
        let schedule = parse(&expression.text()).unwrap();
        let second = after.div_euclid(1000);
        let mut window = second + 1..=second + 2 * 86_400;
        let named = window.find(|second| expression.names(at(second * 1000)));
        prop_assert_eq!(schedule.next_after(after), named.map(|second| second * 1000));
    }
}

#[test]
fn no_text_takes_long() {
    let pieces = [
        "*", ",", "1-", "0,", "0-0,", "0/99,", "H-", " ", "#", "\u{2003}", "a/",
    ];
    let start = Instant::now();
    for piece in pieces {
        assert!(parse(&piece.repeat(1_000_000)).is_err());
        for count in 1..=250 {
            let text = format!("{}0 * * 31 2,4 *", piece.repeat(count));
            assert!(parse(&text).is_err(), "{text}");
        }
    }
    // Orders of magnitude more than it takes, so that no busy machine fails it.
    assert!(start.elapsed() < Duration::from_mins(1));
}
