//! The computer that a figure was measured on.

use std::fs;

use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Machine {
    cpu: String,
    cores: usize,
    memory_gib: f64,
    os: String,
    kernel: String,
    real_time_kernel: bool,
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.real_time_kernel { ", real-time" } else { "" };
        let Self { cpu, cores, memory_gib, os, kernel, .. } = self;
        write!(f, "{cores} cores of {cpu}, {memory_gib:.0} GiB, {os}, kernel {kernel}{kind}")
    }
}

/// This one.
pub(super) fn machine() -> Machine {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str, separator: char| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(separator))
            .map(|(_, value)| value.trim().trim_matches('"').to_owned())
    };
    let memory = field(&text("/proc/meminfo"), "MemTotal", ':').unwrap_or_default();
    let kib: f64 = memory.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0.0);
    Machine {
        cpu: field(&text("/proc/cpuinfo"), "model name", ':').unwrap_or_else(|| "unknown".to_owned()),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_gib: kib / f64::from(1 << 20),
        os: field(&text("/etc/os-release"), "PRETTY_NAME", '=').unwrap_or_else(|| "unknown".to_owned()),
        kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        real_time_kernel: text("/sys/kernel/realtime").trim() == "1",
    }
}
