//! Scopes as plain text: which are valid, which satisfies which, and their order.
//!
//! A scope is a string of printable ASCII; one that ends in `*` stands for everything that starts
//! with what is before the star. A star elsewhere is an ordinary character.

use std::cmp::Ordering;

/// Whether `scope` has only printable ASCII characters. The empty string is valid.
pub fn is_valid(scope: &str) -> bool {
    scope.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}

/// Whether holding `pattern` satisfies the need for `scope`.
///
/// ```
/// use taskyard_access::scope::pattern_match;
/// assert!(pattern_match("queue:*", "queue:create-task:x"));
/// assert!(!pattern_match("queue:", "queue:create-task:x"));
/// ```
pub fn pattern_match(pattern: &str, scope: &str) -> bool {
    pattern == scope
        || pattern
            .strip_suffix('*')
            .is_some_and(|prefix| scope.starts_with(prefix))
}

/// The order in which scopes are listed: by what stands before the star, and `x*` before `x`.
///
/// The byte order of the text would put `a!` between `a` and `a*`; this one keeps a star directly
/// before everything it covers, which is what lets lists be normalized and merged in one pass.
pub fn compare(left: &str, right: &str) -> Ordering {
    let (left_stem, left_star) = stem(left);
    let (right_stem, right_star) = stem(right);
    left_stem.cmp(right_stem).then(right_star.cmp(&left_star))
}

/// What stands before a final star, and whether there was one.
pub(crate) fn stem(scope: &str) -> (&str, bool) {
    scope
        .strip_suffix('*')
        .map_or((scope, false), |stem| (stem, true))
}

/// Merges two lists as they are; neither is sorted first, so unsorted input gives unsorted output.
///
/// Takes the smaller head each time, and after a star skips the heads it covers.
pub fn merge<A: AsRef<str>, B: AsRef<str>>(left: &[A], right: &[B]) -> Vec<String> {
    let mut left = left.iter().map(AsRef::as_ref).peekable();
    let mut right = right.iter().map(AsRef::as_ref).peekable();
    let mut merged = Vec::new();
    loop {
        let next = match (left.peek().copied(), right.peek().copied()) {
            (None, None) => return merged,
            (Some(a), Some(b)) => match compare(a, b) {
                Ordering::Less => left.next(),
                Ordering::Greater => right.next(),
                Ordering::Equal => {
                    left.next();
                    right.next()
                }
            },
            (Some(_), None) => left.next(),
            (None, Some(_)) => right.next(),
        };
        let Some(scope) = next else { return merged };
        if let (prefix, true) = stem(scope) {
            while left.next_if(|other| other.starts_with(prefix)).is_some() {}
            while right.next_if(|other| other.starts_with(prefix)).is_some() {}
        }
        merged.push(scope.to_owned());
    }
}
