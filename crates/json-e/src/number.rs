//! Numbers: whole ones exactly while they fit in 64 bits, else as the language does it, in doubles.

use std::cmp::Ordering;
use std::fmt::Write;

use serde_json::Number;

/// Doubles hold every whole number up to here.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The number, a whole one without a fraction. None for infinity and NaN.
pub(crate) fn from_f64(float: f64) -> Option<Number> {
    if float.fract() == 0.0 && float.abs() <= EXACT {
        // -0 becomes 0.
        return Some((float as i64).into());
    }
    Number::from_f64(float)
}

/// The whole number, however it was written.
pub(crate) fn as_integer(number: &Number) -> Option<i64> {
    number
        .as_i64()
        .or_else(|| number.as_f64().and_then(from_f64)?.as_i64())
}

pub(crate) fn as_f64(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

/// By value: `1` and `1.0` are equal.
pub(crate) fn compare(a: &Number, b: &Number) -> Ordering {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.cmp(&b),
        // Numbers of JSON are finite, so they compare.
        _ => as_f64(a).partial_cmp(&as_f64(b)).unwrap_or(Ordering::Equal),
    }
}

/// The number as text: the fewest digits that tell it from all others, with an exponent only when
/// it is at least 1e21 or less than 1e-6.
pub(crate) fn to_text(number: &Number) -> String {
    if let Some(integer) = as_integer(number) {
        return integer.to_string();
    }
    if let Some(integer) = number.as_u64() {
        return integer.to_string();
    }
    let scientific = format!("{:e}", as_f64(number));
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", mantissa),
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let digits = mantissa.replace('.', "");
    let mut text = String::from(sign);
    if (0..21).contains(&exponent) {
        let whole = exponent as usize + 1;
        if digits.len() > whole {
            let _ = write!(text, "{}.{}", &digits[..whole], &digits[whole..]);
        } else {
            let _ = write!(text, "{digits:0<whole$}");
        }
    } else if (-6..0).contains(&exponent) {
        let zeros = (-exponent - 1) as usize;
        let _ = write!(text, "0.{:0<zeros$}{digits}", "");
    } else {
        let plus = if exponent > 0 { "+" } else { "" };
        let _ = write!(text, "{mantissa}e{plus}{exponent}");
    }
    text
}

/// Reads a number as `number()` does: decimal, with or without exponent, or hexadecimal, octal or
/// binary after `0x`, `0o`, `0b`; blanks around it are passed over and nothing at all is zero.
/// None for anything else.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let text = text.trim();
    if text.is_empty() {
        return Some(0.0);
    }
    let radix = match text.get(..2) {
        Some("0x" | "0X") => 16,
        Some("0o" | "0O") => 8,
        Some("0b" | "0B") => 2,
        _ => {
            // Words such as `inf`, which Rust reads as numbers too, are none.
            let is_part = |byte: u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
            return text.bytes().all(is_part).then(|| text.parse().ok())?;
        }
    };
    let digits = text.get(2..).filter(|digits| !digits.is_empty())?;
    digits.chars().try_fold(0.0, |value, digit| {
        Some(value * f64::from(radix) + f64::from(digit.to_digit(radix)?))
    })
}
