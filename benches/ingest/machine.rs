//! Processor time and memory, as Linux tells them in `/proc`.

use std::fs;

/// Length of one tick of processor time in `/proc`: 100 a second on every Linux that matters (`getconf CLK_TCK`).
const TICK_US: f64 = 10_000.0;

/// Processor time of a process so far, in microseconds: its user and system time.
pub fn cpu_us(pid: u32) -> f64 {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    // The name stands in parentheses and may hold anything; fields are counted after it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) * TICK_US
}

/// Processor time that the whole machine spent on something, in microseconds.
pub fn busy_us() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user, nice, system, idle, iowait, irq, softirq: all but idle and waiting.
    [0, 1, 2, 5, 6].iter().filter_map(|index| fields.get(*index)).sum::<f64>() * TICK_US
}

/// Resident memory of a process in MiB.
pub fn resident_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    let kib: f64 = line.split_whitespace().nth(1).and_then(|field| field.parse().ok()).unwrap_or(f64::NAN);
    kib / 1024.0
}
