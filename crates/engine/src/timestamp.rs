//! Points in time, as the engine keeps them.

use std::time::Duration;

use chrono::{DateTime, Datelike as _, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use taskyard_store::{Column, Error, Row, Value};

/// A point in time: microseconds since the Unix epoch, UTC.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The given milliseconds since the epoch.
    pub fn from_millis(millis: i64) -> Self {
        Timestamp(millis.saturating_mul(1000))
    }

    /// Milliseconds since the epoch, rounded down.
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment without its microseconds.
    pub fn trunc_millis(self) -> Self {
        Timestamp::from_millis(self.millis())
    }

    /// `duration` later.
    pub fn plus(self, duration: Duration) -> Self {
        Timestamp(
            self.0
                .saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// `duration` earlier.
    pub fn minus(self, duration: Duration) -> Self {
        Timestamp(
            self.0
                .saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `2026-03-01T10:00:00.123Z`; the microseconds are cut off.
    pub fn to_iso(self) -> String {
        self.with_iso(str::to_owned)
    }

    /// Hands what [`Timestamp::to_iso`] says to `say`, without a text of its own: every answer and
    /// every message tells several moments.
    pub fn with_iso<T>(self, say: impl FnOnce(&str) -> T) -> T {
        let utc = self.to_utc();
        let year = match u32::try_from(utc.year()) {
            Ok(year) if year <= 9999 => year,
            _ => return say(&utc.to_rfc3339_opts(SecondsFormat::Millis, true)),
        };
        let second_of_day = self.0.div_euclid(1_000_000).rem_euclid(86_400) as u32;
        let millis = self.millis().rem_euclid(1000) as u32;
        let [c1, c2] = digits(year / 100);
        let [y1, y2] = digits(year % 100);
        let [m1, m2] = digits(utc.month());
        let [d1, d2] = digits(utc.day());
        let [h1, h2] = digits(second_of_day / 3600);
        let [n1, n2] = digits(second_of_day / 60 % 60);
        let [s1, s2] = digits(second_of_day % 60);
        let [f1, f2] = digits(millis / 10);
        let f3 = b'0' + (millis % 10) as u8;
        let text = [
            c1, c2, y1, y2, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2,
            b'.', f1, f2, f3, b'Z',
        ];
        say(std::str::from_utf8(&text).unwrap_or_default())
    }

    /// This moment in the calendar. Moments outside of chrono's range (±262,000 years) become its
    /// bounds.
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or(if self.0 < 0 {
            DateTime::<Utc>::MIN_UTC
        } else {
            DateTime::<Utc>::MAX_UTC
        })
    }
}

/// The two digits of a number below 100.
fn digits(number: u32) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Timestamp(time.timestamp_micros())
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(time: Timestamp) -> Self {
        Value::Int(time.0)
    }
}

impl Column for Timestamp {
    fn read(row: &Row<'_>, index: usize) -> Result<Self, Error> {
        row.get(index).map(Timestamp)
    }
}

/// A point in time in nanoseconds since the epoch, as leases keep it: it reaches from 1677 to 2262,
/// and later times count as 2262.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub i64);

impl Nanos {
    /// The microsecond that has passed by this time, rounded up so that nothing is early.
    pub fn ceil_micros(self) -> Timestamp {
        Timestamp(
            self.0
                .div_euclid(1000)
                .saturating_add(i64::from(self.0.rem_euclid(1000) > 0)),
        )
    }
}

impl From<Timestamp> for Nanos {
    fn from(time: Timestamp) -> Self {
        Nanos(time.0.saturating_mul(1000))
    }
}

impl From<Nanos> for Value<'_> {
    fn from(time: Nanos) -> Self {
        Value::Int(time.0)
    }
}

impl Column for Nanos {
    fn read(row: &Row<'_>, index: usize) -> Result<Self, Error> {
        row.get(index).map(Nanos)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_print_as_the_calendar_has_them(
            time in prop_oneof![any::<i64>(), -100_000_000_000_000_000..300_000_000_000_000_000_i64]
        ) {
            let time = Timestamp(time);
            let chronos = time.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true);
            prop_assert_eq!(time.to_iso(), chronos);
        }
    }

    #[test]
    fn times_print_as_iso_with_milliseconds() {
        assert_eq!(
            Timestamp(1_772_359_200_123_999).to_iso(),
            "2026-03-01T10:00:00.123Z"
        );
    }

    #[test]
    fn milliseconds_round_down_before_the_epoch_too() {
        assert_eq!(Timestamp(-1).millis(), -1);
    }

    #[test]
    fn far_times_saturate_as_nanoseconds() {
        assert_eq!(Nanos::from(Timestamp(i64::MAX / 2)), Nanos(i64::MAX));
    }
}
