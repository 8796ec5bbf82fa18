//! Which days of a month a schedule names.

use chrono::{Datelike as _, NaiveDate};

use crate::field::{LAST, Set};

/// The days that are named, by their number, by their weekday or by both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Days {
    /// Days of the month; `None` says nothing about them.
    pub(crate) of_month: Option<Set>,
    /// Days of the week; `None` says nothing about them.
    pub(crate) of_week: Option<Weekdays>,
}

/// Weekdays, 0 is Sunday.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Weekdays {
    pub(crate) set: Set,
    /// Only the first of them in the month, the second, and so on.
    pub(crate) nth: Option<u32>,
}

// === impl Days ===

impl Days {
    /// The days of the month that begins with `first`. If both kinds are named, either counts.
    pub(crate) fn within(&self, first: NaiveDate) -> Set {
        let length = u32::from(first.num_days_in_month());
        // Bits 1 to `length`.
        let all: Set = (1 << (length + 1)) - 2;
        let of_month = self.of_month.map(|set| {
            let last = set >> LAST & 1;
            (set | last << length) & all
        });
        let weekday = first.weekday().num_days_from_sunday();
        let of_week = self.of_week.as_ref().map(|days| days.within(weekday, all));
        match (of_month, of_week) {
            (None, None) => all,
            (Some(days), None) | (None, Some(days)) => days,
            (Some(of_month), Some(of_week)) => of_month | of_week,
        }
    }

    /// Whether days of the month are named of which not even the first is in a month of `length`
    /// days.
    pub(crate) fn miss(&self, length: u32) -> bool {
        self.of_month
            .is_some_and(|set| set >> LAST == 0 && set.trailing_zeros() > length)
    }
}

// === impl Weekdays ===

impl Weekdays {
    /// The days of a month that begins with the weekday `first`; `all` are those it has.
    fn within(&self, first: u32, all: Set) -> Set {
        // A range that holds 7 holds 0 as well.
        let every = weekly(self.set & 0x7f, first) & all;
        let every = match self.nth {
            Some(nth) => every & (0x7f << (7 * nth - 6)),
            None => every,
        };
        let final_week = all & !(all >> 7);
        every | (weekly(self.set >> LAST, first) & final_week)
    }
}

/// The weekdays, week after week, so that bit 1 is the weekday `first`.
fn weekly(weekdays: Set, first: u32) -> Set {
    let weeks = (0..6).fold(0, |weeks, week| weeks | weekdays << (7 * week));
    weeks >> first << 1
}
