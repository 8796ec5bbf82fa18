//! What a bench prints: a table for people, JSON for machines.

use crate::latency::Quantiles;
use crate::load::Outcome;
use crate::server::Server;
use crate::usage::Memory;
use anyhow::{Context as _, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Everything one bench measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) bench: &'static str,
    pub(crate) database: &'static str,
    /// Processors that the server, the database and the generator share.
    pub(crate) processors: usize,
    /// The measured length of a phase.
    pub(crate) seconds: u64,
    pub(crate) levels: Vec<Level>,
    pub(crate) targets: Vec<Target>,
}

/// All phases with one size of the backlog.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Level {
    /// Tasks pending while the phases run.
    pub(crate) pending: u64,
    /// Tasks created, to get there from the level before.
    pub(crate) prefilled: u64,
    pub(crate) prefill_seconds: f64,
    /// The data folder after the prefill; none when the database is elsewhere.
    pub(crate) data_bytes: Option<u64>,
    /// The server's memory after the prefill.
    pub(crate) memory: Memory,
    pub(crate) phases: Vec<Phase>,
}

/// One kind of load with one number of connections.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) connections: usize,
    pub(crate) seconds: f64,
    pub(crate) requests: u64,
    pub(crate) requests_per_second: f64,
    /// Requests per second, of those of the phase that it is compared with: the first with as many
    /// connections on the same level.
    pub(crate) share_of_first: Option<f64>,
    pub(crate) cycles_per_second: Option<f64>,
    pub(crate) cycle: Option<Quantiles>,
    pub(crate) operations: BTreeMap<&'static str, Quantiles>,
    /// Claims that were answered without a task.
    pub(crate) fruitless: u64,
    pub(crate) server_cpu_seconds_per_request: f64,
    pub(crate) generator_cpu_seconds_per_request: f64,
    /// The server's memory at the end of the phase.
    pub(crate) memory: Memory,
}

/// A promise about speed or size, and whether this run kept it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) wanted: String,
    pub(crate) measured: String,
    pub(crate) met: bool,
}

impl Target {
    /// A share that is to be reached.
    pub(crate) fn share(name: String, share: f64, least: f64) -> Self {
        Self {
            name,
            wanted: format!("≥ {}", percent(least)),
            measured: format!("{:.1} %", share * 100.0),
            met: share >= least,
        }
    }

    /// How many times as much something may become at most.
    pub(crate) fn growth(name: String, growth: f64, most: f64) -> Self {
        Self {
            name,
            wanted: format!("≤ {most} ×"),
            measured: format!("{growth:.2} ×"),
            met: growth <= most,
        }
    }

    /// Milliseconds within which something is to happen.
    pub(crate) fn within_ms(name: String, ms: f64, limit: f64) -> Self {
        Self {
            name,
            wanted: format!("< {limit} ms"),
            measured: format!("{ms:.2} ms"),
            met: ms < limit,
        }
    }
}

impl Phase {
    /// The figures of a run. `first` is the requests per second that it is compared with.
    pub(crate) fn new(
        name: &'static str,
        connections: usize,
        outcome: &Outcome,
        first: Option<f64>,
    ) -> Self {
        let seconds = outcome.elapsed.as_secs_f64();
        let requests = outcome.samples.request_count();
        let requests_per_second = requests as f64 / seconds;
        let per_request = |cpu: Duration| cpu.as_secs_f64() / requests.max(1) as f64;
        let cycle = outcome.samples.cycles();
        Self {
            name,
            connections,
            seconds,
            requests,
            requests_per_second,
            share_of_first: first.map(|first| requests_per_second / first),
            cycles_per_second: cycle.map(|cycle| cycle.count as f64 / seconds),
            cycle,
            operations: outcome.samples.operations(),
            fruitless: outcome.samples.fruitless,
            server_cpu_seconds_per_request: per_request(outcome.server.cpu),
            generator_cpu_seconds_per_request: per_request(outcome.generator_cpu),
            memory: outcome.server.memory,
        }
    }
}

impl Report {
    /// Prints the tables and the list of targets.
    pub(crate) fn print(&self, out: &mut impl Write) -> Result<()> {
        writeln!(
            out,
            "\n{} on {}; server and generator share {} processors; {} s a phase",
            self.bench, self.database, self.processors, self.seconds
        )?;
        for level in &self.levels {
            level.print(out)?;
        }
        writeln!(out, "\nTargets")?;
        for target in &self.targets {
            let verdict = if target.met { "PASS" } else { "MISS" };
            writeln!(
                out,
                "  {verdict}  {:<68} {:>12}  (wanted {})",
                target.name, target.measured, target.wanted
            )?;
        }
        Ok(())
    }

    /// Writes everything to `file` as JSON.
    pub(crate) fn write_json(&self, file: &Path) -> Result<()> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        std::fs::write(file, json).with_context(|| format!("cannot write {}", file.display()))
    }
}

impl Level {
    /// A level that is filled and not measured yet: `pending` tasks wait, of which `prefilled` were
    /// created in the time it `took`. `embedded` says whether the database is within the server.
    ///
    /// # Errors
    /// The server has ended.
    pub(crate) fn filled(
        server: &Server,
        embedded: bool,
        pending: u64,
        prefilled: u64,
        took: Duration,
    ) -> Result<Self> {
        Ok(Self {
            pending,
            prefilled,
            prefill_seconds: took.as_secs_f64(),
            data_bytes: embedded.then(|| server.data_bytes()).transpose()?,
            memory: server.usage()?.memory,
            phases: Vec::new(),
        })
    }

    /// The first phase of that name with so many connections.
    pub(crate) fn phase(&self, name: &str, connections: usize) -> Option<&Phase> {
        let mut phases = self.phases.iter();
        phases.find(|phase| phase.name == name && phase.connections == connections)
    }

    /// The most memory that the server held.
    pub(crate) fn most_resident(&self) -> u64 {
        let phases = self.phases.iter().map(|phase| phase.memory.resident);
        phases.max().unwrap_or(0).max(self.memory.resident)
    }

    fn print(&self, out: &mut impl Write) -> Result<()> {
        let size = self
            .data_bytes
            .map(|bytes| format!(", {} MB on disk", megabytes(bytes)))
            .unwrap_or_default();
        let prefill = if self.prefilled > 0 {
            format!(
                "; {} created in {:.1} s, {:.0} a second",
                thousands(self.prefilled as f64),
                self.prefill_seconds,
                self.prefilled as f64 / self.prefill_seconds
            )
        } else {
            String::new()
        };
        writeln!(
            out,
            "\n{} tasks pending{size}{prefill}",
            thousands(self.pending as f64)
        )?;
        writeln!(
            out,
            "{:<11} {:>5} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>7} {:>7}",
            "",
            "conns",
            "req/s",
            "of first",
            "cycles/s",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "server µs",
            "bench µs",
            "RSS MB",
            "anon MB"
        )?;
        for phase in &self.phases {
            phase.print(out)?;
        }
        Ok(())
    }
}

impl Phase {
    fn print(&self, out: &mut impl Write) -> Result<()> {
        let share = self.share_of_first.map(percent).unwrap_or_default();
        let cycles = self.cycles_per_second.map(thousands).unwrap_or_default();
        // A phase of one kind of request needs one line; others get a line for each kind below.
        let single = match self.operations.first_key_value() {
            Some((_, quantiles)) if self.operations.len() == 1 => Some(quantiles),
            _ => None,
        };
        let [p50, p99, p999] = latencies(single.or(self.cycle.as_ref()));
        writeln!(
            out,
            "{:<11} {:>5} {:>9} {share:>8} {cycles:>8} {p50:>8} {p99:>8} {p999:>9} {:>9.1} {:>9.1} {:>7} {:>7}",
            self.name,
            self.connections,
            thousands(self.requests_per_second),
            self.server_cpu_seconds_per_request * 1e6,
            self.generator_cpu_seconds_per_request * 1e6,
            megabytes(self.memory.resident),
            megabytes(self.memory.anonymous),
        )?;
        if single.is_none() {
            for (name, quantiles) in &self.operations {
                let [p50, p99, p999] = latencies(Some(quantiles));
                let each = thousands(quantiles.count as f64 / self.seconds);
                writeln!(
                    out,
                    "  {name:<9} {:>5} {each:>9} {:>8} {:>8} {p50:>8} {p99:>8} {p999:>9}",
                    "", "", ""
                )?;
            }
        }
        if self.fruitless > 0 {
            writeln!(out, "  {} claims found no work", self.fruitless)?;
        }
        Ok(())
    }
}

fn latencies(quantiles: Option<&Quantiles>) -> [String; 3] {
    quantiles.map_or_else(Default::default, |q| {
        [q.p50_ms, q.p99_ms, q.p999_ms].map(|ms| format!("{ms:.3}"))
    })
}

/// A share as whole percents.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Bytes as whole megabytes of 10⁶ bytes.
pub(crate) fn megabytes(bytes: u64) -> u64 {
    (bytes + 500_000) / 1_000_000
}

/// A whole number with a blank after each three digits.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
impl Phase {
    /// A phase in which nothing took any time.
    pub(crate) fn sample(name: &'static str, connections: usize) -> Self {
        Self {
            name,
            connections,
            seconds: 1.0,
            requests: 1,
            requests_per_second: 1.0,
            share_of_first: None,
            cycles_per_second: None,
            cycle: None,
            operations: BTreeMap::new(),
            fruitless: 0,
            server_cpu_seconds_per_request: 0.0,
            generator_cpu_seconds_per_request: 0.0,
            memory: Memory::default(),
        }
    }

    /// The same with one request of this kind.
    pub(crate) fn with(mut self, operation: &'static str, p50_ms: f64, p99_ms: f64) -> Self {
        let quantiles = Quantiles {
            p50_ms,
            p99_ms,
            ..Quantiles::default()
        };
        self.operations.insert(operation, quantiles);
        self
    }
}

#[cfg(test)]
impl Level {
    /// A level of these phases.
    pub(crate) fn sample(pending: u64, resident: u64, phases: Vec<Phase>) -> Self {
        let memory = Memory {
            resident,
            anonymous: 0,
        };
        Self {
            pending,
            prefilled: 0,
            prefill_seconds: 0.0,
            data_bytes: None,
            memory,
            phases,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(thousands(7.4), "7");
        assert_eq!(thousands(999.6), "1 000");
        assert_eq!(thousands(1_234_567.0), "1 234 567");
    }

    #[test]
    fn a_missed_target_is_said_to_be_missed() {
        let target = |name: &str, met| Target {
            name: name.into(),
            wanted: "< 2".into(),
            measured: "1".into(),
            met,
        };
        let report = Report {
            bench: "queue",
            database: "SQLite",
            processors: 2,
            seconds: 5,
            levels: Vec::new(),
            targets: vec![target("speed", true), target("size", false)],
        };
        let mut text = Vec::new();
        report.print(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("PASS  speed"), "{text}");
        assert!(text.contains("MISS  size"), "{text}");
    }
}
