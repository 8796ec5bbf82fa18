//! Integers as requests write them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A 64-bit integer. Fractions, exponents and texts are refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Int(pub(crate) i64);

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_i64(IntVisitor)
    }
}

struct IntVisitor;

impl Visitor<'_> for IntVisitor {
    type Value = Int;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer of 64 bits")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Int, E> {
        Ok(Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Int, E> {
        let int = i64::try_from(value);
        int.map(Int)
            .map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Int, E> {
        // The parser takes `-0` for a fraction, to keep its sign.
        if value.to_bits() == (-0.0_f64).to_bits() {
            return Ok(Int(0));
        }
        Err(E::invalid_type(Unexpected::Float(value), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_integers_of_64_bits_are_taken() {
        let read = |text: &str| serde_json::from_str::<Int>(text).ok().map(|int| int.0);
        assert_eq!(read("-0"), Some(0));
        assert_eq!(read("9223372036854775807"), Some(i64::MAX));
        assert_eq!(read("-9223372036854775808"), Some(i64::MIN));
        for refused in [
            "9223372036854775808",
            "1.0",
            "1e3",
            "\"1\"",
            "true",
            "[1]",
            "01",
        ] {
            assert_eq!(read(refused), None, "{refused}");
        }
    }
}
