//! What ingest costs, beside baselines that are measured in the same run.
//!
//! `cargo bench --bench ingest` runs everything; `-- --quick` shortens the rounds, and names of sections (`ingest`,
//! `postgres`, `latency`, `matching`, `footprint`, `wakes`) pick some. Absolute figures drift with the machine: what
//! counts are the ratios. `docs/performance.md` says what was measured and how to read it.
//!
//! Servers run as processes of their own, so that their processor time and memory can be told apart: the product is
//! the built `smokejumper serve`, and a baseline is this program again with `--serve NAME`. Rounds are interleaved,
//! and a round in which other programs were busy is thrown away and run again.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark starts servers, reads its own options and reports"
)]
#![allow(missing_docs, reason = "a program, not a library")]

mod baselines;
mod footprint;
mod ingest;
mod latency;
mod load;
mod machine;
mod matching;
mod product;
mod report;
mod server;
mod wakes;

#[path = "../../tests/support/postgres.rs"]
mod postgres;

use report::Report;
use std::time::Duration;

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Length of one round of load.
    pub round: Duration,
    /// Rounds for each server.
    pub rounds: usize,
    /// Webhooks whose way to Slack is timed.
    pub latencies: usize,
    /// Wakes that are due at once.
    pub wakes: usize,
}

const FULL: Effort = Effort { round: Duration::from_secs(5), rounds: 3, latencies: 100, wakes: 100_000 };
const QUICK: Effort = Effort { round: Duration::from_secs(2), rounds: 1, latencies: 30, wakes: 10_000 };

const SECTIONS: [&str; 6] = ["ingest", "postgres", "latency", "matching", "footprint", "wakes"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--serve") {
        baselines::serve(&arguments[at + 1..]);
        return;
    }
    let mut effort = FULL;
    let mut sections: Vec<&str> = Vec::new();
    for argument in &arguments {
        match argument.as_str() {
            // What cargo adds for benchmarks.
            "--bench" => {}
            "--quick" => effort = QUICK,
            name if SECTIONS.contains(&name) => sections.push(name),
            other => {
                eprintln!("`{other}` is neither --quick nor one of {}", SECTIONS.join(", "));
                std::process::exit(64);
            }
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut report = Report::default();
    for section in SECTIONS {
        if !sections.is_empty() && !sections.contains(&section) {
            continue;
        }
        match section {
            "ingest" => runtime.block_on(ingest::run(effort, &mut report)),
            "postgres" => runtime.block_on(ingest::run_postgres(effort, &mut report)),
            "latency" => runtime.block_on(latency::run(effort, &mut report)),
            "matching" => matching::run(&mut report),
            "footprint" => runtime.block_on(footprint::run(effort, &mut report)),
            _ => runtime.block_on(wakes::run(effort, &mut report)),
        }
    }
    report.close();
}
