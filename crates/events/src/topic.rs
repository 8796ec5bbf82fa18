//! Topic matching: routing keys against the patterns of bindings.
//!
//! Words are separated by dots; the empty string has none. In a pattern the word `*` stands for
//! exactly one word, also an empty one, and `#` for any number of words. Anything else, also a
//! longer word with such a character in it, stands for itself, byte by byte.

/// Longest routing key or pattern, in bytes: a short string of AMQP.
pub const LONGEST: usize = 255;

/// The words of a routing key or pattern.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    (!text.is_empty())
        .then(|| text.split('.'))
        .into_iter()
        .flatten()
}

/// Whether `pattern` takes messages whose routing key is `key`. The work is bounded by the product
/// of their lengths, however many `#` there are.
pub fn matches(pattern: &str, key: &str) -> bool {
    let pattern: Vec<&str> = words(pattern).collect();
    // Which prefixes of the pattern stand for what was read of the key.
    let mut fits = vec![false; pattern.len() + 1];
    if let Some(first) = fits.first_mut() {
        *first = true;
    }
    skip_hashes(&pattern, &mut fits);
    for word in words(key) {
        let mut next = vec![false; fits.len()];
        for (at, wanted) in pattern.iter().enumerate() {
            if !fits[at] {
                continue;
            }
            match *wanted {
                "#" => next[at] = true,
                "*" => next[at + 1] = true,
                literal if literal == word => next[at + 1] = true,
                _ => {}
            }
        }
        fits = next;
        skip_hashes(&pattern, &mut fits);
    }
    fits.last().copied().unwrap_or(false)
}

/// A `#` may stand for no word at all.
fn skip_hashes(pattern: &[&str], fits: &mut [bool]) {
    for (at, wanted) in pattern.iter().enumerate() {
        if fits[at] && *wanted == "#" {
            fits[at + 1] = true;
        }
    }
}
