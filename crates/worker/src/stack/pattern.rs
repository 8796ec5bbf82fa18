//! Patterns of paths: `*` and `?` stay within a folder, `**` goes through any number of them.

/// Whether `path` fits `pattern`; both are relative, with `/` between folders.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    fits(&pattern, &path, |one, other| match *one {
        "**" => Fit::Any,
        one if part_matches(one, other) => Fit::One,
        _ => Fit::None,
    })
}

fn part_matches(pattern: &str, part: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let part: Vec<char> = part.chars().collect();
    fits(&pattern, &part, |one, other| match one {
        '*' => Fit::Any,
        '?' => Fit::One,
        one if one == other => Fit::One,
        _ => Fit::None,
    })
}

/// What an element of a pattern takes.
enum Fit {
    /// Any number of elements, none too.
    Any,
    /// The one it was asked about.
    One,
    /// Not that one.
    None,
}

/// Goes through both side by side. After a mismatch only the last element that takes any number
/// has to take one more, so that the time stays within the product of the lengths.
fn fits<P, T>(pattern: &[P], text: &[T], fit: impl Fn(&P, &T) -> Fit) -> bool
where
    P: PartialEq,
{
    let (mut at, mut position) = (0, 0);
    let mut last_any = None;
    while position < text.len() {
        match pattern.get(at).map(|one| fit(one, &text[position])) {
            Some(Fit::Any) => {
                last_any = Some((at, position));
                at += 1;
            }
            Some(Fit::One) => {
                at += 1;
                position += 1;
            }
            Some(Fit::None) | None => {
                let Some((any, taken)) = last_any else {
                    return false;
                };
                last_any = Some((any, taken + 1));
                (at, position) = (any + 1, taken + 1);
            }
        }
    }
    // What is left of the pattern must be content with nothing.
    let Some(last) = text.last() else {
        return pattern.is_empty();
    };
    pattern[at..]
        .iter()
        .all(|one| matches!(fit(one, last), Fit::Any))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stays_within_a_folder_and_two_go_through_all() {
        for (pattern, path, fits) in [
            ("out/report.txt", "out/report.txt", true),
            ("./out/report.txt", "out/report.txt", true),
            ("*.txt", "a.txt", true),
            ("*.txt", "out/a.txt", false),
            ("out/*", "out/a", true),
            ("out/*", "out/a/b", false),
            ("out/**/*", "out/a", true),
            ("out/**/*", "out/a/b/c", true),
            ("out/**", "out/a/b/c", true),
            ("**/*.log", "a.log", true),
            ("**/*.log", "x/y/a.log", true),
            ("**/*.log", "x/y/a.logs", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxa", false),
            ("out", "out/a", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, path), fits, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        let pattern = "*a".repeat(200);
        assert!(!matches(&pattern, &"a".repeat(199)));
        let folders = "**/".repeat(200) + "x";
        assert!(!matches(&folders, &("a/".repeat(400) + "y")));
    }
}
