//! Benches that repeat their phases with a growing backlog.

use crate::load::Limit;
use crate::options::Common;
use crate::postgres::Postgres;
use crate::report::{Level, Phase, Target};
use crate::server::{self, Server};
use crate::yard::Yard;
use anyhow::{Context as _, Result, ensure};
use std::time::{Duration, Instant};
use tokio::process::Command;

/// A backlog that takes longer than this is given up.
pub(crate) const PREFILL_LIMIT: Duration = Duration::from_hours(1);

/// A bench whose phases run once with each size of the backlog.
pub(crate) trait Levels: Sized {
    /// Its name in the report.
    const NAME: &'static str;

    /// A bench of a server in which nothing waits yet.
    fn new(yard: Yard) -> Self;

    /// Makes `size` tasks wait; answers how many it added.
    ///
    /// # Errors
    /// The server refuses a request, or loses a connection.
    async fn fill(&mut self, size: u64) -> Result<u64>;

    /// Measures while so many wait, with each of these numbers of connections, which grow.
    ///
    /// # Errors
    /// As [`Levels::fill`].
    async fn phases(&mut self, size: u64, connections: &[usize]) -> Result<Vec<Phase>>;

    /// Judges the levels, which grow. `embedded` says whether the database is within the server.
    fn judge(levels: &[Level], embedded: bool) -> Vec<Target>;
}

/// Runs a bench with backlogs of these `sizes` and prints its report.
///
/// # Errors
/// The server does not start, refuses a request, or loses a connection.
pub(crate) async fn run<B: Levels>(
    common: &Common,
    sizes: &[u64],
    connections: &[u16],
) -> Result<()> {
    let binary = server::binary().await?;
    let database = common.start_database()?;
    let url = database.as_ref().map(Postgres::url);
    let server = Server::start(&binary, server::fresh_folder()?, url.as_deref()).await?;
    let levels = measure::<B>(common, sizes, connections, &server)
        .await
        .with_context(|| server.log_tail())
        .context("given up")?;
    server.stop().await?;
    let targets = B::judge(&levels, common.is_embedded());
    common.report(B::NAME, levels, targets)
}

async fn measure<B: Levels>(
    common: &Common,
    sizes: &[u64],
    connections: &[u16],
    server: &Server,
) -> Result<Vec<Level>> {
    let connections: Vec<usize> = ascending(connections)
        .into_iter()
        .map(usize::from)
        .collect();
    let mut bench = B::new(Yard::of(server, common.duration())?);
    let mut levels = Vec::new();
    for size in ascending(sizes) {
        let begin = Instant::now();
        let added = bench.fill(size).await?;
        let mut level = Level::filled(server, common.is_embedded(), size, added, begin.elapsed())?;
        settle().await?;
        level.phases = bench.phases(size, &connections).await?;
        levels.push(level);
    }
    Ok(levels)
}

/// Waits until what a backlog wrote is on the disk: otherwise the system would write it while
/// something else is measured.
async fn settle() -> Result<()> {
    let status = Command::new("sync").status().await;
    let status = status.context("cannot run sync")?;
    ensure!(status.success(), "sync ended with {status}");
    Ok(())
}

/// Each of `numbers` once, the smallest first.
fn ascending<T: Ord + Copy>(numbers: &[T]) -> Vec<T> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Makes `wanted` tasks of the `present` ones and tells how far it is after each `portion`; `what`
/// says what becomes of them. `add` adds as many as it may and answers how many that were. Answers
/// how many were missing.
///
/// # Errors
/// It takes too long, or `add` fails.
pub(crate) async fn fill(
    (present, wanted): (u64, u64),
    portion: u64,
    what: &str,
    mut add: impl AsyncFnMut(Limit) -> Result<u64>,
) -> Result<u64> {
    let begin = Instant::now();
    let missing = wanted.saturating_sub(present);
    let mut left = missing;
    while left > 0 {
        let duration = PREFILL_LIMIT.saturating_sub(begin.elapsed());
        ensure!(
            !duration.is_zero(),
            "after {PREFILL_LIMIT:?} {left} of {wanted} {what} are missing"
        );
        let steps = left.min(portion);
        left = left.saturating_sub(add(Limit { duration, steps }).await?);
        eprintln!("{} of {wanted} {what}", wanted - left);
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_grow_and_none_comes_twice() {
        assert_eq!(ascending(&[64_u16, 1, 16, 1]), [1, 16, 64]);
    }

    #[tokio::test]
    async fn what_is_missing_is_added_in_portions() {
        let mut portions = Vec::new();
        let added = fill((10, 260), 100, "tasks waiting", async |limit| {
            portions.push(limit.steps);
            // The time of a portion may be over before all of it is there.
            Ok(limit.steps.min(80))
        });
        assert_eq!(added.await.unwrap(), 250);
        assert_eq!(portions, [100, 100, 90, 10]);
    }

    #[tokio::test]
    async fn a_backlog_that_is_there_stays_as_it_is() {
        let untouched = fill((10, 5), 100, "tasks waiting", async |_| unreachable!());
        assert_eq!(untouched.await.unwrap(), 0);
    }
}
