//! The token bucket: how many dispatches a queue may begin now, and when the next one.
//!
//! Tokens are counted in millionths of millionths, so that a rate given in millionths of a dispatch
//! per second and a time in microseconds multiply without rounding.

use crate::timestamp::Timestamp;

use super::settings::RateLimits;

/// One token.
const TOKEN: i128 = 1_000_000_000_000;
/// The whole of a rate, in millionths.
pub const WHOLE: i64 = 1_000_000;

/// A bucket as of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    pub(super) tokens: i64,
    pub(super) at: Timestamp,
}

/// How a bucket is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Millionths of a token a second.
    rate: i128,
    capacity: i128,
}

impl Flow {
    /// The flow of these limits, of which a `share` (in millionths) is used.
    pub fn new(limits: &RateLimits, share: i64) -> Self {
        let rate = (limits.max_dispatches_per_second * 1e6).round() as i128;
        Flow {
            rate: (rate * i128::from(share) / i128::from(WHOLE)).max(1),
            // Without room for one token nothing would ever be sent.
            capacity: i128::from(limits.max_burst_size.max(1)) * TOKEN,
        }
    }
}

impl Bucket {
    /// A full bucket.
    pub fn full(flow: Flow, now: Timestamp) -> Self {
        Bucket {
            tokens: flow.capacity as i64,
            at: now,
        }
    }

    /// The bucket at `now`. A clock that was set back takes nothing away.
    pub fn at(self, flow: Flow, now: Timestamp) -> Self {
        let passed = i128::from(now.0.saturating_sub(self.at.0).max(0));
        let tokens = (i128::from(self.tokens) + passed * flow.rate).min(flow.capacity);
        Bucket {
            tokens: tokens as i64,
            at: now,
        }
    }

    /// Whole tokens in the bucket.
    pub fn whole(self) -> usize {
        usize::try_from(i128::from(self.tokens) / TOKEN).unwrap_or(0)
    }

    /// The bucket without `count` tokens.
    pub fn take(self, count: usize) -> Self {
        Bucket {
            tokens: (i128::from(self.tokens) - count as i128 * TOKEN) as i64,
            at: self.at,
        }
    }

    /// When `count` tokens will be in it, or as many as it holds.
    pub fn holds(self, flow: Flow, count: usize) -> Timestamp {
        let wanted = (count as i128 * TOKEN).min(flow.capacity);
        let missing = (wanted - i128::from(self.tokens)).max(0);
        let micros = (missing + flow.rate - 1) / flow.rate;
        Timestamp(
            self.at
                .0
                .saturating_add(i64::try_from(micros).unwrap_or(i64::MAX)),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(rate: f64, burst: i32) -> RateLimits {
        RateLimits {
            max_burst_size: burst,
            ..RateLimits::of_rate(rate)
        }
    }

    const START: Timestamp = Timestamp(1_800_000_000_000_000);

    /// Takes a token whenever there is one and returns the times.
    fn sent(rate: f64, burst: i32, count: usize) -> Vec<i64> {
        let flow = Flow::new(&limits(rate, burst), WHOLE);
        let mut bucket = Bucket::full(flow, START);
        (0..count)
            .map(|_| {
                let at = bucket.holds(flow, 1);
                bucket = bucket.at(flow, at).take(1);
                at.0 - START.0
            })
            .collect()
    }

    #[test]
    fn a_full_bucket_is_sent_at_once_and_then_one_each_interval() {
        assert_eq!(sent(2.0, 3, 6), [0, 0, 0, 500_000, 1_000_000, 1_500_000]);
    }

    #[test]
    fn less_than_one_a_second_works() {
        assert_eq!(sent(0.1, 1, 3), [0, 10_000_000, 20_000_000]);
        assert_eq!(sent(0.5, 1, 3), [0, 2_000_000, 4_000_000]);
    }

    #[test]
    fn a_year_at_a_third_a_second_neither_gains_nor_loses() {
        let flow = Flow::new(&limits(1.0 / 3.0, 1), WHOLE);
        let mut bucket = Bucket::full(flow, START);
        for _ in 0..1_000_000 {
            let at = bucket.holds(flow, 1);
            bucket = bucket.at(flow, at).take(1);
        }
        let took = bucket.at.0 - START.0;
        let expected = 999_999.0 * 1e6 / 0.333_333;
        assert!((took as f64 / expected - 1.0).abs() < 1e-6, "{took}");
    }

    proptest! {
        /// However it is asked, no window sees more than the burst and the rate allow.
        #[test]
        fn no_window_sees_more_than_burst_and_rate(
            rate in 0.1_f64..600.0,
            burst in 1_i32..200,
            steps in prop::collection::vec((0_i64..2_000_000, 1_usize..50), 1..200),
        ) {
            let flow = Flow::new(&limits(rate, burst), WHOLE);
            let mut bucket = Bucket::full(flow, START);
            let mut now = START;
            let mut taken: Vec<(i64, usize)> = Vec::new();
            for (passed, wish) in steps {
                now = Timestamp(now.0 + passed);
                bucket = bucket.at(flow, now);
                let count = bucket.whole().min(wish);
                bucket = bucket.take(count);
                taken.push((now.0, count));
            }
            for from in 0..taken.len() {
                let mut sum = 0_usize;
                for (at, count) in &taken[from..] {
                    sum += count;
                    let allowed = f64::from(burst) + (at - taken[from].0) as f64 * rate / 1e6;
                    prop_assert!(sum as f64 <= allowed * (1.0 + 1e-5) + 1e-3);
                }
            }
        }
    }
}
