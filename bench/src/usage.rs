//! What a process has used: CPU time and memory, from Linux' /proc.

use anyhow::{Context as _, Result};
use serde::Serialize;
use std::fs;
use std::time::Duration;

/// Clock ticks a second in /proc/PID/stat: `USER_HZ`, 100 on every Linux architecture we run on.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time used since the process started, and memory held now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) memory: Memory,
}

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Memory {
    /// Resident memory, mapped files included.
    pub(crate) resident: u64,
    /// Resident memory that belongs to no file: what the process itself has allocated.
    pub(crate) anonymous: u64,
}

impl Usage {
    /// What the process `pid` has used.
    ///
    /// # Errors
    /// The process is gone, or this is no Linux.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let read = |file: &str| {
            fs::read_to_string(format!("/proc/{pid}/{file}"))
                .with_context(|| format!("cannot read /proc/{pid}/{file}: is process {pid} alive?"))
        };
        let cpu = parse_cpu(&read("stat")?)
            .with_context(|| format!("/proc/{pid}/stat does not look as proc(5) says"))?;
        let memory = parse_memory(&read("status")?)
            .with_context(|| format!("/proc/{pid}/status does not look as proc(5) says"))?;
        Ok(Self { cpu, memory })
    }

    /// What this process has used.
    pub(crate) fn own() -> Result<Self> {
        Self::of(std::process::id())
    }
}

/// utime + stime, fields 14 and 15; the name in field 2 may contain blanks and parentheses.
fn parse_cpu(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis(
        (user + system) * 1000 / TICKS_PER_SECOND,
    ))
}

fn parse_memory(status: &str) -> Option<Memory> {
    let bytes = |key: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        let kib: u64 = line
            .trim_start_matches(':')
            .trim()
            .strip_suffix("kB")?
            .trim()
            .parse()
            .ok()?;
        Some(kib * 1024)
    };
    Some(Memory {
        resident: bytes("VmRSS")?,
        anonymous: bytes("RssAnon")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_blanks_and_parentheses() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 4 0 100 1 1";
        assert_eq!(parse_cpu(stat), Some(Duration::from_secs(2)));
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t 900 kB\nVmRSS:\t  800 kB\nRssAnon:\t 300 kB\n";
        assert_eq!(
            parse_memory(status),
            Some(Memory {
                resident: 800 * 1024,
                anonymous: 300 * 1024
            })
        );
    }

    #[test]
    fn this_process_uses_memory() {
        let memory = Usage::own().unwrap().memory;
        assert!(memory.anonymous > 0 && memory.anonymous <= memory.resident);
    }

    #[test]
    fn a_process_that_does_not_exist_is_named() {
        let error = Usage::of(u32::MAX).unwrap_err();
        assert!(error.to_string().contains("4294967295"), "{error}");
    }
}
