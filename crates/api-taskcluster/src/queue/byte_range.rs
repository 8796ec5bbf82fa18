//! `Range` headers.

/// What of some bytes a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Requested {
    /// All of them.
    Whole,
    /// From the first byte to the last, both included.
    Part(u64, u64),
    /// None that there are, or several ranges at once, which are not given out.
    Unsatisfiable,
}

/// Reads the value of a `Range` header, for `size` bytes. What is no range of bytes means
/// everything.
pub(super) fn requested(range: &str, size: u64) -> Requested {
    let Some(range) = range.strip_prefix("bytes=") else {
        return Requested::Whole;
    };
    if range.contains(',') {
        return Requested::Unsatisfiable;
    }
    let Some((first, last)) = range.split_once('-') else {
        return Requested::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if last < first => Requested::Whole,
        (Ok(first), _) if first >= size => Requested::Unsatisfiable,
        (Ok(first), Ok(last)) => Requested::Part(first, last.min(size - 1)),
        (Ok(first), Err(_)) if last.is_empty() => Requested::Part(first, size - 1),
        (Err(_), Ok(length)) if first.is_empty() => {
            if length == 0 || size == 0 {
                return Requested::Unsatisfiable;
            }
            Requested::Part(size.saturating_sub(length), size - 1)
        }
        _ => Requested::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::{Requested, requested};

    #[test]
    fn ranges_are_read_as_http_defines_them() {
        for (range, meant) in [
            ("bytes=0-99", Requested::Part(0, 99)),
            ("bytes=900-", Requested::Part(900, 999)),
            ("bytes=-100", Requested::Part(900, 999)),
            ("bytes=-5000", Requested::Part(0, 999)),
            ("bytes=500-5000", Requested::Part(500, 999)),
            ("bytes=1000-", Requested::Unsatisfiable),
            ("bytes=1000-1000", Requested::Unsatisfiable),
            ("bytes=-0", Requested::Unsatisfiable),
            ("bytes=0-1,5-6", Requested::Unsatisfiable),
            ("bytes=5-1", Requested::Whole),
            ("bytes=x-1", Requested::Whole),
            ("bytes=-", Requested::Whole),
            ("bytes=7", Requested::Whole),
            ("lines=1-2", Requested::Whole),
        ] {
            assert_eq!(requested(range, 1000), meant, "{range}");
        }
        assert_eq!(requested("bytes=0-0", 0), Requested::Unsatisfiable);
        assert_eq!(requested("bytes=-1", 0), Requested::Unsatisfiable);
    }
}
