//! Known answers about cron expressions, computed with the reference implementation.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use serde_json::Value;
use taskyard_cron::{Schedule, ScheduleError};

const NAME: &str = "group/hook";

fn cases(part: &str) -> Vec<Value> {
    let mut file: Value = serde_json::from_str(include_str!("vectors/cron.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_value(file[part].take()).unwrap();
    assert!(!cases.is_empty());
    cases
}

fn expression(case: &Value) -> &str {
    case["expr"].as_str().unwrap()
}

fn millis(time: &str) -> i64 {
    let time = DateTime::parse_from_rfc3339(time).unwrap();
    time.timestamp_millis()
}

fn parse(text: &str) -> Result<Schedule, ScheduleError> {
    Schedule::parse(text, NAME)
}

fn refusal(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn the_next_five_times_are_the_known_ones() {
    for case in cases("valid") {
        let schedule = parse(expression(&case)).unwrap_or_else(|error| panic!("{case}: {error}"));
        let next: BTreeMap<String, Vec<String>> =
            serde_json::from_value(case["next"].clone()).unwrap();
        assert_eq!(next.len(), 6);
        for (reference, expected) in next {
            let mut time = millis(&reference);
            assert_eq!(expected.len(), 5);
            for expected in expected {
                time = schedule.next_after(time).unwrap();
                assert_eq!(time, millis(&expected), "{} {reference}", expression(&case));
            }
        }
    }
}

#[test]
fn what_is_invalid_is_refused() {
    for case in cases("invalid") {
        assert!(parse(expression(&case)).is_err(), "{case}");
    }
}

#[test]
fn what_names_no_day_is_refused() {
    for case in cases("acceptedButNeverFires") {
        assert!(parse(expression(&case)).is_err(), "{case}");
    }
}

#[test]
fn the_first_of_several_schedules_counts() {
    for case in cases("scheduleLists") {
        let schedules: Vec<String> = serde_json::from_value(case["schedule"].clone()).unwrap();
        let reference = millis(case["reference"].as_str().unwrap());
        let next = schedules
            .iter()
            .filter_map(|text| parse(text).unwrap().next_after(reference))
            .min();
        let expected = millis(case["next"].as_str().unwrap());
        let expected = (!schedules.is_empty()).then_some(expected);
        assert_eq!(next, expected, "{case}");
    }
}

#[test]
fn a_hashed_value_is_the_same_for_a_name_and_differs_between_names() {
    for case in cases("nondeterministic") {
        let text = expression(&case);
        assert_eq!(parse(text).unwrap(), parse(text).unwrap());
        let times: BTreeSet<i64> = (0..50)
            .map(|number| Schedule::parse(text, &format!("group/{number}")).unwrap())
            .map(|schedule| schedule.next_after(0).unwrap())
            .collect();
        assert!(times.len() > 25, "{text}: {times:?}");
    }
}

/// Whoever updates the server keeps the times of its hooks.
#[test]
fn hashed_values_never_change() {
    let first = |text| parse(text).unwrap().next_after(0).unwrap();
    assert_eq!(first("H H H * * *"), millis("1970-01-01T06:26:18Z"));
    assert_eq!(first("0 0 0 H H *"), millis("1970-06-03T00:00:00Z"));
    assert_eq!(first("0 0 0 * * H"), millis("1970-01-04T00:00:00Z"));
}

#[test]
fn a_hashed_day_is_in_every_month() {
    for number in 0..200 {
        let name = format!("group/{number}");
        Schedule::parse("H H H H 2 *", &name).unwrap();
    }
}

#[test]
fn the_nth_weekday_and_a_day_of_the_month_both_count() {
    let schedule = parse("0 0 0 15 * 1#1").unwrap();
    let first = schedule.next_after(millis("2024-03-01T00:00:00Z")).unwrap();
    assert_eq!(first, millis("2024-03-04T00:00:00Z"));
    let second = schedule.next_after(first).unwrap();
    assert_eq!(second, millis("2024-03-15T00:00:00Z"));
}

#[test]
fn what_comes_once_in_forty_years_is_found() {
    // The 29th of February is a Monday in 2072 and, as 2100 is no leap year, next in 2112.
    let schedule = parse("0 0 0 * 2 1#5").unwrap();
    let next = schedule.next_after(millis("2072-02-29T00:00:00Z"));
    assert_eq!(next, Some(millis("2112-02-29T00:00:00Z")));
}

#[test]
fn times_before_1970_are_times_as_well() {
    let schedule = parse("0 0 0 29 2 *").unwrap();
    assert_eq!(
        schedule.next_after(-1),
        Some(millis("1972-02-29T00:00:00Z"))
    );
    let next = schedule.next_after(millis("1899-12-31T23:59:59.999Z"));
    assert_eq!(next, Some(millis("1904-02-29T00:00:00Z")));
    assert_eq!(parse("* * * * * *").unwrap().next_after(-1), Some(0));
}

#[test]
fn after_the_end_of_the_calendar_comes_nothing() {
    let schedule = parse("* * * * * *").unwrap();
    assert_eq!(schedule.next_after(i64::MAX), None);
    assert_eq!(schedule.next_after(i64::MIN), None);
    let end = chrono::DateTime::<chrono::Utc>::MAX_UTC.timestamp_millis();
    assert_eq!(schedule.next_after(end), None);
    assert!(schedule.next_after(end - 2000).is_some());
}

#[test]
fn a_refusal_says_what_is_wrong() {
    for (text, expected) in [
        ("0 0 24 * * *", "the hour: 24 is not within 0 to 23"),
        (
            "0 0 0 * * 6-0",
            "the weekday: the range from 6 to 0 runs backwards",
        ),
        (
            "0 0 0 1,,2 * *",
            "the day of the month: an element of the list is empty",
        ),
        ("0 0 0 1 JANUARY *", "the month: 'JANUARY' is no value"),
        (
            "*/0 * * * * *",
            "the second: '0' is no step; a step is a number of at least 1",
        ),
        (
            "1/2/3 * * * * *",
            "the second: '2/3' is no step; a step is a number of at least 1",
        ),
        (
            "0 5,5 * * * *",
            "the minute: '5' names a value for a second time",
        ),
        (
            "0 0 0 * * 1-3#2",
            "the weekday: '#' stands between one weekday and a number from 1 to 5",
        ),
        ("0 0 0 30 2 *", "no month that is named has such a day"),
        ("0 0 0 30 2 1", "no month that is named has such a day"),
        ("1 2", "2 fields instead of three to six"),
        ("   ", "0 fields instead of three to six"),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
    assert_eq!(refusal(&"*".repeat(1025)), "more than 1024 bytes");
    let unknown = refusal("@reboot");
    assert!(
        unknown.starts_with("not one of the names @yearly, @annually,"),
        "{unknown}"
    );
}
