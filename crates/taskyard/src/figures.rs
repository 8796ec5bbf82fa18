//! The figures of this process, in the form Prometheus reads.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Bounds of every histogram, in seconds: from what a cached read takes to a long poll.
const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// How often recorded values are folded into their histograms, which bounds what they take.
const UPKEEP: Duration = Duration::from_secs(5);

/// What was counted and measured since the process started.
#[derive(Debug, Clone)]
pub(crate) struct Figures(PrometheusHandle);

impl Figures {
    /// Starts counting, once for the whole process: later calls return the same figures.
    ///
    /// # Errors
    /// When something else counts already.
    pub(crate) fn install() -> anyhow::Result<Self> {
        static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();
        if let Some(handle) = INSTALLED.get() {
            return Ok(Self(handle.clone()));
        }
        let handle = PrometheusBuilder::new()
            .set_buckets(&BUCKETS)
            .context("the bounds of the histograms")?
            .install_recorder()
            .context("cannot start counting")?;
        Ok(Self(INSTALLED.get_or_init(|| handle).clone()))
    }

    /// Everything counted so far, as text.
    pub(crate) fn render(&self) -> String {
        self.0.render()
    }

    /// Keeps the memory of the figures bounded, for ever.
    pub(crate) async fn keep_up(self) {
        let mut due = tokio::time::interval(UPKEEP);
        loop {
            due.tick().await;
            self.0.run_upkeep();
        }
    }
}
