//! At which times of a day a schedule is due.

use crate::field::Set;

/// The times of a day: every combination of the hours, minutes and seconds, none of them empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimesOfDay {
    pub(crate) hours: Set,
    pub(crate) minutes: Set,
    pub(crate) seconds: Set,
}

impl TimesOfDay {
    /// The first time that is not before `second`; both in seconds since midnight.
    pub(crate) fn at_or_after(&self, second: u32) -> Option<u32> {
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let this_minute = || Some((hour, minute, at_least(self.seconds, second)?));
        let this_hour = || {
            Some((
                hour,
                at_least(self.minutes, minute + 1)?,
                first(self.seconds),
            ))
        };
        let later = || {
            let hour = at_least(self.hours, hour + 1)?;
            Some((hour, first(self.minutes), first(self.seconds)))
        };
        let (hour, minute, second) = match (has(self.hours, hour), has(self.minutes, minute)) {
            (true, true) => this_minute().or_else(this_hour).or_else(later),
            (true, false) => this_hour().or_else(later),
            (false, _) => later(),
        }?;
        Some(hour * 3600 + minute * 60 + second)
    }
}

fn has(set: Set, value: u32) -> bool {
    set >> value & 1 == 1
}

fn first(set: Set) -> u32 {
    set.trailing_zeros()
}

/// The smallest value of the set that is at least `least`, which is at most 60.
fn at_least(set: Set, least: u32) -> Option<u32> {
    let rest = set >> least;
    (rest != 0).then(|| least + first(rest))
}
