//! What people feel: how soon a press is answered, in which order a flood of incidents is told, how late escalations are,
//! and how long a chart takes, each beside a baseline of the same run.
//!
//! `cargo bench --bench people` runs everything; `-- --quick` runs a tenth of it, and names of sections (`presses`,
//! `flood`, `escalations`, `charts`) pick some. The product is the built `smokejumper serve`, a process of its own, and Slack is the
//! simulated one with its published limits. `docs/performance.md` says what was measured and how to read it.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark starts servers, reads its own options and reports"
)]
#![allow(missing_docs, reason = "a program, not a library")]

mod alerts;
mod charts;
mod escalations;
mod flood;
mod presses;
mod product;

#[path = "../ingest/report.rs"]
#[allow(dead_code, reason = "the other benchmark has aims of another form as well")]
mod report;
#[path = "../ingest/server.rs"]
#[allow(dead_code, reason = "the other benchmark has baselines of its own")]
mod server;

use report::Report;
use std::time::Duration;

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Incidents that are open while people press.
    pub open: usize,
    /// Presses that are timed, each on an incident of its own; at most [`Effort::open`].
    pub presses: usize,
    /// Incidents of the flood.
    pub flood: usize,
    /// Within which they open.
    pub flood_within: Duration,
    /// Incidents that are open while others escalate.
    pub waiting: usize,
    /// Escalations that are timed.
    pub escalations: usize,
}

const FULL: Effort = Effort {
    open: 1_000,
    presses: 500,
    flood: 1_000,
    flood_within: Duration::from_secs(60),
    waiting: 10_000,
    escalations: 400,
};
const QUICK: Effort = Effort {
    open: 100,
    presses: 100,
    flood: 100,
    flood_within: Duration::from_secs(6),
    waiting: 1_000,
    escalations: 100,
};

const SECTIONS: [&str; 4] = ["presses", "flood", "escalations", "charts"];

fn main() {
    let mut effort = FULL;
    let mut sections: Vec<String> = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            // What cargo adds for benchmarks.
            "--bench" => {}
            "--quick" => effort = QUICK,
            name if SECTIONS.contains(&name) => sections.push(name.to_owned()),
            other => {
                eprintln!("`{other}` is neither --quick nor one of {}", SECTIONS.join(", "));
                std::process::exit(64);
            }
        }
    }
    let wants = |name: &str| sections.is_empty() || sections.iter().any(|section| section == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let mut report = Report::default();
    runtime.expect("a runtime").block_on(async {
        if wants("presses") {
            presses::run(effort, &mut report).await;
        }
        if wants("flood") {
            flood::run(effort, &mut report).await;
        }
        if wants("escalations") {
            escalations::run(effort, &mut report).await;
        }
    });
    if wants("charts") {
        charts::run(&mut report);
    }
    report.close();
}

/// The value below which this share of the sorted values lies.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
