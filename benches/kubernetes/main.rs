//! What a diagnosis of a busy namespace costs, and a log of a gigabyte, against the simulated cluster.
//!
//! `cargo bench --bench kubernetes`; `-- --quick` reads a tenth of the log. The cluster is a process of its own (this
//! program again with `--cluster`), so that its memory can be told apart. `docs/performance.md` says what was measured.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark starts a server, reads its own options and reports"
)]
#![allow(missing_docs, reason = "a program, not a library")]

mod cluster;
mod memory;
mod observer;

#[path = "../ingest/report.rs"]
#[allow(dead_code, reason = "the other benchmark has aims of another form as well")]
mod report;

use std::path::Path;
use std::time::Instant;

use report::{Aim, Report, median};
use serde_json::{Value, json};

use cluster::Cluster;
use observer::Observer;

/// Diagnoses that the time is the median of, after the first.
const ROUNDS: usize = 9;

/// Bytes of the long log.
const LOG_BYTES: u64 = 1 << 30;

/// Eight looks at one workload in a namespace of 500 pods and 2,000 events.
fn diagnosis() -> [(&'static str, Value); 8] {
    [
        ("k8s.pods", json!({"selector": "tier=web"})),
        ("k8s.events", json!({"since": "7d"})),
        ("k8s.workload", json!({})),
        ("k8s.rollout_history", json!({})),
        ("k8s.describe", json!({})),
        ("k8s.hpa", json!({})),
        ("k8s.nodes", json!({})),
        ("k8s.network", json!({"service": "app-0"})),
    ]
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, folder, bytes] = arguments.as_slice()
        && mode == "--cluster"
    {
        cluster::serve(Path::new(folder), bytes.parse().expect("a number of bytes"));
        return;
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let log_bytes = if quick { LOG_BYTES / 10 } else { LOG_BYTES };
    let cluster = Cluster::start(log_bytes);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut report = Report::default();
    runtime.block_on(async {
        let observer = Observer::of(&cluster);
        diagnose(&observer, &mut report).await;
        read_log(&observer, log_bytes, &mut report).await;
    });
    report.close();
}

async fn diagnose(observer: &Observer, report: &mut Report) {
    let before = memory::reset_peak();
    let began = Instant::now();
    observer.diagnose(&diagnosis()).await;
    let first_ms = began.elapsed().as_secs_f64() * 1e3;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        observer.diagnose(&diagnosis()).await;
        rounds.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let more = memory::peak_mib() - before;
    println!("\nEight diagnostics at once, 500 pods, 2,000 events");
    println!(
        "before {before:.1} MiB, at most {more:.1} MiB more; first {first_ms:.0} ms, then {rounds:.0?} ms"
    );
    report.note("first diagnosis, ms", first_ms, Aim::AtMost { must: 1_000.0, reach: 500.0 });
    report.note("diagnosis, median, ms", median(rounds), Aim::AtMost { must: 1_000.0, reach: 300.0 });
    report.note("memory for ten diagnoses, MiB more", more, Aim::AtMost { must: 64.0, reach: 32.0 });
}

async fn read_log(observer: &Observer, bytes: u64, report: &mut Report) {
    let params = json!({"pod": cluster::TALKER, "tail": 10_000_000, "max_bytes": bytes, "grep": "ERROR"});
    let before = memory::reset_peak();
    let began = Instant::now();
    let findings = observer.diagnose(&[("k8s.logs", params)]).await;
    let seconds = began.elapsed().as_secs_f64();
    let more = memory::peak_mib() - before;
    let lines = &findings[0].fields["read_lines"];
    let mib = bytes as f64 / 1_048_576.0;
    println!("\nA log of {mib:.0} MiB: {lines} lines in {seconds:.1} s, at most {more:.1} MiB more");
    report.note("memory for the long log, MiB more", more, Aim::AtMost { must: 4.0, reach: 1.0 });
}
