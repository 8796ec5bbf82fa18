use std::ops::Deref;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// What a call answered, with the headers it came with. It can be used like the value itself.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// What the body says.
    pub value: T,
    /// Headers as received.
    pub headers: HeaderMap,
}

/// How much a stack may still ask of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// What is counted, such as `list-scheduled-jobs`.
    pub scope: String,
    /// Calls in one window.
    pub limit: u64,
    /// Calls left in this window.
    pub remaining: u64,
    /// Time until the window ends.
    pub reset: Duration,
}

impl<T> Answer<T> {
    /// The pause that the server asks for before the same call is made again. A listing may carry
    /// it although it succeeded: then it is how often the server wants to be asked.
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers)
    }

    /// The rate limit of the endpoint, if the server tells it.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        let text = |name: &str| self.headers.get(name)?.to_str().ok();
        Some(RateLimit {
            scope: text("ratelimit-scope")?.to_owned(),
            limit: text("ratelimit-limit")?.parse().ok()?,
            remaining: text("ratelimit-remaining")?.parse().ok()?,
            reset: Duration::from_secs(text("ratelimit-reset")?.parse().ok()?),
        })
    }
}

impl<T> Deref for Answer<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// `Retry-After` in seconds, whole or not. The other form, a date, is not used by the service.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        pairs.collect()
    }

    #[test]
    fn a_pause_is_read_in_seconds_and_a_date_is_no_pause() {
        let pause = |text| retry_after(&headers(&[("retry-after", text)]));
        assert_eq!(pause("2"), Some(Duration::from_secs(2)));
        assert_eq!(pause("0.25"), Some(Duration::from_millis(250)));
        for other in ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "NaN", "1e300", ""] {
            assert_eq!(pause(other), None, "{other}");
        }
    }

    #[test]
    fn a_rate_limit_needs_all_of_its_headers() {
        let all = [
            ("ratelimit-scope", "batch-reserve"),
            ("ratelimit-limit", "10"),
            ("ratelimit-remaining", "7"),
            ("ratelimit-reset", "1"),
        ];
        let answer = |pairs: &[_]| Answer {
            value: (),
            headers: headers(pairs),
        };
        let limit = answer(&all).rate_limit().unwrap();
        assert_eq!(
            (limit.scope.as_str(), limit.remaining),
            ("batch-reserve", 7)
        );
        assert_eq!(answer(&all[1..]).rate_limit(), None);
    }
}
