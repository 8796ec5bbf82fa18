//! Ids of tasks that nobody named: decimal numbers that look random, yet follow from the task's
//! number, so that such a task is found by number and needs no index of its own.

/// Odd, so that multiplying by it can be undone.
const STIR: [u64; 2] = [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb];

/// The id of the unnamed task with this number.
pub(super) fn of_number(number: i64) -> String {
    let mut bits = number.cast_unsigned();
    bits = (bits ^ (bits >> 32)).wrapping_mul(STIR[0]);
    bits = (bits ^ (bits >> 32)).wrapping_mul(STIR[1]);
    bits ^= bits >> 32;
    format!("{bits:020}")
}

/// The number behind such an id; `None` if it is none.
pub(super) fn number(id: &str) -> Option<i64> {
    if id.len() != 20 || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut bits: u64 = id.parse().ok()?;
    bits ^= bits >> 32;
    bits = bits.wrapping_mul(inverse(STIR[1]));
    bits ^= bits >> 32;
    bits = bits.wrapping_mul(inverse(STIR[0]));
    bits ^= bits >> 32;
    Some(bits.cast_signed()).filter(|number| *number > 0)
}

/// What undoes multiplying by `odd`: each round of Newton's method doubles the right bits, of which
/// three are right at the start.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut round = 0;
    while round < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        round += 1;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{number, of_number};

    proptest! {
        #[test]
        fn a_number_is_found_again_in_its_id(expected in 1..i64::MAX) {
            prop_assert_eq!(number(&of_number(expected)), Some(expected));
        }

        #[test]
        fn any_text_may_be_asked_for(text in "[0-9a-z]{0,24}") {
            if let Some(found) = number(&text) {
                prop_assert_eq!(of_number(found), text);
            }
        }
    }

    #[test]
    fn neighbours_do_not_look_alike() {
        let ids: Vec<String> = (1..=3).map(of_number).collect();
        let heads: std::collections::BTreeSet<&str> = ids.iter().map(|id| &id[..4]).collect();
        assert_eq!(heads.len(), 3, "{ids:?}");
    }
}
