//! Latencies, kept in logarithmic buckets of at most 1 % error.

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest latency that is told apart from longer ones.
const LONGEST: Duration = Duration::from_mins(1);

/// What one connection, or all of a phase together, has measured.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    requests: BTreeMap<&'static str, Latency>,
    cycle: Option<Latency>,
    /// Requests that were answered but did not find what they asked for (a claim without work).
    pub(crate) fruitless: u64,
}

/// A histogram of latencies.
#[derive(Debug, Clone)]
pub(crate) struct Latency(Histogram<u32>);

/// The usual points of a distribution. Durations are in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Quantiles {
    pub(crate) count: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

impl Samples {
    /// Counts one request of the kind `operation`.
    pub(crate) fn request(&mut self, operation: &'static str, elapsed: Duration) -> Result<()> {
        if let Some(latency) = self.requests.get_mut(operation) {
            latency.record(elapsed);
        } else {
            let mut latency = Latency::new()?;
            latency.record(elapsed);
            self.requests.insert(operation, latency);
        }
        Ok(())
    }

    /// Counts one completed cycle of several requests.
    pub(crate) fn cycle(&mut self, elapsed: Duration) -> Result<()> {
        match &mut self.cycle {
            Some(latency) => latency.record(elapsed),
            none => none.insert(Latency::new()?).record(elapsed),
        }
        Ok(())
    }

    /// Adds what another connection has measured.
    pub(crate) fn merge(&mut self, other: Self) -> Result<()> {
        for (operation, theirs) in other.requests {
            match self.requests.get_mut(operation) {
                Some(ours) => ours.merge(&theirs)?,
                None => {
                    self.requests.insert(operation, theirs);
                }
            }
        }
        match (&mut self.cycle, other.cycle) {
            (Some(ours), Some(theirs)) => ours.merge(&theirs)?,
            (None, theirs) => self.cycle = theirs,
            (Some(_), None) => {}
        }
        self.fruitless += other.fruitless;
        Ok(())
    }

    /// All requests of all kinds.
    pub(crate) fn request_count(&self) -> u64 {
        self.requests
            .values()
            .map(|latency| latency.0.len())
            .sum::<u64>()
            + self.fruitless
    }

    /// Each kind of request with its distribution.
    pub(crate) fn operations(&self) -> BTreeMap<&'static str, Quantiles> {
        self.requests
            .iter()
            .map(|(name, latency)| (*name, latency.quantiles()))
            .collect()
    }

    /// The distribution of whole cycles, if the phase has any.
    pub(crate) fn cycles(&self) -> Option<Quantiles> {
        self.cycle.as_ref().map(Latency::quantiles)
    }
}

impl Latency {
    fn new() -> Result<Self> {
        let longest = LONGEST.as_nanos() as u64;
        // Two significant digits: buckets are at most 1/128 wide.
        let histogram =
            Histogram::new_with_bounds(1, longest, 2).context("cannot make a histogram")?;
        Ok(Self(histogram))
    }

    fn record(&mut self, elapsed: Duration) {
        self.0.saturating_record(elapsed.as_nanos() as u64);
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        self.0.add(&other.0).context("cannot add two histograms")
    }

    fn quantiles(&self) -> Quantiles {
        let ms = |quantile: f64| self.0.value_at_quantile(quantile) as f64 / 1e6;
        Quantiles {
            count: self.0.len(),
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            p999_ms: ms(0.999),
            max_ms: self.0.max() as f64 / 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_within_one_percent(measured: f64, wanted: f64) {
        assert!(
            (measured - wanted).abs() <= wanted * 0.01,
            "{measured} is not {wanted} ± 1 %"
        );
    }

    #[test]
    fn quantiles_of_merged_connections_are_within_one_percent() {
        let mut all = Samples::default();
        for connection in 0..4_u64 {
            let mut samples = Samples::default();
            for n in 0..25_000_u64 {
                let microseconds = n * 4 + connection + 1; // together 1 µs … 100 ms, each once
                samples
                    .request("claim", Duration::from_micros(microseconds))
                    .unwrap();
            }
            all.merge(samples).unwrap();
        }
        let claim = all.operations()["claim"];
        assert_eq!(claim.count, 100_000);
        assert_within_one_percent(claim.p50_ms, 50.0);
        assert_within_one_percent(claim.p99_ms, 99.0);
        assert_within_one_percent(claim.p999_ms, 99.9);
        assert_within_one_percent(claim.max_ms, 100.0);
    }

    #[test]
    fn a_latency_beyond_the_longest_is_counted_as_the_longest() {
        let mut samples = Samples::default();
        samples.request("claim", Duration::from_hours(1)).unwrap();
        assert_within_one_percent(samples.operations()["claim"].max_ms, 60_000.0);
    }

    #[test]
    fn fruitless_requests_count_as_requests_but_have_no_latency() {
        let mut samples = Samples::default();
        samples.request("create", Duration::from_millis(1)).unwrap();
        samples.fruitless += 1;
        samples.cycle(Duration::from_millis(2)).unwrap();
        assert_eq!(samples.request_count(), 2);
        assert_eq!(samples.cycles().unwrap().count, 1);
    }
}
