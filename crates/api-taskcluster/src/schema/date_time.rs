//! Which texts are dates and times.

/// Whether `text` is a date and time as the services take it: RFC 3339, and besides that a zone may
/// be missing (it means UTC), lack its minutes or its colon, and a space may stand for the `T`.
/// A leap second is refused, since no time can be made of it.
pub fn is_date_time(text: &str) -> bool {
    let Some((&[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2], rest)) =
        text.as_bytes().split_first_chunk::<10>()
    else {
        return false;
    };
    let Some((&[separator, h1, h2, b':', i1, i2, b':', s1, s2], rest)) =
        rest.split_first_chunk::<9>()
    else {
        return false;
    };
    let zone = match rest {
        [b'.', fraction @ ..] => {
            let digits = fraction
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            if digits == 0 {
                return false;
            }
            &fraction[digits..]
        }
        _ => rest,
    };
    let zone_fits = match *zone {
        [] | [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2] => below(24, [h1, h2]),
        [b'+' | b'-', h1, h2, m1, m2] | [b'+' | b'-', h1, h2, b':', m1, m2] => {
            below(24, [h1, h2]) && below(60, [m1, m2])
        }
        _ => false,
    };
    zone_fits
        && matches!(separator, b'T' | b't' | b' ' | b'\t')
        && below(24, [h1, h2])
        && below(60, [i1, i2])
        && below(60, [s1, s2])
        && is_day([y1, y2, y3, y4], [m1, m2], [d1, d2])
}

fn is_day(year: [u8; 4], month: [u8; 2], day: [u8; 2]) -> bool {
    let (Some(year), Some(month), Some(day)) = (number(&year), number(&month), number(&day)) else {
        return false;
    };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}

fn below(limit: u32, digits: [u8; 2]) -> bool {
    number(&digits).is_some_and(|number| number < limit)
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u32::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_taken_as_laxly_as_clients_write_them() {
        for good in [
            "2026-03-01T10:00:00.000Z",
            "2026-03-01t10:00:00z",
            "2026-03-01 10:00:00",
            "2026-03-01T10:00:00.123456789+02",
            "2026-03-01T10:00:00-0230",
            "2026-03-01T23:59:59+14:00",
            "2024-02-29T00:00:00Z",
            "2000-02-29T00:00:00Z",
        ] {
            assert!(is_date_time(good), "{good}");
        }
        for bad in [
            "",
            "2026-03-01",
            "2026-03-01T10:00Z",
            "2026-03-01T10:00:00.Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T10:60:00Z",
            "2016-12-31T23:59:60Z",
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-03-00T00:00:00Z",
            "2026-03-01T10:00:00+24:00",
            "2026-03-01T10:00:00+2",
            "2026-03-01T10:00:00Zulu",
            "2026-03-01_10:00:00Z",
            "2o26-03-01T10:00:00Z",
            "+2026-03-01T10:00:00Z",
            "2026-03-01T10:00:00.1\u{0661}Z",
        ] {
            assert!(!is_date_time(bad), "{bad}");
        }
    }
}
