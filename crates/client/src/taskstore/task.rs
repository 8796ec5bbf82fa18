use std::time::Duration;

/// A task, as of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// This version. Every change gives a new one.
    pub id: i64,
    /// The group it belongs to, for life.
    pub group: String,
    /// Its bytes.
    pub data: Vec<u8>,
    /// When anybody may claim it, in nanoseconds since 1970; until then its owner holds it.
    pub available_at: i64,
    /// Who added, changed or claimed it last.
    pub owner_id: i32,
    /// How often it has been claimed; only told by claims that give up at some number.
    pub attempts: Option<i64>,
}

impl Task {
    /// The data as text, if it is.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.data).ok()
    }
}

/// When a task becomes available.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Available {
    /// At once.
    #[default]
    Now,
    /// So much later by the server's clock; held by its owner until then.
    After(Duration),
    /// At this time, in nanoseconds since 1970.
    At(i64),
}

impl Available {
    /// As it is sent: 0 for now, negative for later.
    pub(super) fn nanos(self) -> i64 {
        match self {
            Self::Now => 0,
            Self::After(duration) => -nanos(duration),
            // 0 would mean now; a nanosecond is as long ago.
            Self::At(at) => at.max(1),
        }
    }
}

/// A duration in nanoseconds; longer ones than 292 years become that.
pub(super) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// A task to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// The group it will belong to; must not be empty.
    pub group: String,
    /// Its bytes.
    pub data: Vec<u8>,
    /// When it may be claimed.
    pub available: Available,
}

impl NewTask {
    /// A task that is available at once.
    pub fn new(group: impl Into<String>, data: impl Into<Vec<u8>>) -> Self {
        let (group, data) = (group.into(), data.into());
        Self {
            group,
            data,
            available: Available::Now,
        }
    }

    /// The same, available at another time.
    pub fn available(mut self, available: Available) -> Self {
        self.available = available;
        self
    }
}

/// How many tasks a group has.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Stats {
    /// Its name.
    pub group: String,
    /// Tasks that anybody may claim now.
    pub available: i64,
    /// Tasks that are held, or wait for a later time.
    pub claimed: i64,
    /// Both together.
    pub total: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_sent_with_their_sign() {
        assert_eq!(Available::Now.nanos(), 0);
        assert_eq!(
            Available::After(Duration::from_secs(1)).nanos(),
            -1_000_000_000
        );
        assert_eq!(Available::After(Duration::MAX).nanos(), -i64::MAX);
        assert_eq!((Available::At(7).nanos(), Available::At(0).nanos()), (7, 1));
    }
}
