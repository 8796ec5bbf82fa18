//! Cron expressions, and the times they name.
//!
//! Six fields in UTC: second, minute, hour, day of the month, month, weekday. Fewer are filled up
//! from the front. Fields hold lists, ranges and steps; days may also be counted from the end of
//! the month (`L`, `5L`) or within it (`1#2`), and `H` spreads schedules by their name.
//!
//! The language is that of the schedules of Taskcluster's hooks, whose known answers stand in
//! `tests/vectors`. Time is an argument: nothing here reads a clock.

mod days;
mod error;
mod field;
mod schedule;
mod time_of_day;

pub use error::{FieldError, ScheduleError};
pub use schedule::Schedule;
