//! The most memory that this process has held, as Linux tells it in `/proc`.

use std::fs;

/// Forgets the most so far, and says what is held now, in MiB.
pub fn reset_peak() -> f64 {
    // Writing 5 sets the peak to what is resident now.
    fs::write("/proc/self/clear_refs", "5").expect("Linux lets a process reset its own peak");
    status("VmRSS:")
}

/// The most since then, in MiB.
pub fn peak_mib() -> f64 {
    status("VmHWM:")
}

fn status(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has /proc");
    let line = status.lines().find(|line| line.starts_with(name)).expect("the line is there");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|field| field.parse().ok()).expect("a number");
    kib / 1024.0
}
