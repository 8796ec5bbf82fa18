//! "Did you mean …?": the known word closest to a mistyped one.

/// The candidate that was most likely meant, if one is near enough to be a slip of the fingers.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // A third of the letters may differ: `comand` finds `command`, `run` does not find `env`.
    let tolerated = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&fold(word), &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `retry_on`, `retryOn` and `retry-on` are the same word to somebody who mistypes it.
fn fold(word: &str) -> Vec<char> {
    word.chars()
        .filter(|c| !matches!(c, '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// How many letters must be inserted, left out, replaced or swapped with their neighbour.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 5] = ["command", "needs", "env", "retry-on", "retries"];

    #[test]
    fn a_slip_of_the_fingers_finds_the_word_that_was_meant() {
        for (typed, meant) in [
            ("comand", "command"),
            ("commnad", "command"),
            ("need", "needs"),
            ("retryOn", "retry-on"),
            ("retry_on", "retry-on"),
            ("Env", "env"),
        ] {
            assert_eq!(closest(typed, KEYS), Some(meant), "{typed}");
        }
    }

    #[test]
    fn a_word_unlike_all_others_finds_nothing() {
        assert_eq!(closest("image", KEYS), None);
        assert_eq!(closest("x", KEYS), None);
    }
}
