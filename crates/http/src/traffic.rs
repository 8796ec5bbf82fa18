//! How many requests each API answers, and how fast.

use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Histogram};

/// An API as the figures tell it apart: everything below one path.
#[derive(Debug, Clone, Copy)]
pub struct Api {
    /// How its paths begin, such as `/api/queue/`.
    pub prefix: &'static str,
    /// What the figures call it, such as `queue`.
    pub name: &'static str,
}

/// The figures of all APIs: `taskyard_http_requests_total{api,status}`, where the status is one of
/// five classes, and `taskyard_http_request_seconds{api}`. The labels come from the table alone,
/// so no client can add any.
#[derive(Debug)]
pub struct Traffic {
    apis: Vec<Figures>,
    /// Health, metrics, and paths that lead nowhere.
    other: Figures,
}

/// The figures of one API, looked up once instead of at every request.
struct Figures {
    prefix: &'static str,
    answered: [Counter; 5],
    seconds: Histogram,
}

// === impl Traffic ===

impl Traffic {
    /// Figures for each of `apis`. Install the recorder first: figures made before are lost.
    pub fn of(apis: &[Api]) -> Self {
        Self {
            apis: apis
                .iter()
                .map(|api| Figures::of(api.prefix, api.name))
                .collect(),
            other: Figures::of("", "other"),
        }
    }

    /// Which API a path belongs to.
    pub(crate) fn index(&self, path: &str) -> Option<usize> {
        self.apis
            .iter()
            .position(|figures| path.starts_with(figures.prefix))
    }

    /// Counts one answer of the API at `index`.
    pub(crate) fn count(&self, index: Option<usize>, status: StatusCode, took: Duration) {
        let figures = index
            .and_then(|index| self.apis.get(index))
            .unwrap_or(&self.other);
        // Statuses run from 100 to 999; what is beyond 5xx is nobody's and counts there.
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        figures.answered[class].increment(1);
        figures.seconds.record(took);
    }
}

// === impl Figures ===

impl Figures {
    fn of(prefix: &'static str, api: &'static str) -> Self {
        let answered = ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|status| {
            metrics::counter!("taskyard_http_requests_total", "api" => api, "status" => status)
        });
        let seconds = metrics::histogram!("taskyard_http_request_seconds", "api" => api);
        Self {
            prefix,
            answered,
            seconds,
        }
    }
}

impl std::fmt::Debug for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Figures")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
