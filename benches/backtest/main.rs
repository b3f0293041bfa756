//! How long a backtest of thirty days with a hundred thousand episodes takes, and what memory, beside a baseline of the
//! same run that only asks for the same answers and reads them.
//!
//! `cargo bench --bench backtest`; `-- --quick` plays three days with a tenth of the episodes. The product is the built
//! `smokejumper backtest`, a process of its own, and Prometheus is a small server within the benchmark.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark starts programs, reads its own options and reports"
)]
#![allow(missing_docs, reason = "a program, not a library")]

mod past;

#[path = "../ingest/report.rs"]
#[allow(dead_code, reason = "the other benchmark has aims of another form as well")]
mod report;

use jiff::SignedDuration;
use past::Past;
use report::{Aim, Report};
use smokejumper::backtest::history::{History, Span};
use smokejumper::clients::http::{Credentials, HttpClient, HttpOptions, install_crypto_provider};
use smokejumper::clients::prometheus::PrometheusClient;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often the memory of the product is read.
const LOOK_EVERY: Duration = Duration::from_millis(20);

fn main() {
    let mut past = Past { days: 30, episodes: 100_000 };
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            // What cargo adds for benchmarks.
            "--bench" => {}
            "--quick" => past = Past { days: 3, episodes: 10_000 },
            other => {
                eprintln!("`{other}` is not --quick");
                std::process::exit(64);
            }
        }
    }
    install_crypto_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut report = Report::default();
    let url = runtime.block_on(past.serve());
    println!("{} days with {} episodes", past.days, past.episodes);
    let read = runtime.block_on(read(past, &url));
    println!("reading alone   {:>8.2} s", read.as_secs_f64());
    let (took, mib) = play(past, &url);
    println!("backtest        {:>8.2} s   {mib:>7.1} MiB", took.as_secs_f64());
    let share = f64::from(past.episodes) / 100_000.0;
    let scaled = took.as_secs_f64() / share;
    report.note("a backtest of 100,000 episodes, s", scaled, Aim::AtMost { must: 60.0, reach: 30.0 });
    report.note("its memory at most, MiB", mib, Aim::AtMost { must: 256.0, reach: 128.0 });
    let ratio = took.as_secs_f64() / read.as_secs_f64();
    report.note("against reading the same answers alone", ratio, Aim::AtMost { must: 60.0, reach: 20.0 });
    report.close();
}

/// Asks for the whole past and reads it, without any rules.
async fn read(past: Past, url: &str) -> Duration {
    let http = HttpClient::new(&HttpOptions::configured()).expect("a client");
    let client = PrometheusClient::new(http, url, Credentials::None).expect("an address");
    let (step, grace) = (SignedDuration::from_mins(1), SignedDuration::from_mins(5));
    let span = Span { from: past.start(), to: past.end(), step, grace };
    let mut history = History::new(client, span, Default::default());
    let began = Instant::now();
    while history.next().await.expect("an answer").is_some() {}
    assert_eq!(history.read().episodes, u64::from(past.episodes));
    began.elapsed()
}

/// Runs the product; how long it took, and the most memory that it held.
fn play(past: Past, url: &str) -> (Duration, f64) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yaml"), past::rules()).expect("a file");
    let out = std::fs::File::create(folder.path().join("report.json")).expect("a file");
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_smokejumper"))
        .args(["backtest", "--prometheus", url, "--rules", "rules.yaml", "--output", "json"])
        .args(["--from", &past.start().to_string(), "--to", &past.end().to_string()])
        .current_dir(folder.path())
        .stdout(Stdio::from(out))
        .spawn()
        .expect("the product starts");
    let mut most = 0.0_f64;
    let ended = loop {
        most = most.max(peak_mib(child.id()));
        if let Some(ended) = child.try_wait().expect("a child") {
            break ended;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let took = began.elapsed();
    assert!(ended.success(), "the backtest came to nothing");
    check(past, &folder.path().join("report.json"));
    (took, most)
}

/// What was measured must have been the work.
fn check(past: Past, file: &Path) {
    let text = std::fs::read_to_string(file).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let count = |what: &str| -> u64 {
        let rules = report["rules"].as_array().expect("rules");
        rules.iter().map(|rule| rule[what].as_u64().expect("a count")).sum()
    };
    let unmatched = report["unmatched"]["alerts"].as_u64().expect("a count");
    assert_eq!(count("alerts") + unmatched, u64::from(past.episodes), "every episode was played");
    let acted: u64 = report["rules"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|rule| rule["remedies"].as_array().into_iter().flatten())
        .filter_map(|remedy| remedy["acted"].as_u64())
        .sum();
    let calls = report["calls"].as_array().map_or(0, Vec::len) as u64
        + report["calls_left_out"].as_u64().unwrap_or(0);
    println!("incidents {}   acted {acted}   calls {calls}", count("incidents"));
}

/// The most memory that a process has held, in MiB; 0 where it is gone.
fn peak_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
